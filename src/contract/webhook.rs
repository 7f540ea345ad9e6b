//! The configured webhooks: who may send, and by which token it is known who did.
//!
//! A token is hashed when it is configured and never kept in the clear. All tokens of all candidates are compared, in
//! constant time (rulings 1 and 2).

use std::fmt;

use subtle::Choice;
use thiserror::Error;

use super::brand::Brand;
use crate::secret::Fingerprint;

/// What stands for a webhook with our own notices; no configured one may have the name.
const OWN: &str = "workhook";

/// The longest name of a webhook or a handler, in bytes.
pub const NAME_MAX_LEN: usize = 63;

/// Whether a text can name a webhook or a handler: it stands in paths, labels and file names.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    (1..=NAME_MAX_LEN).contains(&text.len()) && text.bytes().all(allowed) && !text.starts_with(['-', '_'])
}

/// The configured name of a webhook, for example `product`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WebhookName(String);

impl WebhookName {
    /// Reads a name: 1 to 63 of `a-z 0-9 - _`, not beginning with `-` or `_`, and not `workhook`.
    #[must_use]
    pub fn parse(text: &str) -> Option<WebhookName> {
        (is_name(text) && text != OWN).then(|| WebhookName(text.to_owned()))
    }

    /// The name that our own notices have in place of a webhook's.
    pub(super) fn own() -> WebhookName {
        WebhookName(OWN.to_owned())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WebhookName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A configured token, hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token(Fingerprint);

impl Token {
    /// Hashes a configured token. It must be what a header can carry: visible ASCII, spaces only inside, not empty.
    #[must_use]
    pub fn parse(text: &str) -> Option<Token> {
        let visible = text.bytes().all(|byte| (0x20..=0x7e).contains(&byte));
        (visible && !text.is_empty() && text.trim() == text).then(|| Token(Fingerprint::of(text.as_bytes())))
    }
}

/// Which token let a request in: the first eight digits of its SHA-256 hash, or nothing where it needed none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenLabel(Option<[u8; 4]>);

impl fmt::Display for TokenLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().flatten().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// One configured webhook.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Its name, which is also its path below the public door.
    pub name: WebhookName,
    /// The only brand that it takes; `None` takes all.
    pub brand: Option<Brand>,
    /// The only values of the `WebHook-ID` header that it takes; empty takes all.
    pub ids: Vec<String>,
    /// The tokens that it takes, several while they are rotated.
    pub tokens: Vec<Token>,
    /// Whether it takes requests without a token, under its own path only.
    pub tokenless: bool,
}

impl Webhook {
    fn takes(&self, path: Option<&str>, brand: Brand, claimed_id: Option<&str>) -> bool {
        path.is_none_or(|name| name == self.name.as_str())
            && self.brand.is_none_or(|own| own == brand)
            && (self.ids.is_empty() || claimed_id.is_some_and(|id| self.ids.iter().any(|own| own == id)))
    }

    fn overlaps(&self, other: &Webhook) -> bool {
        let brands = self.brand.is_none() || other.brand.is_none() || self.brand == other.brand;
        let ids = self.ids.is_empty() || other.ids.is_empty() || self.ids.iter().any(|id| other.ids.contains(id));
        brands && ids
    }

    /// By what its tokens are told apart where they must not be shown.
    #[must_use]
    pub fn token_labels(&self) -> Vec<TokenLabel> {
        self.tokens.iter().map(|token| TokenLabel(Some(token.0.beginning()))).collect()
    }
}

/// Why a list of webhooks cannot be used.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum WebhooksError {
    /// Two webhooks have one name.
    #[error("two webhooks are named {0:?}")]
    SameName(String),
    /// A webhook would let nobody in.
    #[error("webhook {0:?} has no token; give it `tokens`, or `tokenless = true`")]
    NoToken(String),
    /// A token could be meant for either of two webhooks.
    #[error("webhooks {0:?} and {1:?} share a token; give each its own, or tell them apart by `ids` or `brand`")]
    SharedToken(String, String),
}

