//! The one way in: a raw request and the configured webhooks become what the store accepts, or why not.
//!
//! It comes in two steps because the token is checked before any of the body is read: [`admit`] judges the token,
//! [`Admitted::judge`] the rest. [`check()`] is both. Nothing else makes an [`Accepted`], so nothing that did not pass
//! can be stored as an event; and nothing else makes a [`Rejected`], so nothing without a good token is kept.
//! Pure: the time of receipt comes in with the request.

use std::net::IpAddr;

use bytes::Bytes;
use http::HeaderMap;
use jiff::Timestamp;

use super::brand::Brand;
use super::event_name::EventName;
use super::head::{self, HeadFault, Headers, Note, Refusal};
use super::kept::KeptHeaders;
use super::keys::{self, Keys, Occurrence};
use super::skim::{self, BodyFault, Subject};
use super::webhook::{Webhook, WebhookName, Webhooks};

/// What is known of a request before its body.
#[derive(Debug, Clone, Copy)]
pub struct RawHead<'a> {
    /// NAME of `/webhook/NAME`; `None` under `/webhook`.
    pub path: Option<&'a str>,
    /// All headers, as they came.
    pub headers: &'a HeaderMap,
    /// When the head was complete.
    pub received_at: Timestamp,
    /// The address that the request came from (ruling 27).
    pub peer: Option<IpAddr>,
}

/// A request as it came in.
#[derive(Debug, Clone)]
pub struct RawRequest<'a> {
    /// All but the body.
    pub head: RawHead<'a>,
    /// The body as it came.
    pub body: Bytes,
}

/// A request that will be an event, unless it is one already. Made by [`check()`] alone.
#[derive(Debug, Clone)]
pub struct Accepted {
    common: Common,
    name: EventName,
    original_name: Option<String>,
    occurrence_id: Option<String>,
    retry_num: u32,
    sent_at: Option<i64>,
    body: Bytes,
    tenant: Option<String>,
    subject: Option<Subject>,
    notes: Vec<Note>,
    keys: Keys,
}

/// A request with a good token that cannot be an event; it is kept whole. Made by [`check()`] alone.
#[derive(Debug, Clone)]
pub struct Rejected {
    common: Common,
    body: Bytes,
    reason: String,
}

/// Why a request is not accepted.
#[derive(Debug)]
pub enum NotAccepted {
    /// Nobody who may send: nothing is kept but a count.
    Refused(Refusal),
    /// A good token, but the request cannot be read.
    Rejected(Box<Rejected>),
}

#[derive(Debug, Clone)]
struct Common {
    webhook: WebhookName,
    brand: Brand,
    claimed_webhook_id: String,
    headers: KeptHeaders,
    received_at: Timestamp,
    peer: Option<IpAddr>,
}

/// A request whose token was good, before its body is read.
#[derive(Debug, Clone, Copy)]
pub struct Admitted<'a> {
    webhook: &'a Webhook,
    brand: Brand,
    head: RawHead<'a>,
}

/// Checks a whole request.
///
/// # Errors
/// With the reason, and with what is kept of the request.
pub fn check(raw: RawRequest<'_>, webhooks: &Webhooks) -> Result<Accepted, NotAccepted> {
    let admitted = admit(raw.head, webhooks).map_err(NotAccepted::Refused)?;
    admitted.judge(raw.body).map_err(NotAccepted::Rejected)
}

/// Checks who sent it: the family of headers and the token, and no more.
///
/// # Errors
/// When there is not exactly one family, or not exactly one webhook that the token is for.
pub fn admit<'a>(head: RawHead<'a>, webhooks: &'a Webhooks) -> Result<Admitted<'a>, Refusal> {
    let brand = head::family(head.headers)?;
    let headers = Headers::new(head.headers, brand);
    let token = headers.token()?;
    let claimed_id = headers.well_formed_webhook_id();
    let webhook = webhooks.find(head.path, brand, claimed_id, token).ok_or(match token {
        Some(_) => Refusal::WrongToken(brand),
        None => Refusal::NoToken(brand),
    })?;
    Ok(Admitted { webhook, brand, head })
}

