//! What several processes promise each other that share a store on PostgreSQL.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use workhook::model::NextStep;
use workhook::store::{Appended, Duty, PostgresSettings, PostgresStore, Settled, Store, StoreError};
use workhook::wake::Wakes;

use crate::bench::{Fixture, LEASE, PATIENCE, at, claim_request, plan, settlement, to};
use crate::postgres_fixture::PostgresFixture;
use crate::request::Request;

/// A long time to have a duty for.
const LONG: Duration = Duration::from_secs(600);

/// Some processes with one store; the first has all duties.
async fn processes(count: usize) -> (PostgresFixture, Vec<Arc<PostgresStore>>) {
    let mut fixture = PostgresFixture::fresh();
    fixture.open(&Wakes::default()).await.close().await;
    let mut stores = Vec::new();
    for _ in 0..count {
        stores.push(Arc::new(fixture.open_another(&Wakes::default()).await));
    }
    for duty in [Duty::Planning, Duty::Replaying, Duty::Upkeep] {
        assert!(stores[0].hold(duty, LONG).await.unwrap());
    }
    (fixture, stores)
}

async fn close(stores: &[Arc<PostgresStore>]) {
    for store in stores {
        store.close().await;
    }
}

async fn new_event(store: &PostgresStore) -> workhook::model::Position {
    match store.append(Request::new().accepted()).await.unwrap() {
        Appended::Stored { position, .. } => position,
        duplicate @ Appended::Duplicate { .. } => panic!("{duplicate:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ruling_07_the_same_requests_to_three_processes_at_once_are_one_event_each() {
    let (_fixture, stores) = processes(3).await;
    let requests: Vec<Request> = (0..100).map(|_| Request::new()).collect();
    let mut appends = JoinSet::new();
    for (place, store) in stores.iter().enumerate() {
        // Each in another order, so that they would wait for each other in a ring if they could.
        for n in 0..requests.len() {
            let n = if place == 1 { requests.len() - 1 - n } else { n };
            let (store, accepted) = (Arc::clone(store), requests[n].accepted());
            appends.spawn(async move { (n, store.append(accepted).await.unwrap()) });
        }
    }
    let mut stored = vec![0; requests.len()];
    let mut ids = vec![BTreeSet::new(); requests.len()];
    for (n, appended) in appends.join_all().await {
        match appended {
            Appended::Stored { id, .. } => {
                stored[n] += 1;
                ids[n].insert(id);
            }
            Appended::Duplicate { id, conflict: false } => drop(ids[n].insert(id.unwrap())),
            conflict @ Appended::Duplicate { .. } => panic!("{conflict:?}"),
        }
    }
    assert_eq!(stored, vec![1; requests.len()]);
    assert!(ids.iter().all(|ids| ids.len() == 1), "{ids:?}");
    let counts = stores[2].counts().await.unwrap();
    assert_eq!((counts.events, counts.unplanned), (100, 100));
    for ids in ids {
        let record = stores[1].event(*ids.first().unwrap()).await.unwrap().unwrap();
        assert_eq!(record.receipts, 3);
    }
    close(&stores).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ruling_04_retries_with_ids_of_their_own_to_three_processes_at_once_are_one_event() {
    let (_fixture, stores) = processes(3).await;
    let mut appends = JoinSet::new();
    for n in 0..60 {
        let (store, request) = (Arc::clone(&stores[n % 3]), Request::new().body("{}").retry(1));
        appends.spawn(async move { store.append(request.accepted()).await.unwrap() });
    }
    let appended = appends.join_all().await;
    assert_eq!(appended.iter().filter(|appended| matches!(appended, Appended::Stored { .. })).count(), 1);
    close(&stores).await;
}

#[tokio::test]
async fn a_duty_is_of_one_process_until_it_lets_go_or_its_time_is_over() {
    let (fixture, stores) = processes(2).await;
    let [first, second] = &stores[..] else { panic!() };
    assert!(!second.hold(Duty::Planning, LONG).await.unwrap(), "somebody has it");
    assert!(first.hold(Duty::Planning, LONG).await.unwrap(), "it is kept");
    first.let_go(Duty::Planning).await.unwrap();
    assert!(second.hold(Duty::Planning, LONG).await.unwrap(), "it is free");
    fixture.execute("UPDATE duties SET until = 0 WHERE name = 'planning'").await;
    assert!(second.hold(Duty::Planning, LONG).await.unwrap(), "nobody took it meanwhile");
    fixture.execute("UPDATE duties SET until = 0 WHERE name = 'planning'").await;
    assert!(first.hold(Duty::Planning, LONG).await.unwrap(), "its time is over");
    assert!(!second.hold(Duty::Planning, LONG).await.unwrap());
    close(&stores).await;
}

#[tokio::test]
async fn who_lost_a_duty_is_refused_and_nothing_is_done() {
    let (fixture, stores) = processes(2).await;
    let [first, second] = &stores[..] else { panic!() };
    let position = new_event(first).await;
    first.start_planning().await.unwrap();
    fixture.execute("UPDATE duties SET until = 0").await;
    for duty in [Duty::Planning, Duty::Upkeep] {
        assert!(second.hold(duty, LONG).await.unwrap());
    }
    let plans = vec![plan(position, &[to("crm", None)])];
    for _ in 0..2 {
        let refused = first.plan(plans.clone(), at(0)).await;
        assert!(matches!(refused, Err(StoreError::Superseded)), "{refused:?}");
    }
    assert!(matches!(first.start_planning().await, Err(StoreError::Superseded)));
    assert!(matches!(first.tidy_keys(at(0)).await, Err(StoreError::Superseded)));
    assert_eq!(first.unplanned(10).await.unwrap().len(), 1);
    assert_eq!(second.start_planning().await.unwrap().stalled, 1, "the first began at this event before");
    second.plan(plans, at(0)).await.unwrap();
    assert_eq!(fixture.number("SELECT count(*) FROM deliveries").await, 1);
    close(&stores).await;
}

#[tokio::test]
async fn a_result_of_a_claim_that_another_process_took_over_is_refused_and_attempts_carry_the_epoch() {
    let (fixture, stores) = processes(2).await;
    let [first, second] = &stores[..] else { panic!() };
    let position = new_event(first).await;
    first.plan(vec![plan(position, &[to("crm", None)])], at(0)).await.unwrap();
    let before = first.claim(claim_request("crm", 1, at(0))).await.unwrap().claimed.remove(0);
    let after = second.claim(claim_request("crm", 1, at(LEASE))).await.unwrap().claimed.remove(0);
    assert_eq!((after.id, after.epoch, after.attempt), (before.id, before.epoch + 1, 2));
    let late = first.settle(settlement(&before, NextStep::Delivered, at(LEASE + 1))).await.unwrap();
    assert_eq!(late, Settled::LostLease);
    let kept = second.settle(settlement(&after, NextStep::Delivered, at(LEASE + 2))).await.unwrap();
    assert_eq!(kept, Settled::Kept);
    assert_eq!(fixture.number("SELECT epoch FROM attempts WHERE ended = 'lost'").await, before.epoch);
    assert_eq!(fixture.number("SELECT epoch FROM attempts WHERE ended = 'delivered'").await, after.epoch);
    close(&stores).await;
}

#[tokio::test]
async fn ruling_17_claims_of_a_process_that_is_gone_are_due_at_once_and_those_of_the_living_are_not() {
    let (fixture, stores) = processes(2).await;
    let [living, dying] = &stores[..] else { panic!() };
    for lane in ["a", "b"] {
        let position = new_event(living).await;
        living.plan(vec![plan(position, &[to("crm", Some(lane))])], at(0)).await.unwrap();
    }
    let of_the_living = living.claim(claim_request("crm", 1, at(0))).await.unwrap().claimed.remove(0);
    let of_the_dying = dying.claim(claim_request("crm", 1, at(0))).await.unwrap().claimed.remove(0);
    let quiet = fixture.open_another(&Wakes::default()).await;
    assert_eq!(quiet.claim(claim_request("crm", 9, at(1))).await.unwrap().claimed.len(), 0, "both are there");
    fixture
        .execute(&format!(
            "UPDATE processes SET seen_at = seen_at - 11000 WHERE id = (
                 SELECT claimed_by FROM deliveries WHERE id = {})",
            of_the_dying.id
        ))
        .await;
    let witness = fixture.open_another(&Wakes::default()).await;
    let again = witness.claim(claim_request("crm", 9, at(1))).await.unwrap().claimed;
    assert_eq!(again.iter().map(|claimed| (claimed.id, claimed.attempt)).collect::<Vec<_>>(), [(of_the_dying.id, 2)]);
    let kept = living.settle(settlement(&of_the_living, NextStep::Delivered, at(1))).await.unwrap();
    assert_eq!(kept, Settled::Kept);
    quiet.close().await;
    witness.close().await;
    close(&stores).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_goes_on_though_its_head_is_settled_while_another_process_plans_behind_it() {
    let (_fixture, stores) = processes(2).await;
    let [planner, worker] = &stores[..] else { panic!() };
    let mut head = new_event(planner).await;
    planner.plan(vec![plan(head, &[to("crm", Some("a"))])], at(0)).await.unwrap();
    for round in 0..100 {
        let claimed = worker.claim(claim_request("crm", 9, at(round))).await.unwrap().claimed;
        assert_eq!(claimed.iter().map(|claimed| claimed.event.position).collect::<Vec<_>>(), [head], "round {round}");
        let next = new_event(planner).await;
        let (planned, settled) = tokio::join!(
            planner.plan(vec![plan(next, &[to("crm", Some("a"))])], at(round)),
            worker.settle(settlement(&claimed[0], NextStep::Delivered, at(round)))
        );
        planned.unwrap();
        assert_eq!(settled.unwrap(), Settled::Kept);
        head = next;
    }
    close(&stores).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_goes_on_though_its_head_is_settled_while_the_next_is_cancelled() {
    let (_fixture, stores) = processes(2).await;
    let [one, other] = &stores[..] else { panic!() };
    for round in 0..30 {
        let lane = format!("lane-{round}");
        for _ in 0..3 {
            let position = new_event(one).await;
            one.plan(vec![plan(position, &[to("crm", Some(&lane))])], at(0)).await.unwrap();
        }
        let head = one.claim(claim_request("crm", 1, at(1))).await.unwrap().claimed.remove(0);
        let second = workhook::model::DeliveryId(head.id.0 + 1);
        let (settled, cancelled) = tokio::join!(
            one.settle(settlement(&head, NextStep::Delivered, at(1))),
            other.cancel(vec![second], "not wanted".to_owned(), at(1))
        );
        assert_eq!((settled.unwrap(), cancelled.unwrap()), (Settled::Kept, 1));
        let third = other.claim(claim_request("crm", 9, at(1))).await.unwrap().claimed;
        assert_eq!(third.iter().map(|claimed| claimed.id.0).collect::<Vec<_>>(), [head.id.0 + 2], "round {round}");
    }
    close(&stores).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hints_reach_other_processes_and_are_few() {
    let (fixture, stores) = processes(1).await;
    let wakes = Wakes::default();
    let listening = fixture.open_another(&wakes).await;
    let mut sleeper = wakes.events.sleeper();
    // It hints to itself once, when it begins to listen.
    timeout(PATIENCE, sleeper.woken()).await.unwrap();
    let began = Instant::now();
    let mut woken = 0;
    let appends = async {
        for _ in 0..300 {
            new_event(&stores[0]).await;
        }
    };
    tokio::pin!(appends);
    loop {
        tokio::select! {
            () = &mut appends => break,
            () = sleeper.woken() => woken += 1,
        }
    }
    let most = began.elapsed().as_millis() / 50 + 2;
    assert!(woken >= 1 && woken <= most, "{woken} hints where there may be {most}");
    close(&stores).await;
    listening.close().await;
}

#[tokio::test]
async fn where_nothing_is_listened_for_the_work_of_others_is_seen_all_the_same() {
    let (fixture, stores) = processes(1).await;
    let wakes = Wakes::default();
    let settings = PostgresSettings { poll_only: true, ..fixture.settings() };
    let polling = PostgresStore::open(&settings, &wakes, workhook::store::Metrics::default()).await.unwrap();
    for wake in [&wakes.events, &wakes.deliveries, &wakes.replays] {
        let mut sleeper = wake.sleeper();
        timeout(PATIENCE, sleeper.woken()).await.unwrap();
    }
    polling.close().await;
    close(&stores).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_row_that_cannot_be_stored_fails_none_beside_it() {
    let (fixture, stores) = processes(1).await;
    fixture.execute("ALTER TABLE events ADD CHECK (name <> 'Bad.Row')").await;
    fixture.execute("ALTER TABLE attempts ADD CHECK (message NOT LIKE '%dead%')").await;
    let mut appends = JoinSet::new();
    for n in 0..60 {
        let request = Request::new().event(if n % 20 == 7 { "Bad.Row" } else { "Issue.Update" });
        let store = Arc::clone(&stores[0]);
        appends.spawn(async move { (n, store.append(request.accepted()).await) });
    }
    for (n, appended) in appends.join_all().await {
        match n % 20 {
            7 => assert!(matches!(appended, Err(StoreError::Unavailable(_))), "{appended:?}"),
            _ => assert!(matches!(appended, Ok(Appended::Stored { .. })), "{appended:?}"),
        }
    }
    let events = stores[0].unplanned(100).await.unwrap();
    assert_eq!(events.len(), 57);
    let plans = events.iter().map(|event| plan(event.position, &[to("crm", None)])).collect();
    stores[0].plan(plans, at(0)).await.unwrap();
    let mut settling = JoinSet::new();
    for (n, claimed) in stores[0].claim(claim_request("crm", 20, at(0))).await.unwrap().claimed.into_iter().enumerate()
    {
        let next = if n == 7 { NextStep::Dead("no".to_owned()) } else { NextStep::Delivered };
        let mut result = settlement(&claimed, next, at(1));
        if n == 7 {
            result.outcome.as_mut().unwrap().message = "it is dead".to_owned();
        }
        let store = Arc::clone(&stores[0]);
        settling.spawn(async move { (n, store.settle(result).await) });
    }
    for (n, settled) in settling.join_all().await {
        assert_eq!(settled.is_err(), n == 7, "{n}: {settled:?}");
    }
    close(&stores).await;
}