/// The configured webhooks, of which a token always means one.
#[derive(Debug, Clone)]
pub struct Webhooks(Vec<Webhook>);

impl Webhooks {
    /// Takes a list in which no token can mean two webhooks.
    ///
    /// # Errors
    /// With everything that is wrong with the list, each with the index of the webhook that it concerns.
    pub fn new(webhooks: Vec<Webhook>) -> Result<Webhooks, Vec<(usize, WebhooksError)>> {
        let mut errors = Vec::new();
        for (index, webhook) in webhooks.iter().enumerate() {
            let name = || webhook.name.to_string();
            if webhook.tokens.is_empty() && !webhook.tokenless {
                errors.push((index, WebhooksError::NoToken(name())));
            }
            for earlier in &webhooks[..index] {
                if earlier.name == webhook.name {
                    errors.push((index, WebhooksError::SameName(name())));
                } else if earlier.overlaps(webhook) && earlier.tokens.iter().any(|token| webhook.tokens.contains(token))
                {
                    errors.push((index, WebhooksError::SharedToken(earlier.name.to_string(), name())));
                }
            }
        }
        if errors.is_empty() { Ok(Webhooks(webhooks)) } else { Err(errors) }
    }

    /// Each webhook.
    pub fn iter(&self) -> impl Iterator<Item = &Webhook> {
        self.0.iter()
    }

    /// The one webhook that a request is for, by all that is known before its body is read, and the token that let it in.
    pub(super) fn find(
        &self,
        path: Option<&str>,
        brand: Brand,
        claimed_id: Option<&str>,
        token: Option<&[u8]>,
    ) -> Option<(&Webhook, TokenLabel)> {
        let candidates = self.0.iter().filter(|webhook| webhook.takes(path, brand, claimed_id));
        let given = token.map(Fingerprint::of);
        let mut found = None;
        let mut count = 0_usize;
        for webhook in candidates {
            let matches = given.as_ref().is_some_and(|given| bool::from(matches_any(given, &webhook.tokens)));
            // A token that was sent is looked at even where none is needed, unless there is none to compare it with.
            let open = webhook.tokenless && path.is_some() && (token.is_none() || webhook.tokens.is_empty());
            if matches || open {
                // The token that was sent is one of the webhook's, so that its hash is that one's.
                let label = given.as_ref().filter(|_| matches).map(Fingerprint::beginning);
                found = Some((webhook, TokenLabel(label)));
                count += 1;
            }
        }
        found.filter(|_| count == 1)
    }

    /// The webhook of a name, where it takes this brand and claimed webhook id; no token is asked for.
    pub(super) fn named(&self, name: &str, brand: Brand, claimed_id: Option<&str>) -> Option<(&Webhook, TokenLabel)> {
        let webhook = self.0.iter().find(|webhook| webhook.takes(Some(name), brand, claimed_id));
        webhook.map(|webhook| (webhook, TokenLabel(None)))
    }
}

