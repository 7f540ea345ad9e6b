//! What is the same event, one request after the other (rulings 3 to 8).

use workhook::contract::Brand;
use workhook::model::{EventId, Receipt};
use workhook::store::Appended;

use crate::bench::{Bench, REMEMBER, at};
use crate::request::Request;

const DAY: i64 = 24 * 3600;

/// The answer to a repetition of an event with its own body.
fn same(id: EventId) -> Appended {
    Appended::Duplicate { id: Some(id), conflict: false }
}

/// The answer to a repetition of an event with another body.
fn conflict(id: EventId) -> Appended {
    Appended::Duplicate { id: Some(id), conflict: true }
}

pub(crate) async fn ruling_03_the_same_id_again_is_the_same_event_whatever_else_differs(bench: &mut Bench) {
    let request = Request::new();
    let (id, _) = bench.stored(&request).await;
    assert_eq!(bench.append(&request).await, same(id));
    let later = request.event("Issue.Delete").retry(3).set("Ts", "7").header("x-odd", b"1").received_at(at(DAY + 1));
    assert_eq!(bench.append(&later).await, same(id));
    assert_eq!(bench.store.counts().await.unwrap().events, 1);
}

pub(crate) async fn ruling_03_of_another_webhook_brand_claimed_id_or_id_it_is_another_event(bench: &mut Bench) {
    let request = Request::new().id("7");
    let others = [
        request.clone().webhook("support"),
        request.clone().brand(Brand::WorkZappy),
        request.clone().set("WebHook-ID", "78"),
        request.clone().without("WebHook-ID"),
        request.clone().id("8"),
    ];
    let mut ids = vec![bench.stored(&request).await.0];
    for other in &others {
        ids.push(bench.stored(other).await.0);
    }
    for (request, id) in [&request].into_iter().chain(&others).zip(ids) {
        assert_eq!(bench.append(request).await, same(id));
    }
}

pub(crate) async fn ruling_04_a_retry_with_a_new_id_and_the_same_body_is_the_same_event_for_a_day(bench: &mut Bench) {
    let request = Request::new().id("first");
    let (id, _) = bench.stored(&request).await;
    let retry = request.clone().id("second").retry(1).received_at(at(DAY - 1));
    assert_eq!(bench.append(&retry).await, same(id));
    assert_eq!(bench.append(&request.clone().retry(1).received_at(at(DAY - 1))).await, same(id));
    let matched: Vec<bool> = bench.record(id).await.duplicates.iter().map(|receipt| receipt.matched_by_body).collect();
    assert_eq!(matched, [true, false], "the one was known by its body alone, the other by its id");

    let (later, _) = bench.stored(&request.id("third").retry(1).received_at(at(DAY + 1))).await;
    assert_ne!(later, id);
}

pub(crate) async fn ruling_04_the_new_id_of_such_a_retry_is_known_too(bench: &mut Bench) {
    let request = Request::new().id("first");
    let (id, _) = bench.stored(&request).await;
    let retry = request.id("second").retry(1);
    assert_eq!(bench.append(&retry).await, same(id));
    bench.reopen().await;
    let later = at(3 * DAY);
    assert_eq!(bench.append(&retry.clone().retry(0).received_at(later)).await, same(id));
    assert_eq!(bench.append(&retry.body("{}").received_at(later)).await, conflict(id));
}

