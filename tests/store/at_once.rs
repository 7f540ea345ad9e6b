//! Many at the same time.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::task::JoinSet;
use workhook::model::{EventId, Position};
use workhook::store::Appended;

use crate::bench::{ALL, Bench, PATIENCE, at, claim_request, plan, to};
use crate::request::Request;

/// The one event of these answers, all others of which must be its duplicates.
#[track_caller]
fn the_one_stored(appended: &[Appended]) -> EventId {
    let (mut stored, mut duplicates) = (Vec::new(), Vec::new());
    for appended in appended {
        match appended {
            Appended::Stored { id, .. } => stored.push(*id),
            Appended::Duplicate { id, .. } => duplicates.push(*id),
        }
    }
    let [one] = stored[..] else { panic!("not one but {stored:?}") };
    assert!(duplicates.iter().all(|duplicate| *duplicate == Some(one)), "of {one}: {duplicates:?}");
    one
}

pub(crate) async fn ruling_07_of_a_hundred_at_once_one_is_the_event_and_the_others_its_duplicates(bench: &mut Bench) {
    let appended = bench.append_at_once(&vec![Request::new(); 100]).await;
    let id = the_one_stored(&appended);
    assert_eq!(bench.record(id).await.receipts, 100);
    assert_eq!(bench.store.counts().await.unwrap().events, 1);
}

pub(crate) async fn ruling_07_a_hundred_others_beside_them_change_nothing(bench: &mut Bench) {
    let same = Request::new();
    let requests: Vec<Request> = (0..100).flat_map(|_| [same.clone(), Request::new()]).collect();
    let appended = bench.append_at_once(&requests).await;
    let (same, others): (Vec<_>, Vec<_>) = appended.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).unzip();
    the_one_stored(&same);
    assert!(others.iter().all(|other| matches!(other, Appended::Stored { .. })), "{others:?}");
    assert_eq!(bench.store.counts().await.unwrap().events, 101);
}

pub(crate) async fn ruling_07_of_two_bodies_at_once_under_one_id_one_stands_and_the_other_is_the_conflict(
    bench: &mut Bench,
) {
    let request = Request::new();
    let bodies = [r#"{"n":1}"#, r#"{"n":2}"#];
    let requests: Vec<Request> = (0..60).map(|n| request.clone().body(bodies[n % 2])).collect();
    let appended = bench.append_at_once(&requests).await;
    let record = bench.record(the_one_stored(&appended)).await;
    for (n, appended) in appended.iter().enumerate() {
        if let Appended::Duplicate { conflict, .. } = appended {
            assert_eq!(*conflict, record.event.body != bodies[n % 2]);
        }
    }
    assert_eq!(record.duplicates.iter().filter(|receipt| receipt.other_body_bytes.is_some()).count(), 30);
}

pub(crate) async fn ruling_07_retries_at_once_with_ids_of_their_own_and_one_body_are_one_event(bench: &mut Bench) {
    let requests: Vec<Request> = (0..50).map(|_| Request::new().body("{}").retry(1)).collect();
    the_one_stored(&bench.append_at_once(&requests).await);
}

pub(crate) async fn ruling_12_whoever_sends_after_an_answer_comes_behind_what_was_answered(bench: &mut Bench) {
    let mut senders = JoinSet::new();
    for _ in 0..8 {
        let store = Arc::clone(&bench.store);
        senders.spawn(async move {
            let mut positions = Vec::new();
            for _ in 0..25 {
                match store.append(Request::new().accepted()).await.unwrap() {
                    Appended::Stored { position, .. } => positions.push(position),
                    duplicate @ Appended::Duplicate { .. } => panic!("{duplicate:?}"),
                }
            }
            positions
        });
    }
    let sent = senders.join_all().await;
    assert!(sent.iter().all(|positions| positions.is_sorted()), "{sent:?}");
    let all: HashSet<&Position> = sent.iter().flatten().collect();
    assert_eq!(all.len(), 200, "no position is given twice");
}

pub(crate) async fn ruling_12_planning_beside_many_appends_misses_none_and_plans_none_twice(bench: &mut Bench) {
    let requests: Vec<Request> = (0..300).map(|_| Request::new()).collect();
    let appends = bench.append_at_once(&requests);
    let planner = async {
        let mut planned = Vec::new();
        while planned.len() < requests.len() {
            let events = bench.store.unplanned(7).await.unwrap();
            let plans = events.iter().map(|event| plan(event.position, &[to("crm", Some("a"))])).collect();
            bench.store.plan(plans, at(0)).await.unwrap();
            planned.extend(events.iter().map(|event| event.position));
        }
        planned
    };
    let both = tokio::time::timeout(PATIENCE, async { tokio::join!(appends, planner) });
    let (appended, planned) = both.await.expect("every event is planned at some time");
    assert!(planned.is_sorted(), "{planned:?}");
    let stored: HashSet<Position> = appended
        .iter()
        .filter_map(|appended| match appended {
            Appended::Stored { position, .. } => Some(*position),
            Appended::Duplicate { .. } => None,
        })
        .collect();
    assert_eq!(planned.iter().copied().collect::<HashSet<_>>(), stored);
    assert_eq!(bench.store.unplanned(ALL).await.unwrap().len(), 0);
}

pub(crate) async fn claims_at_once_never_get_the_same_delivery(bench: &mut Bench) {
    for _ in 0..40 {
        bench.planned(&[to("crm", None)]).await;
    }
    let mut at_once = JoinSet::new();
    for _ in 0..8 {
        let (store, request) = (Arc::clone(&bench.store), claim_request("crm", 7, at(1)));
        at_once.spawn(async move { store.claim(request).await.unwrap().claimed });
    }
    let claimed: Vec<_> = at_once.join_all().await.into_iter().flatten().map(|claimed| claimed.id).collect();
    assert_eq!(claimed.len(), 40);
    assert_eq!(claimed.iter().collect::<HashSet<_>>().len(), 40);
}
