//! The judge: knows from outside what was asked for and what was said, and says where a promise was broken.
//!
//! It keeps books of its own and never asks how the store or dispatch came to what they did. The first break is kept.

mod attempts;
mod breakers;
mod rest;
mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use workhook::dispatch::Policy;
use workhook::model::{DeliveryId, DeliveryState, HandlerName, Position};

use self::breakers::Far;

/// How much longer than an attempt a lease is, at the most.
pub(crate) const LEASE_MARGIN: Duration = Duration::from_secs(30);

/// What is known of a run so far.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    /// The first promise that was broken.
    pub(crate) broken: Option<String>,
    /// Which process it is; a claim of an earlier one holds no more.
    process: u32,
    /// Counts what happens, to say what came before what.
    step: u64,
    handlers: BTreeMap<HandlerName, OfHandler>,
    deliveries: BTreeMap<DeliveryId, Seen>,
    /// The attempts of each delivery by their claims.
    attempts: BTreeMap<(DeliveryId, i64), Attempt>,
    /// The claims whose result dispatch has worked out.
    said: BTreeSet<(DeliveryId, i64)>,
    /// The delivery of each lane that was begun last.
    lanes: BTreeMap<(HandlerName, String), DeliveryId>,
    /// Those that somebody retried: they have no lane any more.
    out_of_order: BTreeSet<DeliveryId>,
    /// Which handlers get an event, by the first plan that was kept of it.
    plans: BTreeMap<Position, BTreeSet<HandlerName>>,
    /// What was done, to see that a run is worth something.
    pub(crate) done: Done,
}

/// How much happened in a run.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Done {
    pub(crate) events: u64,
    pub(crate) attempts: u64,
    pub(crate) processes: u64,
    pub(crate) virtual_ms: u64,
    pub(crate) dead: u64,
    pub(crate) lost: u64,
    pub(crate) probes: u64,
    pub(crate) replays: u64,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    Taken,
    Failed(Option<Duration>),
    Refused,
    Throttled(Option<Duration>),
    Panicked,
    /// Nothing came: it was ended from outside.
    Nothing,
}

/// A handler, as far as the judge knows it.
#[derive(Debug)]
struct OfHandler {
    policy: Policy,
    in_force: bool,
    paused: bool,
    /// How many attempts are under way.
    running: usize,
    far: Far,
    /// How many attempts began in this process, and when that began.
    begun: u32,
    since: i64,
}

/// A delivery that was claimed once.
#[derive(Debug)]
struct Seen {
    handler: HandlerName,
    position: Position,
    lane: Option<(HandlerName, String)>,
    state: DeliveryState,
    /// The last claim, and whether it holds.
    claim: Claim,
    holds: bool,
    not_before: i64,
    /// How many attempts were made of those that are allowed, as far as the far end can tell.
    counted: u32,
    /// How often it was taken.
    taken: u32,
}

/// An attempt of this process, from when it begins until it is settled.
#[derive(Debug)]
struct Attempt {
    since: i64,
    /// Which one it is of those that are allowed.
    allowed: u32,
    claim: Claim,
    probe: bool,
    /// Whether the far end is still asked, and what it said.
    running: bool,
    came: Option<Came>,
    /// Somebody cancelled the delivery; it is nobody's any more.
    abandoned: bool,
}

/// A claim.
#[derive(Debug, Clone, Copy, Default)]
struct Claim {
    epoch: i64,
    lease_until: i64,
    /// What had happened when it was asked for, and how many places there were.
    asked: u64,
    places: usize,
}

impl Judge {
    /// Keeps that a promise was broken.
    pub(crate) fn blame(&mut self, at: i64, what: impl FnOnce() -> String) {
        if self.broken.is_none() {
            self.broken = Some(format!("at {}.{:03} s: {}", at / 1000, at.rem_euclid(1000), what()));
        }
    }

    fn hold(&mut self, holds: bool, at: i64, what: impl FnOnce() -> String) {
        if !holds {
            self.blame(at, what);
        }
    }

    /// A handler is set up like this from here on, or is no more.
    pub(crate) fn configure(&mut self, name: &HandlerName, policy: Option<&Policy>) {
        match (self.handlers.get_mut(name), policy) {
            (Some(known), Some(policy)) => (known.policy, known.in_force) = (policy.clone(), true),
            (Some(known), None) => known.in_force = false,
            (None, Some(policy)) => {
                let (far, policy) = (Far::default(), policy.clone());
                let (in_force, paused, running, begun, since) = (true, false, 0, 0, 0);
                let of = OfHandler { policy, in_force, paused, running, far, begun, since };
                self.handlers.insert(name.clone(), of);
            }
            (None, None) => {}
        }
    }

    /// A process begins: nothing is under way, and no claim holds.
    pub(crate) fn begins(&mut self, at: i64) {
        self.process += 1;
        self.done.processes += 1;
        for seen in self.deliveries.values_mut() {
            if std::mem::take(&mut seen.holds) {
                self.done.lost += 1;
            }
        }
        self.attempts.clear();
        for of in self.handlers.values_mut() {
            (of.running, of.begun, of.since) = (0, 0, at);
            of.far.begins();
        }
    }

    pub(crate) fn set_paused(&mut self, name: &HandlerName, paused: bool) {
        if let Some(of) = self.handlers.get_mut(name) {
            of.paused = paused;
        }
    }

    /// Somebody retried a delivery.
    pub(crate) fn retried(&mut self, id: DeliveryId) {
        self.out_of_order.insert(id);
        if let Some(seen) = self.deliveries.get_mut(&id) {
            (seen.state, seen.holds, seen.lane) = (DeliveryState::Pending, false, None);
            (seen.counted, seen.not_before) = (0, 0);
        }
    }

    /// Somebody cancelled a delivery.
    pub(crate) fn cancelled(&mut self, id: DeliveryId) {
        if let Some(seen) = self.deliveries.get_mut(&id) {
            (seen.state, seen.holds) = (DeliveryState::Cancelled, false);
        }
        for (_, attempt) in self.attempts.range_mut((id, i64::MIN)..=(id, i64::MAX)) {
            attempt.abandoned = true;
        }
    }
}

fn ms(time: Timestamp) -> i64 {
    crate::world::millis(time)
}

fn whole_ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap()
}
