//! The requests that come in: a few kinds, about a few issues.

use std::sync::LazyLock;

use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use workhook::contract::{Accepted, RawHead, RawRequest, Token, Webhook, WebhookName, Webhooks, check};

/// How many kinds there are.
pub(crate) const KINDS: usize = 10;

/// When everything begins.
pub(crate) fn start() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

/// One of each kind. All but the last two are a new event each time that they come.
static REQUESTS: LazyLock<Vec<Accepted>> = LazyLock::new(|| {
    let webhook = Webhook {
        name: WebhookName::parse("product").unwrap(),
        brand: None,
        ids: Vec::new(),
        tokens: vec![Token::parse("token").unwrap()],
        tokenless: false,
    };
    let webhooks = Webhooks::new(vec![webhook]).unwrap();
    (0..KINDS).map(|kind| request(kind, &webhooks)).collect()
});

/// A request of this kind.
pub(crate) fn of_kind(kind: usize) -> Accepted {
    REQUESTS[kind].clone()
}

fn request(kind: usize, webhooks: &Webhooks) -> Accepted {
    let name = if kind % 4 == 3 { "Comment.Create" } else { "Issue.Update" };
    let body = match kind {
        // About nothing in particular.
        0 => r#"{"data":{}}"#.to_owned(),
        _ => format!(r#"{{"data":{{"issue":{{"id":{}}}}}}}"#, kind % 3),
    };
    let mut fields = vec![("x-leiga-event", name.to_owned()), ("x-leiga-token", "token".to_owned())];
    if kind >= KINDS - 2 {
        fields.push(("x-leiga-id", format!("id-{kind}")));
    }
    let field =
        |(name, value): (&'static str, String)| (HeaderName::from_static(name), HeaderValue::from_str(&value).unwrap());
    let headers: HeaderMap = fields.into_iter().map(field).collect();
    let head = RawHead { path: None, headers: &headers, received_at: start(), peer: None };
    check(RawRequest { head, body: body.into() }, webhooks).unwrap()
}
