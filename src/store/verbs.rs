//! The trait, and the words that go in and out of it.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

use super::{
    Counts, DeliveryQuery, EventQuery, EventRow, ForgetStep, Forgotten, Page, PruneRequest, Pruned, RefusalCount,
    RejectedQuery, RejectedRow, Space, StoreError, TokenUse,
};
use crate::contract::{Accepted, Rejected};
use crate::model::{
    Claimed, DeliveryId, DeliveryRecord, EventId, EventRecord, HandlerName, HandlerRecord, NewReplay, OpenBreaker,
    Plan, Position, Rate, RejectedId, Replay, ReplayId, ReplayState, ReplayStep, Settlement, StoredEvent,
};

/// Where everything is kept. One method is one transaction.
///
/// Every future may be dropped half-way: what was handed over is done or not done as a whole, and nobody is told.
#[async_trait]
pub trait Store: Send + Sync + fmt::Debug {
    /// Whether several processes may have it at one time. Whoever has one of its own is spared what they need.
    fn is_shared(&self) -> bool {
        false
    }

    /// Keeps an event, or recognises it (rulings 3 to 8). Many at once share one commit. While the disk is nearly full
    /// only notices are taken (ruling 23).
    async fn append(&self, accepted: Accepted) -> Result<Appended, StoreError>;

    /// Keeps a rejected request; the oldest go when there are too many.
    async fn reject(&self, rejected: Rejected) -> Result<RejectedId, StoreError>;

    /// Adds to the counts of those who were not let in.
    async fn count_refusals(&self, counts: Vec<RefusalCount>) -> Result<(), StoreError>;

    /// Whether so many requests wait to be stored that what can be done later should be.
    fn is_pressed(&self) -> bool {
        false
    }

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

    /// The same, and no more than a rate allows to all processes together. A store that belongs to one process has no rate
    /// to share: whoever claims keeps to it.
    async fn claim_at_rate(&self, request: ClaimRequest, rate: Rate) -> Result<RatedClaims, StoreError> {
        let _ = rate;
        Ok(RatedClaims { claims: self.claim(request).await?, again: None })
    }

    /// Makes nothing of a handler's wait longer than it may, after the clock was set back: what was never claimed is due
    /// at once. How much was changed.
    async fn shorten_waits(&self, longest: LongestWaits) -> Result<usize, StoreError>;

    /// Keeps what came of an attempt, and lets the lane go on where the delivery is settled by it. One that comes again is
    /// kept once; what it is told then is said at [`Settled`].
    async fn settle(&self, settlement: Settlement) -> Result<Settled, StoreError>;

    /// Gives back claims that were not attempted; they do not count (ruling 17).
    async fn release(&self, claims: Vec<(DeliveryId, i64)>) -> Result<(), StoreError>;

    /// The body of a duplicate that came with another than the event's, by its number from 1.
    async fn other_body(&self, id: EventId, number: u64) -> Result<Option<Bytes>, StoreError>;

    /// Everything that is known of an event.
    async fn event(&self, id: EventId) -> Result<Option<EventRecord>, StoreError>;

    /// A page of events.
    async fn events(&self, query: EventQuery) -> Result<Page<EventRow>, StoreError>;

    /// A page of deliveries.
    async fn deliveries(&self, query: DeliveryQuery) -> Result<Page<DeliveryRecord>, StoreError>;

    /// A delivery with its attempts.
    async fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryRecord>, StoreError>;

    /// A page of rejected requests, without their bodies.
    async fn rejected(&self, query: RejectedQuery) -> Result<Page<RejectedRow>, StoreError>;

    /// A rejected request with its body.
    async fn rejected_request(&self, id: RejectedId) -> Result<Option<RejectedRow>, StoreError>;

    /// The counts of those who were not let in, the latest first.
    async fn refusals(&self, limit: usize) -> Result<Vec<RefusalCount>, StoreError>;

    /// How often each token of each webhook was used.
    async fn token_uses(&self) -> Result<Vec<TokenUse>, StoreError>;

