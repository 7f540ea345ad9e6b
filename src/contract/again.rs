//! Judging a kept request again (ruling 11): the token was good when it came, so it is not asked for; all else is.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use thiserror::Error;

use super::brand::Brand;
use super::check::{Accepted, Admitted, RawHead};
use super::head;
use super::kept::KeptHeaders;
use super::webhook::Webhooks;

/// The fields of a brand's headers that can be corrected.
const FIELDS: &[&str] = &["Event", "WebHook-ID", "Type", "Ts", "ID", "Retry-Num", "Sign"];

/// A request that was kept when it was rejected.
#[derive(Debug, Clone)]
pub struct KeptRequest<'a> {
    /// The configured webhook that its token was for.
    pub webhook: &'a str,
    /// Whose headers it carried. They alone do not tell where nothing came but the token, which is not kept.
    pub brand: Brand,
    /// Its headers less all credentials.
    pub headers: &'a KeptHeaders,
    /// Its body as it came.
    pub body: Bytes,
    /// The address that it came from.
    pub peer: Option<std::net::IpAddr>,
}

/// Why a kept request is still no event.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StillRejected {
    /// The webhook is gone, or takes other requests now.
    #[error("webhook {0:?} is not configured, or does not take this brand or webhook id")]
    NoWebhook(String),
    /// A correction of what lets somebody in.
    #[error("{0} lets somebody in, and cannot be set")]
    Credential(String),
    /// A correction of a header that is not judged.
    #[error("{0} is no header that is judged; these can be set: {fields}", fields = FIELDS.join(", "))]
    NotJudged(String),
    /// A correction that no header can carry.
    #[error("{0} cannot be set to that: a header cannot carry it")]
    NoValue(String),
    /// It is judged as before.
    #[error("{0}")]
    Still(String),
}

/// Judges a kept request again, as one that is received now. A correction is a header's name, with or without the
/// brand's prefix, and its value; an empty value takes the header away.
///
/// # Errors
/// When it cannot be an event as it is, or a correction cannot be made.
pub fn check_again(
    kept: KeptRequest<'_>,
    corrections: &[(String, String)],
    received_at: Timestamp,
    webhooks: &Webhooks,
) -> Result<Accepted, StillRejected> {
    let (mut headers, brand) = (kept.headers.to_map(), kept.brand);
    for (name, value) in corrections {
        correct(&mut headers, brand, name, value)?;
    }
    let claimed_id = head::Headers::new(&headers, brand).well_formed_webhook_id();
    let webhook = webhooks.named(kept.webhook, brand, claimed_id);
    let webhook = webhook.ok_or_else(|| StillRejected::NoWebhook(kept.webhook.to_owned()))?;
    let head = RawHead { path: Some(kept.webhook), headers: &headers, received_at, peer: kept.peer };
    let judged = Admitted::again(webhook, brand, head).judge(kept.body);
    judged.map_err(|rejected| StillRejected::Still(rejected.reason().to_owned()))
}