pub(crate) async fn ruling_04_only_a_retry_is_matched_by_its_body_and_only_within_its_webhook_and_name(
    bench: &mut Bench,
) {
    let body = r#"{"date":1}"#;
    bench.stored(&Request::new().body(body).retry(1)).await;
    bench.stored(&Request::new().body(body)).await;
    let retry = || Request::new().body(body).retry(1);
    bench.stored(&retry().webhook("support")).await;
    bench.stored(&retry().brand(Brand::WorkZappy)).await;
    bench.stored(&retry().set("WebHook-ID", "78")).await;
    bench.stored(&retry().event("Issue.Delete")).await;
    bench.stored(&retry().body(r#"{"date":2}"#)).await;
    assert!(matches!(bench.append(&retry()).await, Appended::Duplicate { conflict: false, .. }));
}

pub(crate) async fn ruling_05_without_an_id_the_same_body_is_the_same_event_for_a_day(bench: &mut Bench) {
    let request = Request::new().without("ID");
    let (id, _) = bench.stored(&request).await;
    assert_eq!(bench.append(&request).await, same(id));
    bench.kill().await;
    assert_eq!(bench.append(&request.clone().retry(1).received_at(at(DAY - 1))).await, same(id));
    let (later, _) = bench.stored(&request.clone().received_at(at(DAY + 1))).await;
    assert_eq!(bench.append(&request.received_at(at(DAY + 2))).await, same(later), "the later one stands for it now");
}

pub(crate) async fn ruling_05_without_an_id_webhook_name_and_body_tell_events_apart(bench: &mut Bench) {
    let request = Request::new().without("ID").body(r#"{"date":1}"#);
    bench.stored(&request).await;
    bench.stored(&request.clone().webhook("support")).await;
    bench.stored(&request.clone().brand(Brand::WorkZappy)).await;
    bench.stored(&request.clone().set("WebHook-ID", "78")).await;
    bench.stored(&request.clone().event("Issue.Delete")).await;
    bench.stored(&request.clone().body(r#"{"date": 1}"#)).await;
    bench.stored(&request.id("an-id")).await;
}

pub(crate) async fn ruling_05_without_id_and_date_or_as_a_test_it_is_never_a_repetition(bench: &mut Bench) {
    for request in [
        Request::new().without("ID").body("{}"),
        Request::new().without("ID").body(r#"{"date":null}"#).retry(1),
        Request::new().without("ID").event("Webhook.Test"),
    ] {
        bench.stored(&request).await;
        bench.stored(&request).await;
    }
}

pub(crate) async fn ruling_06_the_same_id_with_another_body_is_a_conflict_and_the_first_stands(bench: &mut Bench) {
    let request = Request::new().body(r#"{"n":1}"#);
    let (id, _) = bench.stored(&request).await;
    assert_eq!(bench.append(&request.clone().body(r#"{"n":2}"#).received_at(at(1))).await, conflict(id));
    assert_eq!(bench.append(&request.clone().received_at(at(2))).await, same(id));
    assert_eq!(bench.append(&request.body(r#"{"n":"3"}"#).retry(1).received_at(at(3))).await, conflict(id));
    bench.kill().await;
    let record = bench.record(id).await;
    assert_eq!(record.event.body, r#"{"n":1}"#);
    let others: Vec<_> = record.duplicates.iter().map(|receipt| receipt.other_body_bytes).collect();
    assert_eq!(others, [Some(7), None, Some(9)]);
    assert!(record.duplicates.iter().all(|receipt| !receipt.matched_by_body));
    for (number, expected) in [(0, None), (1, Some(r#"{"n":2}"#)), (2, None), (3, Some(r#"{"n":"3"}"#)), (4, None)] {
        let other = bench.store.other_body(id, number).await.unwrap();
        assert_eq!(other.as_deref(), expected.map(str::as_bytes), "duplicate {number}");
    }
    let unknown = EventId::new(at(0));
    assert_eq!(bench.store.other_body(unknown, 1).await.unwrap(), None);
}

pub(crate) async fn ruling_08_the_receipts_of_a_hundred_duplicates_are_kept_and_all_are_counted(bench: &mut Bench) {
    let request = Request::new();
    let (id, _) = bench.stored(&request).await;
    let peer = |n: u32| Some([192, 0, 2, u8::try_from(n).unwrap()].into());
    for n in 1..=120 {
        let again = request.clone().retry(n).set("Ts", &n.to_string()).peer(peer(n)).received_at(at(n.into()));
        assert_eq!(bench.append(&again).await, same(id));
    }
    let record = bench.record(id).await;
    assert_eq!((record.receipts, record.duplicates.len()), (121, 100));
    assert_eq!((record.event.first.retry_num, record.event.first.received_at), (0, at(0)));
    for (receipt, n) in record.duplicates.into_iter().zip(1..=100) {
        let expected = Receipt {
            received_at: at(n.into()),
            retry_num: n,
            sent_at: Some(n.into()),
            peer: peer(n),
            matched_by_body: false,
            other_body_bytes: None,
        };
        assert_eq!(receipt, expected);
    }
}

pub(crate) async fn ruling_08_an_id_is_known_for_as_long_as_is_configured_and_then_forgotten(bench: &mut Bench) {
    let end = i64::try_from(REMEMBER.as_secs()).unwrap();
    let (known, forgotten) = (Request::new(), Request::new());
    let (id, _) = bench.stored(&known).await;
    let (first, _) = bench.stored(&forgotten).await;
    bench.reopen().await;
    assert_eq!(bench.append(&known.received_at(at(end - 1))).await, same(id));
    let (second, _) = bench.stored(&forgotten.clone().received_at(at(end + 1))).await;
    assert_ne!(first, second);
    assert_eq!(bench.append(&forgotten.received_at(at(end + 2))).await, same(second));
}

pub(crate) async fn ruling_08_what_is_known_survives_the_end_of_the_process(bench: &mut Bench) {
    let requests = [Request::new(), Request::new().without("ID"), Request::new().id("third")];
    let mut ids = Vec::new();
    for request in &requests {
        ids.push(bench.stored(request).await.0);
    }
    for untidy in [false, true] {
        bench.restart(untidy).await;
        for (request, id) in requests.iter().zip(&ids) {
            assert_eq!(bench.append(request).await, same(*id));
        }
    }
    assert_eq!(bench.append(&requests[2].clone().id("fourth").retry(1)).await, same(ids[2]));
    assert_eq!(bench.record(ids[0]).await.receipts, 3);
}
