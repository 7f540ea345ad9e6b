//! Any course of events, beside a model of it in memory.
//!
//! What always holds, whatever happens in between: within a lane claims come in the order of positions and never two
//! at once; what can be claimed is, and nothing else; nothing is lost; what is driven to its end is settled; and what
//! is counted is what there is. Whatever is retried by hand has no lane any more.

mod step;

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::Handle;
use workhook::model::{Claimed, DeliveryId, DeliveryState, Ended, NewDelivery, NextStep, Plan, Position};
use workhook::store::Settled;

use self::step::{HANDLERS, Kind, Next, Step, step};
use crate::bench::{ALL, Bench, LEASE, at, handler, plan, settlement};
use crate::request::Request;

pub(crate) async fn any_course_of_events_is_as_the_model_says(bench: &mut Bench) {
    let config = Config { cases: 32, failure_persistence: None, max_shrink_iters: 300, ..Config::default() };
    let runtime = Handle::current();
    let run = tokio::task::block_in_place(|| {
        TestRunner::new(config).run(&vec(step(), 1..80), |steps| {
            runtime.block_on(async {
                let mut course = Course::new(bench.another().await);
                for step in &steps {
                    course.step(step).await;
                }
                course.compare().await;
                course.drive_to_the_end().await;
                course.bench.store.close().await;
            });
            Ok(())
        })
    });
    run.unwrap_or_else(|error| panic!("{bench:?}: {error}"));
}

/// A store, and what is known of it.
struct Course {
    bench: Bench,
    now: i64,
    unplanned: Vec<(Position, Kind)>,
    deliveries: Vec<Delivery>,
    paused: BTreeSet<&'static str>,
    /// Every claim that this process got, those that are over too.
    claims: Vec<Claimed>,
    /// How many results there were.
    results: u32,
}

/// A delivery as it should be.
#[derive(Debug)]
struct Delivery {
    position: Position,
    new: NewDelivery,
    state: DeliveryState,
    due: i64,
    /// Until when it is held, while it is claimed.
    held: Option<i64>,
    epoch: i64,
    attempts: u32,
    /// The attempts before it was last retried by hand, and how often that was.
    before_retry: u32,
    retried: u32,
    history: BTreeMap<u32, Ended>,
}

impl Delivery {
    fn new(position: Position, new: NewDelivery, now: i64) -> Delivery {
        let state = if new.dead.is_some() { DeliveryState::Dead } else { DeliveryState::Pending };
        let (attempts, before_retry, retried, history) = (0, 0, 0, BTreeMap::new());
        Delivery { position, new, state, due: now, held: None, epoch: 0, attempts, before_retry, retried, history }
    }

    fn is_pending(&self) -> bool {
        self.state == DeliveryState::Pending
    }

    /// When it can be claimed, were it the head of its lane.
    fn ready(&self) -> i64 {
        self.held.unwrap_or(self.due)
    }
}

impl Course {
    fn new(bench: Bench) -> Course {
        let (unplanned, deliveries, paused, claims) = (Vec::new(), Vec::new(), BTreeSet::new(), Vec::new());
        Course { bench, now: 0, unplanned, deliveries, paused, claims, results: 0 }
    }

    async fn step(&mut self, step: &Step) {
        match step {
            Step::Append(kind) => {
                let (_, position) = self.bench.stored(&Request::new()).await;
                self.unplanned.push((position, *kind));
            }
            Step::Plan { limit } => self.plan(*limit).await,
            Step::Claim { handler, limit } => {
                self.claim(HANDLERS[*handler], *limit).await;
            }
            Step::Settle { claim, next } if !self.claims.is_empty() => {
                let claimed = claim.get(&self.claims).clone();
                self.settle(&claimed, *next).await;
            }
            Step::Release { claim } if !self.claims.is_empty() => {
                let claimed = claim.get(&self.claims).clone();
                self.release(&claimed).await;
            }
            Step::Retry { delivery } if !self.deliveries.is_empty() => {
                self.retry(delivery.index(self.deliveries.len())).await;
            }
            Step::Cancel { delivery } if !self.deliveries.is_empty() => {
                self.cancel(delivery.index(self.deliveries.len())).await;
            }
            Step::Settle { .. } | Step::Release { .. } | Step::Retry { .. } | Step::Cancel { .. } => {}
            Step::Pause { handler, paused } => self.set_paused(HANDLERS[*handler], *paused).await,
            Step::Wait { seconds } => self.now += seconds,
            Step::Restart { untidy } => self.restart(*untidy).await,
        }
    }

