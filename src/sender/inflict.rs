//! Doing a fault: what is sent in place of the good request, and the report on what came of it.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use super::attempt::Try;
use super::fault::Fault;
use super::pieces::{End, Pieces};
use super::request::{Draft, Shipment};
use super::send::Sender;
use crate::secret::Secret;

/// The time between two pieces that are to arrive apart, but soon.
const SOON: Duration = Duration::from_millis(1);

/// How long the head of a body that is too large is alone: the receiver can answer by the length in it.
const HEAD_ALONE: Duration = Duration::from_millis(250);

/// The pieces of a body that is too large.
const LARGE_PIECE: usize = 64 << 10;

/// The pieces that a body is sent in where it is not sent at once.
const PIECES: usize = 16;

/// How much is sent of what is not JSON, in bytes.
const GARBAGE: usize = 2048;

/// How large and how slow a fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultSettings {
    /// How large a body is that is too large: by default 1 MiB over what a receiver takes by default.
    pub oversize_bytes: usize,
    /// The time between two pieces of a slow body.
    pub slow_wait: Duration,
}

/// What came of a fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FaultReport {
    /// The fault.
    pub fault: Fault,
    /// The name of the event that it was done to.
    pub event: String,
    /// The `ID` header.
    pub id: String,
    /// Whether the receiver answered as the contract says.
    pub ok: bool,
    /// What the contract says.
    pub expected: &'static str,
    /// Every request, in order.
    pub attempts: Vec<Try>,
}

impl Default for FaultSettings {
    fn default() -> FaultSettings {
        FaultSettings { oversize_bytes: 9 << 20, slow_wait: Duration::from_millis(300) }
    }
}

/// Does a fault to a new occurrence of a draft, and judges the answer. Each request has a connection of its own.
pub async fn inflict(sender: &Sender, draft: &Draft, fault: Fault, settings: FaultSettings) -> FaultReport {
    let shipment = with_fault(sender.shipment(draft), fault);
    let mut attempts = Vec::new();
    let requests = if fault == Fault::Duplicate { 2 } else { 1 };
    for _ in 0..requests {
        let body = body(fault, &shipment.body, settings);
        attempts.push(sender.attempt_alone(&shipment, body).await);
    }
    FaultReport {
        fault,
        event: shipment.event,
        id: shipment.id,
        ok: fault.judge(&attempts),
        expected: fault.expected(),
        attempts,
    }
}

fn with_fault(shipment: Shipment, fault: Fault) -> Shipment {
    if fault != Fault::BadToken {
        return shipment;
    }
    // No receiver has a token that nobody knew before.
    let token = format!("wrong-{:032x}", fastrand::u128(..));
    Shipment { token: Some(Secret::new(token)), ..shipment }
}

/// What is sent in place of the body, for one request.
fn body(fault: Fault, good: &Bytes, settings: FaultSettings) -> reqwest::Body {
    let piece = good.len().div_ceil(PIECES);
    let pieces = |body: Bytes, size, wait, end| reqwest::Body::wrap(Pieces::new(body, size, wait, end));
    match fault {
        Fault::Duplicate | Fault::BadToken => good.clone().into(),
        Fault::Garbage => garbage().into(),
        Fault::Chunked => pieces(good.clone(), piece, SOON, End::Chunked),
        Fault::Slow => pieces(good.slice(..good.len().saturating_sub(1)), piece, settings.slow_wait, End::Held),
        Fault::Cut => pieces(good.slice(..good.len() / 2), piece, SOON, End::Cut),
        Fault::Oversize => {
            let mut large = good.to_vec();
            large.resize(settings.oversize_bytes.max(good.len()), b' ');
            let pieces = Pieces::new(large.into(), LARGE_PIECE, SOON, End::Known);
            reqwest::Body::wrap(pieces.after(HEAD_ALONE))
        }
    }
}

/// Bytes of which the first already is not JSON.
fn garbage() -> Vec<u8> {
    b"\x00\xff\xc3not JSON\x1b".iter().copied().cycle().take(GARBAGE).collect()
}

