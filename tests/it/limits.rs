//! Limits of time, number and size, and broken requests: answered or closed, with nothing lost (promises 3 and 7).

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::Instant;
use workhook::contract::Brand;

use crate::answers::{A_COUNT, NOTHING, kept};
use crate::support::raw::read;
use crate::support::{Post, TestApp, exchange, until};

#[tokio::test]
async fn ruling_09_a_body_that_does_not_come_in_time_is_408_and_counted() {
    for &brand in Brand::ALL {
        let app = TestApp::with("").start().await;
        let began = Instant::now();
        let post = Post::new(brand, "Issue.Update");
        let mut stream = TcpStream::connect(app.public).await.unwrap();
        let head = post.head(post.body.len());
        let (first, rest) = head.split_at(20);
        stream.write_all(first.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
        // The clock began with the first byte of the head, so only 700 ms are left for the body.
        stream.write_all(rest.as_bytes()).await.unwrap();
        stream.write_all(&post.body[..5]).await.unwrap();
        let answer = read(&mut stream).await.unwrap();
        let took = began.elapsed();
        assert_eq!((answer.status, answer.errcode()), (408, 408));
        assert!((Duration::from_millis(1150)..Duration::from_millis(3000)).contains(&took), "{took:?}");
        until("it is counted", || async { (kept(&app).await == A_COUNT).then_some(()) }).await;
        app.stop().await;
    }
}

#[tokio::test]
async fn ruling_09_a_head_that_does_not_come_in_time_closes_the_connection() {
    let app = TestApp::with("").start().await;
    let mut stream = TcpStream::connect(app.public).await.unwrap();
    stream.write_all(b"POST /webhook HTTP/1.1\r\n").await.unwrap();
    let began = Instant::now();
    let drip = async {
        for byte in b"x-leiga-event: Issue.Update\r\nx-leiga-id: ".iter().cycle() {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if stream.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), drip).await.expect("it is closed");
    assert!(began.elapsed() > Duration::from_millis(1000));
    assert_eq!(kept(&app).await, NOTHING);
    app.stop().await;
}

#[tokio::test]
async fn a_request_that_is_cut_leaves_nothing() {
    let app = TestApp::with("").start().await;
    let post = Post::new(Brand::Leiga, "Issue.Update");
    let mut stream = TcpStream::connect(app.public).await.unwrap();
    stream.write_all(post.head(post.body.len() + 1).as_bytes()).await.unwrap();
    stream.write_all(&post.body).await.unwrap();
    stream.shutdown().await.unwrap();
    let answer = read(&mut stream).await;
    assert!(answer.as_ref().is_none_or(|answer| answer.status == 400), "{answer:?}");
    let after = kept(&app).await;
    assert_eq!((after.events, after.rejected), (0, 0));
    app.stop().await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let app = TestApp::with("").start().await;
    let mut stream = TcpStream::connect(app.public).await.unwrap();
    let posts: Vec<Vec<u8>> = (0..50).map(|n| Post::new(Brand::Leiga, "Issue.Update").issue(1, n).bytes()).collect();
    stream.write_all(&posts.concat()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut text = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut text).await.unwrap();
    assert_eq!(text.matches(r#"{"errcode":0}"#).count(), 50);
    assert_eq!(kept(&app).await.events, 50);
    app.stop().await;
}

#[tokio::test]
async fn ruling_09_a_store_that_is_locked_is_503_in_time_and_nothing_is_promised() {
    let app = TestApp::with("").start().await;
    let other = rusqlite::Connection::open(app.database()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let began = Instant::now();
    let post = Post::new(Brand::Leiga, "Issue.Update");
    let answer = post.send(app.public).await;
    let took = began.elapsed();
    assert_eq!((answer.status, answer.errcode()), (503, 503));
    assert!(answer.head.contains("retry-after: 2"), "{answer:?}");
    assert!(took < Duration::from_millis(2200), "{took:?}");
    other.execute_batch("ROLLBACK").unwrap();
    // What was handed over may be stored after all; a retry is a duplicate either way.
    app.send(post.set("Retry-Num", "1")).await;
    assert_eq!(kept(&app).await.events, 1);
    app.stop().await;
}

#[tokio::test]
async fn ruling_10_over_the_cap_the_idlest_connection_is_closed() {
    let app = TestApp::with("[ingest]\nmax_connections = 10").start().await;
    let mut idle = Vec::new();
    for _ in 0..40 {
        idle.push(TcpStream::connect(app.public).await.unwrap());
    }
    // A good request is served all the same, and the first that came is gone.
    app.send(Post::new(Brand::Leiga, "Issue.Update")).await;
    assert_eq!(read(&mut idle[0]).await, None);
    app.stop().await;
}

#[tokio::test]
async fn ruling_10_where_no_connection_is_idle_the_new_one_is_told_503() {
    let app = TestApp::with("[ingest]\nmax_connections = 3").start().await;
    let post = Post::new(Brand::Leiga, "Issue.Update");
    let mut busy = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(app.public).await.unwrap();
        stream.write_all(post.clone().header("Expect", "100-continue").head(100).as_bytes()).await.unwrap();
        // It is asked for its body, so its head was read, and it is not idle.
        assert_eq!(read(&mut stream).await.unwrap().status, 100);
        busy.push(stream);
    }
    let answer = exchange(app.public, &post.bytes()).await.unwrap();
    assert_eq!(answer.status, 503);
    assert_eq!(answer.errcode(), 503);
    assert!(answer.head.contains("retry-after"), "{answer:?}");
    app.stop().await;
}

#[tokio::test]
async fn ruling_10_bodies_over_the_budget_are_503() {
    let config = "[ingest]\nmax_body = \"64KiB\"\nmax_in_flight = \"64KiB\"";
    let app = TestApp::with(config).start().await;
    let post = Post::new(Brand::Leiga, "Issue.Update");
    let mut slow = TcpStream::connect(app.public).await.unwrap();
    slow.write_all(post.clone().header("Expect", "100-continue").head(60_000).as_bytes()).await.unwrap();
    assert_eq!(read(&mut slow).await.unwrap().status, 100, "its share is set aside");
    let big = post.clone().body(format!("{{\"a\":\"{}\"}}", "x".repeat(20_000)));
    let answer = until("the budget is used up", || async {
        let answer = big.send(app.public).await;
        (answer.status == 503).then_some(answer)
    })
    .await;
    assert!(answer.errmsg().contains("bytes"), "{answer:?}");
    drop(slow);
    until("the budget is given back", || async { (big.send(app.public).await.status == 200).then_some(()) }).await;
    app.stop().await;
}

#[tokio::test]
async fn one_request_that_cannot_be_stored_does_not_fail_its_neighbours() {
    let app = TestApp::with("").start().await;
    let other = rusqlite::Connection::open(app.database()).unwrap();
    let poison = "CREATE TRIGGER poison BEFORE INSERT ON events WHEN NEW.occurrence_id = 'poison'
                  BEGIN SELECT raise(ABORT, 'poison'); END";
    other.execute_batch(poison).unwrap();
    let mut sending = tokio::task::JoinSet::new();
    for n in 0..100 {
        let post = Post::new(Brand::Leiga, "Issue.Update");
        let (post, to) = (if n == 50 { post.set("ID", "poison") } else { post }, app.public);
        sending.spawn(async move { (n, post.send(to).await) });
    }
    for (n, answer) in sending.join_all().await {
        assert_eq!(answer.status, if n == 50 { 503 } else { 200 }, "{n}");
    }
    assert_eq!(kept(&app).await.events, 99);
    app.stop().await;
}

#[tokio::test]
async fn a_sender_that_writes_a_too_large_body_to_its_end_gets_to_read_the_413() {
    let app = TestApp::with("").start().await;
    let post = Post::new(Brand::Leiga, "Issue.Update").body(format!("{{\"a\":\"{}\"}}", "x".repeat(9 << 20)));
    for _ in 0..5 {
        let mut stream = TcpStream::connect(app.public).await.unwrap();
        stream.write_all(&post.bytes()).await.unwrap();
        assert_eq!(read(&mut stream).await.unwrap().status, 413);
    }
    app.stop().await;
}

#[tokio::test]
async fn what_was_shed_is_counted() {
    let app = TestApp::with("").start().await;
    let other = rusqlite::Connection::open(app.database()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(Post::new(Brand::Leiga, "Issue.Update").send(app.public).await.status, 503);
    other.execute_batch("ROLLBACK").unwrap();
    until("it is counted", || async {
        let away = app.health().await.turned_away;
        away.iter().any(|away| away.code == "store" || away.code == "late").then_some(())
    })
    .await;
    app.stop().await;
}
