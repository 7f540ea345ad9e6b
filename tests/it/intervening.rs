//! What somebody decides by the API: deliveries retried and cancelled, handlers paused, and what it says of both.

use serde_json::{Value, json};
use workhook::admin::api::wire;
use workhook::contract::Brand;

use crate::support::{Post, TestApp, TestReceiver, hooks, until};

/// A handler that makes a dead letter of everything.
async fn broken(more: &str) -> (TestApp, TestReceiver) {
    let receiver = TestReceiver::start().await;
    receiver.answer_status(422);
    let app = TestApp::with(&receiver.handler("crm", more)).start().await;
    (app, receiver)
}

async fn send(app: &TestApp, count: usize) {
    for number in 0..count {
        app.send(Post::new(Brand::Leiga, "Issue.Update").set("ID", &format!("event-{number}"))).await;
    }
}

impl TestApp {
    /// Asks the API to do something; the status, and the answer.
    pub(crate) async fn ask(&self, path: &str, body: Value) -> (u16, Value) {
        let url = format!("http://{}/api/v1/{path}", self.private);
        let response = reqwest::Client::new().post(url).json(&body).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap_or_default())
    }

    /// Asks it to do something that it does.
    pub(crate) async fn done(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.ask(path, body).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    async fn all_deliveries(&self) -> Vec<wire::Delivery> {
        self.api::<wire::Deliveries>("deliveries?limit=200").await.deliveries
    }

    async fn handler(&self, name: &str) -> wire::Handler {
        self.api(&format!("handlers/{name}")).await
    }
}

#[tokio::test]
async fn dead_letters_are_retried_with_their_key_and_marked_and_others_are_left_alone() {
    let (app, receiver) = broken("").await;
    send(&app, 2).await;
    app.settled().await;
    receiver.answer_status(200);
    let [newer, older] = &app.all_deliveries().await[..] else { panic!("two deliveries") };
    let asked = json!({ "ids": [older.id, 4711], "dry_run": true });
    assert_eq!(app.done("deliveries/retry", asked).await["done"], 1, "one is there");
    assert_eq!(receiver.received().len(), 2, "nothing was retried");
    assert_eq!(app.done("deliveries/retry", json!({ "ids": [older.id, 4711] })).await["done"], 1);
    app.settled().await;
    let told: wire::Delivery = app.api(&format!("deliveries/{}", older.id)).await;
    assert_eq!((told.state.as_str(), told.retried, told.history.len()), ("delivered", 1, 2));
    assert_eq!(receiver.received()[2].header("idempotency-key"), older.idempotency_key);
    assert_eq!(app.done("deliveries/retry", json!({ "ids": [older.id] })).await["done"], 0, "it is delivered");
    let told: wire::Delivery = app.api(&format!("deliveries/{}", newer.id)).await;
    assert_eq!((told.state.as_str(), told.retried), ("dead", 0));
    app.stop().await;
}

#[tokio::test]
async fn all_that_a_filter_means_is_retried_and_what_fails_again_is_not_retried_twice() {
    let (app, receiver) = broken("ordered = false").await;
    send(&app, 4).await;
    app.settled().await;
    let dry = json!({ "filter": { "handler": "crm", "reason": "ANSWERED 422" }, "dry_run": true });
    assert_eq!(app.done("deliveries/retry", dry).await["done"], 4);
    let none = json!({ "filter": { "reason": "answered 500" } });
    assert_eq!(app.done("deliveries/retry", none).await["done"], 0);
    let answer = app.done("deliveries/retry", json!({ "filter": { "name": "Issue.*" } })).await;
    assert_eq!((&answer["done"], &answer["next"]), (&json!(4), &Value::Null));
    let health = app.settled().await;
    assert_eq!((health.deliveries.len(), health.deliveries[0].count), (1, 4), "{health:?}");
    assert_eq!(receiver.received().len(), 8);
    app.stop().await;
}

#[tokio::test]
async fn a_bulk_goes_on_where_it_ended_and_looks_at_nothing_newer_than_its_beginning() {
    let (app, _receiver) = broken("").await;
    send(&app, 3).await;
    app.settled().await;
    let ids: Vec<i64> = app.all_deliveries().await.iter().rev().map(|delivery| delivery.id).collect();
    let part = json!({ "filter": {}, "dry_run": true, "after": ids[0], "through": ids[1] });
    assert_eq!(app.done("deliveries/retry", part).await["done"], 1, "neither the first nor the last");
    app.stop().await;
}

