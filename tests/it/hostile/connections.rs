//! Groups 1 to 4, 14, 16 and 29: connections that say nothing, too little, too much, or leave.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use workhook::contract::Brand;

use super::good;
use crate::answers::{A_COUNT, NOTHING, kept};
use crate::support::raw::read;
use crate::support::{PATIENCE, Post, TestApp, until};

async fn connect(to: SocketAddr) -> TcpStream {
    TcpStream::connect(to).await.unwrap()
}

/// Waits until the other end closes, and says what it sent before.
async fn closed(stream: &mut TcpStream) -> String {
    let mut said = Vec::new();
    // A reset is an end as well.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut said)).await.expect("it is not closed");
    String::from_utf8_lossy(&said).into_owned()
}

/// Sends bytes one by one until the other end closes, or has answered, or there is nothing more.
async fn drip(stream: &mut TcpStream, bytes: &[u8]) {
    for byte in bytes {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let mut peeked = [0];
        let answered = timeout(Duration::ZERO, stream.peek(&mut peeked)).await.is_ok();
        if answered || stream.write_all(&[*byte]).await.is_err() {
            return;
        }
    }
    panic!("every byte was taken");
}

#[tokio::test]
async fn group_01_a_connection_that_says_nothing_is_closed_without_an_answer() {
    let app = TestApp::with("[ingest]\nidle_timeout = \"1s\"").start().await;
    let mut silent = connect(app.public).await;
    let mut answered = connect(app.public).await;
    answered.write_all(&good().bytes()).await.unwrap();
    assert_eq!(read(&mut answered).await.unwrap().status, 200);
    let began = Instant::now();
    assert_eq!((closed(&mut silent).await, closed(&mut answered).await), (String::new(), String::new()));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    app.send(good()).await;
    app.stop().await;
}

#[tokio::test]
async fn group_02_a_head_that_drips_is_closed_by_one_clock_for_all_of_it() {
    let app = TestApp::with("").start().await;
    let began = Instant::now();
    let mut stream = connect(app.public).await;
    drip(&mut stream, good().head(10).repeat(10).as_bytes()).await;
    assert_eq!(closed(&mut stream).await, "");
    let took = began.elapsed();
    assert!((Duration::from_millis(1100)..Duration::from_secs(4)).contains(&took), "{took:?}");
    assert_eq!(kept(&app).await, NOTHING);
    app.send(good()).await;
    app.stop().await;
}

#[tokio::test]
async fn group_03_a_body_that_drips_is_408_by_one_clock_for_all_of_it() {
    for framing in ["content-length: 1000000", "transfer-encoding: chunked"] {
        let app = TestApp::with("").start().await;
        let began = Instant::now();
        let mut stream = connect(app.public).await;
        let head = good().head(0).replace("content-length: 0", framing);
        stream.write_all(head.as_bytes()).await.unwrap();
        drip(&mut stream, "1\r\n{\r\n".repeat(1000).as_bytes()).await;
        let answer = read(&mut stream).await.unwrap();
        let took = began.elapsed();
        assert_eq!((answer.status, answer.errcode()), (408, 408), "{framing}");
        assert!((Duration::from_millis(1100)..Duration::from_secs(4)).contains(&took), "{framing}: {took:?}");
        until("it is counted", || async { (kept(&app).await == A_COUNT).then_some(()) }).await;
        app.send(good()).await;
        app.stop().await;
    }
}

#[tokio::test]
async fn group_04_a_body_that_ends_early_is_nothing_however_it_was_framed() {
    let app = TestApp::with("").start().await;
    for (framing, body) in [("content-length: 3", "{}"), ("transfer-encoding: chunked", "2\r\n{}\r\n")] {
        let mut stream = connect(app.public).await;
        let head = good().head(0).replace("content-length: 0", framing);
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let said = closed(&mut stream).await;
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 400 "), "{framing}: {said}");
    }
    let after = kept(&app).await;
    assert_eq!((after.events, after.rejected), (0, 0));
    app.send(good()).await;
    app.stop().await;
}

