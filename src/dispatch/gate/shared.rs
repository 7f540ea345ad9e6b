//! The breakers of processes that share a store: one state for all of them, and one probe at a time.
//!
//! A process counts failures by itself; what it makes of them it puts in the place of the state that it knows, and where
//! another one was kept meanwhile, that one holds. Whoever makes a probe first moves the time of the next one to when its
//! own must have ended, so nobody else makes one, and somebody does where this process dies.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{Gate, Gates, Inside};
use crate::clock::later;
use crate::dispatch::breaker::Pass;
use crate::dispatch::{BreakerPolicy, House, Policy};
use crate::model::{EventId, OpenBreaker};
use crate::store::{Store, StoreError};
use crate::telemetry::with_causes;

/// How often it is looked what other processes made of the breakers.
const LOOK: Duration = Duration::from_secs(1);
/// How much longer than an attempt's time-out nobody else makes a probe.
const PROBE_MARGIN: Duration = Duration::from_secs(10);

/// What is known of the state that all processes share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// What the store has, as far as this process knows.
    seen: Option<OpenBreaker>,
    /// How often this process wrote or took up a state: a look that began before says nothing any more.
    turns: u64,
    /// The breaker that opened here, with an event that failed, to be told once it is what all keep to.
    opened: Option<(OpenBreaker, EventId)>,
}

impl Shared {
    pub(super) fn restored(seen: Option<OpenBreaker>) -> Shared {
        Shared { seen, ..Shared::default() }
    }

    /// Has an opening told when it is kept.
    pub(super) fn tell(&mut self, opened: (OpenBreaker, EventId)) {
        self.opened = Some(opened);
    }

    fn sees(&mut self, kept: Option<OpenBreaker>) {
        self.seen = kept;
        self.turns += 1;
    }
}

/// What breakers keep to where processes share them: the time that is another's for its probe is no wait that is too long.
pub(super) fn policy(policy: &Policy) -> BreakerPolicy {
    BreakerPolicy { max: policy.breaker.max.max(probe_for(policy)), ..policy.breaker.clone() }
}

/// Looks what other processes make of the breakers until it is told to stop.
pub(in crate::dispatch) async fn follow(house: House, gates: Gates, stop: CancellationToken) {
    loop {
        if let Err(error) = look(&house, &gates).await {
            tracing::debug!(error = with_causes(&error), "what other processes make of the breakers is not known now");
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

async fn look(house: &House, gates: &Gates) -> Result<(), StoreError> {
    let known = |gate: Arc<Gate>| {
        let turns = gate.lock().shared.turns;
        (turns, gate)
    };
    let all: Vec<_> = gates.all().into_iter().map(known).collect();
    let open = house.store.open_breakers().await?;
    for (turns, gate) in all {
        let kept = open.iter().find(|(handler, _)| *handler == gate.handler).map(|(_, open)| open.clone());
        let mut inside = gate.lock();
        // What this process made of it since is put in its place with the next step.
        if inside.shared.turns == turns && !inside.changed && !same(inside.shared.seen.as_ref(), kept.as_ref()) {
            gate.take_over(&mut inside, kept);
        }
    }
    Ok(())
}

impl Gate {
    /// Puts what changed in the place of what was known, where nobody else did; what is to be told of it.
    pub(super) async fn share(&self, store: &dyn Store) -> Option<(OpenBreaker, EventId)> {
        let (from, to) = {
            let mut inside = self.lock();
            if !std::mem::take(&mut inside.changed) {
                return None;
            }
            (inside.shared.seen.clone(), inside.breaker.kept().cloned())
        };
        if same(from.as_ref(), to.as_ref()) {
            return None;
        }
        match self.replace(store, from, to).await {
            Ok(true) => self.lock().shared.opened.take(),
            Ok(false) => None,
            Err(error) => {
                tracing::warn!(handler = %self.handler, error = with_causes(&error), "the state of its breaker was not kept");
                self.lock().changed = true;
                None
            }
        }
    }

    /// Makes sure that a probe is the only one of all processes; the pass with which its attempt may go on. Anything else
    /// goes on in any case.
    pub(in crate::dispatch) async fn only(
        &self,
        store: &dyn Store,
        kept_to: &Policy,
        pass: Pass,
        now: Timestamp,
    ) -> Option<Pass> {
        let (from, to) = {
            let inside = self.lock();
            match inside.breaker.kept().filter(|_| self.is_shared && inside.breaker.counts(&pass)) {
                None => return Some(pass),
                Some(open) => {
                    let until = later(now, probe_for(kept_to));
                    (inside.shared.seen.clone(), OpenBreaker { until, ..open.clone() })
                }
            }
        };
        let until = to.until;
        match self.replace(store, from, Some(to)).await {
            Ok(true) => {
                self.lock().breaker.wait_until(until);
                Some(pass)
            }
            Ok(false) => None,
            Err(error) => {
                tracing::warn!(handler = %self.handler, error = with_causes(&error), "no probe of it is made until the store is available");
                self.lock().breaker.give_up_probe();
                None
            }
        }
    }

    /// Puts a state in the place of another; where yet another is kept, that one holds here too. Whether it was put there.
    async fn replace(
        &self,
        store: &dyn Store,
        from: Option<OpenBreaker>,
        to: Option<OpenBreaker>,
    ) -> Result<bool, StoreError> {
        if store.replace_breaker(self.handler.clone(), from, to.clone()).await? {
            self.lock().shared.sees(to);
            return Ok(true);
        }
        let open = store.open_breakers().await?;
        let kept = open.into_iter().find(|(handler, _)| *handler == self.handler).map(|(_, open)| open);
        let mut inside = self.lock();
        inside.changed = false;
        self.take_over(&mut inside, kept);
        Ok(false)
    }

    fn take_over(&self, inside: &mut Inside, kept: Option<OpenBreaker>) {
        let handler = &self.handler;
        match (inside.breaker.kept(), &kept) {
            (None, Some(OpenBreaker { reason, until, .. })) => {
                tracing::warn!(%handler, reason, next_at = %until, "its breaker opened in another process: one probe at a time");
            }
            (Some(_), None) => tracing::info!(%handler, "its breaker closed: a probe of another process was delivered"),
            _ => {}
        }
        inside.shared.sees(kept.clone());
        (inside.before, inside.shared.opened, inside.failed) = (None, None, None);
        inside.breaker = inside.breaker.taken_over(kept);
        self.news.notify_one();
    }
}

fn probe_for(policy: &Policy) -> Duration {
    policy.timeout + PROBE_MARGIN
}

/// Whether two states are one, as far as a store keeps them.
fn same(one: Option<&OpenBreaker>, other: Option<&OpenBreaker>) -> bool {
    let times = |open: &OpenBreaker| (open.since.as_millisecond(), open.until.as_millisecond());
    one.map(times) == other.map(times)
}
