//! A day in the life of an operator, from the first wrong token to the last replayed event; and in the end every place
//! that counts says the same.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use workhook::admin::api::wire;
use workhook::clock::{Clock, between, later};
use workhook::contract::Brand;
use workhook::model::{DeliveryId, OpenBreaker, ReplayId, ReplayState};
use workhook::store::{DeliveryQuery, Start};

use crate::support::receiver::{Received, Reply};
use crate::support::scrape::Scrape;
use crate::support::{Post, TOKEN, TestApp, TestReceiver, until};

const ISSUES: u64 = 12;
const EVENTS: u64 = 60;
/// The issue that the far end refuses, until somebody mends that.
const REFUSED: &str = "\"id\":107";

/// The places of the day.
struct Day {
    clock: Clock,
    crm: TestReceiver,
    audit: TestReceiver,
    alarm: TestReceiver,
}

impl Day {
    async fn begin() -> Day {
        let start = || TestReceiver::start();
        let clock = Clock::manual(Timestamp::from_second(1_790_000_000).unwrap());
        Day { clock, crm: start().await, audit: start().await, alarm: start().await }
    }

    fn config(&self) -> String {
        let policy = "events = [\"Issue.*\"]\nconcurrency = 4\nretry = { attempts = 12, first = \"1s\", max = \"30s\" }\n\
                      breaker = { failures = 5, first = \"10s\", max = \"10m\" }";
        [
            self.crm.handler("crm", policy),
            self.audit.handler("audit", "events = [\"Issue.*\"]"),
            self.alarm.handler("alarm", "events = [\"Workhook.*\"]"),
        ]
        .concat()
    }

    /// Lets time pass, and has whoever waits for it look.
    async fn pass(&self, app: &TestApp, time: Duration) {
        self.clock.advance(time);
        app.store.retry(Vec::new(), self.clock.now()).await.unwrap();
        let nobody = ReplayId(i64::MAX);
        app.store.set_replay(nobody, ReplayState::Running, self.clock.now()).await.unwrap();
    }