    /// Every handler that had a delivery or was paused, by name.
    async fn handlers(&self) -> Result<Vec<HandlerRecord>, StoreError>;

    /// The newest replays, at most so many; the newest first.
    async fn replays(&self, limit: usize) -> Result<Vec<Replay>, StoreError>;

    /// A replay.
    async fn replay(&self, id: ReplayId) -> Result<Option<Replay>, StoreError>;

    /// Every replay that runs, the oldest first.
    async fn running_replays(&self) -> Result<Vec<Replay>, StoreError>;

    /// How much there is of what.
    async fn counts(&self) -> Result<Counts, StoreError>;

    /// Makes deliveries that are dead or cancelled pending again, due at once and out of order; those in other states
    /// stay as they are, and so do unknown ones (ruling 16). Their attempts begin anew. How many were.
    async fn retry(&self, ids: Vec<DeliveryId>, now: Timestamp) -> Result<u64, StoreError>;

    /// Cancels deliveries that are pending, and lets their lanes go on. An attempt under way is not taken back: it is
    /// kept as lost, because it may have reached the far end, and its result is refused. How many were.
    async fn cancel(&self, ids: Vec<DeliveryId>, reason: String, now: Timestamp) -> Result<u64, StoreError>;

    /// Pauses a handler, for which nothing is claimed then, or lets it go on. What is claimed already is settled all the
    /// same; one that is paused already stays paused since it first was.
    async fn set_paused(&self, handler: HandlerName, paused: bool, now: Timestamp) -> Result<(), StoreError>;

    /// Keeps the state of a handler's breaker; `None` is closed.
    async fn keep_breaker(&self, handler: HandlerName, breaker: Option<OpenBreaker>) -> Result<(), StoreError>;

    /// Keeps the state of a handler's breaker in the place of another, as told by when it opened and when the next probe is
    /// let through; whether that was what was kept. Otherwise nothing is changed.
    async fn replace_breaker(
        &self,
        handler: HandlerName,
        from: Option<OpenBreaker>,
        to: Option<OpenBreaker>,
    ) -> Result<bool, StoreError>;

    /// Every breaker that is open.
    async fn open_breakers(&self) -> Result<Vec<(HandlerName, OpenBreaker)>, StoreError>;

    /// Keeps a replay that is to be made; `None` where it is of one event and there is no such event. One that can mean
    /// nothing that is there is done at once. Of older ones than the newest thousand those that are done go.
    async fn start_replay(&self, new: NewReplay) -> Result<Option<Replay>, StoreError>;

