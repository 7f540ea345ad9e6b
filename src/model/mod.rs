//! What the service is about, as plain data: the stored event, its entity, a delivery and its attempts.
//!
//! It knows no store, no network and no clock. What always holds: an id of one kind is never an id of another, and
//! a delivery's idempotency key depends on nothing but the event, the handler and the delivery's number.

mod delivery;
mod entity;
mod event;
mod filter;
mod handler;
mod ids;
mod mention;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod replay;
mod terms;

pub use delivery::{
    Attempt, Claimed, DeliveryRecord, DeliveryState, Ended, NewDelivery, NextStep, NotRouted, Outcome, Plan, Settlement,
};
pub use entity::Entity;
pub use event::{EventRecord, Receipt, StoredEvent};
pub use filter::{DeliveryFilter, EventFilter, EventOutcome, NameFilter, NameFilterError};
pub use handler::{HandlerRecord, OpenBreaker, Rate};
pub use ids::{DeliveryId, EventId, HandlerName, IdempotencyKey, Position, RejectedId};
pub use mention::Mention;
pub use replay::{Candidate, NewReplay, Replay, ReplayId, ReplayState, ReplayStep, ReplayTo, ReplayedEvents};
pub use terms::{asked_terms, terms};
