//! A stored event and the requests that it came by.

use std::net::IpAddr;

use bytes::Bytes;
use jiff::Timestamp;

use super::{DeliveryRecord, Entity, EventId, NotRouted, Position};
use crate::contract::{Brand, EventName, KeptHeaders, Note};

/// An event as it was stored.
#[derive(Debug, Clone)]
pub struct StoredEvent {
    /// Its place in the order of storing.
    pub position: Position,
    /// Its id.
    pub id: EventId,
    /// The configured webhook that it came to.
    pub webhook: String,
    /// Whose headers it carried.
    pub brand: Brand,
    /// The `WebHook-ID` header, empty where it was missing.
    pub claimed_webhook_id: String,
    /// Its name, normalised.
    pub name: EventName,
    /// The name as it came, where it was an alias.
    pub original_name: Option<String>,
    /// The `ID` header.
    pub occurrence_id: Option<String>,
    /// The first receipt: when and how it came in.
    pub first: Receipt,
    /// What it is about.
    pub entity: Option<Entity>,
    /// What was odd about the request.
    pub notes: Vec<Note>,
    /// The headers less all credentials.
    pub headers: KeptHeaders,
    /// The body as it came.
    pub body: Bytes,
}

/// The trace of one accepted or duplicate request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// When its head was complete.
    pub received_at: Timestamp,
    /// The `Retry-Num` header.
    pub retry_num: u32,
    /// The `Ts` header, in seconds since the epoch, as claimed.
    pub sent_at: Option<i64>,
    /// The address that it came from.
    pub peer: Option<IpAddr>,
    /// Whether it was known by its body alone, its id being new (ruling 4).
    pub matched_by_body: bool,
    /// The size of its body, where it was another than the event's; it is kept (ruling 6).
    pub other_body_bytes: Option<u64>,
}

/// Everything that is known of an event.
#[derive(Debug, Clone)]
pub struct EventRecord {
    /// The event.
    pub event: StoredEvent,
    /// How many requests it came by: the first and its duplicates.
    pub receipts: u64,
    /// The duplicates that were kept, oldest first.
    pub duplicates: Vec<Receipt>,
    /// When it was planned; `None` while it waits for that.
    pub planned_at: Option<Timestamp>,
    /// The handlers that it was not routed to, and by which clause.
    pub not_routed: Vec<NotRouted>,
    /// Its deliveries, oldest first.
    pub deliveries: Vec<DeliveryRecord>,
}
