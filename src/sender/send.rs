//! Sending an occurrence: the tries, and what came of them.

use std::time::Duration;

use reqwest::{Client, Url};
use thiserror::Error;
use tokio::time::Instant;

use super::answer::{Answer, NoAnswer};
use super::attempt::{Sent, Try};
use super::request::{Draft, Shipment};
use crate::clock::Clock;
use crate::secret::Secret;

/// The most of an answer's body that is read, in bytes.
const ANSWER_MAX: usize = 64 << 10;

/// Where to send, and by which token.
#[derive(Debug, Clone)]
pub struct Target {
    /// The receiver's address, for example `http://127.0.0.1:8080/webhook`.
    pub url: String,
    /// The webhook's token; `None` sends none.
    pub token: Option<Secret>,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long a try may take until the whole answer is there, connecting included.
    pub timeout: Duration,
}

/// How often a failed try is followed by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retries {
    /// The most tries after the first.
    pub count: u32,
    /// The time between two tries.
    pub wait: Duration,
}

/// Why nothing can be sent there.
#[derive(Debug, Error)]
pub enum TargetError {
    /// The address is not one of HTTP.
    #[error("{0:?} is not the address of a receiver, as in http://127.0.0.1:8080/webhook")]
    Url(String),
    /// The token is not what a header can carry.
    #[error("the token has a character that a header cannot carry")]
    Token,
    /// The client could not be made.
    #[error("the HTTP client could not be made")]
    Client(#[source] reqwest::Error),
}

/// Sends occurrences. A copy shares the connections.
#[derive(Debug, Clone)]
pub struct Sender {
    client: Client,
    /// Opens a connection for each request: what is sent wrongly must not be taken for another request's fault.
    alone: Client,
    url: Url,
    token: Option<Secret>,
    retries: Retries,
    clock: Clock,
}

impl Target {
    /// A receiver, with the vendor's time-outs: 3 s to connect, 3 s for the answer.
    #[must_use]
    pub fn new(url: impl Into<String>, token: Option<Secret>) -> Target {
        let three_seconds = Duration::from_secs(3);
        Target { url: url.into(), token, connect_timeout: three_seconds, timeout: three_seconds }
    }
}

impl Sender {
    /// A sender to one receiver. It follows no redirect, uses no proxy, and tries once.
    ///
    /// # Errors
    /// When the address or the token cannot be used, or the system's certificates cannot be read.
    pub fn new(target: Target, clock: Clock) -> Result<Sender, TargetError> {
        let url = Url::parse(&target.url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let url = url.ok_or_else(|| TargetError::Url(target.url.clone()))?;
        let carried = |token: &Secret| http::HeaderValue::from_str(token.expose()).is_ok();
        if !target.token.as_ref().is_none_or(carried) {
            return Err(TargetError::Token);
        }
        let builder = || {
            Client::builder()
                .connect_timeout(target.connect_timeout)
                .timeout(target.timeout)
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .no_proxy()
        };
        Ok(Sender {
            client: builder().build().map_err(TargetError::Client)?,
            alone: builder().pool_max_idle_per_host(0).build().map_err(TargetError::Client)?,
            url,
            token: target.token,
            retries: Retries::default(),
            clock,
        })
    }

    /// The same, trying again after a failure.
    #[must_use]
    pub fn with_retries(self, retries: Retries) -> Sender {
        Sender { retries, ..self }
    }

    /// A new occurrence of a draft, with the receiver's token.
    #[must_use]
    pub fn shipment(&self, draft: &Draft) -> Shipment {
        draft.shipment(self.clock.now(), self.token.clone())
    }

    /// Sends a new occurrence, and again while it fails and there are retries left.
    ///
    /// When it is dropped half-way, the receiver may have the occurrence or not.
    pub async fn send(&self, draft: &Draft) -> Sent {
        let mut shipment = self.shipment(draft);
        let mut attempts = vec![self.attempt(&shipment).await];
        for _ in 0..self.retries.count {
            let Some(last) = attempts.last().filter(|last| !last.is_success()) else {
                break;
            };
            if matches!(last.outcome, Err(NoAnswer::Unsendable(_))) {
                break;
            }
            tokio::time::sleep(self.retries.wait).await;
            shipment = shipment.again(self.clock.now());
            attempts.push(self.attempt(&shipment).await);
        }
        let ok = attempts.last().is_some_and(Try::is_success);
        Sent { event: shipment.event, brand: shipment.brand, id: shipment.id, ok, attempts }
    }

    async fn attempt(&self, shipment: &Shipment) -> Try {
        self.post(&self.client, shipment, shipment.body.clone().into()).await
    }

    /// One try on a connection of its own, with another body than the shipment's.
    pub(super) async fn attempt_alone(&self, shipment: &Shipment, body: reqwest::Body) -> Try {
        self.post(&self.alone, shipment, body).await
    }

    async fn post(&self, client: &Client, shipment: &Shipment, body: reqwest::Body) -> Try {
        let start = Instant::now();
        let outcome = match shipment.header_map() {
            Ok(headers) => answer(client.post(self.url.clone()).headers(headers).body(body)).await,
            Err(unsendable) => Err(unsendable),
        };
        Try { retry_num: shipment.retry_num, outcome, took: start.elapsed() }
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Result<Answer, NoAnswer> {
    let mut response = request.send().await.map_err(|error| NoAnswer::of(&error))?;
    let mut body = Vec::new();
    while body.len() < ANSWER_MAX {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Err(error) if error.is_timeout() => return Err(NoAnswer::TimedOut),
            // An answer that broke off has a status, but what came of its body is no JSON.
            Ok(None) | Err(_) => break,
        }
    }
    Ok(Answer::read(response.status().as_u16(), &body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Brand;
    use crate::sender::fixtures::Fixture;
    use crate::sender::stub::Stub;

    fn draft() -> Draft {
        Draft::of_fixture(Fixture::find(Brand::Leiga, "Issue.Update").unwrap())
    }

    async fn sent(stub: &Stub, retries: u32) -> Sent {
        let retries = Retries { count: retries, wait: Duration::from_millis(1) };
        stub.sender().with_retries(retries).send(&draft()).await
    }

    #[tokio::test]
    async fn an_occurrence_arrives_as_it_was_drafted() {
        let stub = Stub::answering(&[(200, r#"{"errcode":0}"#)]).await;
        let sent = sent(&stub, 3).await;
        assert!(sent.ok);
        assert_eq!(sent.attempts.len(), 1);
        let seen = stub.seen();
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].body, draft().body);
        assert_eq!(seen[0].headers["x-leiga-id"], sent.id.as_str());
        assert_eq!(seen[0].headers["x-leiga-token"], "stub-token");
        assert_eq!(seen[0].headers["content-length"], draft().body.len().to_string().as_str());
    }

    #[tokio::test]
    async fn a_failure_is_tried_again_under_the_same_id_with_the_next_number() {
        let stub =
            Stub::answering(&[(503, r#"{"errcode":503}"#), (200, "<html>"), (204, ""), (200, r#"{"errcode":0}"#)]);
        let stub = stub.await;
        let sent = sent(&stub, 5).await;
        assert!(sent.ok);
        let numbers: Vec<_> = sent.attempts.iter().map(|tried| tried.retry_num).collect();
        assert_eq!(numbers, [0, 1, 2, 3]);
        for (number, seen) in stub.seen().iter().enumerate() {
            assert_eq!(seen.headers["x-leiga-retry-num"], number.to_string().as_str());
            assert_eq!(seen.headers["x-leiga-id"], sent.id.as_str());
        }
        assert!(sent.to_string().ends_with("  after 3 retries"), "{sent}");
    }

    #[tokio::test]
    async fn retries_come_to_an_end_and_the_reason_is_told() {
        let stub = Stub::answering(&[(200, r#"{"errcode":1,"errmsg":"no room"}"#)]).await;
        let sent = sent(&stub, 2).await;
        assert!(!sent.ok);
        assert_eq!(stub.seen().len(), 3);
        let line = sent.to_string();
        assert!(line.contains("Issue.Update          leiga      failed: 200 errcode 1: no room"), "{line}");
        let json = serde_json::to_value(&sent).unwrap();
        assert_eq!(json["brand"], "leiga");
        assert_eq!(json["attempts"][2]["retry_num"], 2);
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer_and_is_not_followed() {
        let stub = Stub::answering(&[(302, r#"{"errcode":0}"#)]).await;
        assert_eq!(sent(&stub, 0).await.attempts[0].reason(), "302 errcode 0");
        assert_eq!(stub.seen().len(), 1);
    }

    #[tokio::test]
    async fn who_does_not_answer_is_told_from_who_is_not_there() {
        let silent = Stub::silent(200, Duration::from_secs(3600)).await;
        let mut target = silent.target();
        target.timeout = Duration::from_millis(50);
        let sender = Sender::new(target, Clock::system()).unwrap();
        assert_eq!(sender.send(&draft()).await.attempts[0].outcome, Err(NoAnswer::TimedOut));

        let closing = Stub::closing().await;
        assert_eq!(sent(&closing, 0).await.attempts[0].outcome, Err(NoAnswer::Closed));

        let gone = Target::new("http://127.0.0.1:1/webhook", None);
        let gone = Sender::new(gone, Clock::system()).unwrap().send(&draft()).await;
        assert_eq!(gone.attempts[0].reason(), "no connection");
    }

    #[test]
    fn a_target_is_an_address_of_http_with_a_token_that_a_header_carries() {
        let sender = |url: &str, token: &str| {
            Sender::new(Target::new(url, Some(Secret::new(token.to_owned()))), Clock::system())
        };
        for url in ["", "127.0.0.1:8080", "ftp://a/b", "/webhook", "http://"] {
            assert!(matches!(sender(url, "t"), Err(TargetError::Url(_))), "{url}");
        }
        assert!(matches!(sender("http://a/", "a\nb"), Err(TargetError::Token)));
        let debug = format!("{:?}", sender("https://a/", "hush").unwrap());
        assert!(!debug.contains("hush"), "{debug}");
    }
}
