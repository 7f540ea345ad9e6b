//! What the sender is answered, and what is kept (contract, section 5), over a real socket, for both brands.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::Instant;
use workhook::contract::Brand;

use crate::support::raw::read;
use crate::support::{Answer, Post, TestApp, exchange, until};

/// How much is kept: events, rejected requests, and those who were only counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kept {
    events: u64,
    rejected: u64,
    counted: u64,
}

const NOTHING: Kept = Kept { events: 0, rejected: 0, counted: 0 };
const AN_EVENT: Kept = Kept { events: 1, ..NOTHING };
const A_REJECTED_REQUEST: Kept = Kept { rejected: 1, ..NOTHING };
const A_COUNT: Kept = Kept { counted: 1, ..NOTHING };

async fn kept(app: &TestApp) -> Kept {
    let health = app.health().await;
    let counted = health.turned_away.iter().map(|away| away.count).sum();
    Kept { events: health.events, rejected: health.rejected, counted }
}

/// Sends a request to an app of its own, for each brand, and checks status, `errcode`, a part of `errmsg`, and what is kept.
async fn check(make: impl Fn(Post) -> Post, status: u16, errmsg: &str, expected: Kept) {
    for &brand in Brand::ALL {
        let app = TestApp::with("").start().await;
        let post = make(Post::new(brand, "Issue.Update"));
        let answer = post.send(app.public).await;
        let errcode = if status == 200 { 0 } else { i64::from(status) };
        assert_eq!((answer.status, answer.errcode()), (status, errcode), "{brand}: {answer:?}");
        assert!(answer.errmsg().contains(errmsg), "{brand}: {answer:?}");
        until(&format!("{brand}: {expected:?} is kept"), || async { (kept(&app).await == expected).then_some(()) })
            .await;
        app.stop().await;
    }
}

#[tokio::test]
async fn a_new_event_is_kept_as_it_came_less_the_token() {
    for &brand in Brand::ALL {
        let app = TestApp::with("").start().await;
        let body = b"{ \"date\": 1 ,\"data\" :{\"issue\":{\"id\":\"7\"}},\"n\":1e400,\"dup\":1,\"dup\":2}".to_vec();
        let post = Post::new(brand, "Issue.Update").body(body.clone()).header("X-Odd", "kept");
        app.send(post.clone()).await;
        let event = app.event(&app.events().await[0].id).await;
        assert_eq!((event.summary.name.as_str(), event.summary.brand.as_str()), ("Issue.Update", brand.slug()));
        assert_eq!(event.summary.entity.as_deref(), Some(&*format!("{brand}/webhook:product/issue/7")));
        assert_eq!(event.summary.occurrence_id.as_deref(), Some(post.get("ID")));
        let names: Vec<_> = event.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert!(names.contains(&"x-odd") && !names.iter().any(|name| name.ends_with("token")), "{names:?}");
        let url = format!("http://{}/api/v1/events/{}/body", app.private, event.summary.id);
        assert_eq!(reqwest::get(url).await.unwrap().bytes().await.unwrap(), body);
        app.stop().await;
    }
}

#[tokio::test]
async fn the_sender_s_test_is_acknowledged_whatever_its_body() {
    for body in ["{}", r#"{"data":null}"#, r#"{"data":{"issue":"no issue"}}"#] {
        check(|post| post.set("Event", "Webhook.Test").body(body), 200, "", AN_EVENT).await;
    }
}

#[tokio::test]
async fn an_unknown_event_and_data_that_does_not_fit_are_events_and_marked() {
    for &brand in Brand::ALL {
        let app = TestApp::with("").start().await;
        let body = r#"{"type":"Issue.Update","data":{"issue":{"id":7,"number":[]}}}"#;
        app.send(Post::new(brand, "Epic.Reopen").body(body)).await;
        let event = app.event(&app.events().await[0].id).await;
        assert_eq!(event.summary.notes, ["unknown-event", "other-type"]);
        assert_eq!(event.misfits, ["data.issue.number: expected a 64-bit integer, found an array"]);
        app.stop().await;
    }
}

