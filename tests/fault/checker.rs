//! The checker: what must hold of every history, whatever was done to the process. A pure function.
//!
//! | | what must hold |
//! | --- | --- |
//! | I1 | what was acknowledged is stored |
//! | I2 | one event for one occurrence, and none that nobody sent |
//! | I3 | each event is handled by each handler, or dead with a reason, or pending and due in time |
//! | I4 | within a lane: in the order of storing, the next not before the one before it is done with |
//! | I5 | no attempt before its time |
//! | I7 | no result is taken of an attempt whose lease was lost |
//! | I8 | no attempt is made under a claim that was lost: none after one of a later number |
//! | R | what was taken is taken again no more often than attempts were under way when something was done |
//! | A | every answer is in time, and is 200 with `errcode` 0 or 503 |
//!
//! I6, that memory and time are bounded, is not to be seen in a history; tests look at the process.

mod lanes;
mod seen;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use self::seen::Seen;
use crate::history::{Delivery, Entry};

/// How long the sender may have to wait for an answer, in milliseconds.
pub(crate) const ANSWER_WITHIN_MS: u64 = 2200;

/// What is known beforehand about a run.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// The handlers, each of which takes every event.
    pub(crate) handlers: Vec<String>,
    /// The longest back-off that is set about them, in milliseconds.
    pub(crate) back_off_max_ms: i64,
    /// How long an attempt may take before the service itself ends it, in milliseconds.
    pub(crate) timeout_ms: u64,
    /// Whether the run was left to go on until nothing was pending.
    pub(crate) settled: bool,
    /// How many attempts of a handler a process may have under way; `None` where attempts are given up for other reasons
    /// as well, so that nothing is said of how often something is taken again.
    pub(crate) concurrency: Option<usize>,
    /// What stands between the senders and the processes.
    pub(crate) front: Option<Front>,
}

/// A proxy in front.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Front {
    /// How much later an answer may be because of it, in milliseconds.
    pub(crate) adds_ms: u64,
    /// For how long after something was done to a process it may say that it has nobody to ask, in milliseconds.
    pub(crate) minds_for_ms: u64,
}

/// Everything that does not hold, each with the letter of what is broken; empty where all is well.
pub(crate) fn broken(history: &[Entry], rules: &Rules) -> Vec<String> {
    let seen = Seen::of(history, rules.timeout_ms);
    let mut told = Vec::new();
    answers(&seen, rules, &mut told);
    acknowledged(&seen, &mut told);
    occurrences(&seen, &mut told);
    handled(&seen, rules, &mut told);
    for handler in &rules.handlers {
        lanes::order(&seen, handler, &mut told);
        lanes::times(&seen, handler, &mut told);
        lanes::leases(&seen, handler, &mut told);
        repeated(&seen, rules, handler, &mut told);
    }
    told
}

/// R: what was taken is taken again only because a process could not keep that it was.
fn repeated(seen: &Seen<'_>, rules: &Rules, handler: &str, told: &mut Vec<String>) {
    let Some(concurrency) = rules.concurrency else { return };
    let (again, at_most) = (seen.taken_again(handler), seen.losses() * concurrency);
    if again > at_most {
        told.push(format!("R: {handler} took {again} again, and at most {at_most} attempts were lost"));
    }
}

/// A: each answer is one of the two that the sender may get of a good request, and in time.
fn answers(seen: &Seen<'_>, rules: &Rules, told: &mut Vec<String>) {
    let (adds_ms, minds_us) = rules.front.map_or((0, 0), |front| (front.adds_ms, front.minds_for_ms * 1000));
    for (number, request) in &seen.requests {
        let id = request.id;
        let Some(over) = &request.over else { continue };
        let excused = seen.was_away(request.sent_us, over.at_us);
        match over.answer {
            Some((200, Some(0)) | (503, Some(503))) => {}
            // No answer, or that it could not read the body in time, for want of something.
            None | Some((408, Some(408))) if excused => {}
            // What a proxy says for those whom it cannot reach.
            Some((502 | 504, None))
                if rules.front.is_some() && seen.was_away(request.sent_us.saturating_sub(minds_us), over.at_us) => {}
            Some((status, errcode)) => {
                told.push(format!("A: request {number} of {id} was answered {status} with errcode {errcode:?}"));
            }
            None => told.push(format!("A: request {number} of {id} got no answer, and nothing had happened")),
        }
        if over.took_ms > ANSWER_WITHIN_MS + adds_ms && !excused {
            told.push(format!("A: request {number} of {id} was over only after {} ms", over.took_ms));
        }
    }
}

/// I1: what was acknowledged is stored.
fn acknowledged(seen: &Seen<'_>, told: &mut Vec<String>) {
    let stored: BTreeSet<&str> = seen.stored.iter().filter_map(|stored| stored.id).collect();
    let missing = seen.acknowledged.keys().filter(|id| !stored.contains(*id));
    told.extend(missing.map(|id| format!("I1: {id} was acknowledged, and is not stored")));
}

/// I2: one event for one occurrence, and none that nobody sent.
fn occurrences(seen: &Seen<'_>, told: &mut Vec<String>) {
    let mut times: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for stored in &seen.stored {
        match stored.id {
            Some(id) if seen.sent.contains_key(id) => *times.entry((stored.webhook_id, id)).or_default() += 1,
            id => told.push(format!("I2: nobody sent {id:?}, which is stored at {}", stored.position)),
        }
    }
    let doubled = times.into_iter().filter(|(_, times)| *times > 1);
    told.extend(doubled.map(|((_, id), times)| format!("I2: {id} is stored {times} times")));
}

/// I3: each event is with each handler handled, dead with a reason, or pending and due in time.
fn handled(seen: &Seen<'_>, rules: &Rules, told: &mut Vec<String>) {
    for stored in &seen.stored {
        for handler in &rules.handlers {
            let what = format!("{:?} at {} for {handler}", stored.id.unwrap_or_default(), stored.position);
            match seen.deliveries.get(&(handler.as_str(), stored.position)).map(Vec::as_slice) {
                None | Some([]) if rules.settled => told.push(format!("I3: {what} has no delivery")),
                None | Some([]) => {}
                Some([delivery]) => {
                    told.extend(unexplained(seen, rules, delivery).map(|why| format!("I3: {what} {why}")));
                }
                Some(deliveries) => told.push(format!("I3: {what} has {} deliveries", deliveries.len())),
            }
        }
    }
}

/// What is not explained about a delivery.
fn unexplained(seen: &Seen<'_>, rules: &Rules, delivery: &Delivery) -> Option<String> {
    let behind = || seen.is_behind_another(delivery);
    match (delivery.state.as_str(), delivery.due_in_ms) {
        ("delivered", _) => {
            let taken = seen.attempts_of(delivery).any(|attempt| attempt.taken_us().is_some());
            (!taken).then(|| "is said to be delivered, and was never taken".to_owned())
        }
        ("dead", _) => {
            let silent = delivery.reason.as_deref().unwrap_or_default().is_empty();
            silent.then(|| "is dead without a reason".to_owned())
        }
        ("pending", _) if rules.settled => Some("is still pending at the end".to_owned()),
        ("pending", Some(due_in_ms)) => {
            let late = due_in_ms > rules.back_off_max_ms;
            late.then(|| format!("is due only in {due_in_ms} ms"))
        }
        ("pending", None) => (!behind()).then(|| "is pending, due never, and behind no other".to_owned()),
        (state, _) => Some(format!("is {state}")),
    }
}
