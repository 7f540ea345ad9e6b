//! What is kept of attempts, and what a delivery says about itself.

use std::time::Duration;

use bytes::Bytes;
use workhook::model::{Attempt, DeliveryState, Ended, NextStep, Outcome, Settlement};
use workhook::store::{DeliveryQuery, Settled};

use crate::bench::{Bench, at, settlement, to};

pub(crate) async fn every_attempt_is_kept_with_what_came_of_it(bench: &mut Bench) {
    bench.planned(&[to("crm", Some("a")), to("log", Some("a"))]).await;
    let outcome = |ended, started, millis, status, message: &str, response: &'static [u8]| Outcome {
        ended,
        started_at: at(started),
        took: Duration::from_millis(millis),
        status,
        message: message.to_owned(),
        response: Bytes::from_static(response),
    };
    let outcomes = [
        outcome(Ended::Failed, 1, 10_000, None, "no answer within 10s", b""),
        outcome(Ended::Failed, 11, 3, Some(503), "503 \u{0}\u{1F600}", b"<html>\xff\x00</html>"),
        outcome(Ended::Failed, 21, 0, Some(-9), "killed", b"out"),
        outcome(Ended::Refused, 31, 86_400_000, Some(i32::MAX), "", b"\n"),
    ];
    let mut id = None;
    for (n, outcome) in outcomes.iter().enumerate() {
        let now = outcome.started_at;
        let claimed = bench.claim_one("crm", now).await;
        let next = if n == 3 { NextStep::Dead("refused".to_owned()) } else { NextStep::RetryAt(now) };
        let settlement = Settlement { outcome: Some(outcome.clone()), ..settlement(&claimed, next, now) };
        assert_eq!(bench.store.settle(settlement).await.unwrap(), Settled::Kept);
        id = Some(claimed.event.id);
    }
    bench.kill().await;
    let [crm, log] = &bench.record(id.unwrap()).await.deliveries[..] else { panic!("two are planned") };
    let expected: Vec<Attempt> =
        outcomes.into_iter().zip(1..).map(|(outcome, number)| Attempt { number, outcome }).collect();
    assert_eq!(crm.history, expected);
    assert_eq!(log.history, []);
}

pub(crate) async fn a_delivery_says_its_state_why_and_since_when(bench: &mut Bench) {
    bench.planned(&[to("crm", Some("a"))]).await;
    bench.planned(&[to("crm", Some("a"))]).await;
    let first = bench.claim_one("crm", at(1)).await;
    bench.settle(&first, NextStep::RetryAt(at(30)), at(5)).await;
    let waits = bench.delivery(first.id).await;
    assert_eq!((waits.state, waits.due_at, waits.settled_at), (DeliveryState::Pending, Some(at(30)), None));
    assert_eq!((waits.reason.as_deref(), waits.claimed), (Some("it ended as failed"), false));

    let first = bench.claim_one("crm", at(30)).await;
    bench.settle(&first, NextStep::Delivered, at(32)).await;
    let delivered = bench.delivery(first.id).await;
    assert_eq!(
        (delivered.state, delivered.due_at, delivered.settled_at),
        (DeliveryState::Delivered, None, Some(at(32)))
    );
    assert_eq!((delivered.reason, delivered.claimed, delivered.attempts), (None, false, 2));

    let second = bench.claim_one("crm", at(33)).await;
    bench.settle(&second, NextStep::Dead("all attempts are used up".to_owned()), at(34)).await;
    let dead = bench.delivery(second.id).await;
    assert_eq!((dead.state, dead.due_at, dead.settled_at), (DeliveryState::Dead, None, Some(at(34))));
    assert_eq!((dead.reason.as_deref(), dead.claimed, dead.attempts), (Some("all attempts are used up"), false, 1));
}

pub(crate) async fn a_delivery_behind_another_has_no_time_until_it_is_its_turn(bench: &mut Bench) {
    bench.planned(&[to("crm", Some("a"))]).await;
    bench.planned(&[to("crm", Some("a"))]).await;
    let first = bench.claim_one("crm", at(1)).await;
    let newest = DeliveryQuery { limit: 1, ..DeliveryQuery::default() };
    let behind = bench.store.deliveries(newest.clone()).await.unwrap().items.remove(0);
    assert_eq!((behind.state, behind.due_at), (DeliveryState::Pending, None));
    bench.settle(&first, NextStep::Delivered, at(7)).await;
    assert_eq!(bench.store.deliveries(newest).await.unwrap().items[0].due_at, Some(at(7)));
}

pub(crate) async fn the_idempotency_key_is_that_of_event_and_handler_whatever_the_attempt(bench: &mut Bench) {
    bench.planned(&[to("crm", Some("a")), to("log", Some("a"))]).await;
    let first = bench.claim_one("crm", at(1)).await;
    bench.settle(&first, NextStep::RetryAt(at(2)), at(1)).await;
    bench.kill().await;
    let second = bench.claim_one("crm", at(2)).await;
    assert_eq!((first.number, second.number), (0, 0));
    assert_eq!(first.idempotency_key(), second.idempotency_key());
    assert_eq!(second.idempotency_key().as_str(), format!("{}/crm", first.event.id));
    assert_ne!(bench.claim_one("log", at(2)).await.idempotency_key(), first.idempotency_key());
}
