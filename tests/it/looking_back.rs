//! What the API finds again: events by every filter, in both directions, and as they come.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;
use workhook::admin::api::wire;
use workhook::contract::Brand;

use crate::support::{Post, TestApp, until};

const JANE: &str = r#"{"date":1,"tenant":{"id":1},"data":{"issue":{"id":100,"summary":"Login fails"}},
    "trigger":{"user":{"id":7,"name":"Jane Doe","email":"jane@example.com"}}}"#;

/// Three events: an issue by Jane, a comment that no handler takes, and an issue that goes dead.
async fn app() -> TestApp {
    let app = TestApp::with(
        "[[handler]]\nname = \"gone\"\nkind = \"http\"\nurl = \"http://127.0.0.1:9/\"\nevents = [\"Issue.Delete\"]\n
         retry = { attempts = 1 }\n[[handler]]\nname = \"log\"\nkind = \"log\"\nevents = [\"Issue.Update\"]",
    )
    .start()
    .await;
    app.send(Post::new(Brand::Leiga, "Issue.Update").body(JANE)).await;
    app.send(Post::new(Brand::WorkZappy, "Comment.Create").issue(101, 1)).await;
    app.send(Post::new(Brand::Leiga, "Issue.Delete").issue(102, 1)).await;
    app.settled().await;
    app
}

/// The names of what was sent; what workhook itself has to say comes when it comes.
async fn names(app: &TestApp, query: &str) -> Vec<String> {
    let list: wire::Events = app.api(&format!("events?{query}")).await;
    list.events.into_iter().map(|event| event.name).filter(|name| !name.starts_with("Workhook.")).collect()
}

