//! The gate of each handler: its breaker and its rate, which outlive the loop that asks them.
//!
//! What always holds: what is kept of a breaker is written by one task at a time, so the last word is the last change.

pub(super) mod shared;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;

use self::shared::Shared;
use super::breaker::{Breaker, Came, Change, Pass, Room};
use super::rate::Bucket;
use super::{BreakerPolicy, Policy, Rate};
use crate::clock::between;
use crate::model::{EventId, HandlerName, HandlerRecord, OpenBreaker, StoredEvent};
use crate::store::Store;
use crate::telemetry::with_causes;

/// The gates by handler.
#[derive(Debug, Clone, Default)]
pub(super) struct Gates {
    all: Arc<Mutex<HashMap<HandlerName, Arc<Gate>>>>,
    is_shared: bool,
}

/// What stands between a handler and its due deliveries.
#[derive(Debug)]
pub(super) struct Gate {
    handler: HandlerName,
    /// Whether other processes have gates of the same handler.
    is_shared: bool,
    inside: Mutex<Inside>,
    /// Another process changed the breaker.
    news: Notify,
}

#[derive(Debug, Default)]
struct Inside {
    /// What the process before this one kept, until the first loop takes it up.
    before: Option<OpenBreaker>,
    breaker: Breaker,
    bucket: Bucket,
    /// The last event that was not workhook's own and that failed since one was delivered, while the breaker is closed.
    failed: Option<EventId>,
    /// The breaker changed since it was kept.
    changed: bool,
    shared: Shared,
}

/// How many attempts may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leave {
    /// How many at the most.
    pub(super) limit: usize,
    /// When it is worth asking for more; `None` is when an attempt has ended.
    pub(super) again: Option<Duration>,
}

impl Gates {
    /// Gates that go on with what was kept, and keep to what other processes keep where the store is shared.
    pub(super) fn restored(records: Vec<HandlerRecord>, is_shared: bool) -> Gates {
        let gate = |record: HandlerRecord| {
            let shared = Shared::restored(record.breaker.clone());
            let inside = Inside { before: record.breaker, shared, ..Inside::default() };
            (record.name.clone(), Arc::new(Gate::new(record.name, is_shared, inside)))
        };
        Gates { all: Arc::new(Mutex::new(records.into_iter().map(gate).collect())), is_shared }
    }

    /// The gate of a handler.
    pub(super) fn of(&self, handler: &HandlerName) -> Arc<Gate> {
        let mut gates = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let gate = || Gate::new(handler.clone(), self.is_shared, Inside::default());
        Arc::clone(gates.entry(handler.clone()).or_insert_with(|| Arc::new(gate())))
    }

    fn all(&self) -> Vec<Arc<Gate>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

impl Gate {
    fn new(handler: HandlerName, is_shared: bool, inside: Inside) -> Gate {
        Gate { handler, is_shared, inside: Mutex::new(inside), news: Notify::new() }
    }