    /// Makes the deliveries of one step and moves the replay behind its events; `through` is the last position that
    /// was looked at. Does nothing where the replay does not run, or is beyond that already. Leaves out events that are
    /// gone, that the replay looked at before, and that came later than it; is done when its last event was looked at.
    async fn step_replay(
        &self,
        id: ReplayId,
        step: ReplayStep,
        through: Position,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// How many deliveries a step would make.
    async fn preview_replay(&self, step: ReplayStep) -> Result<u64, StoreError>;

    /// Stops a replay, lets it go on, or says that it is done; whether it was in another state that allows this.
    async fn set_replay(&self, id: ReplayId, state: ReplayState, now: Timestamp) -> Result<bool, StoreError>;

    /// Keeps that a rejected request has become an event.
    async fn rejected_became(&self, id: RejectedId, event: EventId, now: Timestamp) -> Result<(), StoreError>;

    /// Adds to the counts of the uses of tokens.
    async fn count_uses(&self, uses: Vec<TokenUse>) -> Result<(), StoreError>;

    /// Makes the next events findable by their terms, at most so many; how many were.
    async fn catalogue(&self, limit: usize) -> Result<usize, StoreError>;

    /// Removes some old events with everything that belongs to them.
    async fn prune(&self, request: PruneRequest) -> Result<Pruned, StoreError>;

    /// Takes the next step in keeping what repetitions are known by in order: what has become much goes where it stays,
    /// and what is over goes. Whether there was one.
    async fn tidy_keys(&self, now: Timestamp) -> Result<bool, StoreError>;

    /// Removes everything about somebody or something from some of what is kept, and ends replays whose filter names
    /// them. Behind the last event a step goes on with taking it out of the files, for a short time; when it is done,
    /// nothing is left in them. That it is not done yet outlives the process. A repetition of what was removed is still
    /// known.
    async fn forget(&self, step: ForgetStep) -> Result<Forgotten, StoreError>;

    /// How much room the store takes, and how much there is.
    async fn space(&self) -> Result<Space, StoreError>;

    /// Gives some free space back to the disk; whether there is more.
    async fn give_back(&self) -> Result<bool, StoreError>;

    /// Takes a duty for this process, or keeps it, for so long; whether this process has it now. A store that belongs to
    /// one process gives it every duty. Where there are several processes, what only the holder may do is refused with
    /// [`StoreError::Superseded`] once another has taken over.
    async fn hold(&self, duty: Duty, lease: Duration) -> Result<bool, StoreError> {
        let _ = (duty, lease);
        Ok(true)
    }

    /// Gives a duty up, so that another process can take it at once.
    async fn let_go(&self, duty: Duty) -> Result<(), StoreError> {
        let _ = duty;
        Ok(())
    }

    /// The processes that share it and live, this one among them, by name; none where it belongs to one process.
    async fn replicas(&self) -> Result<Vec<Replica>, StoreError> {
        Ok(Vec::new())
    }

    /// The number of the time for which this process has been there for all others without a break; `None` while they may
    /// take it for gone. What was claimed in another such time may be somebody else's by now, whatever its lease says. A
    /// store that belongs to one process has a single one.
    fn presence(&self) -> Option<u64> {
        Some(0)
    }

    /// Tries a durable write; [`StoreError::Full`] while nothing is taken for want of room.
    async fn probe(&self) -> Result<(), StoreError>;

    /// Waits until the store's disk can no longer be trusted, which ends the process. For ever while all is well.
    async fn failed(&self) -> StoreError;

    /// Finishes what is waiting and closes. Nothing is taken afterwards.
    async fn close(&self);
}

/// What one process at a time does for all that share a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Duty {
    /// Planning events.
    Planning,
    /// Making the deliveries of replays.
    Replaying,
    /// Making events findable, removing what is old, telling of what needs somebody.
    Upkeep,
}

/// A process that shares a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// What it calls itself.
    pub name: String,
    /// Whether it is the one that asks.
    pub is_this: bool,
    /// What it does for all.
    pub duties: Vec<Duty>,
}

impl Duty {
    /// Each of them.
    pub const ALL: [Duty; 3] = [Duty::Planning, Duty::Replaying, Duty::Upkeep];

    /// The duty of a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Duty> {
        Duty::ALL.into_iter().find(|duty| duty.as_str() == name)
    }

    /// Its name, where it is kept or told.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Duty::Planning => "planning",
            Duty::Replaying => "replaying",
            Duty::Upkeep => "upkeep",
        }
    }
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

/// How long a handler's deliveries may wait from now on.
#[derive(Debug, Clone)]
pub struct LongestWaits {
    /// Whose deliveries.
    pub handler: HandlerName,
    /// The time.
    pub now: Timestamp,
    /// The longest wait for another attempt.
    pub retry: Duration,
    /// The longest lease.
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

/// What a handler gets that keeps to a rate together with others.
#[derive(Debug, Clone, Default)]
pub struct RatedClaims {
    /// What it gets.
    pub claims: Claims,
    /// How long to wait for more, where the rate is what is missing.
    pub again: Option<Duration>,
}

/// What became of a settlement. One that was kept and comes again is told so once more on PostgreSQL, as long as its attempt
/// was not replaced or removed; the embedded store, where no commit's answer is lost, tells that the claim was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It is kept.
    Kept,
    /// The claim was lost to a later one; the result was refused.
    LostLease,
}
