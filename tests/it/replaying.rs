//! Events of the past, handled again by the API (ruling 16); and a handler that is tried with one.

use jiff::Timestamp;
use serde_json::{Value, json};
use workhook::admin::api::wire;
use workhook::contract::Brand;
use workhook::model::{EventFilter, NewReplay, ReplayTo, ReplayedEvents};

use crate::support::receiver::Reply;
use crate::support::{Post, TestApp, TestReceiver, until};

/// Two handlers, of which one takes issues and the other takes sprints.
async fn app(receiver: &TestReceiver, more: &str) -> TestApp {
    let issues = receiver.handler("issues", &format!("events = [\"Issue.*\"]\n{more}"));
    let sprints = receiver.handler("sprints", "events = [\"Sprint.*\"]");
    TestApp::with(&format!("{issues}\n{sprints}")).start().await
}

impl TestApp {
    /// Waits until a replay is done.
    async fn replayed(&self, id: &Value) -> wire::Replay {
        until("the replay is done", || async {
            let replay: wire::Replay = self.api(&format!("replays/{id}")).await;
            (replay.state == "done").then_some(replay)
        })
        .await
    }

    /// How many events and deliveries a replay would be, asked until the end.
    async fn would(&self, replay: Value) -> (u64, u64) {
        let mut asked = json!({ "replay": replay });
        let (mut events, mut deliveries) = (0, 0);
        loop {
            let part = self.done("replays/preview", asked.clone()).await;
            events += part["events"].as_u64().unwrap();
            deliveries += part["deliveries"].as_u64().unwrap();
            if part["next"].is_null() {
                return (events, deliveries);
            }
            asked = json!({ "replay": asked["replay"], "after": part["next"], "through": part["through"] });
        }
    }
}

#[tokio::test]
async fn ruling_16_a_replay_is_a_new_delivery_with_a_number_and_a_key_of_its_own_marked_as_replay() {
    let receiver = TestReceiver::start().await;
    let app = app(&receiver, "").await;
    app.send(Post::new(Brand::Leiga, "Issue.Update")).await;
    app.settled().await;
    let id = app.events().await[0].id.clone();
    assert_eq!(app.would(json!({ "event": id })).await, (1, 1));
    let started = app.done("replays", json!({ "event": id })).await;
    let replay = app.replayed(&started["id"]).await;
    assert_eq!((replay.events, replay.deliveries, replay.asked.event.as_ref()), (1, 1, Some(&id)));
    app.settled().await;
    let deliveries: wire::Deliveries = app.api(&format!("deliveries?event={id}")).await;
    let [again, first] = &deliveries.deliveries[..] else { panic!("two deliveries") };
    assert_eq!((first.number, first.replay), (0, None));
    assert_eq!((again.number, again.replay, again.state.as_str()), (1, Some(replay.id), "delivered"));
    let keys: Vec<_> = receiver.received().iter().map(|one| one.header("idempotency-key").to_owned()).collect();
    assert_eq!(keys, [format!("{id}/issues"), format!("{id}/issues/1")]);
    app.stop().await;
}

#[tokio::test]
async fn what_a_replay_would_be_is_what_it_is_whomever_it_is_for() {
    let receiver = TestReceiver::start().await;
    let app = app(&receiver, "retry = { attempts = 1 }").await;
    receiver.answer(|received| Reply {
        status: if received.header("x-leiga-event") == "Issue.Delete" { 422 } else { 200 },
        ..Reply::default()
    });
    for name in ["Issue.Create", "Issue.Update", "Issue.Delete", "Sprint.Start", "Comment.Create"] {
        app.send(Post::new(Brand::Leiga, name)).await;
    }
    app.settled().await;
    for (asked, expected) in [
        (json!({ "filter": { "webhook": "product", "outcome": "not-routed" } }), (1, 0)),
        (json!({ "filter": { "webhook": "product" }, "undelivered": true }), (5, 1)),
        (json!({ "filter": { "webhook": "product" } }), (5, 4)),
        (json!({ "filter": { "name": "Issue.*" } }), (3, 3)),
        (json!({ "filter": { "webhook": "product" }, "handler": "sprints" }), (5, 5)),
        (json!({ "filter": { "webhook": "product" }, "handler": "sprints", "rematch": true }), (5, 1)),
        (json!({ "filter": { "webhook": "product" }, "rematch": true }), (5, 4)),
        (json!({ "filter": { "since": "2020-01-01T00:00:00Z", "until": "2020-01-02T00:00:00Z" } }), (0, 0)),
    ] {
        assert_eq!(app.would(asked.clone()).await, expected, "{asked}");
        let started = app.done("replays", asked.clone()).await;
        let replay = app.replayed(&started["id"]).await;
        assert_eq!((replay.events, replay.deliveries), expected, "{asked}");
        assert_eq!(serde_json::to_value(&replay.asked.filter).unwrap(), asked["filter"]);
        app.settled().await;
    }
    let all: wire::Replays = app.api("replays").await;
    let ids: Vec<_> = all.replays.iter().map(|replay| replay.id).collect();
    assert_eq!(ids, [8, 7, 6, 5, 4, 3, 2, 1]);
    app.stop().await;
}

/// A replay of thirty events that takes six seconds, as it was when it began.
async fn slow_replay() -> (TestReceiver, TestApp, Value) {
    let receiver = TestReceiver::start().await;
    let app = app(&receiver, "").await;
    for _ in 0..30 {
        app.send(Post::new(Brand::Leiga, "Issue.Update")).await;
    }
    app.settled().await;
    let started = app.done("replays", json!({ "filter": {}, "per_second": 5 })).await;
    (receiver, app, started)
}

