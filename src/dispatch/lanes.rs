//! The lanes of one handler: claims what is due, attempts it beside everything else, and settles it.
//!
//! Each handler has a loop and a bound of its own, so one that is slow or down delays nobody else. What always holds:
//! a lane's next delivery is claimed only after the one before it was settled in the store; and no attempt starts
//! under a lease that has run out.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::attempt;
use super::metrics::OfHandler;
use super::{Consumer, House, trace};
use crate::clock::between;
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
pub(super) async fn run(house: House, consumer: Consumer, ends: Ends) {
    let mut sleeper = house.wakes.deliveries.sleeper();
    let places = Arc::new(Semaphore::new(consumer.policy.concurrency));
    let lanes =
        Arc::new(Lanes { metrics: house.metrics.of(&consumer.name), house, consumer, ends, freed: Notify::new() });
    let attempts = TaskTracker::new();
    while !lanes.ends.stop.is_cancelled() {
        let wait = lanes.claim(&places, &attempts).await;
        tokio::select! {
            () = lanes.ends.stop.cancelled() => {}
            () = sleeper.woken() => {}
            () = lanes.freed.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
    attempts.close();
    attempts.wait().await;
}

struct Lanes {
    house: House,
    consumer: Consumer,
    ends: Ends,
    metrics: OfHandler,
    /// A place became free.
    freed: Notify,
}

impl Lanes {
    /// Claims as many as there are places for and starts them; how long to wait for the next.
    async fn claim(self: &Arc<Self>, places: &Arc<Semaphore>, attempts: &TaskTracker) -> Duration {
        let mut free = Vec::new();
        while let Ok(place) = Arc::clone(places).try_acquire_owned() {
            free.push(place);
        }
        if free.is_empty() {
            return POLL;
        }
        let now = self.house.clock.now();
        let lease = self.consumer.policy.timeout + LEASE_MARGIN;
        let request = ClaimRequest { handler: self.consumer.name.clone(), limit: free.len(), now, lease };
        match self.house.store.claim(request).await {
            Ok(claims) => {
                for (claimed, place) in claims.claimed.into_iter().zip(free) {
                    attempts.spawn(Arc::clone(self).attempt(claimed, place));
                }
                claims.next_at.map_or(POLL, |next_at| between(now, next_at).min(POLL))
            }
            Err(error) => {
                tracing::warn!(handler = %self.consumer.name, error = with_causes(&error), "deliveries stand still until the store is available");
                PAUSE
            }
        }
    }

    /// Attempts one delivery and settles it.
    ///
    /// Its place is free again when the result is handed over, so that the next claim rides the same commit.
    async fn attempt(self: Arc<Self>, claimed: Claimed, place: OwnedSemaphorePermit) {
        if self.ends.stop.is_cancelled() || self.house.clock.now() >= claimed.lease_until {
            let given_back = self.house.store.release(vec![(claimed.id, claimed.epoch)]).await;
            if let Err(error) = given_back {
                tracing::warn!(delivery_id = %claimed.id, error = with_causes(&error), "a delivery waits for its lease to end");
            }
            drop(place);
            self.freed.notify_one();
            return;
        }
        let running = self.metrics.running();
        let settlement = attempt::attempt(&self.house, &self.consumer, &claimed, &self.ends.cut).await;
        drop(running);
        if let Some(outcome) = &settlement.outcome {
            self.house.traces.tell(|| trace::attempt(&claimed, outcome));
        }
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

    /// Keeps a result, and counts it.
    async fn settle(&self, claimed: &Claimed, settlement: Settlement) {
        let settled = self.keep(claimed, &settlement).await;
        self.metrics.settled(&settlement, settled);
    }

    /// Keeps a result, trying again while the lease holds; `None` where it could not be kept.
    async fn keep(&self, claimed: &Claimed, settlement: &Settlement) -> Option<Settled> {
        loop {
            match self.house.store.settle(settlement.clone()).await {
                Ok(Settled::Kept) => return Some(Settled::Kept),
                Ok(Settled::LostLease) => {
                    tracing::warn!(delivery_id = %claimed.id, event_id = %claimed.event.id, handler = %claimed.handler, "a result came after its lease had ended; it is attempted again");
                    return Some(Settled::LostLease);
                }
                Err(error) if self.house.clock.now() >= claimed.lease_until || self.ends.cut.is_cancelled() => {
                    tracing::error!(delivery_id = %claimed.id, event_id = %claimed.event.id, handler = %claimed.handler, error = with_causes(&error), "a result could not be kept; it is attempted again");
                    return None;
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}