impl fmt::Display for FaultReport {
    /// For example `oversize   as expected: 413 errcode 413  12.0 ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<9}  ", self.fault.name())?;
        if self.ok {
            f.write_str("as expected: ")?;
        } else {
            write!(f, "failed: expected {}, got ", self.expected)?;
        }
        for (number, tried) in self.attempts.iter().enumerate() {
            let between = if number == 0 { "" } else { "; " };
            write!(f, "{between}{tried}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Brand;
    use crate::sender::fixtures::Fixture;
    use crate::sender::stub::Stub;

    const OK: &str = r#"{"errcode":0}"#;

    fn draft() -> Draft {
        Draft::of_fixture(Fixture::find(Brand::WorkZappy, "Issue.Update").unwrap())
    }

    async fn inflicted(stub: &Stub, fault: Fault) -> FaultReport {
        let settings = FaultSettings { slow_wait: Duration::from_millis(5), ..FaultSettings::default() };
        inflict(&stub.sender(), &draft(), fault, settings).await
    }

    #[tokio::test]
    async fn a_duplicate_is_the_same_request_twice() {
        let stub = Stub::answering(&[(200, OK)]).await;
        assert!(inflicted(&stub, Fault::Duplicate).await.ok);
        let seen = stub.seen();
        assert_eq!(seen.len(), 2);
        assert_eq!((&seen[0].headers, &seen[0].body), (&seen[1].headers, &seen[1].body));
    }

    #[tokio::test]
    async fn a_chunked_body_arrives_whole_and_without_a_length() {
        let stub = Stub::answering(&[(200, OK)]).await;
        let report = inflicted(&stub, Fault::Chunked).await;
        assert!(report.ok, "{report}");
        let seen = stub.seen();
        assert_eq!(seen[0].headers["transfer-encoding"], "chunked");
        assert!(!seen[0].headers.contains_key("content-length"));
        assert_eq!(seen[0].body, draft().body);
    }

    #[tokio::test]
    async fn a_wrong_token_and_garbage_are_sent_whole() {
        let stub = Stub::answering(&[(401, "{}"), (400, "{}")]).await;
        assert!(inflicted(&stub, Fault::BadToken).await.ok);
        assert!(inflicted(&stub, Fault::Garbage).await.ok);
        let seen = stub.seen();
        assert_ne!(seen[0].headers["x-workzappy-token"], "stub-token");
        assert_eq!(seen[1].headers["x-workzappy-token"], "stub-token");
        assert_eq!(seen[1].body.len(), 2048);
        assert!(serde_json::from_slice::<serde_json::Value>(&seen[1].body).is_err());
    }

    #[tokio::test]
    async fn the_answer_to_a_body_that_is_too_large_is_read_while_it_is_sent() {
        let stub = Stub::silent(413, Duration::ZERO).await;
        let report = inflicted(&stub, Fault::Oversize).await;
        assert!(report.ok, "{report}");
        let stub = Stub::answering(&[(200, OK)]).await;
        let report = inflicted(&stub, Fault::Oversize).await;
        assert!(!report.ok);
        assert!(report.to_string().starts_with("oversize   failed: expected 413, got 200 errcode 0"), "{report}");
        let body = stub.seen()[0].body.clone();
        assert_eq!(body.len(), 9 << 20);
        assert!(serde_json::from_slice::<serde_json::Value>(&body).unwrap().is_object());
    }

    #[tokio::test]
    async fn a_slow_body_is_not_done_before_the_receiver_gives_up() {
        let stub = Stub::silent(408, Duration::from_millis(200)).await;
        let report = inflicted(&stub, Fault::Slow).await;
        assert!(report.ok, "{report}");
    }

    #[tokio::test]
    async fn a_body_that_is_cut_is_never_whole_and_has_no_answer() {
        let stub = Stub::answering(&[(200, OK)]).await;
        let report = inflicted(&stub, Fault::Cut).await;
        assert!(report.ok, "{report}");
        assert!(stub.seen().is_empty());
        drop(stub);
        let gone = Stub::closing().await;
        assert!(!inflicted(&gone, Fault::Cut).await.ok, "closed by the receiver, not from this side");
    }
}