#[tokio::test]
async fn pending_deliveries_are_cancelled_with_a_reason_and_nothing_else_is() {
    let (app, receiver) = broken("").await;
    send(&app, 1).await;
    app.settled().await;
    app.done("handlers/crm/pause", json!({})).await;
    app.send(Post::new(Brand::Leiga, "Issue.Update")).await;
    let waiting = until("it waits", || async { Some(app.all_deliveries().await).filter(|all| all.len() == 2) }).await;
    assert_eq!(waiting[0].waits.as_deref(), Some("for its handler, which is paused"));
    let all = json!({ "filter": { "handler": "crm" }, "reason": "the far end is gone" });
    assert_eq!(app.done("deliveries/cancel", all).await["done"], 1);
    let [cancelled, dead] = &app.all_deliveries().await[..] else { panic!("two deliveries") };
    assert_eq!((cancelled.state.as_str(), cancelled.reason.as_deref()), ("cancelled", Some("the far end is gone")));
    assert_eq!(dead.state, "dead");
    app.done("handlers/crm/resume", json!({})).await;
    assert_eq!(receiver.received().len(), 1);
    let again = json!({ "filter": { "state": "cancelled" } });
    receiver.answer_status(200);
    assert_eq!(app.done("deliveries/retry", again).await["done"], 1);
    let counts = app.settled().await.deliveries;
    assert_eq!(
        counts.iter().map(|count| (count.state.as_str(), count.count)).collect::<Vec<_>>(),
        [("delivered", 1), ("dead", 1)]
    );
    app.stop().await;
}

