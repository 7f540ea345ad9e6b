//! Replays as they are kept and found: by id, the newest, those that run, and which of them go.

use workhook::model::{
    DeliveryState, EventFilter, EventOutcome, NewReplay, Position, ReplayId, ReplayState, ReplayTo, ReplayedEvents,
};

use crate::bench::{ALL, Bench, at, handler};
use crate::replays::{delivered, everything, replay, set, start};
use crate::request::Request;

pub(crate) async fn a_replay_is_kept_as_it_was_asked_for_and_the_newest_comes_first(bench: &mut Bench) {
    let (one, position) = bench.stored(&Request::new()).await;
    let filter = EventFilter {
        name: Some("Issue.*".parse().unwrap()),
        webhook: Some("product".to_owned()),
        entity: Some("issue/100".to_owned()),
        person: Some("jane@example.com".to_owned()),
        text: Some("a \"quoted\" word".to_owned()),
        since: Some(at(-10)),
        until: Some(at(10)),
        outcome: Some(EventOutcome::Has(DeliveryState::Dead)),
    };
    let asked = [
        NewReplay { events: ReplayedEvents::One(one), to: ReplayTo::Handler(handler("crm")), ..everything() },
        NewReplay { events: ReplayedEvents::Filter(filter), per_second: Some(7), ..everything() },
        NewReplay { to: ReplayTo::Rematch, undelivered: true, ..everything() },
        NewReplay { to: ReplayTo::RematchHandler(handler("crm")), at: at(6), ..everything() },
    ];
    let mut expected = Vec::new();
    for asked in asked {
        let started = start(bench, asked.clone()).await;
        assert_eq!((started.state, started.position, started.last), (ReplayState::Running, Position(0), position));
        assert_eq!((started.events, started.deliveries, started.done_at), (0, 0, None));
        assert_eq!(started.asked, asked);
        expected.insert(0, started);
    }
    bench.kill().await;
    assert_eq!(bench.store.replays(ALL).await.unwrap(), expected);
    assert_eq!(bench.store.replays(2).await.unwrap(), expected[..2]);
}

pub(crate) async fn a_replay_is_found_by_its_id_and_those_that_run_come_the_oldest_first(bench: &mut Bench) {
    delivered(bench, 1).await;
    assert_eq!(bench.store.running_replays().await.unwrap(), []);
    let mut ids = Vec::new();
    for state in [None, Some(ReplayState::Stopped), None, Some(ReplayState::Done), None] {
        ids.push(start(bench, everything()).await.id);
        if let Some(state) = state {
            set(bench, ids[ids.len() - 1], state).await;
        }
    }
    bench.kill().await;
    let running = bench.store.running_replays().await.unwrap();
    let all = bench.store.replays(ALL).await.unwrap();
    assert_eq!(running.iter().map(|replay| replay.id).collect::<Vec<_>>(), [ids[0], ids[2], ids[4]]);
    for (id, listed) in ids.iter().rev().zip(&all) {
        assert_eq!(&replay(bench, *id).await, listed);
    }
    assert_eq!((&running[0], &running[2]), (&all[4], &all[0]));
    assert_eq!(bench.store.replay(ReplayId(9999)).await.unwrap(), None);
}

pub(crate) async fn of_a_thousand_and_more_replays_the_oldest_that_are_done_go_and_no_other(bench: &mut Bench) {
    delivered(bench, 1).await;
    let (running, stopped) = (start(bench, everything()).await.id, start(bench, everything()).await.id);
    set(bench, stopped, ReplayState::Stopped).await;
    // Of nothing, and so they are done at once.
    let nothing = EventFilter { since: Some(at(1_000_000)), ..EventFilter::default() };
    let mut done = Vec::new();
    for _ in 0..1010 {
        let new = NewReplay { events: ReplayedEvents::Filter(nothing.clone()), ..everything() };
        done.push(start(bench, new).await.id);
    }
    let kept: Vec<ReplayId> = bench.store.replays(ALL).await.unwrap().iter().rev().map(|replay| replay.id).collect();
    assert_eq!(kept, [&[running, stopped], &done[10..]].concat());
    assert_eq!(bench.store.replay(done[9]).await.unwrap(), None);
    let runs = bench.store.running_replays().await.unwrap();
    assert_eq!(runs.iter().map(|replay| replay.id).collect::<Vec<_>>(), [running]);
    assert!(set(bench, stopped, ReplayState::Running).await, "an old one goes on");
}
