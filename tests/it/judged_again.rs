//! Rejected requests, looked at and judged again (ruling 11), and what may ask for that.

use serde_json::{Value, json};
use workhook::admin::api::wire;
use workhook::contract::Brand;

use crate::support::{Post, TestApp, until};

/// Sends JSON to the API.
async fn post(app: &TestApp, path: &str, body: &Value) -> (u16, Value) {
    let url = format!("http://{}/api/v1/{path}", app.private);
    let response = reqwest::Client::new().post(url).json(body).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

/// A request that is rejected for its retry number.
async fn rejected(app: &TestApp) -> Post {
    let good = Post::new(Brand::Leiga, "Issue.Update");
    assert_eq!(good.clone().set("Retry-Num", "two").send(app.public).await.status, 400);
    good
}

#[tokio::test]
async fn a_rejected_request_is_told_with_its_headers_and_its_body() {
    let app = TestApp::with("").start().await;
    let good = rejected(&app).await;
    let list: wire::RejectedList = app.api("rejected").await;
    assert_eq!((list.rejected.len(), list.rejected[0].headers.len(), list.next), (1, 0, None));
    let told: wire::Rejected = app.api("rejected/1").await;
    assert!(told.reason.contains("Retry-Num") && told.became.is_none(), "{told:?}");
    assert!(!told.headers.iter().any(|(name, _)| name.ends_with("token")), "{told:?}");
    let url = format!("http://{}/api/v1/rejected/1/body", app.private);
    assert_eq!(reqwest::get(url).await.unwrap().bytes().await.unwrap(), good.body);
    let list: wire::RejectedList = app.api("rejected?webhook=another").await;
    assert!(list.rejected.is_empty());
    app.stop().await;
}

#[tokio::test]
async fn ruling_11_a_corrected_request_becomes_an_event_once() {
    let app = TestApp::with("").start().await;
    let good = rejected(&app).await;
    let (status, why) = post(&app, "rejected/1/retry", &json!({})).await;
    assert!(status == 422 && why["error"].as_str().unwrap().contains("Retry-Num"), "{status} {why}");
    let (status, _) = post(&app, "rejected/1/retry", &json!({ "set": { "Token": "x" } })).await;
    assert_eq!((status, app.events().await.len()), (422, 0));
    let (status, retried) = post(&app, "rejected/1/retry", &json!({ "set": { "Retry-Num": "0" } })).await;
    assert_eq!((status, &retried["outcome"]), (200, &json!("stored")), "{retried}");
    let event = app.event(retried["event"].as_str().unwrap()).await;
    assert_eq!(event.summary.occurrence_id.as_deref(), Some(good.get("ID")));
    let told: wire::Rejected = app.api("rejected/1").await;
    assert_eq!(told.became.map(|became| became.event), Some(event.summary.id.clone()));
    let (status, again) = post(&app, "rejected/1/retry", &json!({})).await;
    assert_eq!((status, &again["outcome"], &again["event"]), (200, &json!("duplicate"), &retried["event"]));
    app.send(good).await;
    assert_eq!(app.events().await.len(), 1, "the sender's own retry is a duplicate of it");
    app.stop().await;
}

#[tokio::test]
async fn ruling_11_a_request_whose_retry_was_taken_is_a_duplicate_when_it_is_judged_again() {
    let app = TestApp::with("").start().await;
    let good = rejected(&app).await;
    app.send(good).await;
    let (status, retried) = post(&app, "rejected/1/retry", &json!({ "set": { "Retry-Num": "0" } })).await;
    assert_eq!((status, &retried["outcome"]), (200, &json!("duplicate")), "{retried}");
    let events = app.events().await;
    assert_eq!((events.len(), events[0].receipts), (1, 2));
    app.stop().await;
}

#[tokio::test]
async fn a_page_of_another_site_and_a_body_without_end_change_nothing() {
    let app = TestApp::with("").start().await;
    rejected(&app).await;
    let url = format!("http://{}/api/v1/rejected/1/retry", app.private);
    let send = |headers: &[(&str, &str)], body: String| {
        let request = reqwest::Client::new().post(&url).body(body);
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).send()
    };
    let good = r#"{"set":{"Retry-Num":"0"}}"#;
    const JSON: (&str, &str) = ("content-type", "application/json");
    for (headers, body, expected) in [
        (&[][..], good.to_owned(), 403),
        (&[("content-type", "text/plain")], good.to_owned(), 403),
        (&[JSON, ("origin", "http://evil.example")], good.to_owned(), 403),
        (&[JSON, ("sec-fetch-site", "cross-site")], good.to_owned(), 403),
        (&[JSON], format!("{{\"set\":{{\"ID\":\"{}\"}}}}", "x".repeat(70_000)), 413),
        (&[JSON], "{\"sett\":{}}".to_owned(), 400),
        (&[JSON], "{".to_owned(), 400),
    ] {
        let response = send(headers, body).await.unwrap();
        assert_eq!(response.status().as_u16(), expected, "{headers:?}: {:?}", response.text().await);
    }
    assert_eq!(app.events().await.len(), 0);
    assert_eq!(send(&[JSON], good.to_owned()).await.unwrap().status(), 200);
    app.stop().await;
}

#[tokio::test]
async fn each_configured_webhook_is_told_with_the_uses_of_its_tokens_and_no_token() {
    let app = TestApp::with("[[webhook]]\nname = \"zappy\"\nbrand = \"workzappy\"\ntokens = [\"one\", \"two\"]")
        .start()
        .await;
    let list: wire::Webhooks = app.api("webhooks").await;
    let names: Vec<_> = list.webhooks.iter().map(|webhook| (webhook.name.as_str(), webhook.tokens.len())).collect();
    assert_eq!(names, [("zappy", 2), ("product", 1)]);
    assert!(list.webhooks[0].tokens.iter().all(|token| token.configured && token.token.len() == 8), "{list:?}");
    for token in ["one", "one", "two"] {
        app.send(Post::new(Brand::WorkZappy, "Issue.Update").set("Token", token)).await;
    }
    let uses = || async {
        let list: wire::Webhooks = app.api("webhooks").await;
        let counts: Vec<u64> = list.webhooks[0].tokens.iter().map(|token| token.count).collect();
        (counts == [2, 1] && list.webhooks[0].last_request.is_some()).then_some(list)
    };
    let list = until("the uses are counted", uses).await;
    assert_eq!((list.webhooks[1].tokens[0].count, list.webhooks[1].last_request), (0, None));
    assert_eq!(app.health().await.webhooks.len(), 2);
    app.stop().await;
}