    /// What the breaker keeps to.
    fn breaker_policy<'p>(&self, policy: &'p Policy) -> Cow<'p, BreakerPolicy> {
        if self.is_shared { Cow::Owned(shared::policy(policy)) } else { Cow::Borrowed(&policy.breaker) }
    }

    /// Waits until another process changed the breaker. Cancel safe.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }

    /// Takes up what was kept before, under the policy in force now. To be called when a loop begins.
    pub(super) fn take_up(&self, policy: &Policy, now: Timestamp) {
        let mut inside = self.lock();
        let kept_to = self.breaker_policy(policy);
        if let Some(open) = inside.before.take() {
            inside.breaker = Breaker::restored(&kept_to, Some(open), now);
            inside.changed = true;
        }
        inside.changed |= inside.breaker.follow(&kept_to, now);
        if let Some(open) = inside.breaker.kept() {
            tracing::warn!(handler = %self.handler, reason = open.reason, since = %open.since, next_at = %open.until, "its breaker is open: one probe at a time");
        }
    }

    /// Keeps to the policy in force now, which may have changed.
    pub(super) fn follow(&self, policy: &Policy, now: Timestamp) {
        let mut inside = self.lock();
        if inside.breaker.follow(&self.breaker_policy(policy), now) {
            inside.changed = true;
            match inside.breaker.kept() {
                Some(open) => {
                    tracing::info!(handler = %self.handler, next_at = %open.until, "its breaker waits for less long");
                }
                None => tracing::info!(handler = %self.handler, "its breaker closed: it is to have none any more"),
            }
        }
    }

    /// How many of so many attempts may begin, and how many may be claimed ahead of them: those only while the breaker is
    /// closed.
    pub(super) fn leave(&self, policy: &Policy, wanted: usize, ahead: usize, now: Timestamp) -> Leave {
        let mut inside = self.lock();
        let limit = match inside.breaker.room(now) {
            Room::Open => wanted + ahead,
            Room::Probe => wanted.min(1),
            Room::Probing => return Leave { limit: 0, again: None },
            Room::Until(until) => return Leave { limit: 0, again: Some(between(now, until)) },
        };
        match policy.rate.filter(|_| !self.is_shared) {
            Some(rate) if inside.bucket.room(rate, now) < limit => {
                let next_at = |inside: &Inside, rate: Rate| between(now, inside.bucket.next_at(rate, now));
                Leave { limit: inside.bucket.room(rate, now), again: Some(next_at(&inside, rate)) }
            }
            _ => Leave { limit, again: None },
        }
    }

    /// Begins an attempt, where one may begin. A rate that processes share is the store's to keep to.
    pub(super) fn begin(&self, policy: &Policy, now: Timestamp) -> Option<Pass> {
        let mut inside = self.lock();
        let pass = inside.breaker.begin(now)?;
        if let Some(rate) = policy.rate.filter(|_| !self.is_shared) {
            inside.bucket.take(rate, now, 1);
        }
        Some(pass)
    }

    /// Takes note of what came of an attempt to deliver an event. The breaker, where it opened by it, with an event that
    /// failed; not where all that failed were notices, which tell nothing of themselves. `chance` is from 0 to 1.
    pub(super) fn end(
        &self,
        policy: &Policy,
        pass: Pass,
        event: &StoredEvent,
        came: Came<'_>,
        now: Timestamp,
        chance: f64,
    ) -> Option<(OpenBreaker, EventId)> {
        let mut inside = self.lock();
        let before = inside.breaker.kept().cloned();
        if before.is_none() && inside.breaker.counts(&pass) {
            match came {
                Came::Delivered => inside.failed = None,
                Came::Failed(_) if !event.name.is_own() => inside.failed = Some(event.id),
                Came::Failed(_) | Came::Throttled | Came::Nothing => {}
            }
        }
        if self.is_shared && came == Came::Nothing && inside.breaker.counts(&pass) {
            // The probe was none: it is somebody's turn at once.
            inside.changed |= inside.breaker.is_probing();
            inside.breaker.wait_until(now);
        }
        let change = inside.breaker.end(&policy.breaker, pass, came, now, chance)?;
        inside.changed = true;
        let failed = inside.failed.take();
        let (handler, after) = (&self.handler, inside.breaker.kept().cloned());
        match (change, before, after) {
            (Change::Closed, Some(open), _) => {
                let open_for = between(open.since, now);
                tracing::info!(%handler, ?open_for, probes = open.probes + 1, "its breaker closed: a probe was delivered");
            }
            (Change::Opened, _, Some(open)) => {
                let OpenBreaker { failures, until, reason, .. } = &open;
                tracing::warn!(%handler, failures, reason, next_at = %until, "its breaker opened: one probe at a time");
                let opened = failed.map(|event| (open.clone(), event));
                if !self.is_shared {
                    return opened;
                }
                opened.into_iter().for_each(|opened| inside.shared.tell(opened));
            }
            (Change::Prolonged, _, Some(open)) => {
                let OpenBreaker { probes, until, reason, .. } = open;
                tracing::info!(%handler, probes, reason, next_at = %until, "its breaker stays open");
            }
            _ => {}
        }
        None
    }

    /// Keeps the breaker where it changed. What cannot be kept is tried again with the next call; it holds in memory. One
    /// that opened and could be told only now, with an event that failed.
    pub(super) async fn keep(&self, store: &dyn Store) -> Option<(OpenBreaker, EventId)> {
        if self.is_shared {
            return self.share(store).await;
        }
        let breaker = {
            let mut inside = self.lock();
            if !std::mem::take(&mut inside.changed) {
                return None;
            }
            inside.breaker.kept().cloned()
        };
        if let Err(error) = store.keep_breaker(self.handler.clone(), breaker).await {
            tracing::warn!(handler = %self.handler, error = with_causes(&error), "the state of its breaker was not kept");
            self.lock().changed = true;
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        // Nothing in here is half done when a panic lets go of the lock.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
