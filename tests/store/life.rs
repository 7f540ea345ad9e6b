//! Opening, closing, and what becomes of what is under way.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use workhook::model::{EventId, NextStep};
use workhook::store::{Appended, DeliveryQuery, EventQuery, RejectedQuery, StoreError};

use crate::bench::{ALL, Bench, PATIENCE, at, claim_request, plan, settlement, to};
use crate::request::Request;

/// Polls a future once and drops it, as hyper does with a request's future when the peer leaves.
fn poll_once<T>(future: impl Future<Output = T>) -> Poll<T> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

pub(crate) async fn a_probe_writes_and_changes_nothing_that_is_seen(bench: &mut Bench) {
    let before = bench.store.counts().await.unwrap();
    for _ in 0..3 {
        bench.store.probe().await.unwrap();
    }
    bench.kill().await;
    bench.store.probe().await.unwrap();
    assert_eq!(bench.store.counts().await.unwrap(), before);
}

pub(crate) async fn after_it_was_closed_everything_says_that_the_store_has_ended(bench: &mut Bench) {
    bench.planned(&[to("crm", None)]).await;
    let claimed = bench.claim_one("crm", at(0)).await;
    let event = &claimed.event;
    let store = &bench.store;
    store.close().await;
    store.close().await;
    let ended = [
        store.append(Request::new().accepted()).await.map(drop),
        store.reject(Request::new().body("x").rejected()).await.map(drop),
        store.count_refusals(Vec::new()).await,
        store.start_planning().await.map(drop),
        store.end_planning().await,
        store.unplanned(1).await.map(drop),
        store.plan(vec![plan(event.position, &[])], at(0)).await,
        store.claim(claim_request("crm", 1, at(0))).await.map(drop),
        store.settle(settlement(&claimed, NextStep::Delivered, at(0))).await.map(drop),
        store.release(vec![(claimed.id, claimed.epoch)]).await,
        store.other_body(event.id, 1).await.map(drop),
        store.event(event.id).await.map(drop),
        store.events(EventQuery::default()).await.map(drop),
        store.deliveries(DeliveryQuery::default()).await.map(drop),
        store.rejected(RejectedQuery::default()).await.map(drop),
        store.refusals(1).await.map(drop),
        store.counts().await.map(drop),
        store.probe().await,
    ];
    for (n, result) in ended.iter().enumerate() {
        assert!(matches!(result, Err(StoreError::Ended)), "verb {n}: {result:?}");
    }
}

pub(crate) async fn what_was_handed_over_is_stored_though_nobody_waits_for_it(bench: &mut Bench) {
    let requests: Vec<Request> = (0..50).map(|_| Request::new()).collect();
    for request in &requests {
        // It may be done at once; if not, nobody will be told.
        let _ = poll_once(bench.store.append(request.accepted()));
    }
    bench.reopen().await;
    assert_eq!(bench.store.counts().await.unwrap().events, 50);
    for request in &requests {
        assert!(matches!(bench.append(request).await, Appended::Duplicate { id: Some(_), conflict: false }));
    }
}

pub(crate) async fn what_was_not_begun_is_not_done(bench: &mut Bench) {
    drop(bench.store.append(Request::new().accepted()));
    bench.stored(&Request::new()).await;
    assert_eq!(bench.store.counts().await.unwrap().events, 1);
}

pub(crate) async fn a_store_that_is_well_does_not_say_that_it_failed(bench: &mut Bench) {
    bench.stored(&Request::new()).await;
    assert!(poll_once(bench.store.failed()).is_pending());
    bench.store.close().await;
    assert!(poll_once(bench.store.failed()).is_pending(), "to be closed is no failure");
}

pub(crate) async fn a_new_event_and_a_plan_wake_those_who_wait_for_them(bench: &mut Bench) {
    let mut events = bench.wakes.events.sleeper();
    let mut deliveries = bench.wakes.deliveries.sleeper();
    let (_, position) = bench.stored(&Request::new()).await;
    tokio::time::timeout(PATIENCE, events.woken()).await.expect("a new event wakes the planner");
    bench.store.plan(vec![plan(position, &[to("crm", None)])], at(0)).await.unwrap();
    tokio::time::timeout(PATIENCE, deliveries.woken()).await.expect("a plan wakes the handlers");
}

pub(crate) async fn nothing_is_lost_over_many_ends_tidy_and_untidy(bench: &mut Bench) {
    let mut ids: Vec<EventId> = Vec::new();
    for n in 0..6 {
        for _ in 0..5 {
            ids.push(bench.stored(&Request::new()).await.0);
        }
        let mut at_once = Vec::new();
        for appended in bench.append_at_once(&(0..20).map(|_| Request::new()).collect::<Vec<_>>()).await {
            let Appended::Stored { id, position } = appended else { panic!("{appended:?}") };
            at_once.push((position, id));
        }
        at_once.sort_unstable();
        ids.extend(at_once.into_iter().map(|(_, id)| id));
        bench.restart(n % 2 == 0).await;
    }
    let rows = bench.store.events(EventQuery { limit: ALL, ..EventQuery::default() }).await.unwrap().items;
    assert_eq!(rows.iter().rev().map(|row| row.event.id).collect::<Vec<_>>(), ids);
}
