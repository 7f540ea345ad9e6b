//! The trait, and the words that go in and out of it.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

use super::StoreError;
use crate::contract::{Accepted, Rejected};
use crate::model::{
    Claimed, DeliveryId, DeliveryRecord, DeliveryState, EventId, EventRecord, HandlerName, Plan, Position, RejectedId,
    Settlement, StoredEvent,
};

/// Where everything is kept. One method is one transaction.
///
/// Every future may be dropped half-way: what was handed over is done or not done as a whole, and nobody is told.
#[async_trait]
pub trait Store: Send + Sync + fmt::Debug {
    /// Keeps an event, or recognises it (rulings 3 to 8). Many at once share one commit.
    async fn append(&self, accepted: Accepted) -> Result<Appended, StoreError>;

    /// Keeps a rejected request; the oldest go when there are too many.
    async fn reject(&self, rejected: Rejected) -> Result<RejectedId, StoreError>;

    /// Adds to the counts of those who were not let in.
    async fn count_refusals(&self, counts: Vec<RefusalCount>) -> Result<(), StoreError>;

    /// Says that planning begins. Tells how often it began before without getting further (ruling 21).
    async fn start_planning(&self) -> Result<PlanStart, StoreError>;

    /// Says that planning ended in order: the next start blames no event.
    async fn end_planning(&self) -> Result<(), StoreError>;

    /// The first events that are not planned yet, by position; fewer where their bodies are large.
    async fn unplanned(&self, limit: usize) -> Result<Vec<StoredEvent>, StoreError>;

    /// Keeps plans, which must be of the first unplanned events in their order, and marks the events planned.
    async fn plan(&self, plans: Vec<Plan>, now: Timestamp) -> Result<(), StoreError>;

    /// Takes heads of a handler's lanes that are due, and holds them under a lease.
    async fn claim(&self, request: ClaimRequest) -> Result<Claims, StoreError>;

    /// Keeps what came of an attempt, and lets the lane go on where the delivery is settled by it.
    async fn settle(&self, settlement: Settlement) -> Result<Settled, StoreError>;

    /// Gives back claims that were not attempted; they do not count (ruling 17).
    async fn release(&self, claims: Vec<(DeliveryId, i64)>) -> Result<(), StoreError>;

    /// The body of a duplicate that came with another than the event's, by its number from 1.
    async fn other_body(&self, id: EventId, number: u64) -> Result<Option<Bytes>, StoreError>;

    /// Everything that is known of an event.
    async fn event(&self, id: EventId) -> Result<Option<EventRecord>, StoreError>;

    /// Events, the newest first.
    async fn events(&self, query: EventQuery) -> Result<Vec<EventRow>, StoreError>;

    /// Deliveries, the newest first.
    async fn deliveries(&self, query: DeliveryQuery) -> Result<Vec<DeliveryRecord>, StoreError>;

    /// Rejected requests, the newest first.
    async fn rejected(&self, limit: usize) -> Result<Vec<RejectedRow>, StoreError>;

    /// The counts of those who were not let in, the latest first.
    async fn refusals(&self, limit: usize) -> Result<Vec<RefusalCount>, StoreError>;

    /// How much there is of what.
    async fn counts(&self) -> Result<Counts, StoreError>;

    /// Tries a durable write.
    async fn probe(&self) -> Result<(), StoreError>;

    /// Waits until the store's disk can no longer be trusted, which ends the process. For ever while all is well.
    async fn failed(&self) -> StoreError;

    /// Finishes what is waiting and closes. Nothing is taken afterwards.
    async fn close(&self);
}

/// What became of an accepted request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// It is a new event.
    Stored {
        /// Its id.
        id: EventId,
        /// Its place.
        position: Position,
    },
    /// It is an event that is there already.
    Duplicate {
        /// The event; `None` where it is no longer kept, only known.
        id: Option<EventId>,
        /// Whether its body was another than the event's.
        conflict: bool,
    },
}

/// Where planning begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanStart {
    /// How often planning began at this event before, without getting beyond it.
    pub stalled: u32,
}

/// What a handler asks for.
#[derive(Debug, Clone)]
pub struct ClaimRequest {
    /// Whose deliveries.
    pub handler: HandlerName,
    /// How many at the most.
    pub limit: usize,
    /// The time.
    pub now: Timestamp,
    /// For how long they are held.
    pub lease: Duration,
}

/// What a handler gets.
#[derive(Debug, Clone, Default)]
pub struct Claims {
    /// Deliveries to attempt now.
    pub claimed: Vec<Claimed>,
    /// When the next one is due, where fewer than asked for were due.
    pub next_at: Option<Timestamp>,
}

/// What became of a settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It is kept.
    Kept,
    /// The claim was lost to a later one; the result was refused.
    LostLease,
}

/// Which events.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    /// How many at the most.
    pub limit: usize,
    /// Only those before this one.
    pub before: Option<Position>,
    /// Only those of this name.
    pub name: Option<String>,
    /// Only those of this webhook.
    pub webhook: Option<String>,
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
    /// Only those before this one.
    pub before: Option<DeliveryId>,
    /// Only those of this handler.
    pub handler: Option<HandlerName>,
    /// Only those in this state.
    pub state: Option<DeliveryState>,
}

/// A rejected request in a list.
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
    pub headers: Vec<u8>,
    /// The body; empty where it was not read.
    pub body: Vec<u8>,
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

/// How much there is of what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events kept.
    pub events: u64,
    /// Events that wait to be planned.
    pub unplanned: u64,
    /// Deliveries by state.
    pub deliveries: Vec<(DeliveryState, u64)>,
    /// Rejected requests kept.
    pub rejected: u64,
    /// When the oldest pending delivery was planned.
    pub oldest_pending: Option<Timestamp>,
}
