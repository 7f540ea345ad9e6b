//! What holds for any request, head and body. For tests and fuzzing only.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::LazyLock;

use bytes::Bytes;
use http::HeaderMap;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::json;
use super::skim;
use super::*;

/// What the tokens of the webhooks have in them. Nothing that is said may repeat it.
const HUSH: &str = "hush-";
/// The longest sentence on what is wrong or odd, in bytes.
const SENTENCE_MAX: usize = 600;
/// What a request is received at.
const NOW: Timestamp = Timestamp::UNIX_EPOCH;

/// The webhooks that requests are judged by: one of each kind.
static WEBHOOKS: LazyLock<Webhooks> = LazyLock::new(|| {
    let webhook = |name: &str, brand, ids: &[&str], token: &str| Webhook {
        name: WebhookName::parse(name).expect("it is a name"),
        brand,
        ids: ids.iter().map(|&id| id.to_owned()).collect(),
        tokens: Token::parse(token).into_iter().collect(),
        tokenless: token.is_empty(),
    };
    Webhooks::new(vec![
        webhook("product", None, &[], "hush-product"),
        webhook("zappy", Some(Brand::WorkZappy), &[], "hush-zappy"),
        webhook("ids", None, &["77", "78"], "hush-ids"),
        webhook("open", None, &[], ""),
    ])
    .expect("no two share a token")
});

/// A request is judged the same each time; what is taken or rejected is kept as it came, and is judged again as before.
pub(crate) fn request(path: Option<&str>, headers: &HeaderMap, body: &[u8]) {
    let body = Bytes::copy_from_slice(body);
    let head = RawHead { path, headers, received_at: NOW, peer: None };
    let judged = || check(RawRequest { head, body: body.clone() }, &WEBHOOKS);
    match (judged(), judged()) {
        (Ok(one), Ok(other)) => {
            same(&one, &other);
            admitted(path, headers);
            accepted(&one, headers, &body);
        }
        (Err(NotAccepted::Rejected(one)), Err(NotAccepted::Rejected(other))) => {
            assert_eq!(one.reason(), other.reason());
            admitted(path, headers);
            rejected(&one, headers, &body);
        }
        (Err(NotAccepted::Refused(one)), Err(NotAccepted::Refused(other))) => {
            assert_eq!(one, other);
            let claimed = claimed_webhook_id(headers);
            assert!(claimed.is_empty() || is_visible(claimed), "{claimed:?}");
        }
        (one, other) => panic!("the same request is judged in two ways: {one:?}, {other:?}"),
    }
}

/// Nobody gets in but by a token, sent once, or where none is needed.
fn admitted(path: Option<&str>, headers: &HeaderMap) {
    let of = |brand: &Brand| headers.get_all(format!("{}token", brand.header_prefix()));
    let tokens: Vec<&[u8]> = Brand::ALL.iter().flat_map(of).map(http::HeaderValue::as_bytes).collect();
    let known: [&[u8]; 3] = [b"hush-product", b"hush-zappy", b"hush-ids"];
    let by_token = matches!(tokens[..], [token] if known.contains(&token));
    assert!(by_token || (path == Some("open") && tokens.len() <= 1), "let in by {tokens:?} under {path:?}");
}

fn same(one: &Accepted, other: &Accepted) {
    assert_eq!((one.webhook(), one.brand(), one.name()), (other.webhook(), other.brand(), other.name()));
    assert_eq!((one.keys(), one.subject(), one.tenant()), (other.keys(), other.subject(), other.tenant()));
    assert_eq!((one.retry_num(), one.sent_at(), one.notes()), (other.retry_num(), other.sent_at(), other.notes()));
    assert_eq!((one.occurrence_id(), one.original_name()), (other.occurrence_id(), other.original_name()));
}

fn accepted(accepted: &Accepted, headers: &HeaderMap, body: &Bytes) {
    assert_eq!(accepted.body(), body, "the body is kept as it came");
    kept_from(accepted.headers(), headers);
    let sent = |field: &str| headers.get(format!("{}{field}", accepted.brand().header_prefix()));
    let name = accepted.name().to_string();
    assert_eq!(accepted.original_name().unwrap_or(&name).as_bytes(), sent("event").expect("it came").as_bytes());
    assert_eq!(EventName::parse(&name).as_ref(), Ok(accepted.name()));
    assert!(is_part(accepted.name().object()) && is_part(accepted.name().action()));
    let id = sent("id").filter(|id| !id.is_empty());
    assert_eq!(accepted.occurrence_id().map(str::as_bytes), id.map(http::HeaderValue::as_bytes));
    assert!(accepted.occurrence_id().is_none_or(is_visible));
    assert!(accepted.claimed_webhook_id().is_empty() || is_visible(accepted.claimed_webhook_id()));
    bounded(accepted.tenant());
    bounded(accepted.subject().map(|(Subject::Issue(id) | Subject::Sprint(id))| id.as_str()));
    for note in accepted.notes() {
        // These repeat names of events, in which there may be anything that a name may have.
        let names = ["other-type", "unknown-event"].contains(&&*note.code);
        assert!(note.text.len() <= SENTENCE_MAX && (names || !note.text.contains(HUSH)), "{note:?}");
    }
    let read = Envelope::parse(body);
    assert!(read.is_ok() || accepted.name().is_test(), "what is accepted can be read: {body:?}");
    let again = again((accepted.webhook(), accepted.brand()), accepted.headers(), body)
        .expect("what was accepted is accepted again");
    same(accepted, &again);
}

