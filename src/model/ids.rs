//! Ids: one type for each kind of thing.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use uuid::{NoContext, Uuid};

use crate::contract::is_name;

/// An event's place in the order of storing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position(pub i64);

/// An event's id: a UUID of version 7, so ids sort by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(Uuid);

/// A delivery's id, in the order of planning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeliveryId(pub i64);

/// A rejected request's id, in the order of coming in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RejectedId(pub i64);

/// The name of a handler.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HandlerName(String);

/// What a handler tells repetitions by: the same for every attempt of a delivery, another for a replay.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

impl EventId {
    /// A new id for an event that came in at this time.
    #[must_use]
    pub fn new(at: Timestamp) -> EventId {
        let seconds = u64::try_from(at.as_second()).unwrap_or(0);
        let nanos = u32::try_from(at.subsec_nanosecond()).unwrap_or(0);
        EventId(Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, seconds, nanos)))
    }

    /// The 16 bytes of the id.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The id of the span of the request that it came by, in its trace.
    #[must_use]
    pub fn span(&self) -> [u8; 8] {
        let [.., a, b, c, d, e, f, g, h] = *self.as_bytes();
        [a, b, c, d, e, f, g, h]
    }

    /// The id of these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> EventId {
        EventId(Uuid::from_bytes(bytes))
    }
}

impl FromStr for EventId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<EventId, uuid::Error> {
        Uuid::parse_str(text).map(EventId)
    }
}

impl HandlerName {
    /// Reads a name: 1 to 63 of `a-z 0-9 - _`, not beginning with `-` or `_`.
    #[must_use]
    pub fn parse(text: &str) -> Option<HandlerName> {
        is_name(text).then(|| HandlerName(text.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl IdempotencyKey {
    /// The key of a handler's delivery of an event: number 0 is the first, each replay has one more.
    #[must_use]
    pub fn new(event: EventId, handler: &HandlerName, number: u32) -> IdempotencyKey {
        IdempotencyKey(if number == 0 { format!("{event}/{handler}") } else { format!("{event}/{handler}/{number}") })
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! displayed {
    ($($type:ty),*) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    )*};
}

displayed!(Position, EventId, DeliveryId, RejectedId, HandlerName, IdempotencyKey);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idempotency_key_is_of_event_handler_and_number() {
        let event: EventId = "01932c07-0000-7000-8000-000000000001".parse().unwrap();
        let crm = HandlerName::parse("crm").unwrap();
        assert_eq!(IdempotencyKey::new(event, &crm, 0).as_str(), "01932c07-0000-7000-8000-000000000001/crm");
        assert_eq!(IdempotencyKey::new(event, &crm, 2).as_str(), "01932c07-0000-7000-8000-000000000001/crm/2");
    }

    #[test]
    fn event_ids_sort_by_time_and_come_back() {
        let at = |second| EventId::new(Timestamp::from_second(second).unwrap());
        assert!(at(1_700_000_000) < at(1_700_000_001));
        assert_ne!(at(1_700_000_000), at(1_700_000_000), "ids of one instant differ");
        let id = at(1_700_000_000);
        assert_eq!(id.to_string().parse::<EventId>().unwrap(), id);
        assert_eq!(EventId::from_bytes(*id.as_bytes()), id);
    }
}
