//! Attempts, as the far end sees them begin and end.

use workhook::model::{Claimed, DeliveryId, DeliveryState, HandlerName};

use super::{Attempt, Came, Judge, OfHandler, Seen, ms, whole_ms};

impl Judge {
    /// A far end is asked.
    pub(crate) fn starts(&mut self, claimed: &Claimed, at: i64) {
        self.done.attempts += 1;
        let (id, name) = (claimed.id, &claimed.handler);
        let (Some(seen), Some(of)) = (self.deliveries.get(&id), self.handlers.get(name)) else {
            return self.blame(at, || format!("#{id} is attempted and was never claimed"));
        };
        let (claim, lane) = (seen.claim, seen.lane.clone());
        // Cancelled between the claim and here; else nobody may begin without one.
        let abandoned = !seen.holds || claim.epoch != claimed.epoch;
        let cancelled = seen.state == DeliveryState::Cancelled || self.out_of_order.contains(&id);
        let wrong = wrong_start(seen, of, claimed, at).filter(|_| !abandoned);
        let twice = self.of(id).any(|attempt| attempt.running && !attempt.abandoned);
        self.hold(wrong.is_none(), at, || format!("{name}: #{id} {}", wrong.unwrap_or_default()));
        self.hold(!twice, at, || format!("{name}: #{id} is attempted twice at one time"));
        self.hold(!abandoned || cancelled, at, || format!("#{id} is attempted under a claim that holds no more"));
        if !abandoned {
            self.keeps_order(claimed, lane, at);
        }
        let probe = self.passes(name, claim.asked, at);
        let allowed = claimed.allowed_attempt;
        let attempt = Attempt { since: at, allowed, claim, probe, running: true, came: None, abandoned };
        self.attempts.insert((id, claimed.epoch), attempt);
        if let (Some(seen), Some(of)) = (self.deliveries.get_mut(&id), self.handlers.get_mut(name)) {
            seen.counted += u32::from(!abandoned);
            of.running += 1;
            of.begun += 1;
        }
    }

    /// The attempts of a delivery.
    fn of(&self, id: DeliveryId) -> impl Iterator<Item = &Attempt> {
        self.attempts.range((id, i64::MIN)..=(id, i64::MAX)).map(|(_, attempt)| attempt)
    }

    /// Within a lane, one begins when those before it have ended.
    fn keeps_order(&mut self, claimed: &Claimed, lane: Option<(HandlerName, String)>, at: i64) {
        let (Some(lane), id) = (lane, claimed.id) else { return };
        let Some(last) = self.lanes.insert(lane, id).filter(|last| *last != id) else { return };
        let ended =
            self.deliveries.get(&last).is_none_or(|seen| seen.state != DeliveryState::Pending || seen.lane.is_none());
        self.hold(last < id, at, || format!("#{id} is attempted after #{last}, which stands behind it in its lane"));
        self.hold(ended, at, || format!("#{id} is attempted before #{last} has ended, which is before it in its lane"));
    }

    /// The far end is done with an attempt, or nobody waits for it any more.
    pub(crate) fn ends(&mut self, claimed: &Claimed, came: Came, at: i64) {
        let id = claimed.id;
        let (Some(seen), Some(of)) = (self.deliveries.get_mut(&id), self.handlers.get_mut(&claimed.handler)) else {
            return;
        };
        let Some(attempt) = self.attempts.get_mut(&(id, claimed.epoch)) else { return };
        let timed_out = at - attempt.since >= whole_ms(of.policy.timeout);
        // Cut short, it counts or not, as far as can be told from here.
        let counts = came != Came::Nothing || timed_out;
        attempt.came = counts.then_some(came);
        attempt.running = false;
        if attempt.probe {
            of.far.probing = false;
        }
        of.running -= 1;
        seen.taken += u32::from(came == Came::Taken);
        if !attempt.abandoned && (!counts || matches!(came, Came::Throttled(_))) {
            seen.counted -= 1;
        }
    }
}

/// What is wrong with an attempt that begins, apart from its order.
fn wrong_start(seen: &Seen, of: &OfHandler, claimed: &Claimed, at: i64) -> Option<String> {
    let Seen { counted, not_before, claim, .. } = seen;
    let allowed = of.policy.retry.attempts;
    let places = of.policy.concurrency.max(claim.places);
    let rate = of.policy.rate.map(|rate| f64::from(rate.count) / rate.per.as_secs_f64());
    if seen.state != DeliveryState::Pending {
        return Some(format!("is attempted though it is {}", seen.state));
    }
    if *counted >= allowed {
        return Some(format!("is attempted once more after {counted} of {allowed} attempts"));
    }
    if at < *not_before {
        return Some(format!("is attempted before {not_before} ms"));
    }
    if of.running >= places {
        return Some(format!("is one more at one time than the {places} that may be"));
    }
    if at + whole_ms(of.policy.timeout) >= ms(claimed.lease_until) {
        return Some(format!("could outlast its lease, which ends at {} ms", ms(claimed.lease_until)));
    }
    if seen.position != claimed.event.position || seen.handler != claimed.handler {
        return Some("is of another event or handler than before".to_owned());
    }
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let most = rate.map(|rate| rate.max(1.0) + rate * ((at - of.since) as f64 / 1000.0) + 0.01);
    most.filter(|most| f64::from(of.begun + 1) > *most).map(|most| format!("is more than the rate allows, {most}"))
}
