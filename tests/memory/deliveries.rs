//! Deliveries: made, claimed, settled, given back.
//!
//! What always holds: only the first of a lane that is pending can be claimed, which is looked up and kept nowhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use workhook::clock::later;
use workhook::model::{
    Attempt, Claimed, DeliveryId, DeliveryRecord, DeliveryState, Ended, HandlerName, NewDelivery, NextStep, Outcome,
    Position, ReplayId, Settlement,
};
use workhook::store::{ClaimRequest, Claims, LongestWaits, Settled};

use super::{Kept, kept};

/// A delivery as it is kept.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) position: Position,
    pub(super) handler: HandlerName,
    pub(super) number: u32,
    pub(super) lane: Option<String>,
    pub(super) replay: Option<ReplayId>,
    pub(super) state: DeliveryState,
    /// When it can be claimed, once it is the first of its lane; the end of its lease while it is claimed.
    pub(super) ready_at: Timestamp,
    pub(super) claimed: bool,
    /// How often it was claimed.
    pub(super) epoch: i64,
    pub(super) attempts: u32,
    /// The attempts before it was last retried by hand, and how often that was.
    pub(super) before_retry: u32,
    pub(super) retried: u32,
    pub(super) reason: Option<String>,
    pub(super) planned_at: Timestamp,
    pub(super) settled_at: Option<Timestamp>,
    pub(super) history: BTreeMap<u32, Outcome>,
}

impl Delivery {
    /// One that is made now, by the planner.
    pub(super) fn planned(position: Position, new: NewDelivery, now: Timestamp) -> Delivery {
        let state = if new.dead.is_some() { DeliveryState::Dead } else { DeliveryState::Pending };
        Delivery {
            position,
            handler: new.handler,
            number: 0,
            lane: new.lane,
            replay: None,
            state,
            ready_at: now,
            claimed: false,
            epoch: 0,
            attempts: 0,
            before_retry: 0,
            retried: 0,
            settled_at: new.dead.as_ref().map(|_| now),
            reason: new.dead,
            planned_at: now,
            history: BTreeMap::new(),
        }
    }

    pub(super) fn is_pending(&self) -> bool {
        self.state == DeliveryState::Pending
    }

    /// Keeps that what came of its last attempt is not known.
    pub(super) fn lose(&mut self, why: &str, now: Timestamp) {
        let (message, response) = (why.to_owned(), Bytes::new());
        let took = Duration::ZERO;
        let lost = Outcome { ended: Ended::Lost, started_at: kept(now), took, status: None, message, response };
        self.history.insert(self.attempts, lost);
    }
}

impl Kept {
    pub(super) fn make(&mut self, delivery: Delivery) {
        let last = self.deliveries.last_key_value().map_or(0, |(id, _)| id.0);
        self.had.insert(delivery.handler.clone());
        self.deliveries.insert(DeliveryId(last + 1), delivery);
    }

    /// What a handler could claim, were it due: what is pending and the first of its lane, or in none.
    pub(super) fn heads<'k>(&'k self, handler: &'k HandlerName) -> impl Iterator<Item = DeliveryId> + 'k {
        let mut lanes: BTreeSet<&str> = BTreeSet::new();
        let pending =
            self.deliveries.iter().filter(move |(_, delivery)| delivery.is_pending() && delivery.handler == *handler);
        let first = pending.filter(move |(_, delivery)| delivery.lane.as_deref().is_none_or(|lane| lanes.insert(lane)));
        first.map(|(id, _)| *id)
    }

    pub(super) fn is_head(&self, id: DeliveryId) -> bool {
        self.heads(&self.deliveries[&id].handler).any(|head| head == id)
    }

    pub(super) fn shorten_waits(&mut self, longest: &LongestWaits) -> usize {
        let mut changed = 0;
        for id in self.heads(&longest.handler).collect::<Vec<_>>() {
            let Some(delivery) = self.deliveries.get_mut(&id) else { continue };
            let latest = match (delivery.claimed, delivery.epoch) {
                (true, _) => kept(later(longest.now, longest.lease)),
                (false, 0) => kept(longest.now),
                (false, _) => kept(later(longest.now, longest.retry)),
            };
            if delivery.ready_at > latest {
                delivery.ready_at = latest;
                changed += 1;
            }
        }
        changed
    }

    pub(super) fn claim(&mut self, request: &ClaimRequest) -> Claims {
        if self.paused.contains_key(&request.handler) {
            return Claims::default();
        }
        let (now, lease_until) = (kept(request.now), kept(later(request.now, request.lease)));
        let ready = |kept: &Kept| -> Vec<(Timestamp, DeliveryId)> {
            kept.heads(&request.handler).map(|id| (kept.deliveries[&id].ready_at, id)).collect()
        };
        let mut due = ready(self);
        due.retain(|(ready_at, _)| *ready_at <= now);
        due.sort_unstable();
        due.truncate(request.limit);
        let claimed: Vec<Claimed> = due.into_iter().map(|(_, id)| self.hold(id, lease_until, now)).collect();
        // The ends of leases are times too at which there may be something.
        let next_at = ready(self).into_iter().map(|(ready_at, _)| ready_at).filter(|ready_at| *ready_at > now).min();
        Claims { next_at: next_at.filter(|_| claimed.len() < request.limit), claimed }
    }

