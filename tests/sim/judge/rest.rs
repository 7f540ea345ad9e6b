//! What is kept, looked at as a whole: in the middle, and when everything has come to rest.

use std::collections::{BTreeMap, BTreeSet};

use workhook::model::{
    DeliveryId, DeliveryRecord, DeliveryState, HandlerName, HandlerRecord, Position, Replay, ReplayState,
};

use super::{Judge, LEASE_MARGIN, ms, whole_ms};

impl Judge {
    /// Every delivery is explained: delivered, ended for a reason, or pending until a time that is not too far away.
    pub(crate) fn looks(&mut self, records: &[DeliveryRecord], at: i64) {
        let mut lanes: BTreeSet<(&HandlerName, &str)> = BTreeSet::new();
        for record in records {
            let (id, handler, state) = (record.id, &record.handler, record.state);
            if let Some(seen) = self.deliveries.get(&id) {
                let (known, taken) = (seen.state, seen.taken);
                self.hold(known == state, at, || format!("#{id} is kept as {state}, and should be {known}"));
                let delivered = state != DeliveryState::Delivered || taken > 0;
                self.hold(delivered, at, || format!("#{id} is kept as delivered, and nobody took it"));
            } else {
                let untouched = state != DeliveryState::Delivered;
                self.hold(untouched, at, || format!("#{id} is kept as delivered, and was never claimed"));
            }
            match state {
                DeliveryState::Delivered => {}
                DeliveryState::Dead | DeliveryState::Cancelled => {
                    let why = record.reason.as_ref().is_some_and(|reason| !reason.is_empty());
                    self.hold(why, at, || format!("#{id} is {state} without a reason"));
                }
                DeliveryState::Pending => {
                    let first = record.lane.as_deref().is_none_or(|lane| lanes.insert((handler, lane)));
                    let Some(of) = self.handlers.get(handler) else { continue };
                    let longest = whole_ms(of.policy.retry.max.max(of.policy.timeout + LEASE_MARGIN));
                    let soon = record.due_at.is_some_and(|due| ms(due) <= at + longest);
                    let due = record.due_at;
                    self.hold(soon == first, at, || {
                        format!("#{id} is pending, first in its lane: {first}, due {due:?}")
                    });
                }
            }
        }
    }

    /// After a start, what the process before had claimed is due at once, and nothing of it is lost.
    pub(crate) fn recovered(&mut self, records: &[DeliveryRecord], held: &BTreeSet<DeliveryId>, at: i64) {
        for record in records.iter().filter(|record| held.contains(&record.id)) {
            let (id, due) = (record.id, record.due_at);
            let at_once = record.claimed && due.is_some_and(|due| ms(due) <= at);
            self.hold(at_once, at, || format!("#{id} was under way when the process ended, and is due at {due:?}"));
        }
    }

    /// The deliveries whose claims hold.
    pub(crate) fn held(&self) -> BTreeSet<DeliveryId> {
        self.deliveries.iter().filter(|(_, seen)| seen.holds).map(|(id, _)| *id).collect()
    }

    /// Everything has come to rest: each event was planned once.
    pub(crate) fn rests_with(&mut self, events: u64, at: i64) {
        let planned = self.plans.len() as u64;
        self.hold(planned == events, at, || format!("{planned} of {events} events are planned"));
    }

    /// Everything has come to rest: each delivery has ended.
    pub(crate) fn rests(&mut self, records: &[DeliveryRecord], handlers: &[HandlerRecord], at: i64) {
        let mut first: BTreeMap<Position, BTreeSet<HandlerName>> =
            self.plans.keys().map(|position| (*position, BTreeSet::new())).collect();
        let mut last: BTreeMap<&HandlerName, Position> = BTreeMap::new();
        for record in records.iter().filter(|record| record.number == 0) {
            let (id, position) = (record.id, record.position);
            let once = first.get_mut(&position).is_some_and(|handlers| handlers.insert(record.handler.clone()));
            self.hold(once, at, || format!("#{id} is planned twice, or of no event"));
            let behind = last.insert(&record.handler, position).is_none_or(|last| last < position);
            self.hold(behind, at, || format!("#{id} is planned out of order"));
        }
        let plans = std::mem::take(&mut self.plans);
        self.hold(first == plans, at, || format!("planned is {first:?}, and should be {plans:?}"));
        for record in records.iter().filter(|record| record.state == DeliveryState::Pending) {
            self.blame(at, || format!("#{} has not come to rest", record.id));
        }
        self.tallies(records, handlers, at);
    }

    fn tallies(&mut self, records: &[DeliveryRecord], handlers: &[HandlerRecord], at: i64) {
        let mut counted: BTreeMap<(&HandlerName, DeliveryState), u64> = BTreeMap::new();
        for record in records {
            *counted.entry((&record.handler, record.state)).or_default() += 1;
        }
        let told =
            handlers.iter().flat_map(|of| of.deliveries.iter().map(|(state, count)| ((&of.name, *state), *count)));
        let told: BTreeMap<_, _> = told.collect();
        self.hold(told == counted, at, || format!("the tallies are {told:?}, and should be {counted:?}"));
    }

    /// A replay made what it says, and nothing twice.
    pub(crate) fn replayed(&mut self, replays: &[Replay], records: &[DeliveryRecord], at: i64) {
        for replay in replays {
            self.done.replays += 1;
            let id = replay.id;
            let made: Vec<_> = records.iter().filter(|record| record.replay == Some(id)).collect();
            let once: BTreeSet<_> = made.iter().map(|record| (record.position, &record.handler)).collect();
            let (done, all) = (replay.state == ReplayState::Done, made.len() as u64 == replay.deliveries);
            let within = made.iter().all(|record| record.position <= replay.last);
            self.hold(done, at, || format!("replay {id} has not come to rest"));
            self.hold(once.len() == made.len(), at, || format!("replay {id} made a delivery twice"));
            self.hold(all && within, at, || format!("replay {id} says {} and made {}", replay.deliveries, made.len()));
        }
    }
}