    async fn plan(&mut self, limit: usize) {
        let events = self.bench.store.unplanned(limit).await.unwrap();
        let count = limit.min(self.unplanned.len());
        let planned: Vec<(Position, Kind)> = self.unplanned.drain(..count).collect();
        assert!(events.iter().map(|event| event.position).eq(planned.iter().map(|(position, _)| *position)));
        let plans: Vec<Plan> = planned.iter().map(|(position, kind)| plan(*position, &kind.deliveries())).collect();
        self.bench.store.plan(plans.clone(), at(self.now)).await.unwrap();
        for Plan { position, deliveries, .. } in plans {
            self.deliveries.extend(deliveries.into_iter().map(|new| Delivery::new(position, new, self.now)));
        }
    }

    /// The deliveries of a handler that wait for nothing but their time.
    fn heads(&self, handler: &str) -> Vec<usize> {
        let waits = |index: &usize| {
            let delivery = &self.deliveries[*index];
            delivery.is_pending() && delivery.new.handler.as_str() == handler
        };
        let is_head = |index: &usize| {
            let lane = &self.deliveries[*index].new.lane;
            lane.is_none() || !(0..*index).filter(waits).any(|before| self.deliveries[before].new.lane == *lane)
        };
        (0..self.deliveries.len()).filter(waits).filter(is_head).collect()
    }

    async fn claim(&mut self, handler: &str, limit: usize) -> Vec<Claimed> {
        let heads = if self.paused.contains(handler) { Vec::new() } else { self.heads(handler) };
        let mut due = heads.clone();
        due.retain(|index| self.deliveries[*index].ready() <= self.now);
        let claims = self.bench.claim(handler, limit, at(self.now)).await;
        assert_eq!(claims.claimed.len(), limit.min(due.len()), "of {due:?}");
        for claimed in &claims.claimed {
            let place = due.iter().position(|index| self.deliveries[*index].position == claimed.event.position);
            let index = due.remove(place.unwrap_or_else(|| panic!("not due, or claimed twice: {claimed:?}")));
            let delivery = &mut self.deliveries[index];
            if delivery.held.is_some() {
                delivery.history.insert(delivery.attempts, Ended::Lost);
            }
            delivery.attempts += 1;
            let allowed_attempt = delivery.attempts - delivery.before_retry;
            assert_eq!((claimed.attempt, claimed.allowed_attempt), (delivery.attempts, allowed_attempt));
            assert!(claimed.epoch > delivery.epoch);
            delivery.epoch = claimed.epoch;
            delivery.held = Some(self.now + LEASE);
        }
        if claims.claimed.len() < limit {
            let next = heads.into_iter().map(|index| at(self.deliveries[index].ready())).min();
            assert_eq!(claims.next_at, next);
        }
        self.claims.extend(claims.claimed.iter().cloned());
        claims.claimed
    }

    /// The delivery of a claim, if the claim still holds.
    fn held(&mut self, claimed: &Claimed) -> Option<&mut Delivery> {
        self.deliveries.iter_mut().find(|delivery| {
            let same = delivery.position == claimed.event.position && delivery.new.handler == claimed.handler;
            same && delivery.held.is_some() && delivery.epoch == claimed.epoch
        })
    }

    async fn settle(&mut self, claimed: &Claimed, next: Next) {
        let now = self.now;
        let step = match next {
            Next::Delivered => NextStep::Delivered,
            Next::RetryIn(seconds) => NextStep::RetryAt(at(now + seconds)),
            Next::WaitFor(seconds) => NextStep::WaitUntil(at(now + seconds)),
            Next::Dead => NextStep::Dead("no".to_owned()),
        };
        let mut result = settlement(claimed, step, at(now));
        self.results += 1;
        // No two are the same, which would be one that comes again.
        result.outcome.as_mut().unwrap().message = format!("result {}", self.results);
        let settled = self.bench.store.settle(result).await.unwrap();
        let Some(delivery) = self.held(claimed) else {
            assert_eq!(settled, Settled::LostLease);
            return;
        };
        assert_eq!(settled, Settled::Kept);
        delivery.held = None;
        let ended = match next {
            Next::Delivered => {
                delivery.state = DeliveryState::Delivered;
                Ended::Delivered
            }
            Next::Dead => {
                delivery.state = DeliveryState::Dead;
                Ended::Refused
            }
            Next::RetryIn(seconds) => {
                delivery.due = now + seconds;
                Ended::Failed
            }
            Next::WaitFor(seconds) => {
                delivery.due = now + seconds;
                delivery.attempts -= 1;
                Ended::Throttled
            }
        };
        delivery.history.insert(claimed.attempt, ended);
    }

