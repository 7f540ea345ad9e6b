//! What of a batch cannot be stored now, because another process holds a key of it: one that has fallen asleep before its
//! commit does so until the server ends that.
//!
//! What always holds: a batch is halved until what is contested is alone, and all else is stored; what is contested is
//! tried again beside the batches that come after it, between two of which for no longer than `AGAIN_MAX` and one try more;
//! and it is told in time that it was not stored.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::{BATCH_TAKES_MAX, Storing, failed, tell_all};
use crate::store::postgres::failure::Failure;
use crate::store::postgres::tallies;
use crate::store::waiting::{BATCH_MAX, Request, WAITING_BYTES_MAX};

/// How much shorter than a batch a part of one waits for what somebody else holds.
const HASTE: u32 = 10;
/// The longest that a batch is taken apart in which something is contested.
pub(super) const APART_MAX: Duration = Duration::from_millis(300);
/// How often what is contested is tried again.
const AGAIN_EVERY: Duration = Duration::from_millis(50);
/// The longest that it is tried at one time.
const AGAIN_MAX: Duration = Duration::from_millis(50);

/// What is left of a batch.
#[derive(Default)]
pub(super) struct Left {
    /// Whether it was taken apart.
    pub(super) apart: bool,
    /// Whether something failed, and was told so.
    pub(super) failed: bool,
    /// What may be stored later, in the parts in which it is to be tried.
    pub(super) contested: Vec<Vec<Request>>,
}

impl Left {
    pub(super) fn add(&mut self, other: Left) {
        self.apart |= other.apart;
        self.failed |= other.failed;
        self.contested.extend(other.contested);
    }
}

/// Stores all that can be stored of these parts within a time, and tells those; what it does not come to counts as
/// contested.
pub(super) async fn apart(storing: &Storing<'_>, parts: Vec<Vec<Request>>, longest: Duration) -> Left {
    // Where this process counts may be what somebody holds.
    let shard = (storing.shard + tallies::SHARDS / 2) % tallies::SHARDS;
    let (storing, began) = (Storing { patience: storing.patience / HASTE, shard, ..*storing }, Instant::now());
    let (mut left, mut parts) = (Left { apart: true, ..Left::default() }, VecDeque::from(parts));
    while began.elapsed() < longest
        && let Some(mut part) = parts.pop_front()
    {
        match storing.exactly(&part).await {
            Ok(appended) => tell_all(part, appended),
            // Behind all others: what nobody holds does not wait until what somebody holds is alone.
            Err(failure) if (failure.is_contested() || failure.is_about_a_row()) && part.len() > 1 => {
                parts.extend(halves(part));
            }
            Err(failure) if failure.is_contested() => left.contested.push(part),
            Err(failure) => {
                // What is about nothing in particular is about the others too, who have waited already.
                if !failure.is_about_a_row() {
                    part.extend(parts.drain(..).flatten());
                }
                failed(part, failure);
                left.failed = true;
            }
        }
    }
    // What was not tried comes first the next time.
    left.contested.splice(0..0, parts);
    left
}

/// Both halves, or what cannot be halved.
pub(super) fn halves(mut requests: Vec<Request>) -> Vec<Vec<Request>> {
    let second = requests.split_off(requests.len().div_ceil(2));
    [requests, second].into_iter().filter(|half| !half.is_empty()).collect()
}

/// What is contested, and when it is tried again.
#[derive(Default)]
pub(super) struct Contested {
    parts: Vec<Vec<Request>>,
    again_at: Option<Instant>,
}

impl Contested {
    /// Takes in what is contested, as much as there may be; whether there was more, which is told.
    #[must_use]
    pub(super) fn put(&mut self, contested: Vec<Vec<Request>>) -> bool {
        let there = || self.parts.iter().flatten();
        let (mut count, mut bytes) = (there().count(), there().map(bytes_of).sum::<usize>());
        let mut fits = |request: &Request| {
            count += 1;
            bytes += bytes_of(request);
            count <= BATCH_MAX && bytes <= WAITING_BYTES_MAX
        };
        let mut too_many = Vec::new();
        for mut part in contested {
            let fitting = part.iter().take_while(|request| fits(request)).count();
            too_many.extend(part.split_off(fitting));
            self.parts.extend(Some(part).filter(|part| !part.is_empty()));
        }
        self.again_at = (!self.parts.is_empty()).then(|| self.again_at.unwrap_or_else(|| Instant::now() + AGAIN_EVERY));
        not_in_time(too_many)
    }

    /// How long until it is to be tried again; `None` where there is nothing.
    pub(super) fn again_in(&self) -> Option<Duration> {
        self.again_at.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Tries again what is contested, where it is time to; who has waited for as long as may be is told. Whether something
    /// failed.
    pub(super) async fn try_again(&mut self, storing: &Storing<'_>) -> bool {
        if self.again_at.is_none_or(|at| at > Instant::now()) {
            return false;
        }
        let is_late = |request: &mut Request| request.since.elapsed() >= BATCH_TAKES_MAX;
        let mut parts = std::mem::take(&mut self.parts);
        let late: Vec<Request> = parts.iter_mut().flat_map(|part| part.extract_if(.., is_late)).collect();
        parts.retain(|part| !part.is_empty());
        let late = not_in_time(late);
        let left = apart(storing, parts, AGAIN_MAX).await;
        self.again_at = None;
        self.put(left.contested) || left.failed || late
    }
}

/// Tells these, where there are any, that they were not stored.
fn not_in_time(requests: Vec<Request>) -> bool {
    let why = "not stored in time, because another process holds a key of it or too much beside it failed";
    let some = !requests.is_empty();
    if some {
        failed(requests, Failure::Away(why.to_owned()));
    }
    some
}

fn bytes_of(request: &Request) -> usize {
    request.accepted.body().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::sample::accepted;
    use crate::store::StoreError;
    use crate::store::waiting::Waiting;

    #[test]
    fn there_is_a_bound_to_what_is_contested_and_what_is_beyond_it_is_told_that_it_failed() {
        let mut waiting = Waiting::default();
        let mut answers: Vec<_> = (0..BATCH_MAX + 2).map(|_| waiting.push(accepted("{}")).unwrap()).collect();
        let mut contested = Contested::default();
        assert!(!contested.put(halves(waiting.take())), "all of them fit");
        assert!(contested.put(halves(waiting.take())));
        let (kept, told) = answers.split_at_mut(BATCH_MAX);
        assert!(kept.iter_mut().all(|answer| answer.try_recv().is_err()));
        assert!(told.iter_mut().all(|answer| matches!(answer.try_recv(), Ok(Err(StoreError::Unavailable(_))))));
    }
}
