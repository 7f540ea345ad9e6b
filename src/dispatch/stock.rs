//! What a handler's loop has claimed ahead: deliveries that wait for a place, so that no place waits for a commit.
//!
//! As many as are attempted while a claim is made. So where attempts take long there are none, and what waits here
//! waits for about as long as a commit takes. What always holds: there are never more than [`AHEAD_MAX`]; and what has
//! waited for longer than [`KEEPS`] is given back, so that what somebody paused, cancelled or forgot meanwhile, and a far
//! end that became slow, hold for it as well.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::Claimed;

/// The most deliveries that are claimed ahead of free places: requests wait behind a claim.
pub(super) const AHEAD_MAX: usize = 64;

/// How long a delivery may wait here.
pub(super) const KEEPS: Duration = Duration::from_secs(1);
/// With how many attempts at the least something is claimed ahead: what waits here when the process ends has had one.
pub(super) const ATTEMPTS_MIN: u32 = 3;

/// Deliveries that are claimed and wait for a place.
#[derive(Debug, Default)]
pub(super) struct Stock(Mutex<Inside>);

#[derive(Debug, Default)]
struct Inside {
    /// Each with when it was claimed.
    waiting: VecDeque<(Claimed, Instant)>,
    /// How long a claim and an attempt take at present.
    claim: Duration,
    attempt: Duration,
}

impl Stock {
    /// How many to claim ahead, where there are so many places; none while more than half of them are there.
    pub(super) fn wants(&self, places: usize) -> usize {
        let inside = self.lock();
        let (have, ahead) = (inside.waiting.len(), ahead(places, inside.claim, inside.attempt));
        if have > ahead / 2 { 0 } else { ahead - have }
    }

    /// Adds what was claimed, by a claim that took so long.
    pub(super) fn put(&self, claimed: impl IntoIterator<Item = Claimed>, took: Duration) {
        let (mut inside, now) = (self.lock(), Instant::now());
        inside.waiting.extend(claimed.into_iter().map(|claimed| (claimed, now)));
        inside.claim = smooth(inside.claim, took);
    }

    /// An attempt took so long.
    pub(super) fn attempted(&self, took: Duration) {
        let mut inside = self.lock();
        inside.attempt = smooth(inside.attempt, took);
    }

    /// The one that waits for longest.
    pub(super) fn take(&self) -> Option<Claimed> {
        self.lock().waiting.pop_front().map(|(claimed, _)| claimed)
    }

    /// Those that have waited for too long.
    pub(super) fn take_stale(&self) -> Vec<Claimed> {
        let mut inside = self.lock();
        let stale = inside.waiting.iter().take_while(|(_, since)| since.elapsed() > KEEPS).count();
        inside.waiting.drain(..stale).map(|(claimed, _)| claimed).collect()
    }

    /// Whether none waits.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().waiting.is_empty()
    }

    /// All that wait.
    pub(super) fn take_all(&self) -> Vec<Claimed> {
        self.lock().waiting.drain(..).map(|(claimed, _)| claimed).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        // Nothing in here is half done when a panic lets go of the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many are attempted in so many places while a claim is made.
fn ahead(places: usize, claim: Duration, attempt: Duration) -> usize {
    if attempt.is_zero() {
        return 0;
    }
    let rounds = claim.as_nanos() / attempt.as_nanos();
    let part = (claim.as_nanos() % attempt.as_nanos()) * places as u128 / attempt.as_nanos();
    let all = rounds.saturating_mul(places as u128).saturating_add(part);
    usize::try_from(all).map_or(AHEAD_MAX, |all| all.min(AHEAD_MAX))
}

/// What something takes at present, after it took so long once more.
fn smooth(before: Duration, took: Duration) -> Duration {
    if before.is_zero() { took } else { (before * 7 + took) / 8 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_claimed_ahead_as_are_attempted_meanwhile_and_none_where_attempts_take_long() {
        let check = |places, claim_us, attempt_us, expected| {
            let [claim, attempt] = [claim_us, attempt_us].map(Duration::from_micros);
            assert_eq!(ahead(places, claim, attempt), expected, "{places} places, {claim:?} and {attempt:?}");
        };
        check(8, 1000, 200, 40);
        check(8, 1000, 3000, 2);
        check(8, 1000, 10_000, 0);
        check(64, 1000, 1, AHEAD_MAX);
        check(64, u64::MAX, 1, AHEAD_MAX);
        check(8, 1000, 0, 0);
    }

    #[test]
    fn more_are_wanted_only_when_half_of_them_are_gone() {
        let stock = Stock::default();
        assert_eq!(stock.wants(8), 0, "nothing is known yet");
        stock.put([], Duration::from_millis(1));
        stock.attempted(Duration::from_millis(1));
        assert_eq!(stock.wants(8), 8);
        assert!(stock.take().is_none());
    }
}
