//! The gate of each handler: its breaker and its rate, which outlive the loop that asks them.
//!
//! What always holds: what is kept of a breaker is written by one task at a time, so the last word is the last change.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::breaker::{Breaker, Came, Change, Pass, Room};
use super::rate::Bucket;
use super::{Policy, Rate};
use crate::clock::between;
use crate::model::{EventId, HandlerName, HandlerRecord, OpenBreaker, StoredEvent};
use crate::store::Store;
use crate::telemetry::with_causes;

/// The gates by handler.
#[derive(Debug, Clone, Default)]
pub(super) struct Gates(Arc<Mutex<HashMap<HandlerName, Arc<Gate>>>>);

/// What stands between a handler and its due deliveries.
#[derive(Debug)]
pub(super) struct Gate {
    handler: HandlerName,
    inside: Mutex<Inside>,
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
    /// Gates that go on with what was kept.
    pub(super) fn restored(records: Vec<HandlerRecord>) -> Gates {
        let gate = |record: HandlerRecord| {
            let inside = Inside { before: record.breaker, ..Inside::default() };
            (record.name.clone(), Arc::new(Gate { handler: record.name, inside: Mutex::new(inside) }))
        };
        Gates(Arc::new(Mutex::new(records.into_iter().map(gate).collect())))
    }

    /// The gate of a handler.
    pub(super) fn of(&self, handler: &HandlerName) -> Arc<Gate> {
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let gate = || Gate { handler: handler.clone(), inside: Mutex::default() };
        Arc::clone(gates.entry(handler.clone()).or_insert_with(|| Arc::new(gate())))
    }
}

impl Gate {
    /// Takes up what was kept before, under the policy in force now. To be called when a loop begins.
    pub(super) fn take_up(&self, policy: &Policy, now: Timestamp) {
        let mut inside = self.lock();
        if let Some(open) = inside.before.take() {
            inside.breaker = Breaker::restored(&policy.breaker, Some(open), now);
            inside.changed = true;
        }
        inside.changed |= inside.breaker.follow(&policy.breaker, now);
        if let Some(open) = inside.breaker.kept() {
            tracing::warn!(handler = %self.handler, reason = open.reason, since = %open.since, next_at = %open.until, "its breaker is open: one probe at a time");
        }
    }

    /// Keeps to the policy in force now, which may have changed.
    pub(super) fn follow(&self, policy: &Policy, now: Timestamp) {
        let mut inside = self.lock();
        if inside.breaker.follow(&policy.breaker, now) {
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
        match policy.rate {
            Some(rate) if inside.bucket.room(rate, now) < limit => {
                let next_at = |inside: &Inside, rate: Rate| between(now, inside.bucket.next_at(rate, now));
                Leave { limit: inside.bucket.room(rate, now), again: Some(next_at(&inside, rate)) }
            }
            _ => Leave { limit, again: None },
        }
    }

    /// Begins an attempt, where one may begin.
    pub(super) fn begin(&self, policy: &Policy, now: Timestamp) -> Option<Pass> {
        let mut inside = self.lock();
        let pass = inside.breaker.begin(now)?;
        if let Some(rate) = policy.rate {
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
        let change = inside.breaker.end(&policy.breaker, pass, came, now, chance)?;
        inside.changed = true;
        let failed = inside.failed.take();
        let (handler, after) = (&self.handler, inside.breaker.kept());
        match (change, before, after) {
            (Change::Closed, Some(open), _) => {
                let open_for = between(open.since, now);
                tracing::info!(%handler, ?open_for, probes = open.probes + 1, "its breaker closed: a probe was delivered");
            }
            (Change::Opened, _, Some(open)) => {
                let OpenBreaker { failures, until, reason, .. } = open;
                tracing::warn!(%handler, failures, reason, next_at = %until, "its breaker opened: one probe at a time");
                return failed.map(|event| (open.clone(), event));
            }
            (Change::Prolonged, _, Some(open)) => {
                let OpenBreaker { probes, until, reason, .. } = open;
                tracing::info!(%handler, probes, reason, next_at = %until, "its breaker stays open");
            }
            _ => {}
        }
        None
    }

    /// Keeps the breaker where it changed. What cannot be kept is tried again with the next call; it holds in memory.
    pub(super) async fn keep(&self, store: &dyn Store) {
        let breaker = {
            let mut inside = self.lock();
            if !std::mem::take(&mut inside.changed) {
                return;
            }
            inside.breaker.kept().cloned()
        };
        if let Err(error) = store.keep_breaker(self.handler.clone(), breaker).await {
            tracing::warn!(handler = %self.handler, error = with_causes(&error), "the state of its breaker was not kept");
            self.lock().changed = true;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        // Nothing in here is half done when a panic lets go of the lock.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
