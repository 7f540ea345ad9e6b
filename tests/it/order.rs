//! Order: the events of one issue are handled one after the other, in the order of storing (promise 5).

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use workhook::contract::Brand;
use workhook::{Any, Context, Event, Failure, Registry};

use crate::support::{Post, TestApp, TestReceiver, until};

/// Checks, attempt by attempt, that nothing overtakes.
#[derive(Debug, Default)]
struct Watch {
    issues: Mutex<HashMap<String, Issue>>,
    broken: Mutex<Vec<String>>,
}

#[derive(Debug, Default)]
struct Issue {
    under_way: bool,
    /// The position that is not settled yet.
    open: Option<i64>,
    last: i64,
    handled: u64,
}

impl Watch {
    fn begin(&self, event: &Event<Any>) {
        let (entity, position) = (event.stored.entity.as_ref().unwrap().to_string(), event.stored.position.0);
        let mut issues = self.issues.lock().unwrap();
        let issue = issues.entry(entity.clone()).or_default();
        let overtakes = issue.open.is_some_and(|open| open != position) || position < issue.last || issue.under_way;
        if overtakes {
            self.broken.lock().unwrap().push(format!("{entity}: {position} while {issue:?}"));
        }
        *issue = Issue { under_way: true, open: Some(position), last: position, handled: issue.handled };
    }

    fn end(&self, event: &Event<Any>, settled: bool) {
        let mut issues = self.issues.lock().unwrap();
        let issue = issues.get_mut(event.stored.entity.as_ref().unwrap().as_str()).unwrap();
        issue.under_way = false;
        if settled {
            issue.open = None;
            issue.handled += 1;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_fails_at_random_never_sees_an_event_before_the_one_before_it_is_settled() {
    const EVENTS: u64 = 5000;
    const ISSUES: u64 = 100;
    let watch = Arc::new(Watch::default());
    let register = |registry: Registry| {
        let watch = Arc::clone(&watch);
        registry.on_events("random", &["*"], move |event: Event<Any>, cx: Context| {
            let watch = Arc::clone(&watch);
            async move {
                watch.begin(&event);
                tokio::task::yield_now().await;
                let chance = fastrand::u8(0..10);
                // The last attempt always succeeds, so that a failure is never the end.
                let (settled, result) = match chance {
                    0..3 if cx.attempt() < 20 => (false, Err(Failure::transient("by chance"))),
                    3 => (true, Err(Failure::permanent("by chance"))),
                    _ => (true, Ok(())),
                };
                watch.end(&event, settled);
                result
            }
        })
    };
    let config = "[[handler]]\nname = \"random\"\nkind = \"rust\"\nconcurrency = 32\n\
                  retry = { attempts = 20, first = \"1ms\", max = \"20ms\" }\nbreaker = { failures = 0 }";
    let app = TestApp::with(config).functions(register).start().await;
    let mut senders = tokio::task::JoinSet::new();
    for sender in 0..50 {
        let to = app.public;
        senders.spawn(async move {
            for n in 0..EVENTS / 50 {
                let answer = Post::new(Brand::Leiga, "Issue.Update").issue((sender * 7 + n) % ISSUES, n).send(to).await;
                assert_eq!(answer.status, 200);
            }
        });
    }
    senders.join_all().await;
    app.settled().await;
    assert_eq!(*watch.broken.lock().unwrap(), Vec::<String>::new());
    assert_eq!(app.events().await.len() as u64, EVENTS);
    app.stop().await;
    let issues = watch.issues.lock().unwrap();
    assert_eq!(issues.len() as u64, ISSUES);
    assert_eq!(issues.values().map(|issue| issue.handled).sum::<u64>(), EVENTS);
}

#[tokio::test]
async fn two_requests_one_after_the_other_keep_their_order() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let register = |registry: Registry| {
        let seen = Arc::clone(&seen);
        registry.on_events("see", &["*"], move |event: Event<Any>, _| {
            seen.lock().unwrap().push(event.raw["data"]["issue"]["number"].as_u64().unwrap());
            async { Ok(()) }
        })
    };
    let app = TestApp::with("").functions(register).start().await;
    for n in 0..200 {
        app.send(Post::new(Brand::Leiga, "Issue.Update").issue(1, n)).await;
    }
    app.settled().await;
    assert_eq!(*seen.lock().unwrap(), (0..200).collect::<Vec<_>>());
    app.stop().await;
}

#[tokio::test]
async fn ruling_14_a_lane_waits_for_a_retry_and_goes_on_after_a_dead_letter() {
    let receiver = TestReceiver::start().await;
    receiver.answer_status(503);
    let config = receiver.handler("crm", "retry = { attempts = 3, first = \"1ms\", max = \"1ms\" }");
    let app = TestApp::with(&config).start().await;
    for n in 0..2 {
        app.send(Post::new(Brand::Leiga, "Issue.Update").issue(1, n)).await;
    }
    app.settled().await;
    let numbers: Vec<u64> = receiver
        .received()
        .iter()
        .map(|received| {
            let body: serde_json::Value = serde_json::from_slice(&received.body).unwrap();
            body["data"]["issue"]["number"].as_u64().unwrap()
        })
        .collect();
    assert_eq!(numbers, [0, 0, 0, 1, 1, 1]);
    app.stop().await;
}

#[tokio::test]
async fn a_handler_that_hangs_holds_up_neither_another_handler_nor_other_issues_nor_the_sender() {
    let release = Arc::new(Notify::new());
    let receiver = TestReceiver::start().await;
    let register = |registry: Registry| {
        let release = Arc::clone(&release);
        registry.on_events("hangs", &["*"], move |event: Event<Any>, _| {
            let release = Arc::clone(&release);
            async move {
                if event.raw["data"]["issue"]["id"] == 1 {
                    release.notified().await;
                }
                Ok(())
            }
        })
    };
    let app = TestApp::with(&receiver.handler("crm", "")).functions(register).start().await;
    app.send(Post::new(Brand::Leiga, "Issue.Update").issue(1, 1)).await;
    app.send(Post::new(Brand::Leiga, "Issue.Update").issue(1, 2)).await;
    for n in 0..20 {
        app.send(Post::new(Brand::Leiga, "Issue.Update").issue(2, n)).await;
    }
    until("all but the issue that hangs is delivered", || async {
        let counts = app.health().await.deliveries;
        let of = |state: &str| counts.iter().find(|count| count.state == state).map_or(0, |count| count.count);
        (of("delivered") == 42 && of("pending") == 2).then_some(())
    })
    .await;
    let waiting = app.event(&app.events().await[1].id).await;
    let hangs = waiting.handlers.iter().find(|delivery| delivery.handler == "hangs").unwrap();
    assert_eq!(hangs.waits.as_deref(), Some("for the one before it in its lane"));
    until("the issue goes on", || async {
        release.notify_one();
        let counts = app.health().await.deliveries;
        counts.iter().all(|count| count.state == "delivered").then_some(())
    })
    .await;
    app.stop().await;
}
