//! Reloads while events come in and are handled.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use workhook::contract::Brand;
use workhook::{Any, Context, Event};

use crate::support::{Post, TOKEN, TestApp, TestReceiver};

const RELOADS: usize = 20;
const SENDERS: u64 = 4;

/// A configuration that is another one each time, and that takes the sender's token each time.
fn config(receiver: &TestReceiver, n: usize) -> String {
    let concurrency = 1 + n % 5;
    let crm = receiver.handler("crm", &format!("concurrency = {concurrency}\nheaders = {{ X-N = \"{n}\" }}"));
    let sometimes = if n % 2 == 1 { receiver.handler("sometimes", "events = [\"No.Such\"]") } else { String::new() };
    let table = format!("[[handler]]\nname = \"count\"\nkind = \"rust\"\nconcurrency = {concurrency}\n");
    let webhook = format!("[[webhook]]\nname = \"product\"\ntokens = [\"token-{n}\", \"{TOKEN}\"]\n");
    format!("{webhook}{crm}{sometimes}{}", if n.is_multiple_of(3) { &table } else { "" })
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_reloads_under_load_lose_nothing_double_nothing_and_keep_the_order() {
    let receiver = TestReceiver::start().await;
    let seen = Arc::new(Mutex::new(HashMap::<String, Vec<i64>>::new()));
    let shared = Arc::clone(&seen);
    let app = TestApp::with(&config(&receiver, 0)).functions(|registry| {
        registry.on_events("count", &["*"], move |event: Event<Any>, _: Context| {
            let entity = event.stored.entity.as_ref().map(ToString::to_string).unwrap_or_default();
            shared.lock().unwrap().entry(entity).or_default().push(event.stored.position.0);
            async { Ok(()) }
        })
    });
    let app = app.start().await;
    let done = Arc::new(AtomicBool::new(false));
    let send = |issue: u64| {
        let (public, done) = (app.public, Arc::clone(&done));
        tokio::spawn(async move {
            let mut sent = 0;
            while !done.load(Ordering::Relaxed) || sent < 10 {
                let post = Post::new(Brand::Leiga, "Issue.Update").issue(issue, sent);
                assert_eq!(post.send(public).await.status, 200);
                sent += 1;
            }
            sent
        })
    };
    let senders: Vec<_> = (1..=SENDERS).map(send).collect();
    for n in 1..=RELOADS {
        assert!(!app.reloaded(&config(&receiver, n)).await.is_empty(), "{n}");
        // What comes in meanwhile is handled by this one, in part.
        app.send(Post::new(Brand::Leiga, "Issue.Update").issue(100, n as u64)).await;
    }
    done.store(true, Ordering::Relaxed);
    let mut sent = RELOADS as u64;
    for sender in senders {
        sent += sender.await.unwrap();
    }
    let health = app.settled().await;
    assert_eq!(health.events, sent);
    let seen = seen.lock().unwrap();
    assert_eq!(seen.values().map(|positions| positions.len() as u64).sum::<u64>(), sent);
    for (entity, positions) in &*seen {
        assert!(positions.is_sorted_by(|one, next| one < next), "{entity}: {positions:?}");
    }
    assert_eq!(receiver.received().len() as u64, sent);
}