fn rejected(rejected: &Rejected, headers: &HeaderMap, body: &Bytes) {
    assert_eq!(rejected.body(), body, "the body is kept as it came");
    kept_from(rejected.headers(), headers);
    assert!((1..=4 * SENTENCE_MAX).contains(&rejected.reason().len()) && !rejected.reason().contains(HUSH));
    let object: Result<Map<String, Value>, _> = serde_json::from_slice(body);
    assert!(object.is_err() || !rejected.reason().contains("body"), "{}", rejected.reason());
    let again = again((rejected.webhook(), rejected.brand()), rejected.headers(), body);
    assert_eq!(again.map(|_| ()), Err(StillRejected::Still(rejected.reason().to_owned())));
}

fn again(
    (webhook, brand): (&WebhookName, Brand),
    headers: &KeptHeaders,
    body: &Bytes,
) -> Result<Accepted, StillRejected> {
    let kept = KeptRequest { webhook: webhook.as_str(), brand, headers, body: body.clone(), peer: None };
    check_again(kept, &[], NOW, &WEBHOOKS)
}

/// Headers are kept in their order and as they came, but for those that let somebody in.
pub(crate) fn kept(headers: &HeaderMap) {
    kept_from(&KeptHeaders::of(headers), headers);
}

fn kept_from(kept: &KeptHeaders, headers: &HeaderMap) {
    let credentials = ["authorization", "proxy-authorization", "cookie", "x-leiga-token", "x-workzappy-token"];
    let came = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let rest: Vec<_> = came.filter(|(name, _)| !credentials.contains(name)).collect();
    assert_eq!(kept.iter().collect::<Vec<_>>(), rest);
    assert_eq!(KeptHeaders::of(&kept.to_map()), *kept, "what is kept comes back");
}

/// What the store gives back as headers can be read, whatever it is.
pub(crate) fn kept_bytes(bytes: &[u8]) {
    let kept = KeptHeaders::from_bytes(bytes.to_vec());
    assert_eq!(kept.as_bytes(), bytes);
    assert!(kept.to_map().len() <= kept.iter().count());
}

/// A name is two parts, and displays as what it is read from but for its alias.
pub(crate) fn name(text: &str) {
    let parts: Vec<&str> = text.split('.').collect();
    let spelled = |part: &&str| {
        (1..=64).contains(&part.len()) && part.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
    };
    let read = EventName::parse(text);
    assert_eq!(read.is_ok(), parts.len() == 2 && parts.iter().all(spelled), "{text:?}");
    if let Ok(name) = read {
        assert_eq!(EventName::parse(&name.to_string()).as_ref(), Ok(&name));
        assert_eq!((name.object(), name.action()), (normal_object(parts[0]), parts[1]));
    }
}

/// A body is taken or not, and what is taken can be read by every view. What is read of it in passing is what the views
/// read.
pub(crate) fn body(body: &[u8]) {
    let skimmed = skim::skim(body);
    let plain: Result<Map<String, Value>, _> = serde_json::from_slice(body);
    assert!(plain.is_err() || skimmed.is_ok(), "a JSON object is taken: {:?}", skimmed.err());
    if let Ok(text) = std::str::from_utf8(body) {
        mended(text, plain.is_ok());
    }
    match skimmed {
        Err(fault) => assert!(fault.to_string().len() <= SENTENCE_MAX, "{fault}"),
        Ok(skimmed) => {
            let (raw, envelope, misfits) = Envelope::parse(body).expect("what is taken can be read");
            assert!(raw.is_object());
            views(&envelope, &misfits);
            let issue = raw.pointer("/data/issue/id").and_then(Value::as_i64);
            let subject = skimmed.subject(&EventName::known().next().expect("there are some"));
            assert!(
                issue.is_none_or(|id| subject == Some(Subject::Issue(id.to_string()))),
                "{subject:?} is not {issue:?}"
            );
            let tenant = raw.pointer("/tenant/id").and_then(Value::as_i64);
            assert!(tenant.is_none_or(|id| skimmed.tenant == Some(id.to_string())));
            bounded(skimmed.tenant.as_deref());
        }
    }
}

/// Nothing is mended that needs no mending, and once is enough.
fn mended(text: &str, is_plain: bool) {
    let mended = json::mend(text);
    assert!(!is_plain || matches!(mended, Cow::Borrowed(_)), "mended to {mended}");
    assert!(!is_plain || !json::is_too_deep(text));
    assert_eq!(json::mend(&mended), mended, "mended twice");
}

fn views(envelope: &Envelope, misfits: &[Misfit]) {
    assert!(misfits.len() <= 100);
    assert!(misfits.iter().all(|misfit| misfit.at.len() <= 200), "{misfits:?}");
    for name in EventName::known() {
        let missing: BTreeSet<_> =
            missing_parts(&name.to_string(), envelope).into_iter().map(|misfit| misfit.at).collect();
        assert!(missing.len() <= 2, "{name}: {missing:?}");
    }
    let mut reader = Reader::default();
    let _ = Any::of(envelope, &mut reader);
    for field in envelope.custom_fields.iter().flatten() {
        let _ = field.texts();
    }
}

fn is_visible(id: &str) -> bool {
    (1..=256).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}

fn bounded(id: Option<&str>) {
    assert!(
        id.is_none_or(|id| (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())),
        "{id:?}"
    );
}
