//! One process at a time plans, makes replays and keeps up; another takes over.

use std::time::Duration;

use workhook::dispatch::Policy;
use workhook::health::Holder;
use workhook::model::{DeliveryState, EventFilter, NewReplay, ReplayState, ReplayTo, ReplayedEvents};
use workhook::store::{Duty, Store};

use crate::far_end::FarEnd;
use crate::replica::{Cluster, Replica, until};

/// By when another process has taken over.
const TAKEN_OVER: Duration = Duration::from_secs(10);
const DUTIES: [&str; 3] = ["planning", "replaying", "upkeep"];

fn cluster() -> Cluster {
    Cluster::new(FarEnd::new(Duration::from_millis(20)), Policy::default())
}

/// Two that know of each other; the first has every duty.
async fn two(cluster: &mut Cluster) -> (Replica, Replica) {
    let first = cluster.start();
    until("the first has every duty", async || DUTIES.iter().all(|duty| first.holder(duty) == Holder::Here)).await;
    let second = cluster.start();
    until("the second knows", async || DUTIES.iter().all(|duty| second.holder(duty) == Holder::Elsewhere)).await;
    (first, second)
}

async fn planned(replica: &Replica) -> Duration {
    until("every event is planned", async || replica.store.counts().await.unwrap().unplanned == 0).await
}

#[tokio::test(start_paused = true)]
async fn one_of_two_plans_and_the_other_is_ready_all_the_same_and_attempts() {
    // So slow that one of them alone would not be done before the other looks.
    let mut cluster = Cluster::new(FarEnd::new(Duration::from_millis(500)), Policy::default());
    let (first, second) = two(&mut cluster).await;
    assert_eq!((first.health.ready(), second.health.ready()), (Ok(()), Ok(())));
    for issue in 0..200 {
        first.append(issue).await;
    }
    until("all are taken", async || cluster.far_end.taken().len() == 200).await;
    assert!(cluster.far_end.taken().values().all(|times| *times == 1));
    let by = |replica| cluster.far_end.asked().iter().filter(|(_, by)| *by == replica).count();
    assert!(by(0) > 0 && by(1) > 0, "{} {}", by(0), by(1));
    assert_eq!(second.holder("planning"), Holder::Elsewhere);
}

#[tokio::test(start_paused = true)]
async fn when_the_holder_dies_another_takes_each_duty_over_within_ten_seconds() {
    let mut cluster = cluster();
    let (first, second) = two(&mut cluster).await;
    first.kill();
    second.append(1).await;
    let took = planned(&second).await;
    assert!(took <= TAKEN_OVER, "{took:?}");
    let took = until("the others too", async || DUTIES.iter().all(|duty| second.holder(duty) == Holder::Here)).await;
    assert!(took <= TAKEN_OVER, "{took:?}");
    until("it is taken", async || cluster.far_end.taken().len() == 1).await;
    until("it can be found", async || second.store.counts().await.unwrap().uncatalogued == 0).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_stops_in_order_gives_its_duties_up_at_once() {
    let mut cluster = cluster();
    let (first, second) = two(&mut cluster).await;
    first.stop().await;
    second.append(1).await;
    let took = planned(&second).await;
    assert!(took <= Duration::from_secs(3), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_was_only_asleep_is_refused_and_asks_again() {
    let mut cluster = cluster();
    let (first, second) = two(&mut cluster).await;
    cluster.memory.seize(Duty::Planning, Duration::from_secs(60));
    first.append(1).await;
    until("it has heard", async || first.holder("planning") == Holder::Elsewhere).await;
    assert_eq!(first.store.counts().await.unwrap().unplanned, 1, "it planned without the duty");
    assert_eq!(first.health.ready(), Ok(()));
    let took = planned(&second).await;
    assert!((Duration::from_secs(50)..Duration::from_secs(70)).contains(&took), "{took:?}");
    until("it is taken", async || cluster.far_end.taken().len() == 1).await;
    assert_eq!(cluster.deliveries(&second).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_replay_goes_on_in_another_process_and_makes_nothing_twice() {
    let mut cluster = cluster();
    let (first, second) = two(&mut cluster).await;
    for issue in 0..30 {
        second.append(issue).await;
    }
    until("all are taken", async || cluster.far_end.taken().len() == 30).await;
    let events = ReplayedEvents::Filter(EventFilter::default());
    let at = jiff::Timestamp::from_second(1_700_000_000).unwrap();
    let new = NewReplay { events, to: ReplayTo::SameHandlers, undelivered: false, per_second: Some(1), at };
    let replay = second.store.start_replay(new).await.unwrap().unwrap();
    let made = async |least: u64| second.store.replay(replay.id).await.unwrap().unwrap().events >= least;
    until("it is half-way", async || made(10).await).await;
    first.kill();
    until("it is done", async || second.store.replay(replay.id).await.unwrap().unwrap().state == ReplayState::Done)
        .await;
    until("all are taken again", async || cluster.far_end.taken().values().sum::<usize>() == 60).await;
    assert!(cluster.far_end.taken().values().all(|times| *times == 2));
}

#[tokio::test(start_paused = true)]
async fn ruling_21_a_takeover_after_a_crash_counts_as_a_start_at_the_same_event() {
    let mut cluster = cluster();
    let crashing = cluster.start();
    let position = crashing.append(1).await;
    crashing.kill();
    for _ in 0..3 {
        // A process that planning the first event ends.
        let store = cluster.memory.join(&workhook::wake::Wakes::default(), 1000);
        until("it has the duty", async || store.hold(Duty::Planning, Duration::from_secs(6)).await.unwrap()).await;
        store.start_planning().await.unwrap();
    }
    let good = cluster.start();
    good.append(2).await;
    planned(&good).await;
    until("the other is taken", async || cluster.far_end.taken().len() == 1).await;
    let dead: Vec<_> = cluster.deliveries(&good).await;
    let of_first: Vec<_> = dead.iter().filter(|delivery| delivery.position == position).collect();
    let [delivery] = of_first[..] else { panic!("{of_first:?}") };
    assert_eq!(delivery.state, DeliveryState::Dead);
    assert_eq!(delivery.reason.as_deref(), Some("planning it ended the process 3 times in a row"));
}

#[tokio::test(start_paused = true)]
async fn without_a_store_nobody_knows_who_plans_and_all_goes_on_when_it_is_back() {
    let mut cluster = cluster();
    let (first, second) = two(&mut cluster).await;
    cluster.memory.set_away(true);
    until("nobody is ready", async || [&first, &second].iter().all(|replica| replica.health.ready() == Err("planner")))
        .await;
    assert_eq!((first.holder("planning"), second.holder("planning")), (Holder::Unknown, Holder::Unknown));
    cluster.memory.set_away(false);
    first.append(1).await;
    let took = planned(&first).await;
    assert!(took <= TAKEN_OVER, "{took:?}");
    until("it is taken", async || cluster.far_end.taken().len() == 1).await;
    assert_eq!((first.health.ready(), second.health.ready()), (Ok(()), Ok(())));
}
