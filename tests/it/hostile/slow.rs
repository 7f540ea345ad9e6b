//! Group 15 and slow attackers: thousands of connections, and a good request is served all the same.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;
use workhook::contract::Brand;

use super::good;
use crate::support::raw::read;
use crate::support::scrape::open_connections;
use crate::support::{Post, TestApp, alone, exchange, until};

/// How many attackers there are, unless `WORKHOOK_TEST_ATTACKERS` says otherwise.
const ATTACKERS: usize = 2000;
/// The cap on connections; fewer than there are attackers.
const CAP: usize = 500;
/// How many good requests come meanwhile.
const GOOD: usize = 50;
/// How long a good request may take, which is how long the sender waits.
const IN_TIME: Duration = Duration::from_secs(3);

fn attackers() -> usize {
    std::env::var("WORKHOOK_TEST_ATTACKERS").ok().map_or(ATTACKERS, |count| count.parse().unwrap())
}

/// One who connects again and again, sends a beginning, and then so much at a time; he is counted when he has begun.
async fn attack(to: SocketAddr, beginning: Vec<u8>, drip: &'static [u8], begun: Arc<AtomicUsize>) {
    let mut first = true;
    loop {
        tokio::time::sleep(Duration::from_millis(fastrand::u64(..2000))).await;
        let Ok(mut stream) = TcpStream::connect(to).await else { continue };
        let mut written = stream.write_all(&beginning).await;
        if first && written.is_ok() {
            begun.fetch_add(1, Ordering::Relaxed);
            first = false;
        }
        while written.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
            written = match drip.is_empty() {
                // One who sends nothing notices by reading that he was closed.
                true => read(&mut stream).await.map(drop).ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into()),
                false => stream.write_all(drip).await,
            };
        }
    }
}

/// Good requests while all attack, each on a connection of its own; for what requests were turned away meanwhile.
async fn check(beginning: Vec<u8>, drip: &'static [u8], fills_the_door: bool) -> Vec<String> {
    let _alone = alone().await;
    let app = TestApp::with(&format!("[ingest]\nmax_connections = {CAP}")).start().await;
    let (mut attacking, begun) = (JoinSet::new(), Arc::<AtomicUsize>::default());
    for _ in 0..attackers() {
        attacking.spawn(attack(app.public, beginning.clone(), drip, Arc::clone(&begun)));
    }
    until("all attack", || async { (begun.load(Ordering::Relaxed) >= attackers()).then_some(()) }).await;
    let cap = u32::try_from(CAP).unwrap();
    if fills_the_door {
        until("the door is full", || async { (open_connections(&app).await >= f64::from(cap) * 0.9).then_some(()) })
            .await;
    }
    let mut most = 0.0_f64;
    for n in 0..GOOD {
        let began = Instant::now();
        let answer = exchange(app.public, &good().bytes()).await;
        let took = began.elapsed();
        assert!(answer.as_ref().is_some_and(|answer| answer.status == 200), "{n}: {answer:?}");
        assert!(took < IN_TIME, "{n}: {took:?}");
        most = most.max(open_connections(&app).await);
    }
    // Beside them are those that were just told to close.
    assert!(most <= f64::from(cap) * 1.5, "{most} connections, and the cap is {cap}");
    attacking.shutdown().await;
    app.send(Post::new(Brand::Leiga, "Issue.Update")).await;
    let health = app.health().await;
    assert_eq!(health.events, u64::try_from(GOOD).unwrap() + 1);
    app.stop().await;
    health.turned_away.into_iter().map(|away| away.code).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn group_15_thousands_of_idle_connections_keep_no_good_request_out() {
    assert!(check(Vec::new(), b"", true).await.is_empty(), "they were no requests");
}

#[tokio::test(flavor = "multi_thread")]
async fn group_15_thousands_of_heads_that_drip_keep_no_good_request_out() {
    let beginning = b"POST /webhook HTTP/1.1\r\nhost: a\r\n".to_vec();
    assert!(check(beginning, b"x", true).await.is_empty(), "they were no requests yet");
}

#[tokio::test(flavor = "multi_thread")]
async fn group_15_thousands_of_bodies_that_drip_without_a_token_keep_no_good_request_out() {
    // None of them is read, so none of them stays.
    let beginning = good().set("Token", "wrong").head(1_000_000);
    let turned_away = check(beginning.into_bytes(), b"x", false).await;
    assert!(turned_away.iter().all(|code| code == "wrong-token") && !turned_away.is_empty(), "{turned_away:?}");
}