#[tokio::test]
async fn group_05_of_a_request_with_two_lengths_nothing_behind_the_chunks_is_a_request() {
    let app = TestApp::with("").start().await;
    for lengths in
        [["content-length: 6", "transfer-encoding: chunked"], ["transfer-encoding: chunked", "content-length: 6"]]
    {
        let mut stream = connect(app.public).await;
        let head = good().head(0).replace("content-length: 0", &lengths.join("\r\n"));
        let hidden = good().bytes();
        stream.write_all(&[format!("{head}2\r\n{{}}\r\n0\r\n\r\n").as_bytes(), &hidden].concat()).await.unwrap();
        let said = closed(&mut stream).await;
        assert_eq!(said.matches("HTTP/1.1 ").count(), 1, "{said}");
        assert!(said.contains("\"errcode\":0") && said.contains("connection: close"), "{said}");
    }
    assert_eq!(kept(&app).await.events, 2);
    app.stop().await;
}

#[tokio::test]
async fn group_14_among_pipelined_requests_a_wrong_one_takes_nothing_from_those_before_it() {
    let app = TestApp::with("").start().await;
    let wrong = [good().set("Token", "wrong").bytes(), good().body("[]").bytes(), b"garbage\r\n\r\n".to_vec()];
    for (n, wrong) in wrong.into_iter().enumerate() {
        let before = kept(&app).await.events;
        let mut stream = connect(app.public).await;
        let ten = || (0..10).flat_map(|_| good().bytes()).collect::<Vec<u8>>();
        stream.write_all(&[ten(), wrong, ten()].concat()).await.unwrap();
        let _ = stream.shutdown().await;
        let said = closed(&mut stream).await;
        let acknowledged = u64::try_from(said.matches(r#"{"errcode":0}"#).count()).unwrap();
        let (first, rest) = said.split_once("HTTP/1.1 4").expect("the wrong one is answered");
        assert_eq!(first.matches(r#"{"errcode":0}"#).count(), 10, "{n}: those before it come first: {said}");
        assert!(!rest.contains("HTTP/1.1 4"), "{n}: {said}");
        assert_eq!(kept(&app).await.events - before, acknowledged, "{n}: what was acknowledged is there, and no more");
        app.send(good()).await;
    }
    app.stop().await;
}

#[tokio::test]
async fn group_14_one_who_sends_and_never_reads_is_bounded_and_holds_up_nobody() {
    let app = TestApp::with("[ingest]\nmax_connections = 4").start().await;
    let mut deaf = Vec::new();
    for _ in 0..8 {
        let mut stream = connect(app.public).await;
        let many = b"GET /webhook HTTP/1.1\r\nhost: a\r\n\r\n".repeat(2000);
        // It is not read any further when its answers are not, so not all of it can be written.
        while let Ok(Ok(())) = timeout(Duration::from_millis(100), stream.write_all(&many)).await {}
        deaf.push(stream);
    }
    app.send(good()).await;
    app.stop().await;
}

#[tokio::test]
async fn group_16_after_a_reset_a_retry_is_the_same_event() {
    let app = TestApp::with("").start().await;
    for _ in 0..20 {
        let post = good();
        let mut stream = connect(app.public).await;
        stream.write_all(&post.bytes()).await.unwrap();
        stream.set_zero_linger().unwrap();
        drop(stream);
        app.send(post.set("Retry-Num", "1")).await;
    }
    assert_eq!(kept(&app).await.events, 20);
    app.stop().await;
}

#[tokio::test]
async fn group_29_head_is_405_like_any_other_method() {
    let app = TestApp::with("").start().await;
    let mut stream = connect(app.public).await;
    stream.write_all(b"HEAD /webhook HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    let said = closed(&mut stream).await;
    assert!(said.starts_with("HTTP/1.1 405 ") && said.ends_with("\r\n\r\n"), "{said}");
    app.send(Post::new(Brand::WorkZappy, "Sprint.Start")).await;
    app.stop().await;
}