impl Admitted<'_> {
    /// The webhook that it is for.
    #[must_use]
    pub fn webhook(&self) -> &WebhookName {
        &self.webhook.name
    }

    /// Judges headers and body together.
    ///
    /// # Errors
    /// With the whole request, to be kept, and everything that is wrong with it.
    pub fn judge(self, body: Bytes) -> Result<Accepted, Box<Rejected>> {
        let headers = Headers::new(self.head.headers, self.brand);
        match (headers.read(), skim::skim(&body)) {
            (Ok(fields), Ok(skimmed)) => {
                let keys = keys::keys(&Occurrence {
                    webhook: &self.webhook.name,
                    brand: self.brand,
                    claimed_webhook_id: &fields.claimed_webhook_id,
                    name: &fields.name,
                    id: fields.occurrence_id.as_deref(),
                    retry_num: fields.retry_num,
                    has_date: skimmed.has_date,
                    body: &body,
                });
                let mut notes = fields.notes;
                notes.extend(skimmed.type_note(&fields.name));
                Ok(Accepted {
                    common: self.common(fields.claimed_webhook_id),
                    subject: skimmed.subject(&fields.name),
                    tenant: skimmed.tenant,
                    name: fields.name,
                    original_name: fields.original_name,
                    occurrence_id: fields.occurrence_id,
                    retry_num: fields.retry_num,
                    sent_at: fields.sent_at,
                    body,
                    notes,
                    keys,
                })
            }
            (head, skimmed) => {
                Err(Box::new(self.reject(&head.err().unwrap_or_default(), skimmed.err().as_ref(), body)))
            }
        }
    }

    /// Rejects a request whose body was not read, keeping its head.
    #[must_use]
    pub fn reject_unread(self, reason: impl Into<String>) -> Rejected {
        let claimed = Headers::new(self.head.headers, self.brand).well_formed_webhook_id().unwrap_or_default();
        Rejected { common: self.common(claimed.to_owned()), body: Bytes::new(), reason: reason.into() }
    }

    fn reject(self, head: &[HeadFault], body_fault: Option<&BodyFault>, body: Bytes) -> Rejected {
        let faults: Vec<String> =
            head.iter().map(HeadFault::to_string).chain(body_fault.iter().map(ToString::to_string)).collect();
        Rejected { body, ..self.reject_unread(faults.join("; ")) }
    }

    fn common(&self, claimed_webhook_id: String) -> Common {
        Common {
            webhook: self.webhook.name.clone(),
            brand: self.brand,
            claimed_webhook_id,
            headers: KeptHeaders::of(self.head.headers),
            received_at: self.head.received_at,
            peer: self.head.peer,
        }
    }
}

macro_rules! common_getters {
    ($type:ty) => {
        impl $type {
            /// The configured webhook that the token was for.
            #[must_use]
            pub fn webhook(&self) -> &WebhookName {
                &self.common.webhook
            }

            /// Whose headers it carried.
            #[must_use]
            pub fn brand(&self) -> Brand {
                self.common.brand
            }

            /// The `WebHook-ID` header, empty where it was missing.
            #[must_use]
            pub fn claimed_webhook_id(&self) -> &str {
                &self.common.claimed_webhook_id
            }

            /// The headers less all credentials.
            #[must_use]
            pub fn headers(&self) -> &KeptHeaders {
                &self.common.headers
            }

            /// When its head was complete.
            #[must_use]
            pub fn received_at(&self) -> Timestamp {
                self.common.received_at
            }

            /// The address that it came from.
            #[must_use]
            pub fn peer(&self) -> Option<IpAddr> {
                self.common.peer
            }

            /// The body as it came.
            #[must_use]
            pub fn body(&self) -> &Bytes {
                &self.body
            }
        }
    };
}

common_getters!(Accepted);
common_getters!(Rejected);

impl Accepted {
    /// The name by the header, normalised.
    #[must_use]
    pub fn name(&self) -> &EventName {
        &self.name
    }

    /// The name as it came, where it was an alias.
    #[must_use]
    pub fn original_name(&self) -> Option<&str> {
        self.original_name.as_deref()
    }

    /// The `ID` header.
    #[must_use]
    pub fn occurrence_id(&self) -> Option<&str> {
        self.occurrence_id.as_deref()
    }

    /// The `Retry-Num` header, 0 where it was missing.
    #[must_use]
    pub fn retry_num(&self) -> u32 {
        self.retry_num
    }

    /// The `Ts` header, in seconds since the epoch, as claimed.
    #[must_use]
    pub fn sent_at(&self) -> Option<i64> {
        self.sent_at
    }

    /// The body's `tenant.id`.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// What the event is about (ruling 13).
    #[must_use]
    pub fn subject(&self) -> Option<&Subject> {
        self.subject.as_ref()
    }

    /// What was odd about the request without being wrong.
    #[must_use]
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// By what a repetition of it is known.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }
}

impl Rejected {
    /// Everything that was wrong, in sentences for the sender's own records.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::sample::{headers, webhook};
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    fn webhooks() -> Webhooks {
        let zappy = webhook("zappy", Some(Brand::WorkZappy), "zappy-token");
        Webhooks::new(vec![webhook("product", None, "token"), zappy]).unwrap()
    }

