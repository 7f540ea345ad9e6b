//! Replays by hand: each step is taken by the test.

use std::sync::Arc;

use tokio::sync::watch;

use super::super::Policy;
use super::super::bench::{Bench, FarEnd};
use super::*;
use crate::dispatch::Consumer;
use crate::model::{HandlerName, NewReplay, ReplayState};
use crate::routes::Route;
use crate::store::DeliveryQuery;

fn consumers(names: &[&str]) -> Vec<Consumer> {
    names.iter().map(|name| Arc::<FarEnd>::default().consumer(name, Policy::default())).collect()
}

fn replayer(bench: &Bench, consumers: &[Consumer]) -> Replayer {
    Replayer {
        house: bench.house.clone(),
        consumers: watch::channel(Arc::new(consumers.to_vec())).1,
        buckets: BTreeMap::new(),
    }
}

async fn start(bench: &Bench, to: ReplayTo, per_second: Option<u32>) -> ReplayId {
    let events = ReplayedEvents::Filter(EventFilter::default());
    let new = NewReplay { events, to, undelivered: false, per_second, at: bench.house.clock.now() };
    bench.house.store.start_replay(new).await.unwrap().unwrap().id
}

async fn made(bench: &Bench, id: ReplayId) -> (u64, u64, ReplayState) {
    let replay = bench.house.store.replay(id).await.unwrap().unwrap();
    (replay.events, replay.deliveries, replay.state)
}

#[tokio::test]
async fn several_replays_take_turns() {
    let consumers = consumers(&["crm", "audit"]);
    let bench = Bench::with_issues(450, &consumers).await;
    let mut replayer = replayer(&bench, &consumers);
    let both = start(&bench, ReplayTo::SameHandlers, None).await;
    let one = start(&bench, ReplayTo::Handler(consumers[1].name.clone()), None).await;
    assert_eq!(replayer.step().await.unwrap(), Duration::ZERO);
    assert_eq!(made(&bench, both).await, (200, 400, ReplayState::Running));
    assert_eq!(made(&bench, one).await, (200, 200, ReplayState::Running));
    for _ in 0..2 {
        replayer.step().await.unwrap();
    }
    assert_eq!(made(&bench, both).await, (450, 900, ReplayState::Done));
    assert_eq!(made(&bench, one).await, (450, 450, ReplayState::Done));
    assert_eq!(replayer.step().await.unwrap(), POLL);
}

#[tokio::test]
async fn a_replay_keeps_its_rate_and_holds_up_no_other() {
    let consumers = consumers(&["crm"]);
    let bench = Bench::with_issues(100, &consumers).await;
    let mut replayer = replayer(&bench, &consumers);
    let slow = start(&bench, ReplayTo::SameHandlers, Some(10)).await;
    let began = bench.house.clock.now();
    let mut fast = None;
    while made(&bench, slow).await.2 == ReplayState::Running {
        let wait = replayer.step().await.unwrap();
        let (now, (events, ..)) = (bench.house.clock.now(), made(&bench, slow).await);
        let most = 10.0 + 10.0 * between(began, now).as_secs_f64();
        assert!(f64::from(u32::try_from(events).unwrap()) <= most, "{events} after {:?}", between(began, now));
        match fast {
            None => fast = Some(start(&bench, ReplayTo::SameHandlers, None).await),
            Some(fast) => assert_eq!(made(&bench, fast).await.2, ReplayState::Done),
        }
        bench.house.clock.advance(wait);
    }
    let took = between(began, bench.house.clock.now());
    assert!((8..=11).contains(&took.as_secs()), "{took:?}");
    assert_eq!(made(&bench, slow).await, (100, 100, ReplayState::Done));
}

#[tokio::test]
async fn a_replay_that_was_stopped_makes_nothing_more_until_it_goes_on() {
    let consumers = consumers(&["crm"]);
    let bench = Bench::with_issues(450, &consumers).await;
    let mut replayer = replayer(&bench, &consumers);
    let id = start(&bench, ReplayTo::SameHandlers, None).await;
    replayer.step().await.unwrap();
    assert!(bench.house.store.set_replay(id, ReplayState::Stopped, bench.house.clock.now()).await.unwrap());
    for _ in 0..3 {
        assert_eq!(replayer.step().await.unwrap(), POLL);
    }
    assert_eq!(made(&bench, id).await, (200, 200, ReplayState::Stopped));
    assert!(bench.house.store.set_replay(id, ReplayState::Running, bench.house.clock.now()).await.unwrap());
    while replayer.step().await.unwrap() < POLL {}
    assert_eq!(made(&bench, id).await, (450, 450, ReplayState::Done));
    let numbers: Vec<u32> = bench.deliveries(&consumers[0]).await.iter().map(|one| one.number).collect();
    assert_eq!(numbers.iter().filter(|number| **number == 1).count(), 450);
}

#[tokio::test]
async fn a_replay_asks_the_route_only_with_rematch_and_waits_for_a_handler_that_is_not_configured() {
    let mut consumers = consumers(&["crm", "audit"]);
    consumers[0].route = Route::new(vec!["Comment.*".parse().unwrap()]);
    consumers[1].policy.ordered = false;
    let bench = Bench::with_issues(1, &[]).await;
    let mut replayer = replayer(&bench, &consumers);
    let named = |name: &str| HandlerName::parse(name).unwrap();
    for (to, expected) in [
        (ReplayTo::SameHandlers, &[][..]),
        (ReplayTo::Handler(named("crm")), &[("crm", true)]),
        (ReplayTo::Handler(named("gone")), &[("gone", true)]),
        (ReplayTo::Rematch, &[("audit", false)]),
        (ReplayTo::RematchHandler(named("crm")), &[]),
        (ReplayTo::RematchHandler(named("gone")), &[]),
    ] {
        let id = start(&bench, to.clone(), None).await;
        while replayer.step().await.unwrap() < POLL {}
        let all = bench.house.store.deliveries(DeliveryQuery { limit: 100, ..DeliveryQuery::default() }).await.unwrap();
        let made = all.items.iter().filter(|delivery| delivery.replay == Some(id));
        let made: Vec<_> = made.map(|delivery| (delivery.handler.as_str(), delivery.lane.is_some())).collect();
        assert_eq!(made, expected, "{to:?}");
    }
}
