//! What dispatch and the store say to each other: plans, claims, settlements.

use std::collections::BTreeSet;

use jiff::Timestamp;
use workhook::model::{Claimed, DeliveryId, DeliveryState, Ended, HandlerName, NextStep, Plan, Settlement};
use workhook::store::{Appended, Settled};

use super::{Came, Claim, Judge, LEASE_MARGIN, Seen, ms, whole_ms};

impl Judge {
    /// The planner hands over plans: each says of every handler in force what becomes of it.
    pub(crate) fn plans(&mut self, plans: &[Plan], at: i64) {
        let in_force: BTreeSet<String> =
            self.handlers.iter().filter(|(_, of)| of.in_force).map(|(name, _)| name.to_string()).collect();
        for plan in plans {
            let deliveries = plan.deliveries.iter().map(|new| new.handler.as_str());
            let named: Vec<&str> = deliveries.chain(plan.not_routed.iter().map(|not| not.handler.as_str())).collect();
            let mut left = in_force.clone();
            let once = named.iter().all(|name| left.remove(*name)) && left.is_empty();
            let position = plan.position;
            self.hold(once, at, || format!("event {position} is planned for {named:?}, in force are {in_force:?}"));
        }
    }

    /// Plans were kept.
    pub(crate) fn planned(&mut self, plans: &[Plan]) {
        for plan in plans {
            let handlers = plan.deliveries.iter().map(|new| new.handler.clone()).collect();
            self.plans.entry(plan.position).or_insert(handlers);
        }
    }

    /// A handler got deliveries, which it asked for at this step.
    pub(crate) fn claims(
        &mut self,
        handler: &HandlerName,
        claimed: &[Claimed],
        (asked, places): (u64, usize),
        at: i64,
    ) {
        let paused = self.handlers.get(handler).is_some_and(|of| of.paused);
        self.hold(claimed.is_empty() || !paused, at, || format!("{handler} is paused and gets deliveries"));
        let ordered = self.handlers.get(handler).is_some_and(|of| of.policy.ordered);
        for one in claimed {
            let id = one.id;
            let in_order = ordered && !self.out_of_order.contains(&id);
            let entity = one.event.entity.as_ref().filter(|_| in_order);
            let seen = self.deliveries.entry(id).or_insert_with(|| Seen {
                handler: handler.clone(),
                position: one.event.position,
                lane: entity.map(|entity| (handler.clone(), entity.to_string())),
                state: DeliveryState::Pending,
                claim: Claim::default(),
                holds: false,
                not_before: 0,
                counted: 0,
                taken: 0,
            });
            let held = seen.holds && at < seen.claim.lease_until;
            let (pending, newer) = (seen.state == DeliveryState::Pending, one.epoch > seen.claim.epoch);
            let (state, not_before) = (seen.state, seen.not_before);
            seen.claim = Claim { epoch: one.epoch, lease_until: ms(one.lease_until), asked, places };
            if std::mem::replace(&mut seen.holds, true) {
                self.done.lost += 1;
            }
            self.hold(!held, at, || format!("#{id} is claimed while it is held"));
            self.hold(pending, at, || format!("#{id} is claimed though it is {state}"));
            self.hold(newer, at, || format!("the claim of #{id} is no later one than that before"));
            self.hold(at >= not_before, at, || format!("#{id} is claimed before {not_before} ms"));
        }
    }

