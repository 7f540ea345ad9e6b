//! Any course of events, beside a model of it in memory.
//!
//! What always holds, whatever happens in between: within a lane claims come in the order of positions and never two
//! at once; what can be claimed is, and nothing else; nothing is lost; and what is driven to its end is settled.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::Handle;
use workhook::model::{Claimed, DeliveryState, Ended, NewDelivery, NextStep, Plan, Position};
use workhook::store::{DeliveryQuery, Settled};

use crate::bench::{ALL, Bench, LEASE, at, plan, to};
use crate::request::Request;

const HANDLERS: [&str; 2] = ["crm", "log"];

/// One thing that happens.
#[derive(Debug, Clone)]
enum Step {
    Append(Kind),
    Plan { limit: usize },
    Claim { handler: usize, limit: usize },
    Settle { claim: Index, next: Next },
    Release { claim: Index },
    Wait { seconds: i64 },
    Restart { untidy: bool },
}

/// What an event is planned as.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// In the lane of this number at one handler, in none at the other.
    Lane(usize),
    /// In the lane of this number at both.
    BothInLane(usize),
    /// Dead from the start at one.
    Dead(usize),
    Nowhere,
}

#[derive(Debug, Clone, Copy)]
enum Next {
    Delivered,
    RetryIn(i64),
    WaitFor(i64),
    Dead,
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![
        4 => (0..3_usize).prop_map(Kind::Lane),
        2 => (0..3_usize).prop_map(Kind::BothInLane),
        1 => (0..3_usize).prop_map(Kind::Dead),
        1 => Just(Kind::Nowhere),
    ];
    let next = prop_oneof![
        3 => Just(Next::Delivered),
        2 => (0..100_i64).prop_map(Next::RetryIn),
        1 => (0..100_i64).prop_map(Next::WaitFor),
        1 => Just(Next::Dead),
    ];
    prop_oneof![
        6 => kind.prop_map(Step::Append),
        3 => (1..5_usize).prop_map(|limit| Step::Plan { limit }),
        5 => (0..2_usize, 1..5_usize).prop_map(|(handler, limit)| Step::Claim { handler, limit }),
        5 => (any::<Index>(), next).prop_map(|(claim, next)| Step::Settle { claim, next }),
        1 => any::<Index>().prop_map(|claim| Step::Release { claim }),
        2 => (1..100_i64).prop_map(|seconds| Step::Wait { seconds }),
        1 => any::<bool>().prop_map(|untidy| Step::Restart { untidy }),
    ]
}

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
    /// Every claim that this process got, those that are over too.
    claims: Vec<Claimed>,
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
    history: BTreeMap<u32, Ended>,
}

impl Delivery {
    fn new(position: Position, new: NewDelivery, now: i64) -> Delivery {
        let state = if new.dead.is_some() { DeliveryState::Dead } else { DeliveryState::Pending };
        Delivery { position, new, state, due: now, held: None, epoch: 0, attempts: 0, history: BTreeMap::new() }
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
        Course { bench, now: 0, unplanned: Vec::new(), deliveries: Vec::new(), claims: Vec::new() }
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
            Step::Settle { .. } | Step::Release { .. } => {}
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
        let mut due = self.heads(handler);
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
            assert_eq!(claimed.attempt, delivery.attempts);
            assert!(claimed.epoch > delivery.epoch);
            delivery.epoch = claimed.epoch;
            delivery.held = Some(self.now + LEASE);
        }
        if claims.claimed.len() < limit {
            let next = self.heads(handler).into_iter().map(|index| at(self.deliveries[index].ready())).min();
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
        let settled = self.bench.settle(claimed, step, at(now)).await;
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
        let query = DeliveryQuery { limit: ALL, ..DeliveryQuery::default() };
        let stored = self.bench.store.deliveries(query).await.unwrap().items;
        assert_eq!(stored.len(), self.deliveries.len());
        for (stored, expected) in stored.iter().rev().zip(&self.deliveries) {
            assert_eq!((stored.position, &stored.handler), (expected.position, &expected.new.handler));
            assert_eq!((stored.state, stored.attempts), (expected.state, expected.attempts), "{expected:?}");
            assert_eq!(stored.claimed, expected.held.is_some(), "{expected:?}");
            let of_event = self.bench.record(stored.event).await.deliveries;
            let history = &of_event.iter().find(|delivery| delivery.id == stored.id).unwrap().history;
            let history: BTreeMap<u32, Ended> =
                history.iter().map(|attempt| (attempt.number, attempt.outcome.ended)).collect();
            assert_eq!(history, expected.history, "{expected:?}");
        }
        assert_eq!(self.bench.store.counts().await.unwrap().unplanned, self.unplanned.len() as u64);
    }

    async fn drive_to_the_end(&mut self) {
        self.plan(ALL).await;
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

impl Kind {
    fn deliveries(self) -> Vec<NewDelivery> {
        let lane = |number: usize| Some(["a", "b", "c"][number]);
        match self {
            Kind::Lane(number) => vec![to("crm", lane(number)), to("log", None)],
            Kind::BothInLane(number) => vec![to("crm", lane(number)), to("log", lane(number))],
            Kind::Dead(number) => {
                vec![NewDelivery { dead: Some("no".to_owned()), ..to("crm", lane(number)) }, to("log", lane(number))]
            }
            Kind::Nowhere => Vec::new(),
        }
    }
}
