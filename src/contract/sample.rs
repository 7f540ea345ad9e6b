//! Requests for the unit tests of other rooms: made the only way there is, by `check`.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;

use super::brand::Brand;
use super::check::{RawHead, RawRequest};
use super::webhook::{Token, Webhook, WebhookName, Webhooks};
use super::{Accepted, check};

/// A webhook that takes everything of a brand with one token.
pub(crate) fn webhook(name: &str, brand: Option<Brand>, token: &str) -> Webhook {
    Webhook {
        name: WebhookName::parse(name).unwrap(),
        brand,
        ids: Vec::new(),
        tokens: vec![Token::parse(token).unwrap()],
        tokenless: false,
    }
}

/// Headers of these names and bytes.
pub(crate) fn headers(pairs: &[(&str, &[u8])]) -> HeaderMap {
    let pair =
        |(name, value): &(&str, &[u8])| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value).unwrap());
    pairs.iter().map(pair).collect()
}

/// An accepted `Issue.Update` without an id.
pub(crate) fn accepted(body: impl Into<Bytes>) -> Accepted {
    let webhooks = Webhooks::new(vec![webhook("product", None, "token")]).unwrap();
    let headers = headers(&[("x-leiga-event", b"Issue.Update"), ("x-leiga-token", b"token")]);
    let head = RawHead { path: None, headers: &headers, received_at: Timestamp::UNIX_EPOCH, peer: None };
    check(RawRequest { head, body: body.into() }, &webhooks).unwrap()
}
