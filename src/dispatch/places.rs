//! The places for attempts: how many are made at one time.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places for attempts, of which a change may make more or fewer.
#[derive(Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    all: usize,
}

impl Places {
    /// None yet.
    pub(super) fn none() -> Places {
        Places { free: Arc::new(Semaphore::new(0)), all: 0 }
    }

    /// Takes all that are free, of this many. Those that are taken and too many go when they are free again.
    pub(super) fn take(&mut self, concurrency: usize) -> Vec<OwnedSemaphorePermit> {
        self.free.add_permits(concurrency.saturating_sub(self.all));
        self.all = self.all.max(concurrency);
        self.all -= self.free.forget_permits(self.all - concurrency);
        std::iter::from_fn(|| Arc::clone(&self.free).try_acquire_owned().ok()).collect()
    }

    /// Whether more are taken than there should be.
    pub(super) fn are_crowded(&self, concurrency: usize) -> bool {
        self.all > concurrency
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_become_more_at_once_and_fewer_when_they_are_free_again() {
        let mut places = Places::none();
        let mut taken = places.take(2);
        assert_eq!((taken.len(), places.take(2).len()), (2, 0));
        taken.extend(places.take(5));
        assert_eq!(taken.len(), 5);
        assert_eq!(places.take(3).len(), 0);
        taken.truncate(3);
        assert_eq!(places.take(3).len(), 0, "three are taken still");
        taken.truncate(2);
        assert_eq!(places.take(3).len(), 1);
        drop(taken);
        assert_eq!(places.take(1).len(), 1);
        assert_eq!(places.take(4).len(), 4);
    }
}
