//! What must hold within a lane, and of the attempts of one delivery.

use std::collections::BTreeMap;

use super::seen::{Attempt, Seen, Stored};
use crate::history::Told;

/// How much earlier than it should an attempt may seem to begin, in microseconds: times are kept in milliseconds.
const TRUNCATED_US: u64 = 2000;

/// I4: first the order of storing itself, then that a lane keeps it.
pub(super) fn order(seen: &Seen<'_>, handler: &str, told: &mut Vec<String>) {
    let mut lanes: BTreeMap<u64, Vec<&Stored<'_>>> = BTreeMap::new();
    for stored in &seen.stored {
        lanes.entry(seen.entity(stored).unwrap_or_default()).or_default().push(stored);
    }
    for lane in lanes.values_mut() {
        lane.sort_by_key(|stored| stored.position);
        // Of those behind, the one that was acknowledged first.
        let mut first: Option<(u64, &str)> = None;
        let mut late = Vec::new();
        for stored in lane.iter().rev() {
            let sent_us = seen.first_sent_us(name(stored));
            if let (Some((at_us, other)), Some(sent_us)) = (first, sent_us)
                && at_us < sent_us
            {
                late.push(format!(
                    "I4: {other} was acknowledged before {} was sent, and is stored behind it",
                    name(stored)
                ));
            }
            let own = seen.acknowledged.get(name(stored)).map(|at_us| (*at_us, name(stored)));
            first = first.into_iter().chain(own).min();
        }
        told.extend(late.into_iter().rev());
        for pair in lane.windows(2) {
            told.extend(too_soon(seen, handler, pair[0], pair[1]));
        }
    }
}

fn name<'a>(stored: &Stored<'a>) -> &'a str {
    stored.id.unwrap_or_default()
}

/// What is wrong between one and the next of a lane.
fn too_soon(seen: &Seen<'_>, handler: &str, one: &Stored<'_>, next: &Stored<'_>) -> Vec<String> {
    let (first, second) = (seen.attempts(handler, name(one)), seen.attempts(handler, name(next)));
    let Some(began_us) = second.first().map(|attempt| attempt.began_us) else { return Vec::new() };
    let (one_name, next_name) = (name(one), name(next));
    if one_name == next_name {
        // One occurrence twice is for I2 to tell.
        return Vec::new();
    }
    let mut wrong = Vec::new();
    let taken = first.iter().filter_map(Attempt::taken_us).any(|at_us| at_us <= began_us);
    let state = seen.deliveries.get(&(handler, one.position)).and_then(|rows| rows.first()).map(|row| &*row.state);
    if !taken && state != Some("dead") {
        wrong.push(format!("I4: {handler} got {next_name} before {one_name}, which is before it in its lane"));
    }
    if first.iter().any(|attempt| attempt.began_us > began_us) {
        wrong.push(format!("I4: {handler} got {one_name} again after {next_name}, which is behind it in its lane"));
    }
    if first.iter().any(|attempt| seen.is_under_way(attempt, began_us)) {
        wrong.push(format!("I4: {handler} got {next_name} while {one_name} of the same lane was under way"));
    }
    wrong
}

/// I5: who asks for a pause gets it.
pub(super) fn times(seen: &Seen<'_>, handler: &str, told: &mut Vec<String>) {
    for stored in &seen.stored {
        for pair in seen.attempts(handler, name(stored)).windows(2) {
            let Some((ended_us, Told::FailedForSeconds(seconds))) = pair[0].ended else { continue };
            let due_us = ended_us + seconds * 1_000_000;
            let began_us = pair[1].began_us;
            if began_us + TRUNCATED_US < due_us && !seen.was_disturbed(ended_us, began_us) {
                let early_ms = (due_us - began_us) / 1000;
                told.push(format!("I5: {handler} got {} again {early_ms} ms before its time", name(stored)));
            }
        }
    }
}

/// I7: an attempt beside which the next one began counts for nothing. I8: whoever made the earlier one of two, by their
/// numbers, had lost its claim when the later one began.
pub(super) fn leases(seen: &Seen<'_>, handler: &str, told: &mut Vec<String>) {
    for stored in &seen.stored {
        let tries =
            seen.deliveries.get(&(handler, stored.position)).and_then(|rows| rows.first()).map(|row| &row.tries);
        for pair in seen.attempts(handler, name(stored)).windows(2) {
            if pair[1].number < pair[0].number {
                told.push(format!(
                    "I8: {handler} got attempt {} of {} from replica {} after attempt {} from replica {}",
                    pair[1].number,
                    name(stored),
                    pair[1].replica,
                    pair[0].number,
                    pair[0].replica
                ));
            }
            let superseded = pair[0].number != pair[1].number && seen.is_under_way(&pair[0], pair[1].began_us);
            let kept = tries.and_then(|tries| tries.iter().find(|one| one.number == pair[0].number));
            if superseded
                && let Some(kept) = kept
                && kept.ended != "lost"
            {
                told.push(format!(
                    "I7: attempt {} of {} for {handler} lost its lease, and is kept as {}",
                    kept.number,
                    name(stored),
                    kept.ended
                ));
            }
        }
    }
}
