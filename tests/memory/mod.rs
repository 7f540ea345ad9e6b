//! A store in memory: what the trait means, said as plainly as it goes.
//!
//! It is what the simulation of dispatch runs on, and the conformance suite holds it to what every store promises about
//! events and deliveries. It keeps nothing beyond the process, and it knows nothing of retention, of forgetting and of
//! those who were turned away. What always holds: one method is one look at [`Kept`] under one lock.

mod deliveries;
mod duties;
mod events;
mod interventions;
mod lists;
mod replays;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use workhook::contract::{Accepted, Key, Rejected};
use workhook::model::{
    DeliveryId, DeliveryRecord, EventId, EventRecord, HandlerName, HandlerRecord, NewReplay, OpenBreaker, Plan,
    Position, Rate, RejectedId, Replay, ReplayId, ReplayState, ReplayStep, Settlement, StoredEvent,
};
use workhook::store::{
    Appended, ClaimRequest, Claims, Counts, DeliveryQuery, Duty, EventQuery, EventRow, ForgetStep, Forgotten,
    LongestWaits, Page, PlanStart, PruneRequest, Pruned, RatedClaims, RefusalCount, RejectedQuery, RejectedRow,
    Settled, Space, Store, StoreError, TokenUse,
};
use workhook::wake::Wakes;

use self::deliveries::Delivery;
use self::duties::{Held, Rates};
use self::events::Event;

/// Where a store lives: what survives the end of a process.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory(Arc<Mutex<Kept>>);

/// Everything that is kept.
#[derive(Debug, Default)]
struct Kept {
    events: BTreeMap<Position, Event>,
    /// What repetitions are known by: the event, and until when.
    keys: HashMap<Key, (Position, i64)>,
    /// The last event that is planned, and the last that was made findable.
    planned: i64,
    catalogued: i64,
    /// How often planning began at which event without getting beyond it.
    stalled: (i64, u32),
    deliveries: BTreeMap<DeliveryId, Delivery>,
    /// Since when who is paused.
    paused: BTreeMap<HandlerName, Timestamp>,
    breakers: BTreeMap<HandlerName, OpenBreaker>,
    /// Who ever had a delivery.
    had: BTreeSet<HandlerName>,
    replays: BTreeMap<ReplayId, Replay>,
    last_replay: i64,
    /// How many requests were rejected; nothing else is kept of them.
    rejected: i64,
    /// Who has which duty, where processes share the store, and how many they were.
    duties: HashMap<Duty, Held>,
    processes: u64,
    rates: Rates,
    is_away: bool,
}

/// A store that one process has open.
#[derive(Debug)]
pub(crate) struct MemoryStore {
    memory: Memory,
    wakes: Wakes,
    /// How long an event is known by its id, in milliseconds.
    remember_ms: i64,
    closed: AtomicBool,
    /// Which process it is, where several share it, with the epochs of its duties.
    process: Option<u64>,
    epochs: Mutex<HashMap<Duty, u64>>,
}

/// A time as it is kept, to the millisecond.
fn kept(time: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(time.as_millisecond()).unwrap()
}

impl Memory {
    /// Opens the store, as a new process does: what the one before it had claimed is due at once.
    pub(crate) fn open(&self, wakes: &Wakes, remember_ms: i64) -> MemoryStore {
        let memory = self.clone();
        memory.look(Kept::recover);
        memory.made(wakes, remember_ms, None)
    }

    /// Opens the store beside other processes that have it open.
    pub(crate) fn join(&self, wakes: &Wakes, remember_ms: i64) -> MemoryStore {
        let process = self.look(|kept| {
            kept.processes += 1;
            kept.processes
        });
        self.clone().made(wakes, remember_ms, Some(process))
    }

    /// Has a process that nobody knows take a duty over, as if whoever had it had been asleep for too long.
    pub(crate) fn seize(&self, duty: Duty, lease: Duration) {
        self.look(|kept| kept.seize(duty, lease));
    }

    /// Whether the store cannot be reached, by nobody.
    pub(crate) fn set_away(&self, is_away: bool) {
        self.look(|kept| kept.is_away = is_away);
    }

    fn made(self, wakes: &Wakes, remember_ms: i64, process: Option<u64>) -> MemoryStore {
        let (closed, epochs) = (AtomicBool::new(false), Mutex::default());
        MemoryStore { memory: self, wakes: wakes.clone(), remember_ms, closed, process, epochs }
    }

