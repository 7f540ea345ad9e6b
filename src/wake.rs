//! Wake-ups: a hint that there is something to do. The store is the truth; a lost hint costs only time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// A hint with one kind of meaning, for any number of those who wait.
#[derive(Debug, Clone, Default)]
pub struct Wake(Arc<Hints>);

/// One who waits. A hint that comes between two waits is not lost, and many hints are one.
#[derive(Debug)]
pub struct Sleeper {
    hints: Arc<Hints>,
    /// How many hints there were when it was last woken.
    seen: u64,
}

#[derive(Debug, Default)]
struct Hints {
    given: AtomicU64,
    /// Wakes those who wait in the order in which they came.
    waiting: Notify,
}

impl Wake {
    /// A hint that nobody waits for yet.
    #[must_use]
    pub fn new() -> Wake {
        Wake::default()
    }

    /// Wakes everyone who waits, and whoever waits next.
    pub fn wake(&self) {
        self.0.given.fetch_add(1, Ordering::SeqCst);
        self.0.waiting.notify_waiters();
    }

    /// Registers: every hint from here on is seen.
    #[must_use]
    pub fn sleeper(&self) -> Sleeper {
        Sleeper { hints: Arc::clone(&self.0), seen: self.0.given.load(Ordering::SeqCst) }
    }
}

impl Sleeper {
    /// Waits for a hint. Cancel safe. For ever where nobody is left who could give one.
    pub async fn woken(&mut self) {
        loop {
            // Made before the look, so that no hint falls between the two.
            let woken = self.hints.waiting.notified();
            let given = self.hints.given.load(Ordering::SeqCst);
            if given != self.seen {
                self.seen = given;
                return;
            }
            woken.await;
        }
    }
}

/// The hints that the rooms share.
#[derive(Debug, Clone, Default)]
pub struct Wakes {
    /// An event was stored.
    pub events: Wake,
    /// Deliveries were planned, or became due by other hands than the handler's own.
    pub deliveries: Wake,
    /// A replay began, stopped or goes on.
    pub replays: Wake,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hint_between_two_waits_is_not_lost_and_many_are_one() {
        let wake = Wake::new();
        let mut sleeper = wake.sleeper();
        wake.wake();
        wake.wake();
        sleeper.woken().await;
        let again = tokio::time::timeout(std::time::Duration::from_millis(1), sleeper.woken()).await;
        assert!(again.is_err(), "many hints are one");
    }
}