fn matches_any(given: &Fingerprint, tokens: &[Token]) -> Choice {
    tokens.iter().fold(Choice::from(0), |any, token| any | given.matches(&token.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook(name: &str, tokens: &[&str]) -> Webhook {
        Webhook {
            name: WebhookName::parse(name).unwrap(),
            brand: None,
            ids: Vec::new(),
            tokens: tokens.iter().map(|token| Token::parse(token).unwrap()).collect(),
            tokenless: false,
        }
    }

    #[track_caller]
    fn check(webhooks: &Webhooks, path: Option<&str>, id: Option<&str>, token: Option<&str>, expected: Option<&str>) {
        let found = webhooks.find(path, Brand::Leiga, id, token.map(str::as_bytes));
        assert_eq!(found.map(|(webhook, _)| webhook.name.as_str()), expected);
    }

    #[test]
    fn ruling_01_exactly_one_webhook_is_left_by_path_brand_id_and_token() {
        let by_id = Webhook { ids: vec!["77".to_owned()], ..webhook("by-id", &["t3"]) };
        let zappy = Webhook { brand: Some(Brand::WorkZappy), ..webhook("zappy", &["t4"]) };
        let webhooks = Webhooks::new(vec![webhook("a", &["t1", "t1b"]), webhook("b", &["t2"]), by_id, zappy]).unwrap();
        check(&webhooks, None, None, Some("t1"), Some("a"));
        check(&webhooks, None, None, Some("t1b"), Some("a"));
        check(&webhooks, None, None, Some("t2"), Some("b"));
        check(&webhooks, Some("a"), None, Some("t2"), None);
        check(&webhooks, Some("b"), None, Some("t2"), Some("b"));
        check(&webhooks, Some("c"), None, Some("t2"), None);
        check(&webhooks, None, Some("77"), Some("t3"), Some("by-id"));
        check(&webhooks, None, Some("78"), Some("t3"), None);
        check(&webhooks, None, None, Some("t3"), None);
        check(&webhooks, None, None, Some("t4"), None);
        check(&webhooks, None, None, Some("t"), None);
        check(&webhooks, None, None, None, None);
    }

    #[test]
    fn ruling_01_webhooks_that_could_share_a_token_are_refused() {
        let shared = WebhooksError::SharedToken("a".to_owned(), "b".to_owned());
        assert_eq!(Webhooks::new(vec![webhook("a", &["t"]), webhook("b", &["u", "t"])]).unwrap_err(), [(1, shared)]);
        let ids = |id: &str, name: &str| Webhook { ids: vec![id.to_owned()], ..webhook(name, &["t"]) };
        assert!(Webhooks::new(vec![ids("1", "a"), ids("2", "b")]).is_ok());
        assert!(Webhooks::new(vec![ids("1", "a"), ids("1", "b")]).is_err());
        assert!(Webhooks::new(vec![webhook("a", &[])]).is_err());
        assert!(Webhooks::new(vec![webhook("a", &["t"]), webhook("a", &["u"])]).is_err());
    }

    #[test]
    fn ruling_02_a_tokenless_webhook_is_open_only_under_its_own_path() {
        let open = Webhook { tokenless: true, ..webhook("open", &[]) };
        let webhooks = Webhooks::new(vec![webhook("a", &["t"]), open]).unwrap();
        check(&webhooks, Some("open"), None, None, Some("open"));
        check(&webhooks, Some("open"), None, Some("whatever"), Some("open"));
        check(&webhooks, None, None, None, None);
        check(&webhooks, Some("a"), None, None, None);
    }

    #[test]
    fn the_token_that_let_a_request_in_is_told_by_the_beginning_of_its_hash() {
        let half_open = Webhook { tokenless: true, ..webhook("half-open", &["t3"]) };
        let webhooks = Webhooks::new(vec![webhook("a", &["t1", "t2"]), half_open]).unwrap();
        let label = |path: &str, token: Option<&str>| {
            let found = webhooks.find(Some(path), Brand::Leiga, None, token.map(str::as_bytes));
            found.map(|(_, label)| label.to_string())
        };
        // printf t1 | sha256sum
        assert_eq!(label("a", Some("t1")).as_deref(), Some("628b49d9"));
        assert_ne!(label("a", Some("t2")), label("a", Some("t1")));
        assert_eq!(label("half-open", None).as_deref(), Some(""));
        assert_eq!(label("half-open", Some("t3")).map(|label| label.len()), Some(8));
    }

    #[test]
    fn a_token_is_what_a_header_can_carry_and_a_name_what_a_path_can() {
        for bad in ["", " t", "t ", "t\n", "tökén"] {
            assert!(Token::parse(bad).is_none(), "{bad:?}");
        }
        assert!(!format!("{:?}", Token::parse("t").unwrap()).contains(char::is_numeric));
        for bad in ["workhook", "", "A", "-a", "_a", "a/b", "a b", &"a".repeat(64)] {
            assert!(WebhookName::parse(bad).is_none(), "{bad:?}");
        }
        assert!(WebhookName::parse("product-2_b").is_some());
    }
}