    fn raw<'a>(headers: &'a HeaderMap, body: &[u8]) -> RawRequest<'a> {
        let head = RawHead { path: None, headers, received_at: Timestamp::UNIX_EPOCH, peer: None };
        RawRequest { head, body: Bytes::copy_from_slice(body) }
    }

    #[test]
    fn what_it_is_about_is_decided_by_the_object_and_not_by_what_is_in_data() {
        let body = br#"{"type":"Phase.Start","tenant":{"id":"t"},"data":{"issue":{"id":1},"sprint":{"id":"2"}}}"#;
        let subject = |event: &str, body: &[u8]| {
            let headers = headers(&[("x-leiga-event", event.as_bytes()), ("x-leiga-token", b"token")]);
            check(raw(&headers, body), &webhooks()).unwrap().subject().cloned()
        };
        assert_eq!(subject("Sprint.Start", body), Some(Subject::Sprint("2".to_owned())));
        assert_eq!(subject("Phase.Start", body), Some(Subject::Sprint("2".to_owned())));
        assert_eq!(subject("Issue.Update", body), Some(Subject::Issue("1".to_owned())));
        let relation = br#"{"data":{"relationIssue":{"fromIssue":{"fromIssueId":3}}}}"#;
        assert_eq!(subject("RelationIssue.Delete", relation), Some(Subject::Issue("3".to_owned())));
        assert_eq!(subject("Sprint.Start", relation), None);
        for odd in
            ["{}", r#"{"data":{"issue":{"id":null}}}"#, r#"{"data":{"issue":{"id":[1]}}}"#, r#"{"data":{"issue":""}}"#]
        {
            assert_eq!(subject("Issue.Update", odd.as_bytes()), None, "{odd}");
        }
    }

    #[test]
    fn the_header_s_name_counts_and_a_difference_is_noted() {
        let notes = |event: &str, body: &str| {
            let headers = headers(&[("x-workzappy-event", event.as_bytes()), ("x-workzappy-token", b"zappy-token")]);
            let accepted = check(raw(&headers, body.as_bytes()), &webhooks()).unwrap();
            let codes: Vec<String> = accepted.notes().iter().map(|note| note.code.to_string()).collect();
            (accepted.name().to_string(), accepted.original_name().map(str::to_owned), codes)
        };
        let of = |name: &str, original: Option<&str>, codes: &[&str]| {
            (
                name.to_owned(),
                original.map(str::to_owned),
                codes.iter().map(|&code| code.to_owned()).collect::<Vec<_>>(),
            )
        };
        assert_eq!(notes("Phase.Start", r#"{"type":"Sprint.Start"}"#), of("Sprint.Start", Some("Phase.Start"), &[]));
        assert_eq!(notes("Issue.Update", r#"{"type":"Issue.Create"}"#), of("Issue.Update", None, &["other-type"]));
        assert_eq!(notes("Issue.Update", r#"{"type":"nonsense"}"#), of("Issue.Update", None, &["other-type"]));
        assert_eq!(notes("Epic.Create", "{}"), of("Epic.Create", None, &["unknown-event"]));
    }

    #[test]
    fn a_webhook_of_one_brand_takes_no_other() {
        let leiga = headers(&[("x-leiga-event", b"Issue.Update"), ("x-leiga-token", b"zappy-token")]);
        let refused = check(raw(&leiga, b"{}"), &webhooks()).unwrap_err();
        assert!(matches!(refused, NotAccepted::Refused(Refusal::WrongToken(Brand::Leiga))), "{refused:?}");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_and_what_is_kept_is_what_came(
            field in prop::sample::select(vec!["event", "id", "retry-num", "ts", "webhook-id", "type", "sign", "token"]),
            value in proptest::collection::vec(any::<u8>().prop_filter("a header's byte", |byte| *byte >= 32 && *byte != 127), 0..300),
            body in proptest::collection::vec(any::<u8>(), 0..200),
            json in "[\\[\\]{}\":,a0-9.eE\\\\ud8 -]{0,60}",
            path in proptest::option::of("[a-z]{1,8}"),
        ) {
            let webhooks = webhooks();
            for body in [&body[..], json.as_bytes(), format!("{{\"data\":{json}}}").as_bytes()] {
                let mut headers = headers(&[("x-leiga-event", b"Issue.Update"), ("x-leiga-token", b"token")]);
                let name: HeaderName = format!("x-leiga-{field}").parse().unwrap();
                headers.insert(name, HeaderValue::from_bytes(&value).unwrap());
                let head = RawHead { path: path.as_deref(), headers: &headers, received_at: Timestamp::UNIX_EPOCH, peer: None };
                match check(RawRequest { head, body: Bytes::copy_from_slice(body) }, &webhooks) {
                    Ok(accepted) => {
                        prop_assert_eq!(&accepted.body()[..], body);
                        prop_assert!(crate::contract::Envelope::parse(body).is_ok(), "what is accepted can be read");
                    }
                    Err(NotAccepted::Rejected(rejected)) => prop_assert_eq!(&rejected.body()[..], body),
                    Err(NotAccepted::Refused(_)) => {}
                }
            }
        }
    }
}
