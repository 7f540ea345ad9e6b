//! What is kept of an accepted request.

use std::time::Duration;

use workhook::clock::later;
use workhook::contract::{Accepted, Brand};
use workhook::model::{Entity, EventId, StoredEvent};
use workhook::store::EventQuery;

use crate::bench::{ALL, Bench, at, plan, to};
use crate::request::Request;

#[track_caller]
fn assert_same(stored: &StoredEvent, accepted: &Accepted) {
    assert_eq!(stored.webhook, accepted.webhook().as_str());
    assert_eq!(stored.brand, accepted.brand());
    assert_eq!(stored.claimed_webhook_id, accepted.claimed_webhook_id());
    assert_eq!(&stored.name, accepted.name());
    assert_eq!(stored.original_name.as_deref(), accepted.original_name());
    assert_eq!(stored.occurrence_id.as_deref(), accepted.occurrence_id());
    assert_eq!(stored.entity, Entity::of(accepted));
    assert_eq!(stored.notes, accepted.notes());
    assert_eq!(&stored.headers, accepted.headers());
    assert!(stored.body == *accepted.body(), "the body of {}", stored.position);
    let first = &stored.first;
    assert_eq!((first.received_at, first.retry_num), (accepted.received_at(), accepted.retry_num()));
    assert_eq!((first.sent_at, first.peer), (accepted.sent_at(), accepted.peer()));
    assert_eq!((first.matched_by_body, first.other_body_bytes), (false, None));
}

pub(crate) async fn ruling_12_each_event_has_a_higher_position_than_the_one_before(bench: &mut Bench) {
    let mut last = None;
    for n in 0..10 {
        match n {
            3 => bench.reopen().await,
            6 => bench.kill().await,
            _ => {}
        }
        let (_, position) = bench.stored(&Request::new()).await;
        assert!(last < Some(position), "{position} after {last:?}");
        last = Some(position);
    }
}

