//! Behind each proxy that the documents have a configuration for: webhooks come through and nothing else.

use std::net::Ipv4Addr;

use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;
use workhook::contract::Brand;

use crate::support::front::Front;
use crate::support::raw::read;
use crate::support::scrape::open_connections;
use crate::support::{Post, TestApp, exchange, until};

/// Only what the proxy itself says is believed.
const TRUSTED: &str = "[ingest]\ntrusted_proxies = [\"127.0.0.1\"]";

/// A good request, with a body that no other has.
fn good() -> Post {
    Post::new(Brand::Leiga, "Issue.Update").issue(1, fastrand::u64(..))
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_the_documented_proxies_webhooks_come_through_and_nothing_else() {
    let app = TestApp::with(TRUSTED).start().await;
    let fronts = Front::all(app.public).await;
    for front in &fronts {
        let name = front.name;
        let post = good();
        let answer = front.send(&post).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"errcode":0}"#), "{name}");
        assert_eq!(front.send(&post.clone().set("Retry-Num", "1")).await.status, 200, "{name}");
        let event = app.events().await.pop().unwrap();
        assert_eq!((event.occurrence_id.as_deref(), event.receipts), (Some(post.get("ID")), 2), "{name}");

        let wrong = front.send(&post.clone().set("Token", "wrong")).await;
        assert_eq!((wrong.status, wrong.errcode()), (401, 401), "{name}");
        let named = Post::new(Brand::WorkZappy, "Sprint.Start").target("/webhook/product");
        assert_eq!(front.send(&named).await.status, 200, "{name}");
        let large = front.send(&good().body("x".repeat(9 << 20))).await;
        assert_eq!((large.status, large.errcode()), (413, 413), "{name}");
        for path in ["/", "/healthz", "/readyz", "/api/v1/events", "/metrics", "/webhook/../metrics"] {
            let bytes = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
            assert_eq!(front.exchange(bytes.as_bytes()).await.unwrap().status, 404, "{name}: {path}");
        }
    }
    app.stop().await;
    for front in &fronts {
        // The sender is told, and may try again.
        let status = front.send(&good()).await.status;
        assert!([502, 503].contains(&status), "{}: {status}", front.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_the_documented_proxies_the_sender_s_address_is_known_and_nobody_says_his_own() {
    let app = TestApp::with(TRUSTED).start().await;
    for front in &Front::all(app.public).await {
        let mut stream = front.connect_from(Ipv4Addr::new(127, 0, 0, 2)).await;
        let spoofed = good().header("X-Forwarded-For", "203.0.113.7").header("x-forwarded-for", "127.0.0.9, 127.0.0.1");
        let spoofed = spoofed.header("Forwarded", "for=203.0.113.7");
        stream.write_all(&spoofed.bytes()).await.unwrap();
        assert_eq!(read(&mut stream).await.unwrap().status, 200, "{}", front.name);
        let event = app.events().await.pop().unwrap();
        let peer = app.event(&event.id).await.history[0].peer.clone();
        assert_eq!(peer.as_deref(), Some("127.0.0.2"), "{}", front.name);
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_the_documented_proxies_connections_are_used_again_and_no_request_is_lost() {
    let app = TestApp::with(TRUSTED).start().await;
    for front in Front::all(app.public).await {
        let before = app.health().await.events;
        let front = std::sync::Arc::new(front);
        let mut senders = JoinSet::new();
        for _ in 0..8 {
            let front = std::sync::Arc::clone(&front);
            senders.spawn(async move {
                let mut stream = front.connect_from(Ipv4Addr::LOCALHOST).await;
                for n in 0..50 {
                    stream.write_all(&good().bytes()).await.unwrap();
                    let answer = read(&mut stream).await;
                    assert_eq!(answer.map(|answer| answer.status), Some(200), "{}: {n}", front.name);
                }
            });
        }
        senders.join_all().await;
        assert_eq!(app.health().await.events - before, 400, "{}", front.name);
        assert!(open_connections(&app).await > 0.0, "{}: some are left for whoever comes next", front.name);
        drop(front);
        until("all of them are closed", || async { (open_connections(&app).await == 0.0).then_some(()) }).await;
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_the_documented_proxies_what_is_acknowledged_is_there_though_connections_are_closed_under_them() {
    // At the cap an idle connection is closed for a new one, at any moment, and the proxy may be about to use it.
    let app = TestApp::with(&format!("{TRUSTED}\nmax_connections = 2")).start().await;
    for front in Front::all(app.public).await {
        let before = app.health().await.events;
        let mut senders = JoinSet::new();
        let front = std::sync::Arc::new(front);
        for _ in 0..6 {
            let (front, direct) = (std::sync::Arc::clone(&front), app.public);
            senders.spawn(async move {
                for _ in 0..30 {
                    let mut post = good();
                    // As the sender would: again, until it is acknowledged.
                    while front.exchange(&post.bytes()).await.is_none_or(|answer| answer.status != 200) {
                        post = post.set("Retry-Num", "1");
                    }
                    let _ = exchange(direct, b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await;
                }
            });
        }
        senders.join_all().await;
        assert_eq!(app.health().await.events - before, 180, "{}: each once", front.name);
    }
    app.stop().await;
}
