//! A handler that is down: its breaker, and the notices that tell of it.

use std::time::Duration;

use jiff::Timestamp;
use workhook::clock::Clock;
use workhook::contract::Brand;
use workhook::model::{EventFilter, OpenBreaker};
use workhook::store::{EventQuery, EventRow};

use crate::support::{Post, TestApp, TestReceiver, until};

async fn breaker(app: &TestApp, handler: &str) -> Option<OpenBreaker> {
    let handlers = app.store.handlers().await.unwrap();
    handlers.into_iter().find(|record| record.name.as_str() == handler)?.breaker
}

/// The notices that are stored, by name: name, title, and how often each came.
async fn notices(app: &TestApp) -> Vec<(String, String, u64)> {
    let filter = EventFilter { name: Some("Workhook.*".parse().unwrap()), ..EventFilter::default() };
    let page = app.store.events(EventQuery { limit: 100, filter, ..EventQuery::default() }).await.unwrap();
    let told = |body: &[u8]| serde_json::from_slice::<serde_json::Value>(body).unwrap()["data"]["notice"].clone();
    let title = |body: &[u8]| told(body)["title"].as_str().unwrap().to_owned();
    let notice = |row: &EventRow| (row.event.name.to_string(), title(&row.event.body), row.receipts);
    let mut notices: Vec<_> = page.items.iter().map(notice).collect();
    notices.sort();
    notices
}

#[tokio::test]
async fn an_open_breaker_survives_a_restart_and_one_delivered_probe_closes_it() {
    let clock = Clock::manual(Timestamp::from_second(1_700_000_000).unwrap());
    let (down, up) = (TestReceiver::start().await, TestReceiver::start().await);
    down.answer_status(503);
    let policy = "retry = { first = \"1ms\", max = \"1ms\" }\nbreaker = { failures = 4, first = \"1h\", max = \"1h\" }\n\
                  concurrency = 1";
    let config = format!("{}\n{}", down.handler("crm", policy), up.handler("audit", ""));
    let app = TestApp::with(&config).clock(&clock).start().await;
    for issue in 0..5 {
        app.send(Post::new(Brand::Leiga, "Issue.Update").issue(issue, 0)).await;
    }
    until("it is open", || async { breaker(&app, "crm").await }).await;
    until("the other has everything", || async { (up.received().len() == 5).then_some(()) }).await;
    assert_eq!(down.received().len(), 4);

    let app = TestApp::with(&config).clock(&clock).folder(app.stop().await).start().await;
    app.send(Post::new(Brand::Leiga, "Issue.Update").issue(9, 0)).await;
    until("the other goes on", || async { (up.received().len() == 6).then_some(()) }).await;
    let open = breaker(&app, "crm").await.expect("it is still open");
    assert_eq!(
        (down.received().len(), open.failures, open.reason.as_str()),
        (4, 4, "answered 503 Service Unavailable")
    );

    down.answer_status(200);
    clock.advance(Duration::from_secs(3600));
    app.send(Post::new(Brand::Leiga, "Issue.Update").issue(10, 0)).await;
    app.settled().await;
    assert_eq!(down.received().len(), 4 + 7);
    until("it is closed", || async { breaker(&app, "crm").await.is_none().then_some(()) }).await;
    app.stop().await;
}

#[tokio::test]
async fn the_first_dead_letter_of_a_cause_and_an_open_breaker_are_told_once_and_notices_tell_nothing_of_themselves() {
    let (crm, ops) = (TestReceiver::start().await, TestReceiver::start().await);
    crm.answer_status(404);
    let breaker = "breaker = { failures = 20, first = \"1h\", max = \"1h\" }\nconcurrency = 1";
    // One that gets the notices, and one that refuses them.
    let config = format!(
        "{}\n{}\n{}",
        crm.handler("crm", breaker),
        ops.handler("ops", "events = [\"Workhook.*\"]"),
        crm.handler("refuses", "events = [\"Workhook.*\"]\nbreaker = { failures = 1 }"),
    );
    let app = TestApp::with(&config).start().await;
    for issue in 0..30 {
        app.send(Post::new(Brand::Leiga, "Issue.Update").issue(issue, 0)).await;
    }
    until("both are told", || async { (ops.received().len() == 2).then_some(()) }).await;
    until("one of them is refused", || async {
        let deliveries = app.health().await.deliveries;
        deliveries.iter().any(|count| count.state == "dead" && count.count == 21).then_some(())
    })
    .await;
    let expected = [
        (
            "Workhook.BreakerOpen",
            "Handler crm failed 20 times in a row and is only probed now, the last time because: answered 404 Not Found",
        ),
        ("Workhook.DeadLetter", "Handler crm has a dead letter, Issue.Update: answered 404 Not Found"),
    ];
    let expected = |times: [u64; 2]| [0, 1].map(|at| (expected[at].0.to_owned(), expected[at].1.to_owned(), times[at]));
    assert_eq!(notices(&app).await, expected([1, 1]));

    // What was said before the restart is known to the store.
    let app = TestApp::with(&config.replace("failures = 20", "failures = 0")).folder(app.stop().await).start().await;
    until("the rest is dead", || async {
        let deliveries = app.health().await.deliveries;
        deliveries.iter().any(|count| count.state == "dead" && count.count >= 31).then_some(())
    })
    .await;
    until("the second is a duplicate", || async { (notices(&app).await == expected([1, 2])).then_some(()) }).await;
    app.stop().await;
}

#[tokio::test]
async fn a_reload_without_a_breaker_or_with_shorter_waits_is_in_force_for_one_that_is_open() {
    for breaker_then in ["{ failures = 0 }", "{ failures = 1, first = \"1ms\", max = \"1ms\" }"] {
        let receiver = TestReceiver::start().await;
        receiver.answer_status(503);
        let with = |policy: &str| {
            let policy = format!("retry = {{ first = \"1ms\", max = \"1ms\" }}\nbreaker = {policy}");
            receiver.handler("crm", &policy)
        };
        let app = TestApp::with(&with("{ failures = 1, first = \"1h\", max = \"1h\" }")).start().await;
        app.send(Post::new(Brand::Leiga, "Issue.Update")).await;
        until("it is open", || async { breaker(&app, "crm").await }).await;
        receiver.answer_status(200);
        app.reloaded(&with(breaker_then)).await;
        app.settled().await;
        assert_eq!(receiver.received().len(), 2, "{breaker_then}");
        until("it is closed", || async { breaker(&app, "crm").await.is_none().then_some(()) }).await;
        app.stop().await;
    }
}

#[tokio::test]
async fn a_breaker_that_a_notice_s_own_delivery_opens_is_told_where_an_event_failed_before() {
    let (crm, ops) = (TestReceiver::start().await, TestReceiver::start().await);
    crm.answer_status(404);
    let breaker = "events = [\"Issue.*\", \"Workhook.*\"]\nbreaker = { failures = 2, first = \"1h\", max = \"1h\" }";
    let config =
        format!("{}\n{}", crm.handler("crm", breaker), ops.handler("ops", "events = [\"Workhook.BreakerOpen\"]"));
    let app = TestApp::with(&config).start().await;
    app.send(Post::new(Brand::Leiga, "Issue.Update")).await;
    let told = until("it is told", || async { ops.received().first().cloned() }).await;
    let body: serde_json::Value = serde_json::from_slice(&told.body).unwrap();
    let (event, first) = (body["data"]["notice"]["event"].as_str(), app.events().await.remove(0).id);
    assert_eq!((event, crm.received().len()), (Some(first.as_str()), 2));
    app.stop().await;
}
