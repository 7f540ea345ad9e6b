//! Groups 43 and 54: the private door, asked by somebody who means ill or shown what such a one has sent.

use std::fmt::Write as _;

use reqwest::{Client, Method, StatusCode};

use super::good;
use crate::answers::kept;
use crate::support::TestApp;

/// Texts that would mean something to whoever does not keep texts and commands apart.
const TEXTS: &[&str] = &[
    "' OR 1=1 --",
    "'; DROP TABLE events; --",
    "\" OR \"\"=\"",
    "\"",
    "'",
    "*",
    "a*",
    "NEAR(a b)",
    "a AND",
    "NOT",
    "-a",
    "^a",
    "title:a",
    "{a b}:c",
    "(",
    ")",
    "+",
    "a\0b",
    "\u{202e}",
    "(a+)+$",
    "%",
    "_",
    "\\",
    "\u{1f600}",
    "é",
    "../../x",
    "$(id)",
];
/// Numbers that are out of every bound, or none.
const NUMBERS: &[&str] =
    &["-1", "0", "1e18", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "x", "", "1 OR 1=1"];

/// Every list with its filters that take a text, and those that take a number.
const LISTS: &[(&str, &[&str], &[&str])] = &[
    (
        "events",
        &["name", "webhook", "entity", "person", "text", "since", "until", "outcome"],
        &["limit", "before", "after", "offset"],
    ),
    ("deliveries", &["handler", "state", "event", "reason"], &["limit", "before"]),
    ("rejected", &["webhook"], &["limit", "before"]),
];

/// What is tried: in words, the headers, the body, and the answer.
type Try<'t> = (&'t str, &'t [(&'t str, &'t str)], &'t str, u16);

/// Asks, and fails where the door does: whatever is asked, the fault is not its own.
async fn ask(client: &Client, app: &TestApp, path: &str, query: &[(&str, &str)]) -> StatusCode {
    let url = reqwest::Url::parse_with_params(&format!("http://{}/api/v1/{path}", app.private), query).unwrap();
    let response = client.get(url.clone()).send().await.unwrap();
    let (status, kind) = (response.status(), response.headers()["content-type"].to_str().unwrap().to_owned());
    let text = response.text().await.unwrap();
    assert!(status.is_success() || status.is_client_error(), "{url}: {status} {text}");
    assert_eq!(kind, "application/json", "{url}: {text}");
    serde_json::from_str::<serde_json::Value>(&text).unwrap_or_else(|error| panic!("{url}: {error}: {text}"));
    status
}

#[tokio::test]
async fn group_54_whatever_is_asked_of_a_list_is_answered_or_refused_and_changes_nothing() {
    let app = TestApp::with("").start().await;
    let client = Client::new();
    app.send(good()).await;
    good().body("[]").send(app.public).await;
    app.settled().await;
    let before = kept(&app).await;
    for &(list, texts, numbers) in LISTS {
        assert_eq!(ask(&client, &app, list, &[]).await, StatusCode::OK, "{list}");
        for (&filter, &text) in texts.iter().flat_map(|filter| TEXTS.iter().map(move |text| (filter, text))) {
            ask(&client, &app, list, &[(filter, text)]).await;
        }
        for (&filter, &number) in numbers.iter().flat_map(|filter| NUMBERS.iter().map(move |number| (filter, number))) {
            ask(&client, &app, list, &[(filter, number)]).await;
        }
        for limit in ["0", "201", "9223372036854775807"] {
            assert_eq!(ask(&client, &app, list, &[("limit", limit)]).await, StatusCode::BAD_REQUEST, "{list}: {limit}");
        }
        let long = "x ".repeat(3000);
        ask(&client, &app, list, &[(texts[0], &long)]).await;
    }
    for id in TEXTS.iter().chain(NUMBERS).filter(|id| !id.is_empty()) {
        for list in ["events", "deliveries", "rejected", "replays", "handlers"] {
            let segment: String = id.bytes().map(|byte| format!("%{byte:02x}")).collect();
            let status = ask(&client, &app, &format!("{list}/{segment}"), &[]).await;
            assert!(status.is_client_error(), "{list}/{id}: {status}");
        }
    }
    assert_eq!(kept(&app).await, before);
    app.send(good()).await;
    app.stop().await;
}