    /// Dispatch has worked out what becomes of an attempt.
    pub(crate) fn settling(&mut self, settlement: &Settlement) {
        let (id, at) = (settlement.id, ms(settlement.at));
        let Some(seen) = self.deliveries.get(&id) else {
            return self.blame(at, || format!("#{id} is settled and was never claimed"));
        };
        // It is tried again while the store fails, also after somebody had it claimed anew.
        if !self.said.insert((id, settlement.epoch)) {
            return;
        }
        let Some(of) = self.handlers.get_mut(&seen.handler) else { return };
        of.far.hears();
        let Some(attempt) = self.attempts.get(&(id, settlement.epoch)) else {
            let asked = settlement.outcome.is_some();
            return self.hold(!asked, at, || format!("#{id} has an outcome, and nobody was asked"));
        };
        let timed_out = attempt.running && at - attempt.since >= whole_ms(of.policy.timeout);
        let came = attempt.came.or(timed_out.then_some(Came::Nothing));
        if at < attempt.claim.lease_until && attempt.claim.asked > of.far.turned {
            match settlement.outcome.as_ref().map(|outcome| outcome.ended) {
                Some(Ended::Delivered) => of.far.failures = 0,
                Some(Ended::Failed | Ended::Refused) if of.far.open.is_none() => of.far.failures += 1,
                _ => {}
            }
        }
        let (retry, next) = (&of.policy.retry, &settlement.next);
        let used_up = attempt.allowed >= retry.attempts;
        let due = |time: &Timestamp| {
            let earliest = whole_ms(asked_for(came, retry.first).min(retry.max));
            (at + earliest..=at + whole_ms(retry.max)).contains(&ms(*time))
        };
        let fits = match (next, came) {
            (NextStep::Delivered, came) => came == Some(Came::Taken),
            (NextStep::RetryAt(time), Some(Came::Failed(_) | Came::Panicked | Came::Nothing)) => due(time) && !used_up,
            (NextStep::WaitUntil(time), Some(Came::Throttled(_))) => due(time),
            // Cut short at a stop.
            (NextStep::WaitUntil(time), None) => ms(*time) == at,
            (NextStep::Dead(reason), Some(Came::Refused)) => !reason.is_empty(),
            (NextStep::Dead(reason), Some(Came::Failed(_) | Came::Panicked | Came::Nothing)) => {
                !reason.is_empty() && used_up
            }
            _ => false,
        };
        self.done.dead += u64::from(matches!(next, NextStep::Dead(_)));
        self.hold(fits, at, || format!("#{id} ended with {came:?}, and what follows is {next:?}"));
    }

    /// The store took a result, or refused it.
    pub(crate) fn settled(&mut self, settlement: &Settlement, settled: Settled, at: i64) {
        let Some(seen) = self.deliveries.get_mut(&settlement.id) else { return };
        let id = settlement.id;
        let holds = seen.holds && seen.claim.epoch == settlement.epoch;
        if settled == Settled::Kept && holds {
            seen.holds = false;
            match &settlement.next {
                NextStep::Delivered => seen.state = DeliveryState::Delivered,
                NextStep::Dead(_) => seen.state = DeliveryState::Dead,
                NextStep::RetryAt(time) | NextStep::WaitUntil(time) => seen.not_before = ms(*time),
            }
        }
        let agree = (settled == Settled::Kept) == holds;
        let epoch = settlement.epoch;
        self.hold(agree, at, || format!("the result of claim {epoch} of #{id} was {settled:?}, and it holds: {holds}"));
    }

    /// Claims were given back.
    pub(crate) fn released(&mut self, claims: &[(DeliveryId, i64)]) {
        for (id, epoch) in claims {
            if let Some(seen) = self.deliveries.get_mut(id)
                && seen.claim.epoch == *epoch
            {
                seen.holds = false;
            }
        }
    }

    /// A lease is as long as an attempt may take, and somewhat longer.
    pub(crate) fn leases(&mut self, handler: &HandlerName, lease: std::time::Duration, at: i64) {
        let longest = self.handlers.get(handler).map_or(LEASE_MARGIN, |of| of.policy.timeout + LEASE_MARGIN);
        self.hold(lease <= longest, at, || format!("{handler} asks for a lease of {lease:?}"));
    }

    /// A request or a notice was stored, or recognised.
    pub(crate) fn appended(&mut self, appended: &Appended) {
        self.done.events += u64::from(matches!(appended, Appended::Stored { .. }));
    }
}

/// How long the far end asked to wait.
fn asked_for(came: Option<Came>, unsaid: std::time::Duration) -> std::time::Duration {
    match came {
        Some(Came::Failed(asked)) => asked.unwrap_or_default(),
        Some(Came::Throttled(asked)) => asked.unwrap_or(unsaid),
        _ => std::time::Duration::ZERO,
    }
}
