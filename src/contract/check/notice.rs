//! Notices: events of workhook's own, stored, routed and handled like any other.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{Accepted, Common};
use crate::contract::brand::Brand;
use crate::contract::event_name::EventName;
use crate::contract::kept::KeptHeaders;
use crate::contract::keys::{self, Keys, Occurrence};
use crate::contract::webhook::WebhookName;

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NoticeKind {
    /// The first dead letter of a cause.
    DeadLetter,
    /// A handler failed so often that its breaker opened.
    BreakerOpen,
    /// Many requests had a wrong token, or none.
    RefusedTokens,
    /// A webhook has been silent for longer than it should be.
    Silence,
    /// The disk is nearly full; no more webhooks are taken.
    DiskFull,
}

impl NoticeKind {
    /// Every kind.
    pub const ALL: [NoticeKind; 5] = [
        NoticeKind::DeadLetter,
        NoticeKind::BreakerOpen,
        NoticeKind::RefusedTokens,
        NoticeKind::Silence,
        NoticeKind::DiskFull,
    ];

    /// The name of its events, for example `Workhook.DeadLetter`.
    #[must_use]
    pub fn event_name(self) -> EventName {
        EventName::own(match self {
            NoticeKind::DeadLetter => "DeadLetter",
            NoticeKind::BreakerOpen => "BreakerOpen",
            NoticeKind::RefusedTokens => "RefusedTokens",
            NoticeKind::Silence => "Silence",
            NoticeKind::DiskFull => "DiskFull",
        })
    }
}

/// Something that workhook itself has to say.
#[derive(Debug, Clone)]
pub struct Notice {
    /// What it is about.
    pub kind: NoticeKind,
    /// What makes two notices of a kind the same occurrence: the second is a duplicate of the first.
    pub occurrence: String,
    /// What happened, in a sentence for people.
    pub title: String,
    /// The particulars, for programs: names and numbers of our own, no texts of others.
    pub particulars: Map<String, Value>,
    /// When.
    pub at: Timestamp,
}

impl From<Notice> for Accepted {
    fn from(notice: Notice) -> Accepted {
        let name = notice.kind.event_name();
        let mut about = notice.particulars;
        about.insert("title".to_owned(), Value::String(notice.title));
        let body = json!({
            "type": name.to_string(),
            "date": notice.at.as_millisecond(),
            "data": { "notice": about },
        });
        let body = bytes::Bytes::from(body.to_string());
        let webhook = WebhookName::own();
        let Keys { identity, body: by_body, .. } = keys::keys(&Occurrence {
            webhook: &webhook,
            brand: Brand::Workhook,
            claimed_webhook_id: "",
            name: &name,
            id: Some(&format!("{name}/{}", notice.occurrence)),
            retry_num: 0,
            has_date: true,
            body: &body,
        });
        Accepted {
            common: Common {
                webhook,
                brand: Brand::Workhook,
                claimed_webhook_id: String::new(),
                headers: KeptHeaders::default(),
                received_at: notice.at,
                peer: None,
            },
            name,
            original_name: None,
            occurrence_id: Some(notice.occurrence),
            retry_num: 0,
            sent_at: None,
            body,
            tenant: None,
            subject: None,
            notes: Vec::new(),
            keys: Keys { identity, body: by_body, match_body: false },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Envelope;

    fn notice(occurrence: &str) -> Accepted {
        Accepted::from(Notice {
            kind: NoticeKind::DeadLetter,
            occurrence: occurrence.to_owned(),
            title: "crm has a dead letter".to_owned(),
            particulars: Map::from_iter([("handler".to_owned(), json!("crm"))]),
            at: Timestamp::UNIX_EPOCH,
        })
    }

    #[test]
    fn a_notice_is_an_event_of_our_own_with_a_title() {
        let accepted = notice("crm/gone");
        assert_eq!((accepted.name().to_string().as_str(), accepted.brand()), ("Workhook.DeadLetter", Brand::Workhook));
        assert!(accepted.name().is_own() && accepted.webhook().as_str() == "workhook");
        let (_, envelope, misfits) = Envelope::parse(accepted.body()).unwrap();
        let about = envelope.data.unwrap().notice.unwrap();
        assert_eq!((about.title.as_deref(), about.handler.as_deref()), (Some("crm has a dead letter"), Some("crm")));
        assert!(misfits.is_empty(), "{misfits:?}");
    }

    #[test]
    fn the_occurrence_tells_notices_apart() {
        assert_eq!(notice("a").keys().identity, notice("a").keys().identity);
        assert_ne!(notice("a").keys().identity, notice("b").keys().identity);
    }
}