fn correct(headers: &mut HeaderMap, brand: Brand, name: &str, value: &str) -> Result<(), StillRejected> {
    let lower = name.to_ascii_lowercase();
    let field = lower.strip_prefix(brand.header_prefix()).unwrap_or(&lower);
    if ["token", "authorization", "proxy-authorization", "cookie"].contains(&field) {
        return Err(StillRejected::Credential(name.to_owned()));
    }
    let known = FIELDS.iter().any(|known| known.eq_ignore_ascii_case(field));
    let full = format!("{}{field}", brand.header_prefix()).parse::<HeaderName>().ok().filter(|_| known);
    let full = full.ok_or_else(|| StillRejected::NotJudged(name.to_owned()))?;
    if value.is_empty() {
        headers.remove(full);
        return Ok(());
    }
    let value = HeaderValue::from_str(value).map_err(|_| StillRejected::NoValue(name.to_owned()))?;
    headers.insert(full, value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::sample::{headers, webhook};

    const BODY: &str = r#"{"type":"Issue.Update","data":{"issue":{"id":100}}}"#;

    #[track_caller]
    fn check(kept: &[(&str, &[u8])], corrections: &[(&str, &str)], body: &str, expected: Result<(u32, &str), &str>) {
        let webhooks = Webhooks::new(vec![
            webhook("product", None, "token"),
            webhook("zappy", Some(Brand::WorkZappy), "zappy-token"),
        ])
        .unwrap();
        let name = kept.iter().find(|(name, _)| *name == "webhook").map_or(&b"product"[..], |(_, value)| value);
        let own: Vec<_> = kept.iter().filter(|(name, _)| *name != "webhook").copied().collect();
        let kept_headers = KeptHeaders::of(&headers(&own));
        let request = KeptRequest {
            webhook: std::str::from_utf8(name).unwrap(),
            brand: Brand::Leiga,
            headers: &kept_headers,
            body: Bytes::copy_from_slice(body.as_bytes()),
            peer: None,
        };
        let corrections: Vec<_> = corrections.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let now = Timestamp::from_second(7).unwrap();
        let judged = check_again(request, &corrections, now, &webhooks);
        if let Ok(accepted) = &judged {
            assert_eq!((accepted.received_at(), &accepted.body()[..]), (now, body.as_bytes()));
        }
        let judged = judged.map(|accepted| (accepted.retry_num(), accepted.name().to_string()));
        let told = judged.as_ref().map(|(retry, name)| (*retry, name.as_str())).map_err(ToString::to_string);
        match (&told, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(*found, expected),
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
            _ => panic!("{told:?}, not {expected:?}"),
        }
    }

    #[test]
    fn ruling_11_a_kept_request_is_judged_again_with_corrections() {
        let bad: &[(&str, &[u8])] = &[("x-leiga-event", b"Issue.Update"), ("x-leiga-retry-num", b"two")];
        check(bad, &[], BODY, Err("X-Leiga-Retry-Num is not a whole number"));
        check(bad, &[("Retry-Num", "2")], BODY, Ok((2, "Issue.Update")));
        check(bad, &[("x-LEIGA-retry-num", "2")], BODY, Ok((2, "Issue.Update")));
        check(bad, &[("Retry-Num", "")], BODY, Ok((0, "Issue.Update")));
        check(bad, &[("Retry-Num", "2"), ("Event", "Issue.Delete")], BODY, Ok((2, "Issue.Delete")));
        check(bad, &[("Retry-Num", "2")], "[]", Err("JSON"));
        let doubled: &[(&str, &[u8])] = &[("x-leiga-event", b"A.B"), ("x-leiga-event", b"C.D")];
        check(doubled, &[("Event", "C.D")], BODY, Ok((0, "C.D")));
    }

    #[test]
    fn ruling_11_a_request_that_came_with_nothing_but_its_token_is_judged_as_before_and_can_be_corrected() {
        check(&[], &[], BODY, Err("X-Leiga-Event is missing"));
        check(&[], &[("Event", "Issue.Update")], BODY, Ok((0, "Issue.Update")));
    }

    #[test]
    fn ruling_11_what_lets_somebody_in_and_what_is_not_judged_cannot_be_set() {
        let bad: &[(&str, &[u8])] = &[("x-leiga-event", b"Issue")];
        for name in ["Token", "X-Leiga-Token", "Authorization", "Cookie", "proxy-authorization"] {
            check(bad, &[(name, "x")], BODY, Err("cannot be set"));
        }
        for name in ["X-WorkZappy-Event", "X-WorkZappy-Token", "Content-Type", "", "a b"] {
            check(bad, &[(name, "x")], BODY, Err("is no header that is judged"));
        }
        check(bad, &[("Event", "a\nb")], BODY, Err("a header cannot carry it"));
    }

    #[test]
    fn ruling_11_the_webhook_has_to_be_configured_still() {
        let gone: &[(&str, &[u8])] = &[("webhook", b"gone"), ("x-leiga-event", b"Issue.Update")];
        check(gone, &[], BODY, Err("webhook \"gone\" is not configured"));
        let other: &[(&str, &[u8])] = &[("webhook", b"zappy"), ("x-leiga-event", b"Issue.Update")];
        check(other, &[], BODY, Err("webhook \"zappy\" is not configured"));
    }
}