#[tokio::test]
async fn a_wrong_missing_or_doubled_token_is_401_and_counted() {
    check(|post| post.set("Token", "wrong"), 401, "not the token", A_COUNT).await;
    check(|post| post.set("Token", ""), 401, "is missing", A_COUNT).await;
    check(|post| post.without("Token"), 401, "is missing", A_COUNT).await;
    check(
        |post| {
            let name = post.brand.header("Token");
            let good = post.get("Token").to_owned();
            post.header(&name, &good)
        },
        401,
        "more than once",
        A_COUNT,
    )
    .await;
    check(|post| post.target("/webhook/other"), 401, "at this path", A_COUNT).await;
}

#[tokio::test]
async fn the_counts_tell_the_address_and_the_claimed_webhook_id() {
    let app = TestApp::with("").start().await;
    for _ in 0..3 {
        assert_eq!(Post::new(Brand::Leiga, "Issue.Update").set("Token", "wrong").send(app.public).await.status, 401);
    }
    until("three are counted", || async {
        let away = app.health().await.turned_away;
        let [one] = &away[..] else { return None };
        let what = (one.code.as_str(), one.peer.as_str(), one.claimed_webhook_id.as_str());
        (what == ("wrong-token", "127.0.0.1", "77") && one.count == 3).then_some(())
    })
    .await;
    app.stop().await;
}

#[tokio::test]
async fn two_families_are_400_and_none_is_401() {
    check(
        |post| {
            let other = if post.brand == Brand::Leiga { "X-WorkZappy-Event" } else { "X-Leiga-Event" };
            post.header(other, "Issue.Update")
        },
        400,
        "one family",
        A_COUNT,
    )
    .await;
    check(
        |mut post| {
            post.headers.clear();
            post
        },
        401,
        "no X-Leiga-*",
        A_COUNT,
    )
    .await;
}

#[tokio::test]
async fn a_missing_or_malformed_header_is_400_names_it_and_the_request_is_kept() {
    check(|post| post.without("Event"), 400, "-Event is missing", A_REJECTED_REQUEST).await;
    check(|post| post.set("Event", "Issue"), 400, "-Event is not of the form", A_REJECTED_REQUEST).await;
    check(|post| post.set("ID", "with space"), 400, "-ID is not 1 to 256 visible", A_REJECTED_REQUEST).await;
    check(|post| post.set("ID", &"x".repeat(257)), 400, "-ID is not", A_REJECTED_REQUEST).await;
    for bad in ["-1", "+1", "0x10", "1.0", "4294967296", "99999999999999999999"] {
        check(|post| post.set("Retry-Num", bad), 400, "-Retry-Num is not a whole number", A_REJECTED_REQUEST).await;
    }
    check(|post| post.set("WebHook-ID", "é"), 400, "-WebHook-ID is not", A_REJECTED_REQUEST).await;
    for field in ["Event", "ID", "Retry-Num", "Ts", "WebHook-ID", "Type", "Sign"] {
        let doubled = |post: Post| {
            let name = post.brand.header(field);
            post.header(&name, "1").header(&name, "1")
        };
        check(doubled, 400, &format!("-{field} was sent more than once"), A_REJECTED_REQUEST).await;
    }
}

#[tokio::test]
async fn what_may_be_missing_or_odd_is_accepted() {
    let all = ["ID", "Retry-Num", "Ts", "WebHook-ID", "Type", "Sign"];
    check(|post| all.iter().fold(post, |post, field| post.without(field)), 200, "", AN_EVENT).await;
    for ts in ["", "abc", "-1", "9223372036854775808", "1676627206432"] {
        check(|post| post.set("Ts", ts), 200, "", AN_EVENT).await;
    }
    check(|post| post.set("Type", "Other").set("Sign", "whatever").set("Retry-Num", "4294967295"), 200, "", AN_EVENT)
        .await;
    check(
        |post| {
            let headers = post.headers.iter().map(|(name, value)| (name.to_ascii_uppercase(), value.clone()));
            Post { headers: headers.collect(), ..post }
        },
        200,
        "",
        AN_EVENT,
    )
    .await;
}