#[tokio::test]
async fn group_54_nothing_is_changed_for_a_page_a_form_or_a_body_that_is_none() {
    let receiver = crate::support::TestReceiver::start().await;
    receiver.answer_status(422);
    let app = TestApp::with(&receiver.handler("crm", "")).start().await;
    let client = Client::new();
    app.send(good()).await;
    app.settled().await;
    let deep = format!("{}{}", "{\"a\":".repeat(200), "}".repeat(200));
    let large = format!("{{\"filter\":\"{}\"}}", "x".repeat(100 << 10));
    let all = r#"{"filter":{}}"#;
    let paths =
        ["deliveries/retry", "deliveries/cancel", "replays", "forget", "handlers/crm/pause", "handlers/crm/test"];
    let json = ("content-type", "application/json");
    let tries: &[Try<'_>] = &[
        ("a form", &[("content-type", "application/x-www-form-urlencoded")], "filter=all", 403),
        ("a form that looks like JSON", &[("content-type", "text/plain")], all, 403),
        ("no type", &[], all, 403),
        ("a page of another site", &[json, ("origin", "http://evil.example")], all, 403),
        ("a page of nowhere", &[json, ("origin", "null")], all, 403),
        ("another site's", &[json, ("sec-fetch-site", "cross-site")], all, 403),
        ("another host's name", &[json, ("host", "evil.example")], all, 403),
        ("a body too deep", &[json], &deep, 400),
        ("a body too large", &[json], &large, 413),
        ("half a body", &[json], "{\"filter\":", 400),
        ("a key that nobody knows", &[json], r#"{"filter":{},"drop":"events"}"#, 400),
    ];
    let before = (kept(&app).await, receiver.received().len());
    let mut wrong = String::new();
    for path in paths {
        for (what, headers, body, expected) in tries {
            let mut request = client.request(Method::POST, format!("http://{}/api/v1/{path}", app.private));
            for (name, value) in *headers {
                request = request.header(*name, *value);
            }
            let status = request.body((*body).to_owned()).send().await.unwrap().status().as_u16();
            if status != *expected {
                let _ = writeln!(wrong, "{path}, {what}: {status} in place of {expected}");
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    app.settled().await;
    assert_eq!((kept(&app).await, receiver.received().len()), before);
    app.stop().await;
}

#[tokio::test]
async fn group_43_what_somebody_wrote_is_never_shown_as_a_page() {
    let app = TestApp::with("").start().await;
    let markup = "<script>alert(1)</script><img src=x onerror=alert(1)>";
    let body = format!(
        "{{\"date\":1,\"data\":{{\"issue\":{{\"id\":1,\"summary\":\"{markup}\",\"url\":\"javascript:alert(1)\"}}}}}}"
    );
    app.send(good().set("Sign", markup).body(body)).await;
    good().body(markup).send(app.public).await;
    let (event, rejected) = (app.events().await.remove(0).id, app.rejected().await.remove(0).id.0);
    let paths = ["events".to_owned(), format!("events/{event}"), format!("rejected/{rejected}"), "rejected".to_owned()];
    for path in
        paths.iter().map(|path| format!("/api/v1/{path}")).chain(["/metrics".to_owned(), "/<script>".to_owned()])
    {
        let response = reqwest::get(format!("http://{}{path}", app.private)).await.unwrap();
        let kind = response.headers()["content-type"].to_str().unwrap();
        assert!(kind == "application/json" || kind.starts_with("text/plain"), "{path}: {kind}");
    }
    for path in [format!("events/{event}/body"), format!("rejected/{rejected}/body")] {
        let response = reqwest::get(format!("http://{}/api/v1/{path}", app.private)).await.unwrap();
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("content-type"), "application/octet-stream", "{path}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert!(header("content-disposition").starts_with("attachment"), "{path}");
    }
    // A token in the address of an answer that is no JSON would be one more place for markup.
    let answer =
        good().set("Token", markup).target("/webhook/<script>".trim_end_matches("<script>")).send(app.public).await;
    assert_eq!((answer.status, answer.body.contains('<')), (404, false), "{answer:?}");
    app.stop().await;
}
