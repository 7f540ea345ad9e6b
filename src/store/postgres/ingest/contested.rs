//! What of a batch cannot be stored now, because another process holds a key of it: one that has fallen asleep before its
//! commit does so until the server ends that.
//!
//! What always holds: a batch is halved until what is contested is alone, and all else is stored; what is contested is
//! tried again beside the batches that come after it, and nobody waits for it for longer than a moment; and it is told in
//! time that it was not stored.

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
    /// Whether something failed, and was told so.
    pub(super) failed: bool,
    /// What may be stored later.
    pub(super) contested: Vec<Request>,
}

impl Left {
    pub(super) fn add(&mut self, other: Left) {
        self.failed |= other.failed;
        self.contested.extend(other.contested);
    }
}

/// Stores all that can be stored of a batch within a time, and tells those; what it does not come to counts as contested.
pub(super) async fn apart(storing: &Storing<'_>, batch: Vec<Request>, longest: Duration) -> Left {
    // Where this process counts may be what somebody holds.
    let shard = (storing.shard + tallies::SHARDS / 2) % tallies::SHARDS;
    let (storing, began) = (Storing { patience: storing.patience / HASTE, shard, ..*storing }, Instant::now());
    let (mut left, mut parts) = (Left::default(), halves(batch));
    while began.elapsed() < longest
        && let Some(mut part) = parts.pop()
    {
        match storing.exactly(&part).await {
            Ok(appended) => tell_all(part, appended),
            Err(failure) if (failure.is_contested() || failure.is_about_a_row()) && part.len() > 1 => {
                parts.extend(halves(part));
            }
            Err(failure) if failure.is_contested() => left.contested.extend(part),
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
    parts.reverse();
    left.contested.splice(0..0, parts.into_iter().flatten());
    left
}

/// Both halves, of which the first comes last: it is taken first.
fn halves(mut requests: Vec<Request>) -> Vec<Vec<Request>> {
    let second = requests.split_off(requests.len().div_ceil(2));
    [second, requests].into_iter().filter(|half| !half.is_empty()).collect()
}

/// What is contested, and when it is tried again.
#[derive(Default)]
pub(super) struct Contested {
    requests: Vec<Request>,
    again_at: Option<Instant>,
}

impl Contested {
    /// Takes in what is contested, as much as there may be.
    pub(super) fn put(&mut self, contested: Vec<Request>) {
        let mut bytes: usize = self.requests.iter().map(bytes_of).sum();
        for request in contested {
            bytes += bytes_of(&request);
            if self.requests.len() >= BATCH_MAX || bytes > WAITING_BYTES_MAX {
                failed(vec![request], in_use());
            } else {
                self.requests.push(request);
            }
        }
        self.again_at =
            (!self.requests.is_empty()).then(|| self.again_at.unwrap_or_else(|| Instant::now() + AGAIN_EVERY));
    }

    /// How long until it is to be tried again; `None` where there is nothing.
    pub(super) fn again_in(&self) -> Option<Duration> {
        self.again_at.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Tries again what is contested, where it is time to; who has waited for as long as may be is told.
    pub(super) async fn try_again(&mut self, storing: &Storing<'_>) {
        if self.again_at.is_none_or(|at| at > Instant::now()) {
            return;
        }
        let all = std::mem::take(&mut self.requests);
        let (late, rest): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|request| request.since.elapsed() >= BATCH_TAKES_MAX);
        if !late.is_empty() {
            failed(late, in_use());
        }
        let left = apart(storing, rest, AGAIN_MAX).await;
        self.again_at = None;
        self.put(left.contested);
    }
}

fn in_use() -> Failure {
    Failure::Away("another process is storing the same, and has not ended that".to_owned())
}

fn bytes_of(request: &Request) -> usize {
    request.accepted.body().len()
}
