//! Replays by hand: each step is taken by the test.

use tokio::sync::watch;

use std::sync::Arc;

use super::super::Policy;
use super::super::bench::{Bench, FarEnd};
use super::*;
use crate::model::NewReplay;
use crate::routes::Route;

fn consumers(names: &[&str]) -> Vec<Consumer> {
    names.iter().map(|name| Arc::<FarEnd>::default().consumer(name, Policy::default())).collect()
}

fn replayer(bench: &Bench, consumers: &[Consumer]) -> Replayer {
    Replayer {
        house: bench.house.clone(),
        consumers: watch::channel(Arc::new(consumers.to_vec())).1,
        buckets: HashMap::new(),
    }
}

async fn start(bench: &Bench, to: ReplayTo, per_second: Option<u32>) -> ReplayId {
    let events = ReplayedEvents::Filter(EventFilter::default());
    let new = NewReplay { events, to, undelivered: false, per_second, at: bench.house.clock.now() };
    bench.house.store.start_replay(new).await.unwrap().unwrap().id
}

async fn made(bench: &Bench, id: ReplayId) -> (u64, u64, ReplayState) {
    let replays = bench.house.store.replays(100).await.unwrap();
    let replay = replays.iter().find(|replay| replay.id == id).unwrap();
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

#[test]
fn who_may_get_an_event_again_is_asked_of_the_route_only_with_rematch() {
    let mut consumers = consumers(&["crm", "audit"]);
    consumers[0].route = Route::new(vec!["Comment.*".parse().unwrap()]);
    consumers[1].policy.ordered = false;
    let name = EventName::parse("Issue.Update").unwrap();
    let named = |name: &str| HandlerName::parse(name).unwrap();
    let check = |to: &ReplayTo, expected: &[(&str, bool)]| {
        let candidates = candidates(&consumers, to, &name);
        let found: Vec<_> = candidates.iter().map(|one| (one.handler.as_str(), one.ordered)).collect();
        assert_eq!(found, expected, "{to:?}");
    };
    check(&ReplayTo::SameHandlers, &[("crm", true), ("audit", false)]);
    check(&ReplayTo::Handler(named("crm")), &[("crm", true)]);
    check(&ReplayTo::Handler(named("gone")), &[("gone", true)]);
    check(&ReplayTo::Rematch, &[("audit", false)]);
    check(&ReplayTo::RematchHandler(named("crm")), &[]);
    check(&ReplayTo::RematchHandler(named("audit")), &[("audit", false)]);
    check(&ReplayTo::RematchHandler(named("gone")), &[]);
}
