//! The `http` kind against a real receiver.

use std::time::Duration;

use workhook::contract::Brand;

use crate::support::receiver::Reply;
use crate::support::{Post, TestApp, TestReceiver, until};

#[tokio::test]
async fn it_sends_the_bytes_as_they_came_the_brand_s_headers_and_its_own() {
    let receiver = TestReceiver::start().await;
    let config = receiver.handler("crm", "headers = { Authorization = \"Bearer far-end\", X-Team = \"core\" }");
    let app = TestApp::with(&config).start().await;
    let body = b"{ \"date\":1,  \"n\": 1e400, \"dup\":1,\"dup\":2 }\n".to_vec();
    let post = Post::new(Brand::Leiga, "Issue.Update")
        .body(body.clone())
        .set("Sign", "s")
        .header("Content-Type", "application/json; charset=utf-8")
        .header("Cookie", "c=1")
        .header("X-Forwarded-For", "203.0.113.9")
        .header("Connection", "keep-alive");
    app.send(post.clone()).await;
    app.settled().await;
    let [received] = &receiver.received()[..] else { panic!("one delivery") };
    let event = &app.events().await[0];
    assert_eq!(received.body, body);
    for field in ["Event", "ID", "Ts", "Retry-Num", "WebHook-ID", "Type", "Sign"] {
        assert_eq!(received.header(&format!("x-leiga-{}", field.to_lowercase())), post.get(field), "{field}");
    }
    assert_eq!(received.header("authorization"), "Bearer far-end");
    assert_eq!(received.header("x-team"), "core");
    assert_eq!(received.header("content-type"), "application/json; charset=utf-8");
    assert_eq!(received.header("idempotency-key"), format!("{}/crm", event.id));
    assert_eq!(received.header("workhook-event-id"), event.id);
    assert_eq!(received.header("workhook-attempt"), "1");
    let trace = format!("00-{}-", event.id.replace('-', ""));
    assert!(received.header("traceparent").starts_with(&trace) && received.header("traceparent").len() == 55);
    for absent in ["x-leiga-token", "cookie", "x-forwarded-for"] {
        assert!(!received.headers.contains_key(absent), "{absent}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_failure_that_may_pass_is_tried_again_with_the_same_key() {
    let receiver = TestReceiver::start().await;
    receiver.answer(|received| Reply {
        status: if received.header("workhook-attempt") == "3" { 204 } else { 503 },
        body: "not now".to_owned(),
        ..Reply::default()
    });
    let config = receiver.handler("crm", "retry = { attempts = 5, first = \"1ms\", max = \"5ms\" }");
    let app = TestApp::with(&config).start().await;
    app.send(Post::new(Brand::Leiga, "Issue.Update")).await;
    app.settled().await;
    let received = receiver.received();
    let keys: Vec<_> = received.iter().map(|received| received.header("idempotency-key")).collect();
    assert_eq!((keys.len(), keys[0] == keys[1] && keys[1] == keys[2]), (3, true));
    let traces: std::collections::HashSet<_> = received.iter().map(|received| received.header("traceparent")).collect();
    assert_eq!(traces.len(), 3, "each attempt is a span of its own");
    let event = app.event(&app.events().await[0].id).await;
    let ended: Vec<_> =
        event.handlers[0].history.iter().map(|attempt| (attempt.ended.as_str(), attempt.status)).collect();
    assert_eq!(ended, [("failed", Some(503)), ("failed", Some(503)), ("delivered", Some(204))]);
    assert_eq!(event.handlers[0].history[0].response, "not now");
    app.stop().await;
}

#[tokio::test]
async fn a_failure_that_would_come_again_is_a_dead_letter_at_once_with_its_reason() {
    let receiver = TestReceiver::start().await;
    let app = TestApp::with(&receiver.handler("crm", "")).start().await;
    for (status, reason) in [(404, "answered 404 Not Found"), (302, "redirects are not followed")] {
        receiver.answer(move |_| Reply {
            status,
            headers: vec![("location", "/elsewhere".to_owned())],
            ..Reply::default()
        });
        app.send(Post::new(Brand::Leiga, "Issue.Update")).await;
        app.settled().await;
        let event = app.event(&app.events().await.last().unwrap().id).await;
        let delivery = &event.handlers[0];
        assert_eq!(
            (delivery.state.as_str(), delivery.attempts, delivery.history[0].ended.as_str()),
            ("dead", 1, "refused")
        );
        assert!(delivery.reason.as_ref().unwrap().contains(reason), "{:?}", delivery.reason);
    }
    assert_eq!(receiver.received().len(), 2, "no redirect was followed");
    app.stop().await;
}

#[tokio::test]
async fn when_all_attempts_failed_it_is_a_dead_letter_and_the_reason_says_how_the_last_one_did() {
    let receiver = TestReceiver::start().await;
    receiver.answer_status(500);
    let config = receiver.handler("crm", "retry = { attempts = 3, first = \"1ms\", max = \"1ms\" }");
    let app = TestApp::with(&config).start().await;
    app.send(Post::new(Brand::Leiga, "Issue.Update")).await;
    app.settled().await;
    let event = app.event(&app.events().await[0].id).await;
    assert_eq!(receiver.received().len(), 3);
    let reason = "all 3 attempts failed; the last: answered 500 Internal Server Error";
    assert_eq!(event.handlers[0].reason.as_deref(), Some(reason));
    app.stop().await;
}

#[tokio::test]
async fn ruling_17_being_throttled_is_no_attempt_and_retry_after_is_kept_to() {
    let receiver = TestReceiver::start().await;
    let throttle = || Reply { status: 429, headers: vec![("retry-after", "1".to_owned())], ..Reply::default() };
    receiver.answer(move |_| throttle());
    let config = receiver.handler("crm", "retry = { attempts = 1, first = \"1ms\", max = \"1h\" }");
    let app = TestApp::with(&config).start().await;
    app.send(Post::new(Brand::Leiga, "Issue.Update")).await;
    let id = app.events().await[0].id.clone();
    let waiting = until("it waits", || async {
        let event = app.event(&id).await;
        let delivery = event.handlers.first()?.clone();
        // While it is under way its number is taken, and given back when it is throttled.
        (!delivery.history.is_empty() && delivery.attempts == 0).then_some(delivery)
    })
    .await;
    assert_eq!(waiting.state.as_str(), "pending");
    let wait = waiting.due_at.unwrap().duration_since(waiting.history[0].started_at);
    assert!(wait.as_millis() >= 1000, "{wait:?}");
    receiver.answer_status(200);
    app.settled().await;
    let delivery = &app.event(&id).await.handlers[0];
    assert_eq!((delivery.state.as_str(), delivery.attempts), ("delivered", 1));
    app.stop().await;
}

#[tokio::test]
async fn an_answer_that_does_not_come_in_time_is_a_failed_attempt() {
    let receiver = TestReceiver::start().await;
    receiver.answer(|_| Reply { status: 200, after: Duration::from_secs(60), ..Reply::default() });
    let config = receiver.handler("crm", "timeout = \"50ms\"\nretry = { attempts = 1 }");
    let app = TestApp::with(&config).start().await;
    app.send(Post::new(Brand::Leiga, "Issue.Update")).await;
    app.settled().await;
    let event = app.event(&app.events().await[0].id).await;
    assert!(event.handlers[0].reason.as_ref().unwrap().contains("no answer within 50ms"), "{:?}", event.handlers);
    app.stop().await;
}

#[tokio::test]
async fn of_a_large_answer_only_the_beginning_is_kept() {
    let receiver = TestReceiver::start().await;
    receiver.answer(|_| Reply { status: 200, body: "x".repeat(1 << 20), ..Reply::default() });
    let app = TestApp::with(&receiver.handler("crm", "")).start().await;
    app.send(Post::new(Brand::Leiga, "Issue.Update")).await;
    app.settled().await;
    let event = app.event(&app.events().await[0].id).await;
    assert_eq!(event.handlers[0].history[0].response.len(), 4096);
    app.stop().await;
}

#[tokio::test]
async fn nobody_listening_is_a_failure_that_does_not_tell_the_address() {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let config = format!(
        "[[handler]]\nname = \"crm\"\nkind = \"http\"\nurl = \"http://{gone}/hook?key=secret\"\nretry = {{ attempts = 1 }}"
    );
    let app = TestApp::with(&config).start().await;
    app.send(Post::new(Brand::Leiga, "Issue.Update")).await;
    app.settled().await;
    let event = app.event(&app.events().await[0].id).await;
    let reason = event.handlers[0].reason.clone().unwrap();
    assert!(reason.contains("refused") && !reason.contains("secret"), "{reason}");
    app.stop().await;
}
