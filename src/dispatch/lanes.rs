//! The lanes of one handler: claims what is due, attempts it beside everything else, and settles it.
//!
//! Each handler has a loop and a bound of its own, so one that is slow or down delays nobody else. What always holds:
//! a lane's next delivery is claimed only after the one before it was settled in the store; no attempt starts under a
//! lease that it could outlast; and each is made with what is set about the handler when it starts (ruling 19).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::attempt;
use super::{Consumer, House};
use crate::clock::{between, later};
use crate::model::{Claimed, Settlement};
use crate::store::{ClaimRequest, Settled};
use crate::telemetry::with_causes;

/// How often the store is asked though nobody said that there is something.
const POLL: Duration = Duration::from_secs(5);
/// How long to wait after the store failed.
const PAUSE: Duration = Duration::from_millis(500);
/// How much longer than an attempt a lease is, for what comes before and after it.
const LEASE_MARGIN: Duration = Duration::from_secs(30);

/// When the loops end.
#[derive(Debug, Clone)]
pub(super) struct Ends {
    /// Nothing more is claimed.
    pub(super) stop: CancellationToken,
    /// Attempts that are under way are cut short.
    pub(super) cut: CancellationToken,
}

/// Attempts a handler's deliveries until it is told to stop, and returns when the last one is settled.
pub(super) async fn run(house: House, mut consumer: watch::Receiver<Arc<Consumer>>, ends: Ends) {
    let mut sleeper = house.wakes.deliveries.sleeper();
    let mut places = Places { free: Arc::new(Semaphore::new(0)), all: 0 };
    let lanes = Arc::new(Lanes { house, consumer: consumer.clone(), ends, freed: Notify::new() });
    let attempts = TaskTracker::new();
    while !lanes.ends.stop.is_cancelled() {
        let wait = lanes.claim(&mut places, &attempts).await;
        tokio::select! {
            () = lanes.ends.stop.cancelled() => {}
            Ok(()) = consumer.changed() => {}
            () = sleeper.woken() => {}
            () = lanes.freed.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
    attempts.close();
    attempts.wait().await;
}

/// The places for attempts, of which a change may make more or fewer.
struct Places {
    free: Arc<Semaphore>,
    all: usize,
}

impl Places {
    /// Takes all that are free, of this many. Those that are taken and too many go when they are free again.
    fn take(&mut self, concurrency: usize) -> Vec<OwnedSemaphorePermit> {
        self.free.add_permits(concurrency.saturating_sub(self.all));
        self.all = self.all.max(concurrency);
        self.all -= self.free.forget_permits(self.all - concurrency);
        std::iter::from_fn(|| Arc::clone(&self.free).try_acquire_owned().ok()).collect()
    }
}

struct Lanes {
    house: House,
    consumer: watch::Receiver<Arc<Consumer>>,
    ends: Ends,
    /// A place became free.
    freed: Notify,
}

impl Lanes {
    /// The handler with what is set about it now.
    fn consumer(&self) -> Arc<Consumer> {
        Arc::clone(&self.consumer.borrow())
    }

    /// Claims as many as there are places for and starts them; how long to wait for the next.
    async fn claim(self: &Arc<Self>, places: &mut Places, attempts: &TaskTracker) -> Duration {
        let consumer = self.consumer();
        let free = places.take(consumer.policy.concurrency);
        if free.is_empty() {
            return POLL;
        }
        let now = self.house.clock.now();
        let lease = consumer.policy.timeout + LEASE_MARGIN;
        let request = ClaimRequest { handler: consumer.name.clone(), limit: free.len(), now, lease };
        match self.house.store.claim(request).await {
            Ok(claims) => {
                for (claimed, place) in claims.claimed.into_iter().zip(free) {
                    attempts.spawn(Arc::clone(self).attempt(claimed, place));
                }
                claims.next_at.map_or(POLL, |next_at| between(now, next_at).min(POLL))
            }
            Err(error) => {
                tracing::warn!(handler = %consumer.name, error = with_causes(&error), "deliveries stand still until the store is available");
                PAUSE
            }
        }
    }

    /// Attempts one delivery and settles it.
    ///
    /// Its place is free again when the result is handed over, so that the next claim rides the same commit.
    async fn attempt(self: Arc<Self>, claimed: Claimed, place: OwnedSemaphorePermit) {
        let consumer = self.consumer();
        let over_at = later(self.house.clock.now(), consumer.policy.timeout);
        if self.ends.stop.is_cancelled() || over_at >= claimed.lease_until {
            let given_back = self.house.store.release(vec![(claimed.id, claimed.epoch)]).await;
            if let Err(error) = given_back {
                tracing::warn!(delivery_id = %claimed.id, error = with_causes(&error), "a delivery waits for its lease to end");
            }
            drop(place);
            self.freed.notify_one();
            return;
        }
        let settlement = attempt::attempt(&self.house, &consumer, &claimed, &self.ends.cut).await;
        let mut settling = std::pin::pin!(self.settle(&claimed, settlement));
        let settled = tokio::select! {
            biased;
            () = &mut settling => true,
            () = std::future::ready(()) => false,
        };
        drop(place);
        self.freed.notify_one();
        if !settled {
            settling.await;
            // The claim that rode along may have come before it.
            self.freed.notify_one();
        }
    }

    /// Keeps a result, trying again while the lease holds.
    async fn settle(&self, claimed: &Claimed, settlement: Settlement) {
        loop {
            match self.house.store.settle(settlement.clone()).await {
                Ok(Settled::Kept) => return,
                Ok(Settled::LostLease) => {
                    tracing::warn!(delivery_id = %claimed.id, event_id = %claimed.event.id, handler = %claimed.handler, "a result came after its lease had ended; it is attempted again");
                    return;
                }
                Err(error) if self.house.clock.now() >= claimed.lease_until || self.ends.cut.is_cancelled() => {
                    tracing::error!(delivery_id = %claimed.id, event_id = %claimed.event.id, handler = %claimed.handler, error = with_causes(&error), "a result could not be kept; it is attempted again");
                    return;
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_become_more_at_once_and_fewer_when_they_are_free_again() {
        let mut places = Places { free: Arc::new(Semaphore::new(0)), all: 0 };
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
