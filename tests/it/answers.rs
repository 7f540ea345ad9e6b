//! What the sender is answered, and what is kept (contract, section 5), over a real socket, for both brands.

use workhook::contract::Brand;

use crate::support::{Answer, Post, TestApp, exchange, until};

/// How much is kept: events, rejected requests, and those who were only counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) events: u64,
    pub(crate) rejected: u64,
    pub(crate) counted: u64,
}

pub(crate) const NOTHING: Kept = Kept { events: 0, rejected: 0, counted: 0 };
const AN_EVENT: Kept = Kept { events: 1, ..NOTHING };
const A_REJECTED_REQUEST: Kept = Kept { rejected: 1, ..NOTHING };
pub(crate) const A_COUNT: Kept = Kept { counted: 1, ..NOTHING };

pub(crate) async fn kept(app: &TestApp) -> Kept {
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
    for body in ["{}", r#"{"data":null}"#, r#"{"data":{"issue":"no issue"}}"#, "", "ping", "[1]", "{\"cut"] {
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
    let [rejected] = &app.rejected().await[..] else { panic!("one is kept") };
    assert_eq!((rejected.webhook.as_str(), &rejected.body[..]), ("product", &b"[1,2"[..]));
    let headers = String::from_utf8_lossy(rejected.headers.as_bytes());
    assert!(headers.contains("x-leiga-retry-num: x\n") && !headers.contains("token"), "{headers}");
    assert_eq!(rejected.reason, answer.errmsg());
    app.stop().await;
}

#[tokio::test]
async fn a_body_that_is_no_json_object_is_400_says_where_and_is_kept() {
    let deep = |depth: usize| format!("{}{}", r#"{"a":"#.repeat(depth) + "1", "}".repeat(depth));
    let cases: [(Vec<u8>, &str); 16] = [
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
        ("[".repeat(100_000).into_bytes(), "begins with an array"),
        (deep(100_000).into_bytes(), "deeper than 127"),
        (br#""somebody's words""#.to_vec(), "begins with a string"),
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
        let rejected = app.rejected().await;
        assert_eq!(rejected.len(), 2);
        assert!(rejected.iter().all(|rejected| rejected.body.is_empty() && rejected.headers.iter().next().is_some()));
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