#[tokio::test]
async fn events_are_found_by_each_filter_and_by_all_together() {
    let app = app().await;
    let last = app.events().await.remove(2).received_at;
    for (query, expected) in [
        ("", &["Issue.Delete", "Comment.Create", "Issue.Update"][..]),
        ("name=Issue.*", &["Issue.Delete", "Issue.Update"]),
        ("name=Issue.Update&webhook=product", &["Issue.Update"]),
        ("webhook=another", &[]),
        ("entity=issue/101", &["Comment.Create"]),
        ("entity=leiga/tenant:1/issue/100", &["Issue.Update"]),
        ("person=jane%20doe", &["Issue.Update"]),
        ("person=JANE@example.com", &["Issue.Update"]),
        ("text=fails%20login", &["Issue.Update"]),
        ("text=succeeds", &[]),
        ("outcome=dead", &["Issue.Delete"]),
        ("outcome=not-routed", &["Comment.Create"]),
        ("outcome=delivered&person=7", &["Issue.Update"]),
        ("outcome=unplanned", &[]),
        ("until=2020-01-01T00:00:00Z", &[]),
        ("since=2020-01-01T00:00:00Z", &["Issue.Delete", "Comment.Create", "Issue.Update"]),
        (&format!("since={last}"), &["Issue.Delete"]),
        ("after=0", &["Issue.Update", "Comment.Create", "Issue.Delete"]),
        ("after=1&limit=1", &["Comment.Create"]),
        ("before=3&limit=1", &["Comment.Create"]),
    ] {
        assert_eq!(names(&app, query).await, expected, "{query}");
    }
    app.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_query_is_told() {
    let app = TestApp::with("").start().await;
    for (query, hint) in [
        ("before=1&after=1", "not both"),
        ("limit=0", "1 to 200"),
        ("limit=201", "1 to 200"),
        ("wait=1", "goes with after"),
        ("after=0&wait=26", "0 to 25"),
        ("name=Issue", "Issue.Update"),
        ("outcome=gone", "not-routed"),
        ("since=2h", "since"),
        ("no_such=1", "no_such"),
    ] {
        let url = format!("http://{}/api/v1/events?{query}", app.private);
        let response = reqwest::get(url).await.unwrap();
        let (status, text) = (response.status(), response.text().await.unwrap());
        assert!(status == 400 && text.contains(hint), "{query}: {status} {text}");
    }
    app.stop().await;
}

#[tokio::test]
async fn who_waits_is_told_of_an_event_when_it_is_there_and_of_no_other() {
    let app = TestApp::with("").start().await;
    app.send(Post::new(Brand::Leiga, "Issue.Update")).await;
    let url = format!("http://{}/api/v1/events?after=1&wait=20&name=Comment.*", app.private);
    let waiting = tokio::spawn(async move {
        let list: wire::Events = reqwest::get(url).await.unwrap().json().await.unwrap();
        (list, Instant::now())
    });
    app.send(Post::new(Brand::Leiga, "Issue.Update")).await;
    app.send(Post::new(Brand::Leiga, "Issue.Update")).await;
    assert!(!waiting.is_finished());
    let sent = Instant::now();
    app.send(Post::new(Brand::Leiga, "Comment.Create")).await;
    let (list, told) = waiting.await.unwrap();
    let names: Vec<_> = list.events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!((names, list.next), (vec!["Comment.Create"], Some(4)));
    assert!(told - sent < Duration::from_millis(400), "it took {:?}, as if nobody had given a hint", told - sent);
    app.stop().await;
}

#[tokio::test]
async fn who_waits_in_vain_is_told_so_in_time_and_where_to_go_on() {
    let app = TestApp::with("").start().await;
    app.send(Post::new(Brand::Leiga, "Issue.Update")).await;
    app.send(Post::new(Brand::Leiga, "Issue.Update")).await;
    let began = Instant::now();
    let list: wire::Events = app.api("events?after=0&wait=1&name=Comment.*").await;
    assert!(list.events.is_empty() && began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(list.next, Some(2), "what was looked at is not looked at again");
    let list: wire::Events = app.api("events?after=0&wait=0").await;
    assert_eq!((list.events.len(), list.next), (2, Some(2)));
    app.stop().await;
}

#[tokio::test]
async fn only_so_many_wait_and_one_that_leaves_makes_room() {
    let app = TestApp::with("").start().await;
    let url = format!("http://{}/api/v1/events?after=0&wait=25", app.private);
    let client = reqwest::Client::new();
    let waiting: Vec<_> = (0..66).map(|_| tokio::spawn(client.get(&url).send())).collect();
    let turned_away = || async { (waiting.iter().filter(|one| one.is_finished()).count() == 2).then_some(()) };
    until("two are turned away", turned_away).await;
    let (turned_away, mut waiting): (Vec<_>, Vec<_>) = waiting.into_iter().partition(JoinHandle::is_finished);
    for one in turned_away {
        assert_eq!(one.await.unwrap().unwrap().status(), 429);
    }
    waiting.pop().unwrap().abort();
    until("there is room again", || async {
        let asked = client.get(&url).timeout(Duration::from_millis(200)).send().await;
        asked.is_err_and(|error| error.is_timeout()).then_some(())
    })
    .await;
    app.send(Post::new(Brand::Leiga, "Issue.Update")).await;
    for one in waiting {
        assert_eq!(one.await.unwrap().unwrap().status(), 200);
    }
    app.stop().await;
}

#[tokio::test]
async fn who_waits_does_not_hold_up_the_end() {
    let app = TestApp::with("[ingest]\ndrain_delay = \"1s\"").start().await;
    let url = format!("http://{}/api/v1/events?after=0&wait=25", app.private);
    let waiting = tokio::spawn(reqwest::get(url));
    let began = Instant::now();
    app.stop().await;
    let answer = waiting.await.unwrap();
    assert!(answer.is_ok_and(|answer| answer.status() == 503), "who waits is told that it stops");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_delivery_is_told_with_its_attempts() {
    let app = app().await;
    let list: wire::Deliveries = app.api("deliveries?state=dead").await;
    let delivery: wire::Delivery = app.api(&format!("deliveries/{}", list.deliveries[0].id)).await;
    assert_eq!((delivery.handler.as_str(), delivery.history.len()), ("gone", 1));
    for (id, status) in [("99", 404), ("x", 400)] {
        let answer = reqwest::get(format!("http://{}/api/v1/deliveries/{id}", app.private)).await.unwrap();
        assert_eq!(answer.status(), status);
    }
    app.stop().await;
}
