//! The lanes of one handler: claims what is due, attempts it beside everything else, and settles it.
//!
//! Each handler has a loop and a bound of its own, so one that is slow or down delays nobody else. What always holds:
//! a lane's next delivery is claimed only after the one before it was settled in the store; no attempt starts under a
//! lease that it could outlast, or that others may have taken for lost; each is made with what is set about the handler
//! when it starts (ruling 19); and none begins without the leave of the handler's gate, which hears what came of it.
//!
//! Where attempts are fast, more is claimed than there are free places (stock.rs). An attempt that has ended passes its
//! place on to the next of these by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::attempt;
use super::breaker::{Came, Pass};
use super::gate::Gate;
use super::metrics::OfHandler;
use super::notices::Notices;
use super::places::Places;
use super::stock::{ATTEMPTS_MIN, KEEPS, Stock};
use super::waits::Watch;
use super::{Consumer, House, Policy, trace};
use crate::clock::{between, later};
use crate::model::{Claimed, Ended, HandlerName, NextStep, Settlement};
use crate::store::{ClaimRequest, LongestWaits, RatedClaims, Settled, StoreError};
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
pub(super) async fn run(
    house: House,
    mut consumer: watch::Receiver<Arc<Consumer>>,
    gate: Arc<Gate>,
    notices: Notices,
    ends: Ends,
) {
    let mut sleeper = house.wakes.deliveries.sleeper();
    let mut places = Places::none();
    let (name, policy) = (consumer.borrow().name.clone(), consumer.borrow().policy.clone());
    gate.take_up(&policy, house.clock.now());
    let metrics = house.metrics.of(&name);
    let lanes = Arc::new(Lanes {
        house,
        consumer: consumer.clone(),
        gate,
        notices,
        ends,
        metrics,
        attempts: TaskTracker::new(),
        stock: Stock::default(),
        crowded: AtomicBool::new(false),
        freed: Notify::new(),
    });
    let mut watch = Watch::default();
    while !lanes.ends.stop.is_cancelled() {
        lanes.look_at_waits(&mut watch).await;
        let wait = lanes.step(&mut places).await;
        tokio::select! {
            biased;
            () = lanes.ends.stop.cancelled() => {}
            Ok(()) = consumer.changed() => {}
            () = sleeper.woken() => {}
            () = lanes.freed.notified() => {}
            () = lanes.gate.news() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
    lanes.give_back(lanes.stock.take_all()).await;
    lanes.attempts.close();
    lanes.attempts.wait().await;
    lanes.keep_breaker(&name).await;
}

/// How long a delivery is held for one attempt.
fn lease(consumer: &Consumer) -> Duration {
    consumer.attempt_within() + LEASE_MARGIN
}

/// What a claim came to.
#[derive(Default)]
struct Begun {
    /// How many there were.
    count: usize,
    /// How long to wait until others are due.
    due_in: Option<Duration>,
    /// How long to wait for more leave of the rate that processes share.
    leave_in: Option<Duration>,
}

struct Lanes {
    house: House,
    consumer: watch::Receiver<Arc<Consumer>>,
    gate: Arc<Gate>,
    notices: Notices,
    ends: Ends,
    metrics: OfHandler,
    attempts: TaskTracker,
    /// What is claimed and waits for a place.
    stock: Stock,
    /// More places are taken than there should be: none is passed on.
    crowded: AtomicBool,
    /// A place became free, or less is in stock than should be.
    freed: Notify,
}

impl Lanes {
    /// The handler with what is set about it now.
    fn consumer(&self) -> Arc<Consumer> {
        Arc::clone(&self.consumer.borrow())
    }

    /// Where the clock was set back, lets nothing wait for a time that has become far away.
    async fn look_at_waits(&self, watch: &mut Watch) {
        if watch.look(self.house.clock.now()) && self.shorten_waits().await.is_none() {
            *watch = Watch::default();
        }
    }

    /// Lets nothing wait for longer than it may; how much did, `None` where the store failed.
    async fn shorten_waits(&self) -> Option<usize> {
        let (now, consumer) = (self.house.clock.now(), self.consumer());
        let (handler, retry) = (consumer.name.clone(), consumer.policy.retry.max);
        let longest = LongestWaits { handler, now, retry, lease: lease(&consumer) };
        let deliveries = self.house.store.shorten_waits(longest).await.ok()?;
        if deliveries > 0 {
            tracing::warn!(handler = %consumer.name, deliveries, "deliveries would have waited for longer than they may, as after a clock is set back; they are due sooner");
        }
        Some(deliveries)
    }

    /// Keeps what changed of the breaker, and claims what may begin; how long to wait for the next.
    async fn step(self: &Arc<Self>, places: &mut Places) -> Duration {
        let consumer = self.consumer();
        self.gate.follow(&consumer.policy, self.house.clock.now());
        self.keep_breaker(&consumer.name).await;
        let free = self.fill(places, &consumer.policy);
        // With a rate it is known only when one begins how many may; and requests come before what can wait.
        let Policy { rate, ref retry, .. } = consumer.policy;
        let none_ahead = rate.is_some() || retry.attempts < ATTEMPTS_MIN || self.house.store.is_pressed();
        let ahead = if none_ahead { 0 } else { self.stock.wants(consumer.policy.concurrency) };
        let leave = self.gate.leave(&consumer.policy, free.len(), ahead, self.house.clock.now());
        let mut begun = match leave.limit {
            0 => Begun::default(),
            // Nothing is claimed that others might take at once.
            _ if self.house.store.presence().is_none() => Begun { due_in: Some(PAUSE), ..Begun::default() },
            limit => self.claim(&consumer, limit, free).await,
        };
        // The clock may have been ahead for so short a time that nobody looked while it was.
        let longest = consumer.policy.retry.max.max(lease(&consumer));
        if begun.due_in.is_some_and(|due_in| due_in > longest)
            && self.shorten_waits().await.is_some_and(|shortened| shortened > 0)
        {
            begun.due_in = Some(Duration::ZERO);
        }
        // Where fewer were due than might begin, more leave is not what is missing.
        let again = leave.again.filter(|_| begun.count == leave.limit);
        let look_again = if self.stock.is_empty() { POLL } else { KEEPS };
        [again, begun.leave_in, begun.due_in].into_iter().flatten().fold(look_again, Duration::min)
    }

    /// Keeps what changed of the breaker, and tells of one that opened where that could be told only now.
    async fn keep_breaker(&self, handler: &HandlerName) {
        if let Some((open, event)) = self.gate.keep(&*self.house.store).await {
            self.notices.breaker_open(event, handler, &open);
        }
    }

    /// Starts what is in stock, as far as there are places; the places that are left.
    fn fill(self: &Arc<Self>, places: &mut Places, policy: &Policy) -> Vec<OwnedSemaphorePermit> {
        let mut free = places.take(policy.concurrency);
        self.crowded.store(places.are_crowded(policy.concurrency), Ordering::Relaxed);
        self.give_back_stale();
        while let Some(place) = free.pop() {
            let Some(claimed) = self.stock.take() else {
                free.push(place);
                break;
            };
            self.start(claimed, place);
        }
        free
    }

    /// Claims so many, and starts as many of them as there are places given.
    async fn claim(self: &Arc<Self>, consumer: &Consumer, limit: usize, places: Vec<OwnedSemaphorePermit>) -> Begun {
        let (now, lease, began) = (self.house.clock.now(), lease(consumer), Instant::now());
        let request = ClaimRequest { handler: consumer.name.clone(), limit, now, lease };
        match self.claims(&consumer.policy, request).await {
            Ok(RatedClaims { claims, again }) => {
                let count = claims.claimed.len();
                // First those that were in stock already, in the order in which they were claimed.
                self.stock.put(claims.claimed, began.elapsed());
                for place in places {
                    self.pass_on(place);
                }
                Begun { count, due_in: claims.next_at.map(|next_at| between(now, next_at)), leave_in: again }
            }
            Err(error) => {
                tracing::warn!(handler = %consumer.name, error = with_causes(&error), "deliveries stand still until the store is available");
                Begun { due_in: Some(PAUSE), ..Begun::default() }
            }
        }
    }

    /// Claims; where processes share the store, at the rate that they share.
    async fn claims(&self, policy: &Policy, request: ClaimRequest) -> Result<RatedClaims, StoreError> {
        match policy.rate.filter(|_| self.house.store.is_shared()) {
            Some(rate) => self.house.store.claim_at_rate(request, rate).await,
            None => Ok(RatedClaims { claims: self.house.store.claim(request).await?, again: None }),
        }
    }

    /// Gives a place to the next in stock, or frees it.
    fn pass_on(self: &Arc<Self>, place: OwnedSemaphorePermit) {
        self.give_back_stale();
        let may_start = !self.ends.stop.is_cancelled() && !self.crowded.load(Ordering::Relaxed);
        match may_start.then(|| self.stock.take()).flatten() {
            Some(claimed) => self.start(claimed, place),
            None => drop(place),
        }
    }

    /// Starts an attempt, where the gate lets it; else gives it back, with all that is in stock.
    fn start(self: &Arc<Self>, claimed: Claimed, place: OwnedSemaphorePermit) {
        match self.gate.begin(&self.consumer().policy, self.house.clock.now()) {
            Some(pass) => drop(self.attempts.spawn(Arc::clone(self).attempt(claimed, pass, place))),
            None => {
                let (lanes, mut back) = (Arc::clone(self), vec![claimed]);
                back.extend(self.stock.take_all());
                self.attempts.spawn(async move {
                    lanes.give_back(back).await;
                    drop(place);
                    lanes.freed.notify_one();
                });
            }
        }
    }

    /// Gives back what waited in stock for too long.
    fn give_back_stale(self: &Arc<Self>) {
        let stale = self.stock.take_stale();
        if !stale.is_empty() {
            let lanes = Arc::clone(self);
            self.attempts.spawn(async move {
                lanes.give_back(stale).await;
                lanes.freed.notify_one();
            });
        }
    }

    /// Gives back what was claimed and is not attempted after all.
    async fn give_back(&self, claimed: Vec<Claimed>) {
        if claimed.is_empty() {
            return;
        }
        let claims = claimed.iter().map(|claimed| (claimed.id, claimed.epoch)).collect();
        if let Err(error) = self.house.store.release(claims).await {
            for claimed in claimed {
                tracing::warn!(delivery_id = %claimed.id, error = with_causes(&error), "a delivery waits for its lease to end");
            }
        }
    }

    /// Whether an attempt may begin: its lease does not end before it, and since it was claimed this process was never
    /// taken for gone by others, as one is that was asleep.
    fn holds(&self, claimed: &Claimed, consumer: &Consumer) -> bool {
        let ends = later(self.house.clock.now(), consumer.attempt_within());
        ends < claimed.lease_until && self.house.store.presence() == Some(claimed.presence)
    }

    /// Attempts one delivery and settles it.
    ///
    /// Its place is passed on when the result is handed over, so that the next claim rides the same commit.
    async fn attempt(self: Arc<Self>, claimed: Claimed, pass: Pass, place: OwnedSemaphorePermit) {
        let consumer = self.consumer();
        let only = self.gate.only(&*self.house.store, &consumer.policy, pass, self.house.clock.now()).await;
        let Some(pass) = only else {
            self.give_back(vec![claimed]).await;
            drop(place);
            self.freed.notify_one();
            return;
        };
        let now = self.house.clock.now();
        if self.ends.stop.is_cancelled() || !self.holds(&claimed, &consumer) {
            self.gate.end(&consumer.policy, pass, &claimed.event, Came::Nothing, now, self.house.chance.fraction());
            self.give_back(vec![claimed]).await;
            self.pass_on(place);
            self.freed.notify_one();
            return;
        }
        let (running, began) = (self.metrics.running(), Instant::now());
        let settlement = attempt::attempt(&self.house, &consumer, &claimed, &self.ends.cut).await;
        drop(running);
        self.stock.attempted(began.elapsed());
        if let Some(outcome) = &settlement.outcome {
            self.house.traces.tell(|| trace::attempt(&claimed, outcome));
        }
        self.take_note(&consumer.policy, &claimed, pass, &settlement);
        let mut settling = std::pin::pin!(self.settle(&claimed, settlement));
        let settled = tokio::select! {
            biased;
            () = &mut settling => true,
            () = std::future::ready(()) => false,
        };
        self.pass_on(place);
        self.freed.notify_one();
        if !settled {
            settling.await;
            // The claim that rode along may have come before it.
            self.freed.notify_one();
        }
    }

    /// Tells the gate what came of an attempt, and whoever waits for notices what they should know.
    fn take_note(&self, policy: &Policy, claimed: &Claimed, pass: Pass, settlement: &Settlement) {
        let outcome = settlement.outcome.as_ref();
        let came = match outcome {
            // Whatever held it up for longer than its lease was not the far end.
            _ if settlement.at >= claimed.lease_until => Came::Nothing,
            Some(outcome) => match outcome.ended {
                Ended::Delivered => Came::Delivered,
                Ended::Failed | Ended::Refused => Came::Failed(&outcome.message),
                Ended::Throttled => Came::Throttled,
                Ended::Lost => Came::Nothing,
            },
            None => Came::Nothing,
        };
        let chance = self.house.chance.fraction();
        if let Some((open, event)) = self.gate.end(policy, pass, &claimed.event, came, settlement.at, chance) {
            self.notices.breaker_open(event, &claimed.handler, &open);
        }
    }

    /// Keeps a result, and counts it.
    async fn settle(&self, claimed: &Claimed, settlement: Settlement) {
        let settled = self.keep(claimed, &settlement).await;
        self.metrics.settled(&settlement, settled);
    }

    /// Keeps a result, trying again while the lease holds and the store is there; `None` where it could not be kept.
    async fn keep(&self, claimed: &Claimed, settlement: &Settlement) -> Option<Settled> {
        loop {
            match self.house.store.settle(settlement.clone()).await {
                Ok(Settled::Kept) => {
                    if let NextStep::Dead(reason) = &settlement.next {
                        self.notices.dead_letter(claimed, settlement.outcome.as_ref(), reason, settlement.at);
                    }
                    return Some(Settled::Kept);
                }
                Ok(Settled::LostLease) => {
                    tracing::warn!(delivery_id = %claimed.id, event_id = %claimed.event.id, handler = %claimed.handler, "a result was refused: the delivery was cancelled meanwhile, or its lease had ended and it is attempted again");
                    return Some(Settled::LostLease);
                }
                Err(error) if self.is_too_late(claimed, &error) => {
                    tracing::error!(delivery_id = %claimed.id, event_id = %claimed.event.id, handler = %claimed.handler, error = with_causes(&error), "a result could not be kept; it is attempted again");
                    return None;
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Whether a result that could not be kept can no longer be.
    fn is_too_late(&self, claimed: &Claimed, error: &StoreError) -> bool {
        let ended = matches!(error, StoreError::Ended);
        ended || self.house.clock.now() >= claimed.lease_until || self.ends.cut.is_cancelled()
    }
}

#[cfg(test)]
mod tests;