    async fn release(&mut self, claimed: &Claimed) {
        self.bench.release(claimed).await;
        if let Some(delivery) = self.held(claimed) {
            delivery.held = None;
            delivery.due = 0;
            delivery.attempts -= 1;
        }
    }

    /// The store's delivery of this index: both have them in the order of planning.
    async fn id(&self, index: usize) -> DeliveryId {
        self.bench.deliveries().await[index].id
    }

    async fn retry(&mut self, index: usize) {
        let retried = self.bench.store.retry(vec![self.id(index).await], at(self.now)).await.unwrap();
        let delivery = &mut self.deliveries[index];
        let can_be = matches!(delivery.state, DeliveryState::Dead | DeliveryState::Cancelled);
        assert_eq!(retried, u64::from(can_be), "{delivery:?}");
        if can_be {
            (delivery.state, delivery.due, delivery.new.lane) = (DeliveryState::Pending, self.now, None);
            (delivery.before_retry, delivery.retried) = (delivery.attempts, delivery.retried + 1);
        }
    }

    async fn cancel(&mut self, index: usize) {
        let ids = vec![self.id(index).await];
        let cancelled = self.bench.store.cancel(ids, "no".to_owned(), at(self.now)).await.unwrap();
        let delivery = &mut self.deliveries[index];
        assert_eq!(cancelled, u64::from(delivery.is_pending()), "{delivery:?}");
        if delivery.is_pending() {
            delivery.state = DeliveryState::Cancelled;
            if delivery.held.take().is_some() {
                delivery.history.insert(delivery.attempts, Ended::Lost);
            }
        }
    }

    async fn set_paused(&mut self, name: &'static str, paused: bool) {
        self.bench.store.set_paused(handler(name), paused, at(self.now)).await.unwrap();
        if paused {
            self.paused.insert(name);
        } else {
            self.paused.remove(name);
        }
    }

    /// A tidy end gives back what is claimed; after an untidy one it is due at once, and its attempt is lost.
    async fn restart(&mut self, untidy: bool) {
        for claimed in std::mem::take(&mut self.claims) {
            if !untidy {
                self.release(&claimed).await;
            }
        }
        for delivery in &mut self.deliveries {
            delivery.held = delivery.held.map(|_| 0);
        }
        self.bench.restart(untidy).await;
    }

    /// The store knows what the model knows.
    async fn compare(&self) {
        let stored = self.bench.deliveries().await;
        assert_eq!(stored.len(), self.deliveries.len());
        for (stored, expected) in stored.iter().zip(&self.deliveries) {
            assert_eq!((stored.position, &stored.handler), (expected.position, &expected.new.handler));
            assert_eq!((stored.state, stored.attempts), (expected.state, expected.attempts), "{expected:?}");
            assert_eq!((&stored.lane, stored.retried), (&expected.new.lane, expected.retried), "{expected:?}");
            assert_eq!(stored.claimed, expected.held.is_some(), "{expected:?}");
            let of_event = self.bench.record(stored.event).await.deliveries;
            let history = &of_event.iter().find(|delivery| delivery.id == stored.id).unwrap().history;
            let history: BTreeMap<u32, Ended> =
                history.iter().map(|attempt| (attempt.number, attempt.outcome.ended)).collect();
            assert_eq!(history, expected.history, "{expected:?}");
        }
        assert_eq!(self.bench.store.counts().await.unwrap().unplanned, self.unplanned.len() as u64);
        self.bench.assert_tallies().await;
    }

    async fn drive_to_the_end(&mut self) {
        self.plan(ALL).await;
        for handler in HANDLERS {
            self.set_paused(handler, false).await;
        }
        // Each round settles the head of every lane.
        for _ in 0..=self.deliveries.len() {
            if !self.deliveries.iter().any(Delivery::is_pending) {
                break;
            }
            self.now += 1000;
            for handler in HANDLERS {
                for claimed in self.claim(handler, ALL).await {
                    self.settle(&claimed, Next::Delivered).await;
                }
            }
        }
        assert!(!self.deliveries.iter().any(Delivery::is_pending));
        self.compare().await;
    }
}