    /// The notices that the alarm got, by name.
    fn alarms(&self) -> BTreeMap<String, usize> {
        let mut alarms = BTreeMap::new();
        for alarm in self.alarm.received() {
            let body: Value = serde_json::from_slice(&alarm.body).unwrap();
            *alarms.entry(body["type"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        alarms
    }
}

async fn breaker(app: &TestApp) -> Option<OpenBreaker> {
    let handlers = app.store.handlers().await.unwrap();
    handlers.into_iter().find(|record| record.name.as_str() == "crm")?.breaker
}

async fn change<T: serde::de::DeserializeOwned>(app: &TestApp, path: &str, body: &Value) -> T {
    let url = format!("http://{}/api/v1/{path}", app.private);
    let response = reqwest::Client::new().post(url).json(body).send().await.unwrap();
    let (status, text) = (response.status(), response.text().await.unwrap());
    assert!(status.is_success(), "{path}: {status} {text}");
    serde_json::from_str(&text).unwrap()
}

fn counts(handler: &wire::Handler) -> HashMap<String, u64> {
    handler.deliveries.iter().map(|count| (count.state.clone(), count.count)).collect()
}

/// How many deliveries there are by handler and state: by the lists of the store, by the API, by the metrics.
async fn counted(app: &TestApp) -> [BTreeMap<(String, String), u64>; 3] {
    let mut by_store = BTreeMap::new();
    let mut start = Start::Newest;
    loop {
        let query = DeliveryQuery { limit: 50, start, ..DeliveryQuery::default() };
        let page = app.store.deliveries(query).await.unwrap();
        for delivery in &page.items {
            *by_store.entry((delivery.handler.to_string(), delivery.state.to_string())).or_default() += 1;
        }
        let Some(next) = page.next else { break };
        start = Start::Before(DeliveryId(next));
    }
    let told: wire::Handlers = app.api("handlers").await;
    let pairs = told.handlers.iter().flat_map(|handler| {
        handler.deliveries.iter().map(|count| ((handler.name.clone(), count.state.clone()), count.count))
    });
    let by_api = pairs.filter(|(_, count)| *count > 0).collect();
    let text = reqwest::get(format!("http://{}/metrics", app.private)).await.unwrap().text().await.unwrap();
    let scrape = Scrape::read(&text);
    let gauges = scrape.samples.iter().filter(|sample| sample.name == "workhook_deliveries" && sample.value > 0.0);
    let by_metrics = gauges
        .map(|sample| {
            (
                (sample.labels["handler"].clone(), sample.labels["state"].clone()),
                sample.value.to_string().parse().unwrap(),
            )
        })
        .collect();
    [by_store, by_api, by_metrics]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_in_the_life() {
    let day = Day::begin().await;
    let app = TestApp::with(&day.config()).clock(&day.clock).start().await;

    // In the morning the product has a token that nobody told us of.
    let first = Post::new(Brand::Leiga, "Issue.Update").issue(100, 0).set("Token", "the-new-token");
    for _ in 0..3 {
        assert_eq!(first.send(app.public).await.status, 401);
    }
    until("the wrong token is seen", || async {
        let health = app.health().await;
        health.turned_away.iter().any(|away| away.code == "wrong-token" && away.count == 3).then_some(())
    })
    .await;
    let webhook = format!("[[webhook]]\nname = \"product\"\ntokens = [\"{TOKEN}\", \"the-new-token\"]\n");
    let config = format!("{webhook}{}", day.config());
    app.reloaded(&config).await;
    app.send(first.clone().set("Retry-Num", "1")).await;
    app.settled().await;
    assert_eq!((app.events().await.len(), day.crm.received().len(), day.audit.received().len()), (1, 1, 1));

    // Then a handler is down for an hour, while the events come in.
    day.crm.answer_status(503);
    for n in 1..EVENTS {
        app.send(Post::new(Brand::Leiga, "Issue.Update").issue(100 + n % ISSUES, n)).await;
    }
    let down_until = later(day.clock.now(), Duration::from_secs(3600));
    until("its breaker opens", || breaker(&app)).await;
    until("nobody else is held up", || async { (day.audit.received().len() as u64 == EVENTS).then_some(()) }).await;
    while day.clock.now() < down_until {
        let open = breaker(&app).await.expect("it stays open while every probe fails");
        day.pass(&app, between(day.clock.now(), open.until)).await;
        until("the probe has failed", || async {
            let next = breaker(&app).await.filter(|open| open.until > day.clock.now());
            if next.is_none() {
                // What is first in its lane may wait for its own next attempt still.
                day.pass(&app, Duration::from_secs(1)).await;
            }
            next
        })
        .await;
    }
    let cost = day.crm.received().len() - 1;
    assert!((6..=30).contains(&cost), "an hour of a dead far end cost {cost} attempts");
    let handler: wire::Handler = app.api("handlers/crm").await;
    assert_eq!(handler.breaker.unwrap().reason, "answered 503 Service Unavailable");
    assert_eq!(counts(&app.api("handlers/crm").await).get("pending"), Some(&(EVENTS - 1)));
    until("somebody else is told of it", || async { day.alarms().contains_key("Workhook.BreakerOpen").then_some(()) })
        .await;

    // It is back, but refuses one issue.
    day.crm.answer(|received: &Received| {
        let refused = String::from_utf8_lossy(&received.body).contains(REFUSED);
        Reply { status: if refused { 422 } else { 200 }, ..Reply::default() }
    });
    until("all is settled", || async {
        day.pass(&app, Duration::from_secs(60)).await;
        let pending = counts(&app.api("handlers/crm").await).contains_key("pending");
        (!pending).then_some(())
    })
    .await;
    assert!(breaker(&app).await.is_none());
    let dead = counts(&app.api("handlers/crm").await)["dead"];
    assert_eq!(dead, EVENTS / ISSUES);
    until("dead letters are told of once", || async { day.alarms().contains_key("Workhook.DeadLetter").then_some(()) })
        .await;

    // The cause is mended, and all of them are retried.
    day.crm.answer_status(200);
    let asked = json!({ "filter": { "handler": "crm", "state": "dead" } });
    let changed: wire::ChangedDeliveries = change(&app, "deliveries/retry", &asked).await;
    assert_eq!((changed.done, changed.next), (dead, None));
    app.settled().await;
    assert_eq!(counts(&app.api("handlers/crm").await), HashMap::from([("delivered".to_owned(), EVENTS)]));

    // A reload with a mistake changes nothing and is told; one without brings a handler, which gets only what is new.
    let mistake = format!("{config}\n[[handler]]\nname = \"late\"\nkind = \"htpp\"\n");
    assert!(app.reload(&mistake).await.is_err());
    assert!(app.health().await.reload.is_some_and(|reload| !reload.ok && reload.mistakes.len() == 1));
    let late = TestReceiver::start().await;
    let config = format!("{config}{}", late.handler("late", "events = [\"Issue.*\"]"));
    app.reloaded(&config).await;
    app.send(Post::new(Brand::WorkZappy, "Issue.Create").issue(500, 0)).await;
    app.settled().await;
    assert_eq!((late.received().len(), app.health().await.reload.is_some_and(|reload| reload.ok)), (1, true));

    // The CRM has lost its day: it is replayed at a rate, with a restart in its middle.
    let before = day.crm.received().len();
    let asked = json!({ "filter": { "name": "Issue.Update" }, "handler": "crm", "per_second": 10 });
    let replay: wire::Replay = change(&app, "replays", &asked).await;
    until("some of it is replayed", || async { (day.crm.received().len() > before).then_some(()) }).await;
    let app = TestApp::with(&config).clock(&day.clock).folder(app.stop().await).start().await;
    let told: wire::Replay = app.api(&format!("replays/{}", replay.id)).await;
    assert!(told.state == "running" && told.deliveries < EVENTS, "{told:?}");
    until("it is done", || async {
        day.pass(&app, Duration::from_secs(1)).await;
        let told: wire::Replay = app.api(&format!("replays/{}", replay.id)).await;
        (told.state == "done").then_some(())
    })
    .await;
    app.settled().await;

    // Each event was taken once, and once more by the replay.
    let mut keys: HashMap<String, usize> = HashMap::new();
    for received in day.crm.received().iter().skip(before) {
        *keys.entry(received.header("idempotency-key").to_owned()).or_default() += 1;
    }
    assert_eq!((keys.len() as u64, keys.values().max()), (EVENTS, Some(&1)), "each once, and under a key of its own");
    assert!(keys.keys().all(|key| key.ends_with("/crm/1")), "{keys:?}");
    assert_eq!(late.received().len(), 1);
    let told = BTreeMap::from([("Workhook.BreakerOpen".to_owned(), 1), ("Workhook.DeadLetter".to_owned(), 1)]);
    assert_eq!(day.alarms(), told);

    let delivered = |handler: &str, count| ((handler.to_owned(), "delivered".to_owned()), count);
    let expected = BTreeMap::from([
        delivered("alarm", 2),
        delivered("audit", EVENTS + 1),
        delivered("crm", 2 * EVENTS + 1),
        delivered("late", 1),
    ]);
    let [by_store, by_api, by_metrics] = counted(&app).await;
    assert_eq!(by_store, expected);
    assert_eq!(by_api, expected);
    assert_eq!(by_metrics, expected);
    let health = app.health().await;
    assert_eq!((health.events, health.unplanned, health.rejected), (EVENTS + 1 + 2, 0, 0));
    app.stop().await;
}
