//! A delivery: one event for one handler, and its life.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{DeliveryId, EventId, HandlerName, IdempotencyKey, Position, ReplayId, StoredEvent};

/// Where a delivery is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DeliveryState {
    /// It will be attempted.
    Pending,
    /// The handler took it.
    Delivered,
    /// A dead letter: it will not be tried again by itself.
    Dead,
    /// Somebody decided that it is not wanted.
    Cancelled,
}

impl DeliveryState {
    /// Every state.
    pub const ALL: [DeliveryState; 4] =
        [DeliveryState::Pending, DeliveryState::Delivered, DeliveryState::Dead, DeliveryState::Cancelled];

    /// The state in one word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            DeliveryState::Pending => "pending",
            DeliveryState::Delivered => "delivered",
            DeliveryState::Dead => "dead",
            DeliveryState::Cancelled => "cancelled",
        }
    }

    /// The state of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<DeliveryState> {
        DeliveryState::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

impl fmt::Display for DeliveryState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is decided for one event: which handlers get it, and why the others do not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The event.
    pub position: Position,
    /// One for each handler that gets it.
    pub deliveries: Vec<NewDelivery>,
    /// The others.
    pub not_routed: Vec<NotRouted>,
}

/// A delivery that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// For whom.
    pub handler: HandlerName,
    /// The lane that it waits in; `None` waits for nobody.
    pub lane: Option<String>,
    /// Why it is dead from the start, where it could not be planned (ruling 21).
    pub dead: Option<String>,
}

/// Why a handler does not get an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotRouted {
    /// The handler's name.
    pub handler: String,
    /// The clause of its route that said no.
    pub clause: String,
}

/// A delivery that is held under a lease, to be attempted now.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The delivery.
    pub id: DeliveryId,
    /// Which claim of it this is; a result of an earlier one is refused.
    pub epoch: i64,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// Which attempt it is of those that are allowed, from 1: a retry by hand begins anew.
    pub allowed_attempt: u32,
    /// For whom.
    pub handler: HandlerName,
    /// 0 for the first delivery, one more for each replay.
    pub number: u32,
    /// Until when it is held.
    pub lease_until: Timestamp,
    /// In which time of the process it was claimed, see `Store::presence`.
    pub presence: u64,
    /// The event.
    pub event: Arc<StoredEvent>,
}

impl Claimed {
    /// What the handler tells repetitions by.
    #[must_use]
    pub fn idempotency_key(&self) -> IdempotencyKey {
        IdempotencyKey::new(self.event.id, &self.handler, self.number)
    }

    /// The id of this attempt's span, in the event's trace.
    #[must_use]
    pub fn span(&self) -> [u8; 8] {
        let attempt = format!("{}#{}", self.idempotency_key().as_str(), self.attempt);
        let [a, b, c, d, e, f, g, h, ..]: [u8; 32] = Sha256::digest(attempt).into();
        [a, b, c, d, e, f, g, h]
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ended {
    /// The handler took the event.
    Delivered,
    /// It failed, and may succeed later.
    Failed,
    /// It failed, and would always fail.
    Refused,
    /// The far end asked to wait; it does not count as an attempt.
    Throttled,
    /// The process ended, or the lease ran out, while it was under way.
    Lost,
}

impl Ended {
    /// Every way to end.
    pub const ALL: [Ended; 5] = [Ended::Delivered, Ended::Failed, Ended::Refused, Ended::Throttled, Ended::Lost];

    /// The end in one word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Ended::Delivered => "delivered",
            Ended::Failed => "failed",
            Ended::Refused => "refused",
            Ended::Throttled => "throttled",
            Ended::Lost => "lost",
        }
    }

    /// The end of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Ended> {
        Ended::ALL.into_iter().find(|ended| ended.as_str() == word)
    }
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub ended: Ended,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// The far end's status, where it has one: HTTP's, or a program's exit code.
    pub status: Option<i32>,
    /// What came of it, in a sentence.
    pub message: String,
    /// The beginning of what the far end answered.
    pub response: Bytes,
}

/// An attempt as it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Its number, from 1.
    pub number: u32,
    /// What came of it.
    pub outcome: Outcome,
}

/// What is to become of a delivery after an attempt. Dispatch works it out, the store keeps it (ruling 18).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextStep {
    /// It is done.
    Delivered,
    /// It is tried again at this time; the attempt counts.
    RetryAt(Timestamp),
    /// It is tried again at this time; the attempt does not count (ruling 17).
    WaitUntil(Timestamp),
    /// It is a dead letter, for this reason.
    Dead(String),
}

/// The end of an attempt.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// The delivery.
    pub id: DeliveryId,
    /// The claim that it was attempted under.
    pub epoch: i64,
    /// The number of the attempt.
    pub attempt: u32,
    /// What came of it; `None` where nothing was attempted after all, which does not count.
    pub outcome: Option<Outcome>,
    /// What is to become of the delivery.
    pub next: NextStep,
    /// When it was settled.
    pub at: Timestamp,
}

/// A delivery as it is kept.
#[derive(Debug, Clone)]
pub struct DeliveryRecord {
    /// Its id.
    pub id: DeliveryId,
    /// The event's place.
    pub position: Position,
    /// The event.
    pub event: EventId,
    /// The event's name.
    pub event_name: String,
    /// For whom.
    pub handler: HandlerName,
    /// 0 for the first delivery, one more for each replay.
    pub number: u32,
    /// The lane that it waits in.
    pub lane: Option<String>,
    /// Where it is in its life.
    pub state: DeliveryState,
    /// While pending: when it is due; `None` while it waits for one before it in its lane.
    pub due_at: Option<Timestamp>,
    /// Whether it is being attempted, or was when the process ended.
    pub claimed: bool,
    /// How many attempts count.
    pub attempts: u32,
    /// How often somebody had it retried by hand; such a delivery runs out of order (ruling 16).
    pub retried: u32,
    /// The replay that made it.
    pub replay: Option<ReplayId>,
    /// Why it is dead or cancelled; while pending, why it waits.
    pub reason: Option<String>,
    /// When it was planned.
    pub planned_at: Timestamp,
    /// When it was settled.
    pub settled_at: Option<Timestamp>,
    /// The attempts that were kept, where they were asked for.
    pub history: Vec<Attempt>,
}
