//! From events to deliveries.

use workhook::model::{DeliveryState, NewDelivery, NextStep, NotRouted, Plan, Position};
use workhook::store::EventQuery;

use crate::bench::{ALL, Bench, at, plan, positions, to};
use crate::request::Request;

async fn unplanned(bench: &Bench, limit: usize) -> Vec<Position> {
    bench.store.unplanned(limit).await.unwrap().iter().map(|event| event.position).collect()
}

async fn store_events(bench: &Bench, count: usize) -> Vec<Position> {
    let mut stored = Vec::new();
    for _ in 0..count {
        stored.push(bench.stored(&Request::new()).await.1);
    }
    stored
}

pub(crate) async fn ruling_12_unplanned_events_come_by_position_until_they_are_planned(bench: &mut Bench) {
    let stored = store_events(bench, 5).await;
    assert_eq!(unplanned(bench, ALL).await, stored);
    assert_eq!(unplanned(bench, 2).await, stored[..2]);
    bench.store.plan(vec![plan(stored[0], &[]), plan(stored[1], &[])], at(1)).await.unwrap();
    assert_eq!(unplanned(bench, ALL).await, stored[2..]);
    bench.kill().await;
    assert_eq!(unplanned(bench, 1).await, stored[2..3]);
    let rows = bench.store.events(EventQuery { limit: ALL, ..EventQuery::default() }).await.unwrap().items;
    let planned: Vec<bool> = rows.iter().map(|row| row.planned).collect();
    assert_eq!(planned, [false, false, false, true, true], "the newest first");
    assert_eq!(bench.store.counts().await.unwrap().unplanned, 3);
}

pub(crate) async fn large_events_come_for_planning_in_their_order_though_not_all_at_once(bench: &mut Bench) {
    let mut stored = Vec::new();
    for _ in 0..12 {
        stored.push(bench.stored(&Request::new().large(1 << 20)).await.1);
    }
    let mut came = Vec::new();
    while came.len() < stored.len() {
        let some = unplanned(bench, ALL).await;
        assert!(!some.is_empty() && some.len() < stored.len(), "{} at once", some.len());
        let plans = some.iter().map(|position| plan(*position, &[])).collect();
        bench.store.plan(plans, at(1)).await.unwrap();
        came.extend(some);
    }
    assert_eq!(came, stored);
}

pub(crate) async fn a_plan_makes_its_deliveries_in_their_order(bench: &mut Bench) {
    let (id, position) = bench.stored(&Request::new()).await;
    assert_eq!(bench.record(id).await.planned_at, None);
    bench.store.plan(vec![plan(position, &[to("crm", Some("a")), to("log", None)])], at(3)).await.unwrap();
    bench.kill().await;
    let record = bench.record(id).await;
    assert_eq!((record.planned_at, record.not_routed), (Some(at(3)), Vec::new()));
    let made: Vec<_> = record.deliveries.iter().map(|made| (made.handler.as_str(), made.lane.as_deref())).collect();
    assert_eq!(made, [("crm", Some("a")), ("log", None)]);
    assert!(record.deliveries[0].id < record.deliveries[1].id);
    for delivery in record.deliveries {
        assert_eq!((delivery.event, delivery.position, delivery.number), (id, position, 0));
        assert_eq!((delivery.event_name.as_str(), delivery.state), ("Issue.Update", DeliveryState::Pending));
        assert_eq!((delivery.attempts, delivery.claimed, delivery.reason), (0, false, None));
        assert_eq!((delivery.planned_at, delivery.due_at, delivery.settled_at), (at(3), Some(at(3)), None));
        assert!(delivery.history.is_empty());
    }
}

pub(crate) async fn planning_the_same_events_again_changes_nothing(bench: &mut Bench) {
    let stored = store_events(bench, 3).await;
    let plans: Vec<Plan> = stored.iter().map(|position| plan(*position, &[to("crm", Some("a"))])).collect();
    bench.store.plan(plans[..2].to_vec(), at(1)).await.unwrap();
    let first = bench.claim_one("crm", at(1)).await;
    bench.settle(&first, NextStep::Delivered, at(1)).await;
    bench.store.plan(plans[..1].to_vec(), at(2)).await.unwrap();
    bench.reopen().await;
    bench.store.plan(plans.clone(), at(2)).await.unwrap();
    bench.store.plan(plans, at(3)).await.unwrap();
    bench.store.plan(Vec::new(), at(3)).await.unwrap();
    assert_eq!(unplanned(bench, ALL).await, []);
    assert_eq!(bench.record(first.event.id).await.planned_at, Some(at(1)));
    assert_eq!(bench.count(DeliveryState::Delivered).await, 1);
    assert_eq!(bench.count(DeliveryState::Pending).await, 2);
}