    fn hold(&mut self, id: DeliveryId, lease_until: Timestamp, now: Timestamp) -> Claimed {
        let delivery = self.deliveries.get_mut(&id).unwrap();
        if delivery.claimed {
            delivery.lose("the process ended, or the lease ran out, while it was under way", now);
        }
        delivery.claimed = true;
        delivery.epoch += 1;
        delivery.attempts += 1;
        delivery.ready_at = lease_until;
        Claimed {
            id,
            epoch: delivery.epoch,
            attempt: delivery.attempts,
            allowed_attempt: delivery.attempts - delivery.before_retry,
            handler: delivery.handler.clone(),
            number: delivery.number,
            lease_until,
            presence: 0,
            event: Arc::clone(&self.events[&delivery.position].stored),
        }
    }

    /// The delivery of a claim that holds.
    fn held(&mut self, id: DeliveryId, epoch: i64) -> Option<&mut Delivery> {
        self.deliveries.get_mut(&id).filter(|delivery| delivery.claimed && delivery.epoch == epoch)
    }

    pub(super) fn settle(&mut self, settlement: Settlement) -> Settled {
        let Settlement { id, epoch, attempt, outcome, next, at } = settlement;
        let Some(delivery) = self.held(id, epoch) else { return Settled::LostLease };
        delivery.claimed = false;
        if outcome.is_none() || matches!(next, NextStep::WaitUntil(_)) {
            delivery.attempts -= 1;
        }
        let message = outcome.as_ref().map(|outcome| outcome.message.clone());
        if let Some(outcome) = outcome {
            let took = Duration::from_millis(u64::try_from(outcome.took.as_millis()).unwrap());
            delivery.history.insert(attempt, Outcome { started_at: kept(outcome.started_at), took, ..outcome });
        }
        match next {
            NextStep::Delivered => self.end(id, DeliveryState::Delivered, None, at),
            NextStep::Dead(reason) => self.end(id, DeliveryState::Dead, Some(reason), at),
            NextStep::RetryAt(time) | NextStep::WaitUntil(time) => {
                delivery.ready_at = kept(time);
                delivery.reason = message;
            }
        }
        Settled::Kept
    }

    /// Ends a delivery, and lets its lane go on where it was the first of it.
    pub(super) fn end(&mut self, id: DeliveryId, state: DeliveryState, reason: Option<String>, at: Timestamp) {
        let was_head = self.is_head(id);
        let delivery = self.deliveries.get_mut(&id).unwrap();
        (delivery.state, delivery.reason, delivery.settled_at) = (state, reason, Some(kept(at)));
        delivery.claimed = false;
        let (handler, lane) = (delivery.handler.clone(), delivery.lane.clone());
        let of_lane =
            |delivery: &&mut Delivery| delivery.is_pending() && delivery.handler == handler && delivery.lane == lane;
        if was_head
            && lane.is_some()
            && let Some(next) = self.deliveries.values_mut().find(of_lane)
        {
            next.ready_at = kept(at);
        }
    }

    pub(super) fn release(&mut self, claims: &[(DeliveryId, i64)]) {
        for (id, epoch) in claims {
            if let Some(delivery) = self.held(*id, *epoch) {
                delivery.claimed = false;
                delivery.attempts -= 1;
                delivery.ready_at = delivery.planned_at;
            }
        }
    }

    /// Makes due at once what is claimed, which is what a process that ended leaves behind.
    pub(super) fn recover(&mut self) {
        for delivery in self.deliveries.values_mut().filter(|delivery| delivery.claimed) {
            delivery.ready_at = Timestamp::UNIX_EPOCH;
        }
    }

    /// A delivery with its attempts.
    pub(super) fn delivery(&self, id: DeliveryId) -> Option<DeliveryRecord> {
        let attempts = |delivery: &Delivery| {
            let attempt = |(number, outcome): (&u32, &Outcome)| Attempt { number: *number, outcome: outcome.clone() };
            delivery.history.iter().map(attempt).collect()
        };
        self.deliveries.get(&id).map(|kept| DeliveryRecord { history: attempts(kept), ..self.in_list(id, kept) })
    }

    /// The same without its attempts.
    pub(super) fn in_list(&self, id: DeliveryId, kept: &Delivery) -> DeliveryRecord {
        let event = &self.events[&kept.position].stored;
        let due = kept.is_pending() && self.is_head(id);
        DeliveryRecord {
            id,
            position: kept.position,
            event: event.id,
            event_name: event.name.to_string(),
            handler: kept.handler.clone(),
            number: kept.number,
            lane: kept.lane.clone(),
            state: kept.state,
            due_at: due.then_some(kept.ready_at),
            claimed: kept.claimed,
            attempts: kept.attempts,
            retried: kept.retried,
            replay: kept.replay,
            reason: kept.reason.clone(),
            planned_at: kept.planned_at,
            settled_at: kept.settled_at,
            history: Vec::new(),
        }
    }
}
