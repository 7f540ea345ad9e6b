//! The same event again: acknowledged, and not handled again (promise 4).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use workhook::contract::Brand;
use workhook::{Any, Event, Registry};

use crate::support::{Post, TestApp};

fn counting(handled: &Arc<AtomicUsize>) -> impl FnOnce(Registry) -> Registry {
    let handled = Arc::clone(handled);
    move |registry| {
        registry.on_events("count", &["*"], move |_: Event<Any>, _| {
            let handled = Arc::clone(&handled);
            async move {
                handled.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
        })
    }
}

#[tokio::test]
async fn a_hundred_times_at_once_and_again_after_a_restart_it_is_one_event_handled_once() {
    let handled = Arc::new(AtomicUsize::new(0));
    let app = TestApp::with("").functions(counting(&handled)).start().await;
    let post = Post::new(Brand::Leiga, "Issue.Update");
    let mut sending = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (post, to) = (post.clone(), app.public);
        sending.spawn(async move { post.send(to).await });
    }
    for answer in sending.join_all().await {
        assert_eq!((answer.status, answer.errcode()), (200, 0));
    }
    app.settled().await;
    let [event] = &app.events().await[..] else { panic!("one event") };
    assert_eq!((event.receipts, handled.load(Ordering::SeqCst)), (100, 1));

    let app = TestApp::with("").folder(app.stop().await).functions(counting(&handled)).start().await;
    for retry in 1..=5 {
        app.send(post.clone().set("Retry-Num", &retry.to_string())).await;
    }
    app.settled().await;
    let [event] = &app.events().await[..] else { panic!("one event") };
    assert_eq!((event.receipts, handled.load(Ordering::SeqCst)), (105, 1));
    let detail = app.event(&event.id).await;
    assert_eq!(detail.history.len(), 101, "the first, and the hundred duplicates that are kept (ruling 8)");
    app.stop().await;
}

#[tokio::test]
async fn ruling_04_a_retry_with_a_new_id_is_known_by_its_body() {
    let handled = Arc::new(AtomicUsize::new(0));
    let app = TestApp::with("").functions(counting(&handled)).start().await;
    let post = Post::new(Brand::WorkZappy, "Issue.Update");
    app.send(post.clone().set("ID", "first")).await;
    app.send(post.clone().set("ID", "second").set("Retry-Num", "1")).await;
    app.send(post.clone().set("ID", "third")).await;
    app.settled().await;
    assert_eq!(handled.load(Ordering::SeqCst), 2, "a new id that is no retry is a new event");
    let detail = app.event(&app.events().await[0].id).await;
    assert!(detail.history[1].matched_by_body);
    app.stop().await;
}

#[tokio::test]
async fn ruling_06_the_same_id_with_another_body_is_acknowledged_and_shown_as_a_conflict() {
    let app = TestApp::with("").start().await;
    let post = Post::new(Brand::Leiga, "Issue.Update");
    app.send(post.clone().issue(1, 1)).await;
    app.send(post.clone().issue(1, 22)).await;
    let [event] = &app.events().await[..] else { panic!("one event") };
    assert_eq!(event.title.as_deref(), Some("#1"), "the first stands");
    let detail = app.event(&event.id).await;
    assert_eq!(detail.history[1].other_body_bytes, Some(post.issue(1, 22).body.len() as u64));
    app.stop().await;
}