pub(crate) async fn an_event_says_by_which_clause_it_was_not_routed(bench: &mut Bench) {
    let clause = |handler: &str, clause: &str| NotRouted { handler: handler.to_owned(), clause: clause.to_owned() };
    let (both, one) =
        (vec![clause("crm", "events: Sprint.*"), clause("log", "when: 'é' == \"\\u0000\"")], vec![clause("log", "")]);
    let none = Vec::new();
    let stored = store_events(bench, 9).await;
    let not_routed = [&both, &both, &none, &both, &one, &one, &one, &none, &both];
    let plan = |n: usize| {
        let deliveries = if not_routed[n].len() == 2 { Vec::new() } else { vec![to("crm", None)] };
        Plan { position: stored[n], deliveries, not_routed: not_routed[n].clone() }
    };
    for (now, range) in [(1, 0..1), (2, 1..6), (3, 6..9)] {
        bench.store.plan(range.map(plan).collect(), at(now)).await.unwrap();
    }
    bench.store.plan((0..9).map(plan).collect(), at(4)).await.unwrap();
    let (unplanned, _) = bench.stored(&Request::new()).await;
    bench.kill().await;
    let rows = bench.store.events(EventQuery { limit: ALL, ..EventQuery::default() }).await.unwrap().items;
    let planned_at = [1, 2, 2, 2, 2, 2, 3, 3, 3];
    for (n, row) in rows.iter().skip(1).rev().enumerate() {
        let record = bench.record(row.event.id).await;
        assert_eq!((record.planned_at, &record.not_routed), (Some(at(planned_at[n])), not_routed[n]), "event {n}");
        assert_eq!(record.deliveries.len(), usize::from(not_routed[n].len() < 2), "event {n}");
    }
    let record = bench.record(unplanned).await;
    assert_eq!((record.planned_at, record.not_routed), (None, Vec::new()));
}

pub(crate) async fn ruling_15_a_delivery_keeps_the_order_that_it_was_planned_with(bench: &mut Bench) {
    let ordered = bench.planned(&[to("crm", Some("a"))]).await;
    bench.planned(&[to("crm", Some("a"))]).await;
    let unordered = bench.planned(&[to("crm", None)]).await;
    bench.reopen().await;
    assert_eq!(positions(&bench.claim_all("crm", at(1)).await), [ordered, unordered]);
}

pub(crate) async fn ruling_20_deliveries_of_a_handler_that_nobody_runs_wait_until_it_returns(bench: &mut Bench) {
    let position = bench.planned(&[to("gone", Some("a")), to("crm", Some("a"))]).await;
    let crm = bench.claim_one("crm", at(1)).await;
    bench.settle(&crm, NextStep::Delivered, at(1)).await;
    bench.reopen().await;
    let month = 30 * 24 * 3600;
    assert_eq!(bench.claim_all("crm", at(month)).await.len(), 0);
    assert_eq!(bench.claim_one("gone", at(month)).await.event.position, position);
}

pub(crate) async fn ruling_21_a_delivery_that_is_dead_from_the_start_says_why_and_holds_nobody(bench: &mut Bench) {
    let dead = NewDelivery { dead: Some("its condition failed".to_owned()), ..to("crm", Some("a")) };
    let (id, position) = bench.stored(&Request::new()).await;
    bench.store.plan(vec![plan(position, &[dead, to("log", Some("a"))])], at(2)).await.unwrap();
    let next = bench.planned(&[to("crm", Some("a"))]).await;
    bench.kill().await;
    let record = bench.record(id).await.deliveries.remove(0);
    assert_eq!((record.state, record.reason.as_deref()), (DeliveryState::Dead, Some("its condition failed")));
    assert_eq!((record.settled_at, record.due_at, record.attempts), (Some(at(2)), None, 0));
    assert!(record.history.is_empty() && !record.claimed);
    assert_eq!(bench.claim_one("crm", at(2)).await.event.position, next);
    assert_eq!(bench.claim_one("log", at(2)).await.event.position, position);
}

async fn stalled(bench: &Bench) -> u32 {
    bench.store.start_planning().await.unwrap().stalled
}

pub(crate) async fn ruling_21_planning_that_begins_again_without_getting_further_is_counted(bench: &mut Bench) {
    let stored = store_events(bench, 3).await;
    for expected in 0..=3 {
        assert_eq!(stalled(bench).await, expected);
        bench.kill().await;
    }
    bench.store.plan(vec![plan(stored[0], &[])], at(1)).await.unwrap();
    for expected in 0..=3 {
        assert_eq!(stalled(bench).await, expected, "of the second event");
        bench.restart(expected % 2 == 0).await;
    }
    bench.store.plan(vec![plan(stored[1], &[]), plan(stored[2], &[])], at(1)).await.unwrap();
    for _ in 0..3 {
        assert_eq!(stalled(bench).await, 0);
        bench.kill().await;
    }
}

pub(crate) async fn ruling_21_planning_without_events_is_never_stalled(bench: &mut Bench) {
    for _ in 0..3 {
        assert_eq!(stalled(bench).await, 0);
        bench.reopen().await;
    }
    store_events(bench, 1).await;
    assert_eq!(stalled(bench).await, 0);
    bench.kill().await;
    assert_eq!(stalled(bench).await, 1);
}

pub(crate) async fn ruling_21_events_that_arrive_meanwhile_are_no_progress(bench: &mut Bench) {
    for expected in 0..3 {
        store_events(bench, 1).await;
        assert_eq!(stalled(bench).await, expected);
        bench.kill().await;
    }
}

pub(crate) async fn ruling_21_planning_that_ended_in_order_blames_no_event(bench: &mut Bench) {
    store_events(bench, 1).await;
    for _ in 0..3 {
        assert_eq!(stalled(bench).await, 0);
        bench.store.end_planning().await.unwrap();
        bench.reopen().await;
    }
    for expected in 0..3 {
        assert_eq!(stalled(bench).await, expected, "it counts on from an end in order");
        bench.kill().await;
    }
}
