//! The one way in: a raw request and the configured webhooks become what the store accepts, or why not.
//!
//! It comes in two steps because the token is checked before any of the body is read: [`admit`] judges the token,
//! [`Admitted::judge`] the rest. [`check()`] is both. Nothing else makes an [`Accepted`] of a request, but for
//! `check_again`, which has what was kept judged by the same; so nothing that did not pass can be stored as an event. And
//! nothing else makes a [`Rejected`], so nothing without a good token is kept.
//! Pure: the time of receipt comes in with the request.

use std::net::IpAddr;

use bytes::Bytes;
use http::HeaderMap;
use jiff::Timestamp;

use super::brand::Brand;
use super::event_name::EventName;
use super::head::{self, Fields, HeadFault, Headers, Note, Refusal};
use super::kept::KeptHeaders;
use super::keys::{self, Keys, Occurrence};
use super::skim::{self, BodyFault, Skimmed, Subject};
use super::webhook::{TokenLabel, Webhook, WebhookName, Webhooks};

mod notice;

pub use notice::{Notice, NoticeKind};

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

/// A request that will be an event, unless it is one already. Made by [`check()`], and of a [`Notice`].
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
    token: TokenLabel,
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
    let given = headers.token()?;
    let claimed_id = headers.well_formed_webhook_id();
    let (webhook, token) = webhooks.find(head.path, brand, claimed_id, given).ok_or(match given {
        Some(_) => Refusal::WrongToken(brand),
        None => Refusal::NoToken(brand),
    })?;
    Ok(Admitted { webhook, token, brand, head })
}

impl Admitted<'_> {
    /// The webhook that it is for.
    #[must_use]
    pub fn webhook(&self) -> &WebhookName {
        &self.webhook.name
    }

    /// The token that let it in.
    #[must_use]
    pub fn token(&self) -> TokenLabel {
        self.token
    }

    /// Judges headers and body together.
    ///
    /// # Errors
    /// With the whole request, to be kept, and everything that is wrong with it.
    pub fn judge(self, body: Bytes) -> Result<Accepted, Box<Rejected>> {
        let headers = Headers::new(self.head.headers, self.brand);
        match (headers.read(), skim::skim(&body)) {
            // The sender's test is acknowledged whatever its body: whoever presses the button asks whether it arrives.
            (Ok(mut fields), Err(fault)) if fields.name.is_test() => {
                fields.notes.push(Note::new("unreadable-body", fault.to_string()));
                Ok(self.accept(fields, Skimmed::default(), body))
            }
            (Ok(fields), Ok(skimmed)) => Ok(self.accept(fields, skimmed, body)),
            (head, skimmed) => {
                Err(Box::new(self.reject(&head.err().unwrap_or_default(), skimmed.err().as_ref(), body)))
            }
        }
    }

    fn accept(self, fields: Fields, skimmed: Skimmed, body: Bytes) -> Accepted {
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
        Accepted {
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

impl<'a> Admitted<'a> {
    /// A request that was let in when it came, for a webhook that still takes it.
    pub(super) fn again((webhook, token): (&'a Webhook, TokenLabel), brand: Brand, head: RawHead<'a>) -> Admitted<'a> {
        Admitted { webhook, token, brand, head }
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
mod tests;