pub(crate) async fn an_event_comes_back_as_it_went_in_wherever_it_is_read(bench: &mut Bench) {
    let mut kept: Vec<(EventId, Accepted)> = Vec::new();
    for &brand in Brand::ALL {
        let request = Request::new()
            .brand(brand)
            .webhook("support")
            .event("Phase.Start")
            .set("Type", "Slack")
            .set("Ts", "-1")
            .set("WebHook-ID", "a/b")
            .retry(u32::MAX)
            .header("x-many", b"1")
            .header("x-many", b"2")
            .header("x-empty", b"")
            .body(r#"{"type":"Sprint.Delete","data":{"sprint":{"id":"5"}}}"#)
            .received_at(later(at(0), Duration::from_millis(7)))
            .peer(Some("2001:db8::7".parse().unwrap()));
        let accepted = request.accepted();
        assert_eq!((accepted.original_name(), accepted.notes().len()), (Some("Phase.Start"), 2));
        kept.push((bench.stored(&request).await.0, accepted));
    }
    bench.kill().await;
    let unplanned = bench.store.unplanned(ALL).await.unwrap();
    for (event, (_, accepted)) in unplanned.iter().zip(&kept) {
        assert_same(event, accepted);
        bench.store.plan(vec![plan(event.position, &[to("crm", None)])], at(0)).await.unwrap();
    }
    let claimed = bench.claim_all("crm", at(0)).await;
    for (claimed, (_, accepted)) in claimed.iter().zip(&kept) {
        assert_same(&claimed.event, accepted);
    }
    let rows = bench.store.events(EventQuery { limit: ALL, ..EventQuery::default() }).await.unwrap().items;
    for (row, (_, accepted)) in rows.iter().rev().zip(&kept) {
        assert_same(&row.event, accepted);
    }
    for (id, accepted) in &kept {
        assert_same(&bench.record(*id).await.event, accepted);
    }
    assert_eq!([unplanned.len(), claimed.len(), rows.len()], [kept.len(); 3]);
}

pub(crate) async fn what_a_request_did_not_say_stays_unsaid(bench: &mut Bench) {
    let request = ["ID", "Retry-Num", "Ts", "WebHook-ID"].into_iter().fold(Request::new(), Request::without);
    let request = request.body("{}").peer(None);
    let event = bench.record(bench.stored(&request).await.0).await.event;
    assert_same(&event, &request.accepted());
    assert_eq!((event.occurrence_id, event.original_name, event.entity), (None, None, None));
    assert_eq!((event.first.retry_num, event.first.sent_at, event.first.peer), (0, None, None));
    assert_eq!((event.claimed_webhook_id.as_str(), event.notes.len()), ("", 0));
}

pub(crate) async fn a_body_is_kept_byte_for_byte(bench: &mut Bench) {
    let long = format!(r#"{{"data":"{}"}}"#, "x".repeat(1 << 20));
    let bodies = [
        r#"{"nul":"\u0000"}"#,
        r#"{"beyond":1e400,"more":-1E+999}"#,
        r#"{"half":"\ud800","pair":"\ud83d\ude00"}"#,
        r#"{"twice":1,"twice":2}"#,
        " {\r\n\t\"spaces\" : [ ] } \n",
        r#"{"text":"Zwölf Boxkämpfer 😀 ' \" -- ; \\u0000"}"#,
        &long,
    ];
    let mut kept = Vec::new();
    for body in bodies {
        kept.push((bench.stored(&Request::new().body(body.to_owned())).await.0, body));
    }
    bench.kill().await;
    for (id, body) in kept {
        let found = bench.record(id).await.event.body;
        assert!(found == body.as_bytes(), "not {body:.60}");
    }
}

pub(crate) async fn headers_are_kept_in_their_order_with_bytes_that_are_no_text(bench: &mut Bench) {
    let request = Request::new().header("x-odd", b"\xff\xfe\t\x80").header("x-odd", b"Z\xfcrich: yes");
    let (id, _) = bench.stored(&request).await;
    bench.kill().await;
    let headers = bench.record(id).await.event.headers;
    let odd: Vec<_> = headers.iter().filter(|(name, _)| *name == "x-odd").map(|(_, value)| value).collect();
    assert_eq!(odd, [&b"\xff\xfe\t\x80"[..], b"Z\xfcrich: yes"]);
    assert_eq!(&headers, request.accepted().headers());
}

pub(crate) async fn ruling_13_the_entity_is_decided_by_the_event_s_object(bench: &mut Bench) {
    let both = r#"{"tenant":{"id":1},"data":{"issue":{"id":100},"sprint":{"id":5}}}"#;
    let relation = r#"{"tenant":{"id":1},"data":{"relationIssue":{"fromIssue":{"fromIssueId":"9"},"toIssueId":100}}}"#;
    let issue_and_relation =
        r#"{"tenant":{"id":1},"data":{"issue":{"id":100},"relationIssue":{"fromIssue":{"fromIssueId":9}}}}"#;
    let sprint = r#"{"tenant":{"id":1},"data":{"sprint":{"id":5}}}"#;
    for (event, body, expected) in [
        ("Issue.Update", both, Some("leiga/tenant:1/issue/100")),
        ("Sprint.Start", both, Some("leiga/tenant:1/sprint/5")),
        ("Phase.Start", both, Some("leiga/tenant:1/sprint/5")),
        ("Sprint.Renamed", both, Some("leiga/tenant:1/sprint/5")),
        ("Comment.Create", both, Some("leiga/tenant:1/issue/100")),
        ("Epic.Reopen", both, Some("leiga/tenant:1/issue/100")),
        ("RelationIssue.Create", relation, Some("leiga/tenant:1/issue/9")),
        ("RelationIssue.Create", issue_and_relation, Some("leiga/tenant:1/issue/100")),
        ("Issue.Update", sprint, None),
        ("Sprint.Start", relation, None),
        ("Webhook.Test", "{}", None),
    ] {
        check_entity(bench, Request::new().event(event).body(body), expected).await;
    }
}

pub(crate) async fn ruling_13_an_entity_is_of_a_brand_and_a_tenant_or_else_a_webhook(bench: &mut Bench) {
    let text_ids = r#"{"tenant":{"id":"1"},"data":{"issue":{"id":"100"}}}"#;
    let no_tenant = r#"{"data":{"issue":{"id":100}}}"#;
    for (request, expected) in [
        (Request::new(), "leiga/tenant:1/issue/100"),
        (Request::new().body(text_ids), "leiga/tenant:1/issue/100"),
        (Request::new().body(text_ids).brand(Brand::WorkZappy), "workzappy/tenant:1/issue/100"),
        (Request::new().body(text_ids).webhook("support"), "leiga/tenant:1/issue/100"),
        (Request::new().body(no_tenant), "leiga/webhook:product/issue/100"),
        (Request::new().body(no_tenant).webhook("support"), "leiga/webhook:support/issue/100"),
    ] {
        check_entity(bench, request, Some(expected)).await;
    }
}

async fn check_entity(bench: &Bench, request: Request, expected: Option<&str>) {
    let event = bench.record(bench.stored(&request).await.0).await.event;
    assert_eq!(event.entity.as_ref().map(Entity::as_str), expected, "{request:?}");
}
