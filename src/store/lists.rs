//! What is asked of the lists, and what they say.

use std::net::IpAddr;

use bytes::Bytes;
use jiff::Timestamp;

use crate::contract::KeptHeaders;
use crate::model::{
    DeliveryFilter, DeliveryId, DeliveryState, EventFilter, EventId, HandlerName, Position, RejectedId, StoredEvent,
};

/// A part of a list.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The entries. They may be fewer than asked for, even none, though there are more: only so many are looked at for
    /// one page, so that every page is quick.
    pub items: Vec<T>,
    /// Where the next page begins, in the direction of this one; `None` at the end.
    pub next: Option<i64>,
}

/// Where a page begins, and in which direction it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start<Id> {
    /// At the newest, towards the oldest.
    #[default]
    Newest,
    /// Behind this one, towards the oldest.
    Before(Id),
    /// Behind this one, towards the newest.
    After(Id),
}

/// Which events.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    /// How many at the most.
    pub limit: usize,
    /// Where the page begins.
    pub start: Start<Position>,
    /// Which ones.
    pub filter: EventFilter,
}

/// An event in a list.
#[derive(Debug, Clone)]
pub struct EventRow {
    /// The event; without its body where that is larger than 64 KiB.
    pub event: StoredEvent,
    /// How many requests it came by.
    pub receipts: u64,
    /// Whether it is planned.
    pub planned: bool,
    /// How many of its deliveries are in which state.
    pub deliveries: Vec<(DeliveryState, u64)>,
}

/// Which deliveries.
#[derive(Debug, Clone, Default)]
pub struct DeliveryQuery {
    /// How many at the most.
    pub limit: usize,
    /// Where the page begins.
    pub start: Start<DeliveryId>,
    /// Which ones.
    pub filter: DeliveryFilter,
}

/// Which rejected requests.
#[derive(Debug, Clone, Default)]
pub struct RejectedQuery {
    /// How many at the most.
    pub limit: usize,
    /// Where the page begins.
    pub start: Start<RejectedId>,
    /// Only those of this configured webhook.
    pub webhook: Option<String>,
}

/// A rejected request.
#[derive(Debug, Clone)]
pub struct RejectedRow {
    /// Its id.
    pub id: RejectedId,
    /// When it came.
    pub received_at: Timestamp,
    /// The configured webhook whose token it had.
    pub webhook: String,
    /// The brand, as a slug.
    pub brand: String,
    /// The address that it came from.
    pub peer: Option<IpAddr>,
    /// What was wrong.
    pub reason: String,
    /// The headers less all credentials.
    pub headers: KeptHeaders,
    /// The size of its body in bytes.
    pub body_bytes: u64,
    /// The body; empty in a list, and where it was not read.
    pub body: Bytes,
    /// The event that it became when it was judged again, and when that was.
    pub became: Option<(EventId, Timestamp)>,
}

/// How often somebody was turned away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusalCount {
    /// Why, as a short fixed word.
    pub code: String,
    /// From which address.
    pub peer: String,
    /// The webhook id that was claimed.
    pub claimed_webhook_id: String,
    /// How often.
    pub count: u64,
    /// When last.
    pub last_at: Timestamp,
}

/// How often a token was used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenUse {
    /// The configured webhook.
    pub webhook: String,
    /// The beginning of the token's hash, by which it is told apart; empty where it was let in without one.
    pub token: String,
    /// How many requests came in by it.
    pub count: u64,
    /// When last.
    pub last_at: Timestamp,
}

/// How much there is of what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events kept.
    pub events: u64,
    /// Events that wait to be planned.
    pub unplanned: u64,
    /// When the first of them came in.
    pub oldest_unplanned: Option<Timestamp>,
    /// Events that cannot be found by their terms yet.
    pub uncatalogued: u64,
    /// Deliveries by state; states without any are left out.
    pub deliveries: Vec<(DeliveryState, u64)>,
    /// Rejected requests kept.
    pub rejected: u64,
    /// When the oldest pending delivery was planned.
    pub oldest_pending: Option<Timestamp>,
    /// How many lanes have pending deliveries, by handler.
    pub lanes: Vec<(HandlerName, u64)>,
}