#[tokio::test]
async fn deliveries_are_found_by_every_filter() {
    let (app, receiver) = broken("").await;
    send(&app, 1).await;
    app.settled().await;
    receiver.answer_status(200);
    app.send(Post::new(Brand::Leiga, "Sprint.Start")).await;
    app.settled().await;
    let event = app.events().await[0].id.clone();
    for (query, expected) in [
        ("handler=crm".to_owned(), 2),
        ("handler=erp".to_owned(), 0),
        ("state=dead".to_owned(), 1),
        (format!("event={event}"), 1),
        ("name=Sprint.*".to_owned(), 1),
        ("reason=422".to_owned(), 1),
        ("since=2020-01-01T00:00:00Z".to_owned(), 2),
        ("until=2020-01-01T00:00:00Z".to_owned(), 0),
        ("after=0&limit=1".to_owned(), 1),
    ] {
        let list: wire::Deliveries = app.api(&format!("deliveries?{query}")).await;
        assert_eq!(list.deliveries.len(), expected, "{query}");
    }
    let first: wire::Deliveries = app.api("deliveries?after=0&limit=1").await;
    assert_eq!(first.deliveries[0].event, event, "the oldest first");
    app.stop().await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_what_would_and_changes_nothing() {
    let (app, _receiver) = broken("").await;
    send(&app, 1).await;
    app.settled().await;
    for (path, body, status, why) in [
        ("deliveries/retry", json!({}), 400, "give ids or a filter"),
        ("deliveries/retry", json!({ "ids": [1], "filter": {} }), 400, "not both"),
        ("deliveries/retry", json!({ "ids": vec![1; 501] }), 400, "more than 500"),
        ("deliveries/retry", json!({ "filter": { "state": "pending" } }), 400, "dead or cancelled"),
        ("deliveries/retry", json!({ "filter": { "hander": "crm" } }), 400, "hander"),
        ("deliveries/cancel", json!({ "filter": { "state": "dead" } }), 400, "that are pending"),
        ("deliveries/cancel", json!({ "filter": { "state": "lost" } }), 400, "no state"),
        ("deliveries/cancel", json!({ "filter": { "event": "7" } }), 400, "not the id of an event"),
        ("handlers/erp/pause", json!({}), 404, "no handler \"erp\""),
        ("handlers/ER!P/resume", json!({}), 404, "no handler"),
        ("handlers/crm/test", json!({ "event": "Sprint.Start" }), 404, "workhook send Sprint.Start"),
        ("handlers/crm/test", json!({ "event_id": "7" }), 400, "not the id of an event"),
        ("replays", json!({}), 400, "give an event or a filter"),
        ("replays", json!({ "filter": {}, "handler": "erp" }), 422, "erp is not configured"),
        ("replays", json!({ "filter": {}, "per_second": 0 }), 400, "per_second"),
        ("replays", json!({ "event": "0190b7c2-0000-7000-8000-000000000000" }), 404, "no such event"),
        ("replays/preview", json!({ "replay": { "filter": { "outcome": "gone" } } }), 400, "no outcome"),
        ("replays/9/stop", json!({}), 404, "no replay 9"),
    ] {
        let (got, answer) = app.ask(path, body.clone()).await;
        let error = answer["error"].as_str().unwrap_or_default();
        assert!(got == status && error.contains(why), "{path} {body}: {got} {answer}");
    }
    let deliveries = app.all_deliveries().await;
    assert_eq!((deliveries.len(), deliveries[0].state.as_str()), (1, "dead"));
    app.stop().await;
}

#[tokio::test]
async fn a_handler_is_told_with_what_is_set_and_how_it_is_going_and_stays_paused_over_a_restart() {
    let receiver = TestReceiver::start().await;
    let config = receiver.handler("crm", "events = [\"Issue.*\"]\ntimeout = \"3s\"\nconcurrency = 2");
    let app = TestApp::with(&config).start().await;
    app.send(Post::new(Brand::Leiga, "Issue.Update")).await;
    app.settled().await;
    let handler = app.handler("crm").await;
    let settings = handler.settings.unwrap();
    assert_eq!((settings.kind.as_str(), settings.events.as_slice()), ("http", &["Issue.*".to_owned()][..]));
    assert_eq!((settings.ordered, settings.concurrency, settings.timeout_ms), (true, 2, 3000));
    assert_eq!((settings.retry.attempts, settings.retry.first_ms, settings.retry.max_ms), (30, 1000, 3_600_000));
    assert_eq!((handler.deliveries[0].state.as_str(), handler.deliveries[0].count), ("delivered", 1));
    assert_eq!((handler.orphaned, handler.paused_at, handler.oldest_pending_seconds), (false, None, None));
    let paused = app.done("handlers/crm/pause", json!({})).await;
    let since = paused["paused_at"].clone();
    assert!(since.is_string(), "{paused}");
    assert_eq!(app.done("handlers/crm/pause", json!({})).await["paused_at"], since, "it was paused already");
    let app = app.restarted(&config).await;
    app.send(Post::new(Brand::Leiga, "Issue.Create")).await;
    until("it waits", || async { app.handler("crm").await.oldest_pending_seconds }).await;
    app.done("handlers/crm/resume", json!({})).await;
    app.settled().await;
    assert_eq!(receiver.received().len(), 2);
    app.stop().await;
}

#[tokio::test]
async fn a_handler_of_either_kind_is_told_with_its_time_out_its_rate_and_its_breaker_as_they_were_set() {
    let receiver = TestReceiver::start().await;
    let more = "timeout = \"3s\"\nrate = \"100/m\"\nbreaker = { failures = 4 }\nevents = [\"Sprint.*\"]";
    let plain = "events = [\"Sprint.*\"]";
    let config = [
        receiver.handler("http-set", more),
        receiver.handler("http-plain", plain),
        hooks::handler("command-set", &["/bin/sh"], more),
        hooks::handler("command-plain", &["/bin/sh"], plain),
    ];
    let app = TestApp::with(&config.join("\n")).start().await;
    for (name, timeout_ms, breaker_failures, rate) in [
        ("http-set", 3000, 4, Some((100, 60_000))),
        ("http-plain", 10_000, 10, None),
        ("command-set", 3000, 4, Some((100, 60_000))),
        ("command-plain", 10_000, 10, None),
    ] {
        let settings = app.handler(name).await.settings.unwrap();
        assert_eq!((settings.timeout_ms, settings.breaker_failures), (timeout_ms, breaker_failures), "{name}");
        assert_eq!(settings.rate.map(|rate| (rate.count, rate.per_ms)), rate, "{name}");
    }
    app.stop().await;
}

#[tokio::test]
async fn ruling_20_a_handler_that_is_not_configured_any_more_is_told_as_orphaned_and_its_deliveries_can_be_cancelled() {
    let receiver = TestReceiver::start().await;
    let app = TestApp::with(&receiver.handler("crm", "")).start().await;
    app.done("handlers/crm/pause", json!({})).await;
    app.send(Post::new(Brand::Leiga, "Issue.Update")).await;
    until("it is planned", || async { app.handler("crm").await.oldest_pending_seconds }).await;
    let app = app.restarted(&receiver.handler("erp", "events = [\"Sprint.*\"]")).await;
    let all: wire::Handlers = app.api("handlers").await;
    let told: Vec<_> = all.handlers.iter().map(|handler| (handler.name.as_str(), handler.orphaned)).collect();
    assert_eq!(told, [("crm", true), ("erp", false)]);
    assert!(all.handlers[0].settings.is_none() && all.handlers[1].deliveries.is_empty());
    let waits = app.all_deliveries().await[0].waits.clone();
    assert_eq!(waits.as_deref(), Some("for its handler, which is not configured"));
    assert_eq!(app.ask("handlers/crm/test", json!({})).await.0, 422);
    assert_eq!(app.done("deliveries/cancel", json!({ "filter": { "handler": "crm" } })).await["done"], 1);
    app.settled().await;
    app.stop().await;
}

#[tokio::test]
async fn the_settings_in_force_are_told_with_where_they_were_said_and_without_secrets() {
    let receiver = TestReceiver::start().await;
    let app = TestApp::with(&receiver.handler("crm", "headers = { Authorization = \"far-end-secret\" }")).start().await;
    let settings: wire::Settings = app.api("settings").await;
    let find = |key: &str| {
        let found = settings.settings.iter().find(|setting| setting.key == key);
        found.map(|setting| (setting.value.as_deref().unwrap_or("-"), setting.origin.as_str())).unwrap()
    };
    assert_eq!(settings.file.as_deref(), Some("test.toml"));
    assert_eq!(find("ingest.listen"), ("127.0.0.1:0", "WORKHOOK__INGEST__LISTEN"));
    assert_eq!(find("handler.crm.timeout"), ("10s", "default"));
    assert_eq!(find("handler.crm.kind"), ("http", "test.toml:3:8"));
    assert_eq!(find("handler.crm.headers").0, "{ Authorization = … }");
    assert_eq!(find("webhook.product.tokens").0, "[…]");
    let all = serde_json::to_string(&settings).unwrap();
    assert!(!all.contains("far-end-secret") && !all.contains(crate::support::TOKEN), "{all}");
    app.stop().await;
}
