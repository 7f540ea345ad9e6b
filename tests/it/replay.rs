//! Replays: events of the past, handled again (ruling 16).

use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use tokio::sync::Semaphore;
use workhook::contract::Brand;
use workhook::model::{EventFilter, EventId, NewReplay, Replay, ReplayId, ReplayState, ReplayTo, ReplayedEvents};
use workhook::{Any, Context, Event, Registry};

use crate::support::{Post, TestApp, until};

/// What a function was asked: the number in the issue, the idempotency key, and whether it is a replay.
type Asked = (u64, String, bool);

/// A function `see` that writes down what it is asked, and needs leave for each call.
#[derive(Clone)]
struct Seen {
    asked: Arc<Mutex<Vec<Asked>>>,
    leave: Arc<Semaphore>,
}

impl Seen {
    fn new(leave: usize) -> Seen {
        Seen { asked: Arc::default(), leave: Arc::new(Semaphore::new(leave)) }
    }

    fn register(&self) -> impl FnOnce(Registry) -> Registry + use<> {
        let seen = self.clone();
        |registry| {
            registry.on_events("see", &["Issue.Update"], move |event: Event<Any>, cx: Context| {
                let seen = seen.clone();
                async move {
                    seen.leave.acquire().await.unwrap().forget();
                    let number = event.raw["data"]["issue"]["number"].as_u64().unwrap();
                    seen.asked.lock().unwrap().push((number, cx.idempotency_key(), cx.is_replay()));
                    Ok(())
                }
            })
        }
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn everything(per_second: Option<u32>) -> NewReplay {
    NewReplay {
        events: ReplayedEvents::Filter(EventFilter::default()),
        to: ReplayTo::SameHandlers,
        undelivered: false,
        per_second,
        at: Timestamp::UNIX_EPOCH,
    }
}

async fn start(app: &TestApp, new: NewReplay) -> ReplayId {
    app.store.start_replay(new).await.unwrap().expect("there are such events").id
}

async fn replay(app: &TestApp, id: ReplayId) -> Replay {
    app.store.replays(100).await.unwrap().into_iter().find(|replay| replay.id == id).unwrap()
}

async fn done(app: &TestApp, id: ReplayId) -> Replay {
    until("the replay is done", || async {
        Some(replay(app, id).await).filter(|replay| replay.state == ReplayState::Done)
    })
    .await
}

#[tokio::test]
async fn ruling_16_a_replayed_event_is_a_delivery_of_its_own_at_the_end_of_its_lane() {
    let seen = Seen::new(1);
    let app = TestApp::with("").functions(seen.register()).start().await;
    for number in 0..3 {
        app.send(Post::new(Brand::Leiga, "Issue.Update").issue(1, number)).await;
    }
    until("the first is handled", || async { (seen.asked().len() == 1).then_some(()) }).await;
    let id: EventId = app.events().await[0].id.parse().unwrap();
    let one = NewReplay { events: ReplayedEvents::One(id), ..everything(None) };
    let replayed = start(&app, one).await;
    assert_eq!(done(&app, replayed).await.deliveries, 1);
    app.send(Post::new(Brand::Leiga, "Issue.Update").issue(1, 3)).await;
    until("the last is planned", || async { (app.health().await.unplanned == 0).then_some(()) }).await;
    seen.leave.add_permits(100);
    app.settled().await;
    let asked = seen.asked();
    let order: Vec<(u64, bool)> = asked.iter().map(|(number, _, is_replay)| (*number, *is_replay)).collect();
    assert_eq!(order, [(0, false), (1, false), (2, false), (0, true), (3, false)]);
    assert_ne!(asked[0].1, asked[3].1, "the keys differ");
    let again = start(&app, NewReplay { events: ReplayedEvents::One(id), ..everything(None) }).await;
    done(&app, again).await;
    app.settled().await;
    let keys: Vec<String> = seen.asked().into_iter().filter(|(number, ..)| *number == 0).map(|asked| asked.1).collect();
    assert!(keys.len() == 3 && keys[2] != keys[0] && keys[2] != keys[1], "{keys:?}");
    app.stop().await;
}

#[tokio::test]
async fn a_replay_at_a_rate_goes_on_after_a_restart_and_replays_nothing_twice() {
    const EVENTS: u64 = 80;
    let seen = Seen::new(10_000);
    let app = TestApp::with("").functions(seen.register()).start().await;
    for number in 0..EVENTS {
        app.send(Post::new(Brand::Leiga, "Issue.Update").issue(number % 7, number)).await;
    }
    app.settled().await;
    let id = start(&app, everything(Some(25))).await;
    until("some are replayed", || async { (replay(&app, id).await.events > 0).then_some(()) }).await;
    let app = TestApp::with("").functions(seen.register()).folder(app.stop().await).start().await;
    let at_start = replay(&app, id).await;
    assert!((1..EVENTS).contains(&at_start.events) && at_start.state == ReplayState::Running, "{at_start:?}");
    let replayed = done(&app, id).await;
    assert_eq!((replayed.events, replayed.deliveries), (EVENTS, EVENTS));
    app.settled().await;
    let mut numbers: Vec<u64> = seen.asked().iter().filter(|asked| asked.2).map(|asked| asked.0).collect();
    for issue in 0..7 {
        let of_issue: Vec<u64> = numbers.iter().copied().filter(|number| number % 7 == issue).collect();
        assert!(of_issue.is_sorted(), "each lane in order: {of_issue:?}");
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (0..EVENTS).collect::<Vec<_>>());
    app.stop().await;
}

#[tokio::test]
async fn a_replay_that_was_stopped_stays_stopped_over_a_restart_and_goes_on_when_it_is_told_to() {
    let seen = Seen::new(10_000);
    let app = TestApp::with("").functions(seen.register()).start().await;
    for number in 0..30 {
        app.send(Post::new(Brand::Leiga, "Issue.Update").issue(number, number)).await;
    }
    app.settled().await;
    let slow = start(&app, everything(Some(2))).await;
    until("it began", || async { (replay(&app, slow).await.events > 0).then_some(()) }).await;
    assert!(app.store.set_replay(slow, ReplayState::Stopped, Timestamp::UNIX_EPOCH).await.unwrap());
    let stopped = replay(&app, slow).await;
    let app = TestApp::with("").functions(seen.register()).folder(app.stop().await).start().await;
    // Another one shows that the replayer is at work.
    let other = start(&app, everything(None)).await;
    done(&app, other).await;
    assert_eq!(replay(&app, slow).await, stopped);
    assert!(app.store.set_replay(slow, ReplayState::Running, Timestamp::UNIX_EPOCH).await.unwrap());
    until("it goes on", || async { (replay(&app, slow).await.events > stopped.events).then_some(()) }).await;
    app.stop().await;
}

#[tokio::test]
async fn a_replay_with_rematch_asks_the_routes_of_now() {
    let seen = Seen::new(10_000);
    let app = TestApp::with("[[handler]]\nname = \"old\"\nkind = \"log\"").start().await;
    for number in 0..3 {
        app.send(Post::new(Brand::Leiga, "Issue.Update").issue(1, number)).await;
    }
    app.send(Post::new(Brand::Leiga, "Issue.Create").issue(2, 0)).await;
    app.settled().await;
    // A handler that came later: it had none of these.
    let app = TestApp::with("").functions(seen.register()).folder(app.stop().await).start().await;
    let same = start(&app, everything(None)).await;
    assert_eq!(done(&app, same).await.deliveries, 0, "those that had it are gone, the new one had nothing");
    let rematch = start(&app, NewReplay { to: ReplayTo::Rematch, ..everything(None) }).await;
    assert_eq!(done(&app, rematch).await.deliveries, 3, "its route takes no Issue.Create");
    app.settled().await;
    assert_eq!(
        seen.asked().iter().map(|asked| (asked.0, asked.2)).collect::<Vec<_>>(),
        [(0, true), (1, true), (2, true)]
    );
    app.stop().await;
}
