//! What makes two requests the same event (rulings 3 to 6).
//!
//! A key is a hash of everything that it depends on, so that one webhook can never use up another's ids.

use sha2::{Digest, Sha256};

use super::brand::Brand;
use super::event_name::EventName;
use super::webhook::WebhookName;

/// A hash that stands for one occurrence, or for one body of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key([u8; 16]);

impl Key {
    /// A key of these bytes.
    #[cfg(test)]
    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Key {
        Key(bytes)
    }

    /// The bytes to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// How long a key stands for its event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// For the retention time, and at least 7 days (ruling 8).
    Retention,
    /// For 24 hours (rulings 4 and 5).
    Day,
}

/// The keys of an accepted request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// The key by which a repetition is known; `None` is never a repetition.
    pub identity: Option<(Key, Lifetime)>,
    /// The key of webhook, name and body, good for a day.
    pub body: Key,
    /// Whether an event with the same body key is the same one (a retry that came with a new id).
    pub match_body: bool,
}

/// What the keys of a request depend on.
pub(super) struct Occurrence<'a> {
    pub(super) webhook: &'a WebhookName,
    pub(super) brand: Brand,
    pub(super) claimed_webhook_id: &'a str,
    pub(super) name: &'a EventName,
    pub(super) id: Option<&'a str>,
    pub(super) retry_num: u32,
    pub(super) has_date: bool,
    pub(super) body: &'a [u8],
}

pub(super) fn keys(of: &Occurrence<'_>) -> Keys {
    let scope = [of.webhook.as_str().as_bytes(), of.brand.slug().as_bytes(), of.claimed_webhook_id.as_bytes()];
    let body = Sha256::digest(of.body);
    let by_body = |namespace: &[u8]| {
        let (object, action) = (of.name.object().as_bytes(), of.name.action().as_bytes());
        hash(namespace, &[scope[0], scope[1], scope[2], object, action, &body])
    };
    let identity = match of.id {
        Some(id) => Some((hash(b"id", &[scope[0], scope[1], scope[2], id.as_bytes()]), Lifetime::Retention)),
        None if of.has_date && !of.name.is_test() => Some((by_body(b"no id"), Lifetime::Day)),
        None => None,
    };
    Keys { identity, body: by_body(b"body"), match_body: of.retry_num > 0 && of.id.is_some() }
}

fn hash(namespace: &[u8], parts: &[&[u8]]) -> Key {
    let mut hash = Sha256::new();
    for part in [namespace].iter().chain(parts) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let mut key = [0; 16];
    key.copy_from_slice(&hash.finalize()[..16]);
    Key(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base<'a>(webhook: &'a WebhookName, name: &'a EventName) -> Occurrence<'a> {
        Occurrence {
            webhook,
            brand: Brand::Leiga,
            claimed_webhook_id: "77",
            name,
            id: Some("id-1"),
            retry_num: 0,
            has_date: true,
            body: b"{}",
        }
    }

    #[test]
    fn ruling_03_the_key_is_of_webhook_brand_claimed_id_and_id_alone() {
        let (a, b) = (WebhookName::parse("a").unwrap(), WebhookName::parse("b").unwrap());
        let (update, delete) = (EventName::parse("Issue.Update").unwrap(), EventName::parse("Issue.Delete").unwrap());
        let first = keys(&base(&a, &update)).identity;
        assert_eq!(keys(&Occurrence { body: b"{ }", retry_num: 3, ..base(&a, &delete) }).identity, first);
        assert_ne!(keys(&base(&b, &update)).identity, first);
        assert_ne!(keys(&Occurrence { brand: Brand::WorkZappy, ..base(&a, &update) }).identity, first);
        assert_ne!(keys(&Occurrence { claimed_webhook_id: "78", ..base(&a, &update) }).identity, first);
        assert_ne!(
            keys(&Occurrence { claimed_webhook_id: "7", id: Some("7id-1"), ..base(&a, &update) }).identity,
            first
        );
        assert_ne!(keys(&Occurrence { id: Some("id-2"), ..base(&a, &update) }).identity, first);
        assert_eq!(first.unwrap().1, Lifetime::Retention);
    }

    #[test]
    fn ruling_05_without_an_id_the_body_decides_for_a_day() {
        let a = WebhookName::parse("a").unwrap();
        let (update, test) = (EventName::parse("Issue.Update").unwrap(), EventName::parse("Webhook.Test").unwrap());
        let without = |name| Occurrence { id: None, ..base(&a, name) };
        let first = keys(&without(&update));
        assert_eq!(first.identity.unwrap().1, Lifetime::Day);
        assert_eq!(keys(&without(&update)), first);
        assert_ne!(keys(&Occurrence { body: b"{ }", ..without(&update) }).identity, first.identity);
        assert_eq!(keys(&Occurrence { has_date: false, ..without(&update) }).identity, None);
        assert_eq!(keys(&without(&test)).identity, None);
        assert_ne!(first.identity.unwrap().0, first.body, "the namespaces differ");
    }

    #[test]
    fn ruling_04_only_a_retry_with_an_id_is_matched_by_body() {
        let (a, update) = (WebhookName::parse("a").unwrap(), EventName::parse("Issue.Update").unwrap());
        assert!(keys(&Occurrence { retry_num: 1, ..base(&a, &update) }).match_body);
        assert!(!keys(&base(&a, &update)).match_body);
        assert!(!keys(&Occurrence { retry_num: 1, id: None, ..base(&a, &update) }).match_body);
    }
}