#[tokio::test]
async fn a_replay_that_is_stopped_makes_nothing_more_until_it_goes_on() {
    let (receiver, app, started) = slow_replay().await;
    let path = format!("replays/{}", started["id"]);
    let stopped = app.done(&format!("{path}/stop"), json!({})).await;
    assert_eq!(stopped["state"], "stopped");
    assert!(stopped["events"].as_u64().unwrap() < 30, "{stopped}");
    assert_eq!(app.done(&format!("{path}/stop"), json!({})).await["events"], stopped["events"], "it stays stopped");
    assert_eq!(app.done(&format!("{path}/resume"), json!({})).await["state"], "running");
    let replay = app.replayed(&started["id"]).await;
    assert_eq!((replay.events, replay.deliveries), (30, 30));
    let (status, answer) = app.ask(&format!("{path}/stop"), json!({})).await;
    assert_eq!((status, &answer["error"]), (422, &json!("replay 1 is done")));
    app.settled().await;
    assert_eq!(receiver.received().len(), 60);
    app.stop().await;
}

#[tokio::test]
async fn a_stopped_replay_is_found_and_goes_on_however_many_were_asked_for_after_it() {
    let (_receiver, app, started) = slow_replay().await;
    let path = format!("replays/{}", started["id"]);
    app.done(&format!("{path}/stop"), json!({})).await;
    // Of nothing, and so they are done at once.
    let nothing = EventFilter { since: Some(Timestamp::MAX), ..EventFilter::default() };
    for _ in 0..1000 {
        let (events, to) = (ReplayedEvents::Filter(nothing.clone()), ReplayTo::SameHandlers);
        let new = NewReplay { events, to, undelivered: false, per_second: None, at: Timestamp::UNIX_EPOCH };
        app.store.start_replay(new).await.unwrap();
    }
    let told: wire::Replay = app.api(&path).await;
    assert_eq!(told.state, "stopped");
    assert_eq!(app.done(&format!("{path}/resume"), json!({})).await["state"], "running");
    until("it goes on", || async { (app.api::<wire::Replay>(&path).await.events > told.events).then_some(()) }).await;
    app.stop().await;
}

#[tokio::test]
async fn a_handler_is_tried_with_the_newest_event_that_its_route_takes_and_the_answer_says_what_came_of_it() {
    let receiver = TestReceiver::start().await;
    let app = app(&receiver, "").await;
    for name in ["Issue.Create", "Issue.Update", "Sprint.Start"] {
        app.send(Post::new(Brand::Leiga, name)).await;
    }
    app.settled().await;
    let events = app.events().await;
    let tested = app.done("handlers/issues/test", json!({})).await;
    assert_eq!((&tested["event"], &tested["ended"]), (&json!(events[1].id), &json!(true)));
    assert_eq!((&tested["delivery"]["state"], &tested["delivery"]["handler"]), (&json!("delivered"), &json!("issues")));
    assert_eq!(tested["delivery"]["history"][0]["status"], 200);
    let named = app.done("handlers/issues/test", json!({ "event": "Sprint.*" })).await;
    assert_eq!(named["event"], json!(events[2].id), "whatever its route says");
    let by_id = app.done("handlers/issues/test", json!({ "event_id": events[0].id })).await;
    assert_eq!(by_id["event"], json!(events[0].id));
    assert_eq!(receiver.received().len(), 6, "each went to this handler alone");
    receiver.answer_status(503);
    let failed = app.done("handlers/issues/test", json!({})).await;
    let delivery = &failed["delivery"];
    assert_eq!((&delivery["state"], &delivery["history"][0]["status"]), (&json!("pending"), &json!(503)));
    app.done("handlers/issues/pause", json!({})).await;
    let (status, answer) = app.ask("handlers/issues/test", json!({})).await;
    assert!(status == 422 && answer["error"].as_str().unwrap().contains("handlers resume issues"), "{answer}");
    app.stop().await;
}

#[tokio::test]
async fn a_test_that_waits_behind_others_is_answered_202_in_time() {
    let receiver = TestReceiver::start().await;
    for (breaker, waits) in [
        ("", "for the one before it in its lane"),
        ("breaker = { failures = 1 }", "for the one before it in its lane and its handler's breaker"),
    ] {
        is_answered_in_time(&receiver, breaker, waits).await;
    }
}

async fn is_answered_in_time(receiver: &TestReceiver, breaker: &str, waits: &str) {
    let retry = "retry = { attempts = 5, first = \"1h\" }";
    let app = app(receiver, &format!("timeout = \"100ms\"\n{retry}\n{breaker}")).await;
    receiver.answer_status(503);
    app.send(Post::new(Brand::Leiga, "Issue.Update")).await;
    let attempted = || async {
        let list: wire::Deliveries = app.api("deliveries").await;
        list.deliveries.first().filter(|delivery| delivery.reason.is_some()).cloned()
    };
    let first = until("the first attempt failed", attempted).await;
    let (status, tested) = app.ask("handlers/issues/test", json!({ "event_id": first.event })).await;
    assert_eq!((status, &tested["ended"]), (202, &json!(false)));
    assert_eq!(tested["delivery"]["waits"], waits);
    assert!(app.done("deliveries/cancel", json!({ "filter": {} })).await["done"] == 2);
    app.stop().await;
}
