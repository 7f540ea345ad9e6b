//! What processes agree on by the database, asked of two stores on it.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use workhook::model::{NewDelivery, OpenBreaker, Plan, Rate};
use workhook::store::{ClaimRequest, Duty, PostgresStore, Store};

use crate::database::Database;
use crate::far_end::crm;
use crate::replica::event;

fn now() -> Timestamp {
    workhook::clock::Clock::system().now()
}

/// Two stores with so many events planned for `crm`.
async fn two(database: &Database, events: usize) -> [PostgresStore; 2] {
    let both = [database.open().await, database.open().await];
    let store = &both[0];
    for issue in 0..events {
        store.append(event(issue)).await.unwrap();
    }
    assert!(store.hold(Duty::Planning, Duration::from_secs(30)).await.unwrap());
    store.start_planning().await.unwrap();
    let new = || NewDelivery { handler: crm(), lane: None, dead: None };
    loop {
        let unplanned = store.unplanned(1000).await.unwrap();
        if unplanned.is_empty() {
            return both;
        }
        let plan = |position| Plan { position, deliveries: vec![new()], not_routed: Vec::new() };
        store.plan(unplanned.iter().map(|event| plan(event.position)).collect(), now()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_that_take_as_much_as_they_get_keep_to_the_rate_together() {
    let database = Database::new();
    let stores = two(&database, 100).await;
    let rate = Rate { count: 10, per: Duration::from_secs(1) };
    let began = Instant::now();
    let taking = stores.iter().map(async |store| {
        let mut claimed = 0;
        while began.elapsed() < Duration::from_secs(2) {
            let request = ClaimRequest { handler: crm(), limit: 8, now: now(), lease: Duration::from_secs(60) };
            let rated = store.claim_at_rate(request, rate).await.unwrap();
            claimed += rated.claims.claimed.len();
            assert!(rated.again.is_none_or(|again| again <= Duration::from_secs(1)), "{:?}", rated.again);
            tokio::time::sleep(rated.again.unwrap_or(Duration::from_millis(1))).await;
        }
        claimed
    });
    let [one, other] = taking.collect::<Vec<_>>().try_into().ok().unwrap();
    let (one, other) = tokio::join!(one, other);
    // A second's worth at once, and then two seconds of it.
    assert!((20..=32).contains(&(one + other)), "{one} and {other}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_claimed_is_not_taken_from_the_rate() {
    let database = Database::new();
    let [one, other] = two(&database, 5).await;
    let rate = Rate { count: 10, per: Duration::from_secs(3600) };
    let claim = async |store: &PostgresStore, limit| {
        let request = ClaimRequest { handler: crm(), limit, now: now(), lease: Duration::from_secs(60) };
        store.claim_at_rate(request, rate).await.unwrap()
    };
    let first = claim(&one, 8).await;
    assert_eq!((first.claims.claimed.len(), first.claims.next_at.is_none()), (1, true), "one each six minutes");
    let wait = first.again.expect("the rate is what is missing");
    assert!((Duration::from_secs(300)..=Duration::from_secs(360)).contains(&wait), "{wait:?}");
    let second = claim(&other, 8).await;
    assert_eq!((second.claims.claimed.len(), second.again.is_some()), (0, true));
    let none = Database::new();
    let [one, _] = two(&none, 0).await;
    for _ in 0..3 {
        let nothing = claim(&one, 8).await;
        assert!(nothing.claims.claimed.is_empty() && nothing.again.is_none(), "{nothing:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_take_a_probe_at_once_one_has_it() {
    let database = Database::new();
    let [one, other] = two(&database, 0).await;
    let at = |second| Timestamp::from_second(1_700_000_000 + second).unwrap();
    let open = OpenBreaker { since: at(0), until: at(30), failures: 5, probes: 0, reason: "it was down".to_owned() };
    assert!(one.replace_breaker(crm(), None, Some(open.clone())).await.unwrap());
    for round in 0..50 {
        let [known] = &one.open_breakers().await.unwrap()[..] else { panic!("one is open") };
        let taken = |by: i64| Some(OpenBreaker { until: at(100 + round * 10 + by), ..known.1.clone() });
        let (first, second) = tokio::join!(
            one.replace_breaker(crm(), Some(known.1.clone()), taken(1)),
            other.replace_breaker(crm(), Some(known.1.clone()), taken(2)),
        );
        assert_eq!(u8::from(first.unwrap()) + u8::from(second.unwrap()), 1, "round {round}");
    }
}
