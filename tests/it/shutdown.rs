//! Stopping in order (ruling 22), and what the doors say meanwhile.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::Instant;
use workhook::contract::Brand;

use crate::support::raw::read;
use crate::support::{Post, TestApp, exchange, until};

#[tokio::test]
async fn ruling_22_it_says_that_it_is_not_ready_and_still_accepts_for_a_while() {
    let app = TestApp::with("[ingest]\ndrain_delay = \"1500ms\"").start().await;
    let (public, private) = (app.public, app.private);
    let began = Instant::now();
    let stopping = tokio::spawn(app.stop());
    for door in [public, private] {
        until("it says so", || async {
            let answer = exchange(door, b"GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
            (answer.status == 503 && answer.body.contains("draining")).then_some(())
        })
        .await;
    }
    let answer = Post::new(Brand::Leiga, "Issue.Update").send(public).await;
    assert_eq!((answer.status, answer.errcode()), (200, 0));
    let folder = stopping.await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(1500), "{:?}", began.elapsed());
    assert!(TcpStream::connect(public).await.is_err(), "it accepts no more");
    let app = TestApp::with("").folder(folder).start().await;
    assert_eq!(app.events().await.len(), 1, "what was acknowledged then is kept");
    app.stop().await;
}

#[tokio::test]
async fn ruling_22_a_request_that_is_in_is_answered_and_an_idle_connection_is_closed() {
    let app = TestApp::with("").start().await;
    let post = Post::new(Brand::Leiga, "Issue.Update");
    let mut idle = TcpStream::connect(app.public).await.unwrap();
    idle.write_all(&Post::new(Brand::Leiga, "Issue.Create").bytes()).await.unwrap();
    assert_eq!(read(&mut idle).await.unwrap().status, 200);
    let mut busy = TcpStream::connect(app.public).await.unwrap();
    let expecting = post.clone().header("Expect", "100-continue");
    busy.write_all(expecting.head(post.body.len()).as_bytes()).await.unwrap();
    assert_eq!(read(&mut busy).await.unwrap().status, 100, "its head is in");
    let stopping = tokio::spawn(app.stop());
    assert_eq!(read(&mut idle).await, None, "the idle one is closed");
    busy.write_all(&post.body).await.unwrap();
    let answer = read(&mut busy).await.unwrap();
    assert_eq!((answer.status, answer.errcode()), (200, 0));
    let app = TestApp::with("").folder(stopping.await.unwrap()).start().await;
    assert_eq!(app.events().await.len(), 2);
    app.stop().await;
}

#[tokio::test]
async fn being_ready_means_that_the_store_can_be_written_to() {
    let app = TestApp::with("").start().await;
    let other = rusqlite::Connection::open(app.database()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let ready = || async { exchange(app.public, b"GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n").await };
    until("it says that the store is not", || async {
        let answer = ready().await?;
        (answer.status == 503 && answer.body.contains("store")).then_some(())
    })
    .await;
    let alive = exchange(app.public, b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert_eq!((alive.status, alive.body.as_str()), (200, r#"{"status":"alive"}"#));
    other.execute_batch("ROLLBACK").unwrap();
    until("it is ready again", || async { (ready().await?.status == 200).then_some(()) }).await;
    app.stop().await;
}
