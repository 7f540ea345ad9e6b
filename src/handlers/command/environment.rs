//! The variables that a program gets. They are ours by name; what comes from outside is in values only.
//!
//! These are names and ids, which the contract keeps short and visible: no value is too long for a program or has a NUL.

use thiserror::Error;

use super::PATH;
use crate::handlers::trace;
use crate::model::Claimed;

/// What the variables begin with that tell one delivery from another.
const OWN: &str = "WORKHOOK_";
/// The one of them that has a name of its own.
const TRACE: &str = "TRACEPARENT";

/// Why a variable cannot be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NameError {
    /// It is no name.
    #[error("is not the name of a variable; use A-Z a-z 0-9 and _, and do not begin with a digit")]
    NotAName,
    /// Each delivery has its own.
    #[error("cannot be set, since each delivery has its own; take it out")]
    Reserved,
}

/// Whether a variable of this name can be set beside those that each delivery has.
///
/// # Errors
/// When it cannot.
pub fn is_settable(name: &str) -> Result<(), NameError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) || !name.bytes().all(allowed) {
        return Err(NameError::NotAName);
    }
    if name.starts_with(OWN) || name == TRACE {
        return Err(NameError::Reserved);
    }
    Ok(())
}

/// The variables of a delivery. Of the service's own environment there is nothing in it.
pub(super) fn of(delivery: &Claimed) -> Vec<(&'static str, String)> {
    let event = &delivery.event;
    let mut variables = vec![
        ("PATH", PATH.to_owned()),
        ("LANG", "C.UTF-8".to_owned()),
        ("WORKHOOK_EVENT", event.name.to_string()),
        ("WORKHOOK_EVENT_ID", event.id.to_string()),
        ("WORKHOOK_HANDLER", delivery.handler.to_string()),
        ("WORKHOOK_ATTEMPT", delivery.attempt.to_string()),
        ("WORKHOOK_IDEMPOTENCY_KEY", delivery.idempotency_key().as_str().to_owned()),
        ("WORKHOOK_REPLAY", u8::from(delivery.number > 0).to_string()),
        ("WORKHOOK_WEBHOOK", event.webhook.clone()),
        ("WORKHOOK_BRAND", event.brand.slug().to_owned()),
        (TRACE, trace::parent(delivery)),
    ];
    variables.extend(event.entity.as_ref().map(|entity| ("WORKHOOK_ENTITY", entity.as_str().to_owned())));
    variables
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use jiff::Timestamp;

    use super::*;
    use crate::contract::{Brand, EventName, KeptHeaders};
    use crate::model::{DeliveryId, EventId, HandlerName, Position, Receipt, StoredEvent};

    /// A delivery of an event that is about nothing.
    fn delivery(number: u32, attempt: u32) -> Claimed {
        let at = Timestamp::UNIX_EPOCH;
        let first = Receipt {
            received_at: at,
            retry_num: 0,
            sent_at: None,
            peer: None,
            matched_by_body: false,
            other_body_bytes: None,
        };
        let event = StoredEvent {
            position: Position(1),
            id: EventId::from_bytes([7; 16]),
            webhook: "product".to_owned(),
            brand: Brand::WorkZappy,
            claimed_webhook_id: String::new(),
            name: EventName::parse("Doc.Create").unwrap(),
            original_name: None,
            occurrence_id: None,
            first,
            entity: None,
            notes: Vec::new(),
            headers: KeptHeaders::default(),
            body: Bytes::new(),
        };
        let handler = HandlerName::parse("hook").unwrap();
        Claimed {
            id: DeliveryId(1),
            epoch: 1,
            attempt,
            allowed_attempt: attempt,
            handler,
            number,
            lease_until: at,
            presence: 0,
            event: Arc::new(event),
        }
    }

    #[test]
    fn a_replay_is_told_from_the_first_delivery_and_has_another_key() {
        let value = |delivery: &Claimed, name: &str| {
            of(delivery).into_iter().find(|(own, _)| *own == name).map(|(_, value)| value)
        };
        let (first, again, replay) = (delivery(0, 1), delivery(0, 2), delivery(1, 1));
        let all = |name: &str| [&first, &again, &replay].map(|delivery| value(delivery, name).unwrap());
        assert_eq!(all("WORKHOOK_REPLAY"), ["0", "0", "1"]);
        assert_eq!(all("WORKHOOK_ATTEMPT"), ["1", "2", "1"]);
        let keys = all("WORKHOOK_IDEMPOTENCY_KEY");
        assert!(keys[0] == keys[1] && keys[0] != keys[2], "{keys:?}");
        assert_eq!(value(&first, "WORKHOOK_ENTITY"), None);
    }

    #[test]
    fn a_variable_can_be_set_unless_each_delivery_has_its_own() {
        let check = |name: &str, expected: Result<(), NameError>| assert_eq!(is_settable(name), expected, "{name:?}");
        for good in ["CRM_KEY", "PATH", "HOME", "_", "a1"] {
            check(good, Ok(()));
        }
        for bad in ["", "1A", "A B", "A=B", "A-B", "Ä", "A\0"] {
            check(bad, Err(NameError::NotAName));
        }
        for reserved in ["WORKHOOK_EVENT", "WORKHOOK_ANYTHING", "TRACEPARENT"] {
            check(reserved, Err(NameError::Reserved));
        }
    }
}