    fn look<T>(&self, work: impl FnOnce(&mut Kept) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl MemoryStore {
    fn look<T>(&self, work: impl FnOnce(&mut Kept) -> T) -> Result<T, StoreError> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(StoreError::Ended);
        }
        self.memory.look(|kept| match kept.is_away {
            true => Err(StoreError::Unavailable("it is away".into())),
            false => Ok(work(kept)),
        })
    }

    /// The same for what only the holder of a duty may do.
    fn on_duty<T>(&self, duty: Duty, work: impl FnOnce(&mut Kept) -> T) -> Result<T, StoreError> {
        let epoch = self.epochs.lock().unwrap().get(&duty).copied();
        self.look(|kept| {
            self.process.map_or(Ok(()), |process| kept.has(duty, process, epoch))?;
            Ok(work(kept))
        })?
    }

    /// What it does not have.
    fn without<T>(&self) -> Result<T, StoreError> {
        self.look(|_| ())?;
        Err(StoreError::Unavailable("a store in memory does without this".into()))
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn append(&self, accepted: Accepted) -> Result<Appended, StoreError> {
        let appended = self.look(|kept| kept.append(&accepted, self.remember_ms))?;
        if matches!(appended, Appended::Stored { .. }) {
            self.wakes.events.wake();
        }
        Ok(appended)
    }

    async fn start_planning(&self) -> Result<PlanStart, StoreError> {
        self.on_duty(Duty::Planning, Kept::start_planning)
    }

    async fn end_planning(&self) -> Result<(), StoreError> {
        self.on_duty(Duty::Planning, |kept| kept.stalled = (-1, 0))
    }

    async fn unplanned(&self, limit: usize) -> Result<Vec<StoredEvent>, StoreError> {
        self.look(|kept| kept.unplanned(limit))
    }

    async fn plan(&self, plans: Vec<Plan>, now: Timestamp) -> Result<(), StoreError> {
        self.on_duty(Duty::Planning, |kept| kept.plan(plans, now))?;
        self.wakes.deliveries.wake();
        Ok(())
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Claims, StoreError> {
        self.look(|kept| kept.claim(&request))
    }

    async fn shorten_waits(&self, longest: LongestWaits) -> Result<usize, StoreError> {
        self.look(|kept| kept.shorten_waits(&longest))
    }

    async fn settle(&self, settlement: Settlement) -> Result<Settled, StoreError> {
        self.look(|kept| kept.settle(settlement))
    }

    async fn release(&self, claims: Vec<(DeliveryId, i64)>) -> Result<(), StoreError> {
        self.look(|kept| kept.release(&claims))
    }

    async fn other_body(&self, id: EventId, number: u64) -> Result<Option<Bytes>, StoreError> {
        self.look(|kept| kept.other_body(id, number))
    }

    async fn event(&self, id: EventId) -> Result<Option<EventRecord>, StoreError> {
        self.look(|kept| kept.record(id))
    }

    async fn events(&self, query: EventQuery) -> Result<Page<EventRow>, StoreError> {
        self.look(|kept| kept.list_events(&query))
    }

    async fn deliveries(&self, query: DeliveryQuery) -> Result<Page<DeliveryRecord>, StoreError> {
        self.look(|kept| kept.list_deliveries(&query))
    }

    async fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryRecord>, StoreError> {
        self.look(|kept| kept.delivery(id))
    }

    async fn handlers(&self) -> Result<Vec<HandlerRecord>, StoreError> {
        self.look(|kept| kept.handlers())
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        self.look(|kept| kept.counts())
    }

    async fn retry(&self, ids: Vec<DeliveryId>, now: Timestamp) -> Result<u64, StoreError> {
        let retried = self.look(|kept| kept.retry(&ids, now));
        self.wakes.deliveries.wake();
        retried
    }

    async fn cancel(&self, ids: Vec<DeliveryId>, reason: String, now: Timestamp) -> Result<u64, StoreError> {
        let cancelled = self.look(|kept| kept.cancel(&ids, &reason, now));
        self.wakes.deliveries.wake();
        cancelled
    }

    async fn set_paused(&self, handler: HandlerName, paused: bool, now: Timestamp) -> Result<(), StoreError> {
        let set = self.look(|kept| kept.set_paused(handler, paused, now));
        self.wakes.deliveries.wake();
        set
    }

    async fn keep_breaker(&self, handler: HandlerName, breaker: Option<OpenBreaker>) -> Result<(), StoreError> {
        self.look(|kept| kept.keep_breaker(handler, breaker))
    }

    async fn replace_breaker(
        &self,
        handler: HandlerName,
        from: Option<OpenBreaker>,
        to: Option<OpenBreaker>,
    ) -> Result<bool, StoreError> {
        self.look(|kept| kept.replace_breaker(handler, from.as_ref(), to))
    }

    async fn open_breakers(&self) -> Result<Vec<(HandlerName, OpenBreaker)>, StoreError> {
        self.look(|kept| kept.open_breakers())
    }

    fn is_shared(&self) -> bool {
        self.process.is_some()
    }

    async fn hold(&self, duty: Duty, lease: Duration) -> Result<bool, StoreError> {
        let Some(process) = self.process else { return self.look(|_| true) };
        let epoch = self.look(|kept| kept.take_duty(duty, process, lease))?;
        let mut epochs = self.epochs.lock().unwrap();
        match epoch {
            Some(epoch) => epochs.insert(duty, epoch),
            None => epochs.remove(&duty),
        };
        Ok(epoch.is_some())
    }

    async fn let_go(&self, duty: Duty) -> Result<(), StoreError> {
        self.look(|kept| self.process.into_iter().for_each(|process| kept.let_go(duty, process)))
    }

    async fn claim_at_rate(&self, request: ClaimRequest, rate: Rate) -> Result<RatedClaims, StoreError> {
        self.look(|kept| kept.claim_at_rate(&request, rate))
    }

    async fn replays(&self, limit: usize) -> Result<Vec<Replay>, StoreError> {
        self.look(|kept| kept.replays.values().rev().take(limit).cloned().collect())
    }

    async fn replay(&self, id: ReplayId) -> Result<Option<Replay>, StoreError> {
        self.look(|kept| kept.replays.get(&id).cloned())
    }

    async fn running_replays(&self) -> Result<Vec<Replay>, StoreError> {
        let runs = |replay: &&Replay| replay.state == ReplayState::Running;
        self.look(|kept| kept.replays.values().filter(runs).cloned().collect())
    }

    async fn start_replay(&self, new: NewReplay) -> Result<Option<Replay>, StoreError> {
        let started = self.look(|kept| kept.start_replay(new));
        self.wakes.replays.wake();
        started
    }

    async fn step_replay(
        &self,
        id: ReplayId,
        step: ReplayStep,
        through: Position,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.on_duty(Duty::Replaying, |kept| kept.step_replay(id, &step, through, now))?;
        self.wakes.deliveries.wake();
        Ok(())
    }

    async fn preview_replay(&self, step: ReplayStep) -> Result<u64, StoreError> {
        self.look(|kept| kept.takers(&step).values().map(|takers| takers.len() as u64).sum())
    }

    async fn set_replay(&self, id: ReplayId, state: ReplayState, now: Timestamp) -> Result<bool, StoreError> {
        let set = self.look(|kept| kept.set_replay(id, state, now));
        self.wakes.replays.wake();
        set
    }

    async fn catalogue(&self, limit: usize) -> Result<usize, StoreError> {
        self.on_duty(Duty::Upkeep, |kept| kept.catalogue(limit))
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.look(|_| ())
    }

    async fn failed(&self) -> StoreError {
        std::future::pending().await
    }

    async fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    async fn reject(&self, _: Rejected) -> Result<RejectedId, StoreError> {
        self.look(|kept| {
            kept.rejected += 1;
            RejectedId(kept.rejected)
        })
    }

    async fn count_refusals(&self, _: Vec<RefusalCount>) -> Result<(), StoreError> {
        self.without()
    }

    async fn rejected(&self, _: RejectedQuery) -> Result<Page<RejectedRow>, StoreError> {
        self.look(|_| Page { items: Vec::new(), next: None })
    }

    async fn rejected_request(&self, _: RejectedId) -> Result<Option<RejectedRow>, StoreError> {
        self.without()
    }

    async fn refusals(&self, _: usize) -> Result<Vec<RefusalCount>, StoreError> {
        self.look(|_| Vec::new())
    }

    async fn token_uses(&self) -> Result<Vec<TokenUse>, StoreError> {
        self.look(|_| Vec::new())
    }

    async fn rejected_became(&self, _: RejectedId, _: EventId, _: Timestamp) -> Result<(), StoreError> {
        self.without()
    }

    async fn count_uses(&self, _: Vec<TokenUse>) -> Result<(), StoreError> {
        self.without()
    }

    async fn prune(&self, _: PruneRequest) -> Result<Pruned, StoreError> {
        self.without()
    }

    async fn tidy_keys(&self, _: Timestamp) -> Result<bool, StoreError> {
        self.without()
    }

    async fn forget(&self, _: ForgetStep) -> Result<Forgotten, StoreError> {
        self.without()
    }

    async fn space(&self) -> Result<Space, StoreError> {
        self.without()
    }

    async fn give_back(&self) -> Result<bool, StoreError> {
        self.without()
    }
}