#[tokio::test]
async fn everything_that_is_wrong_is_said_at_once_and_the_request_is_kept_whole() {
    let app = TestApp::with("").start().await;
    let post = Post::new(Brand::Leiga, "no name").set("Retry-Num", "x").body("[1,2");
    let answer = post.send(app.public).await;
    for part in ["X-Leiga-Event", "X-Leiga-Retry-Num", "not a JSON object"] {
        assert!(answer.errmsg().contains(part), "{answer:?}");
    }
    let [rejected] = &app.store.rejected(10).await.unwrap()[..] else { panic!("one is kept") };
    assert_eq!((rejected.webhook.as_str(), &rejected.body[..]), ("product", &b"[1,2"[..]));
    let headers = String::from_utf8_lossy(&rejected.headers);
    assert!(headers.contains("x-leiga-retry-num: x\n") && !headers.contains("token"), "{headers}");
    assert_eq!(rejected.reason, answer.errmsg());
    app.stop().await;
}

#[tokio::test]
async fn a_body_that_is_no_json_object_is_400_says_where_and_is_kept() {
    let deep = |depth: usize| format!("{}{}", r#"{"a":"#.repeat(depth) + "1", "}".repeat(depth));
    let cases: [(Vec<u8>, &str); 14] = [
        (b"".to_vec(), "empty"),
        (b"null".to_vec(), "JSON object"),
        (b"[]".to_vec(), "JSON object"),
        (b"\"x\"".to_vec(), "JSON object"),
        (b"{\"a\":1".to_vec(), "column 6"),
        (b"{} {}".to_vec(), "trailing"),
        (b"{'a':1}".to_vec(), "column 2"),
        (b"{\"a\":NaN}".to_vec(), "column"),
        (b"{\"a\":1,}".to_vec(), "column"),
        (b"{\"a\":\"\xff\"}".to_vec(), "UTF-8 from byte 6"),
        (b"\xef\xbb\xbf{}".to_vec(), "byte order mark"),
        (b"\xff\xfe{\0}\0".to_vec(), "UTF-8"),
        (deep(128).into_bytes(), "deeper than 127"),
        ("[".repeat(100_000).into_bytes(), "deeper than 127"),
    ];
    for (body, part) in cases {
        check(|post| post.body(body.clone()), 400, part, A_REJECTED_REQUEST).await;
    }
    for good in ["{}", " {\"a\":\"\\ud800\"}\n", r#"{"a":"\u0000","a":1e400,"__proto__":{}}"#, &deep(127)] {
        check(|post| post.body(good), 200, "", AN_EVENT).await;
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_and_its_head_is_kept() {
    let config = "[ingest]\nmax_body = \"1KiB\"";
    for &brand in Brand::ALL {
        let app = TestApp::with(config).start().await;
        let body = |length: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(length - 8));
        let exact = Post::new(brand, "Issue.Update").body(body(1024));
        app.send(exact.clone()).await;
        let answer = exact.clone().body(body(1025)).send(app.public).await;
        assert_eq!((answer.status, answer.errcode()), (413, 413));
        let chunked = format!("{:x}\r\n{}\r\n0\r\n\r\n", 1025, body(1025));
        let head = exact.head(0).replace("content-length: 0", "transfer-encoding: chunked");
        let answer = exchange(app.public, format!("{head}{chunked}").as_bytes()).await.unwrap();
        assert_eq!((answer.status, answer.errcode()), (413, 413));
        let rejected = app.store.rejected(10).await.unwrap();
        assert_eq!(rejected.len(), 2);
        assert!(rejected.iter().all(|rejected| rejected.body.is_empty() && !rejected.headers.is_empty()));
        until("both are counted", || async {
            let away = app.health().await.turned_away;
            away.iter().any(|away| away.code == "too-large" && away.count == 2).then_some(())
        })
        .await;
        app.stop().await;
    }
}

#[tokio::test]
async fn an_encoded_body_is_415_and_counted() {
    for encoding in ["gzip", "br", "deflate, identity"] {
        check(|post| post.header("Content-Encoding", encoding), 415, "Content-Encoding", A_COUNT).await;
    }
    check(|post| post.header("Content-Encoding", "identity"), 200, "", AN_EVENT).await;
}

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
        assert!((Duration::from_millis(1150)..Duration::from_millis(1900)).contains(&took), "{took:?}");
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
async fn another_method_is_405_another_path_404_and_nothing_is_kept() {
    let app = TestApp::with("").start().await;
    for method in ["GET", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let answer =
            exchange(app.public, format!("{method} /webhook HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
        assert_eq!((answer.status, answer.errcode()), (405, 405), "{method}");
        assert!(answer.head.contains("allow: post"), "{method}: {answer:?}");
    }
    for path in ["/", "/hook", "//webhook", "/webhook/", "/webhook/a/b", "/api/v1/events", "/metrics", "/webhook%00"] {
        let answer: Answer = Post::new(Brand::Leiga, "Issue.Update").target(path).send(app.public).await;
        assert_eq!((answer.status, answer.errcode()), (404, 404), "{path}");
    }
    assert_eq!(kept(&app).await, NOTHING);
    app.stop().await;
}

#[tokio::test]
async fn the_token_is_checked_before_a_byte_of_the_body_is_read() {
    let app = TestApp::with("").start().await;
    let post = Post::new(Brand::Leiga, "Issue.Update").set("Token", "wrong").header("Expect", "100-continue");
    // No byte of the body is sent: an answer that waited for one would be a 408, or a 100 first.
    let answer = exchange(app.public, post.head(1_000_000).as_bytes()).await.unwrap();
    assert_eq!(answer.status, 401);
    let good = Post::new(Brand::Leiga, "Issue.Update").header("Expect", "100-continue");
    let answer = exchange(app.public, good.head(10).as_bytes()).await.unwrap();
    assert_eq!(answer.status, 100, "a good token is asked for its body");
    app.stop().await;
}

#[tokio::test]
async fn broken_framing_is_refused_and_a_good_request_is_served_after_it() {
    let app = TestApp::with("").start().await;
    let post = Post::new(Brand::Leiga, "Issue.Update");
    let head = |framing: &str| post.head(0).replace("content-length: 0", framing);
    let framings = [
        "content-length: 5\r\ntransfer-encoding: chunked",
        "content-length: 5\r\ncontent-length: 6",
        "content-length: +5",
        "content-length: -1",
        "content-length: 99999999999999999999999",
        "transfer-encoding: chunked\r\nx-bad header: 1",
    ];
    for framing in framings {
        let answer = exchange(app.public, format!("{}{{}}", head(framing)).as_bytes()).await;
        assert!(answer.as_ref().is_none_or(|answer| (400..500).contains(&answer.status)), "{framing}: {answer:?}");
    }
    for chunks in ["FFFFFFFFFFFFFFFFF\r\n{}", "2\r\n{}xx0\r\n\r\n", "zz\r\n"] {
        let bytes = format!("{}{chunks}", head("transfer-encoding: chunked"));
        let answer = exchange(app.public, bytes.as_bytes()).await;
        assert!(answer.as_ref().is_none_or(|answer| answer.status == 400), "{chunks}: {answer:?}");
    }
    let many: String = (0..70).map(|n| format!("x-h{n}: 1\r\n")).collect();
    for odd in [many, format!("x-long: {}\r\n", "x".repeat(20 << 10))] {
        let bytes = post.head(2).replace("\r\n\r\n", &format!("\r\n{odd}\r\n")) + "{}";
        let answer = exchange(app.public, bytes.as_bytes()).await.unwrap();
        assert_eq!(answer.status, 431);
    }
    assert_eq!(kept(&app).await.events, 0);
    app.send(post).await;
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
        stream.write_all(post.head(100).as_bytes()).await.unwrap();
        stream.write_all(b"{").await.unwrap();
        busy.push(stream);
    }
    let answer = until("it is full", || async {
        let answer = exchange(app.public, &post.bytes()).await.unwrap();
        (answer.status == 503).then_some(answer)
    })
    .await;
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
    slow.write_all(post.head(60_000).as_bytes()).await.unwrap();
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
