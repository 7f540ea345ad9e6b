//! Which deliveries are claimed, and in which order.

use std::time::Duration;

use workhook::clock::later;
use workhook::model::{Claimed, DeliveryState, NextStep};
use workhook::store::Settled;

use crate::bench::{ALL, Bench, LEASE, at, positions, to};

/// Claims everything and settles it as delivered, until nothing is left.
async fn drain(bench: &Bench, name: &str) -> Vec<Claimed> {
    let mut drained = Vec::new();
    loop {
        let claimed = bench.claim_all(name, at(1_000_000)).await;
        if claimed.is_empty() {
            return drained;
        }
        for claimed in claimed {
            assert_eq!(bench.settle(&claimed, NextStep::Delivered, at(1_000_000)).await, Settled::Kept);
            drained.push(claimed);
        }
    }
}

pub(crate) async fn only_the_head_of_a_lane_is_claimed(bench: &mut Bench) {
    let first = bench.planned(&[to("crm", Some("a"))]).await;
    bench.planned(&[to("crm", Some("a"))]).await;
    assert_eq!(positions(&bench.claim_all("crm", at(1)).await), [first]);
    assert_eq!(positions(&bench.claim_all("crm", at(2)).await), []);
    bench.planned(&[to("crm", Some("a"))]).await;
    assert_eq!(positions(&bench.claim_all("crm", at(3)).await), [], "one that comes later waits as well");
}

pub(crate) async fn a_lane_goes_on_in_the_order_of_positions_as_each_is_settled(bench: &mut Bench) {
    let mut planned = Vec::new();
    for _ in 0..5 {
        planned.push(bench.planned(&[to("crm", Some("a"))]).await);
    }
    for (n, position) in planned.into_iter().enumerate() {
        if n == 2 {
            bench.reopen().await;
        }
        let claimed = bench.claim_one("crm", at(5)).await;
        assert_eq!((claimed.event.position, claimed.attempt), (position, 1));
        assert_eq!(bench.settle(&claimed, NextStep::Delivered, at(5)).await, Settled::Kept);
    }
    assert_eq!(bench.claim_all("crm", at(9)).await.len(), 0);
    let again = bench.planned(&[to("crm", Some("a"))]).await;
    assert_eq!(bench.claim_one("crm", at(9)).await.event.position, again, "a lane that was empty begins again");
}

pub(crate) async fn ruling_14_a_lane_goes_on_after_a_dead_letter(bench: &mut Bench) {
    bench.planned(&[to("crm", Some("a"))]).await;
    let next = bench.planned(&[to("crm", Some("a"))]).await;
    let claimed = bench.claim_one("crm", at(1)).await;
    assert_eq!(bench.settle(&claimed, NextStep::Dead("no".to_owned()), at(2)).await, Settled::Kept);
    assert_eq!(bench.claim_one("crm", at(2)).await.event.position, next);
}

pub(crate) async fn ruling_14_a_delivery_that_waits_for_its_next_attempt_holds_its_lane(bench: &mut Bench) {
    let first = bench.planned(&[to("crm", Some("a"))]).await;
    let second = bench.planned(&[to("crm", Some("a"))]).await;
    for (now, next) in [(1, NextStep::RetryAt(at(10))), (10, NextStep::WaitUntil(at(20)))] {
        let claimed = bench.claim_one("crm", at(now)).await;
        assert_eq!(claimed.event.position, first);
        bench.settle(&claimed, next, at(now)).await;
        assert_eq!(bench.claim_all("crm", at(now)).await.len(), 0);
    }
    bench.kill().await;
    assert_eq!(bench.claim_all("crm", at(19)).await.len(), 0);
    let claimed = bench.claim_one("crm", at(20)).await;
    bench.release(&claimed).await;
    let claimed = bench.claim_one("crm", at(20)).await;
    assert_eq!(claimed.event.position, first, "given back, it is still the head");
    bench.settle(&claimed, NextStep::RetryAt(at(30)), at(20)).await;
    assert_eq!(positions(&drain(bench, "crm").await), [first, second]);
}

pub(crate) async fn lanes_and_handlers_do_not_wait_for_each_other(bench: &mut Bench) {
    let first = bench.planned(&[to("crm", Some("a")), to("log", Some("a"))]).await;
    let other_lane = bench.planned(&[to("crm", Some("b"))]).await;
    let behind = bench.planned(&[to("crm", Some("a")), to("log", Some("a"))]).await;
    let crm = bench.claim_all("crm", at(1)).await;
    assert_eq!(positions(&crm), [first, other_lane]);
    let log = bench.claim_one("log", at(1)).await;
    assert_eq!(log.event.position, first);
    bench.settle(&crm[1], NextStep::Delivered, at(1)).await;
    assert_eq!(bench.claim_all("crm", at(1)).await.len(), 0, "the end of one lane's head moves no other lane");
    bench.settle(&log, NextStep::Delivered, at(1)).await;
    assert_eq!(bench.claim_all("crm", at(1)).await.len(), 0, "nor another handler's lane of the same name");
    assert_eq!(bench.claim_one("log", at(1)).await.event.position, behind);
}

pub(crate) async fn a_delivery_without_a_lane_waits_for_nobody_and_holds_nobody(bench: &mut Bench) {
    let first = bench.planned(&[to("crm", None)]).await;
    let second = bench.planned(&[to("crm", None)]).await;
    let third = bench.planned(&[to("crm", Some("a"))]).await;
    let claimed = bench.claim_all("crm", at(1)).await;
    assert_eq!(positions(&claimed), [first, second, third]);
    bench.settle(&claimed[0], NextStep::RetryAt(at(50)), at(1)).await;
    let fourth = bench.planned(&[to("crm", None)]).await;
    assert_eq!(positions(&bench.claim_all("crm", at(2)).await), [fourth]);
}

pub(crate) async fn no_more_are_claimed_than_asked_for(bench: &mut Bench) {
    for lane in [None, Some("a"), Some("b"), None, Some("c")] {
        bench.planned(&[to("crm", lane)]).await;
    }
    let first = bench.claim("crm", 2, at(1)).await;
    assert_eq!(
        (first.claimed.len(), first.next_at),
        (2, None),
        "whoever got all that he asked for is not told when next"
    );
    assert_eq!(bench.claim("crm", 2, at(1)).await.claimed.len(), 2);
    assert_eq!(bench.claim("crm", 2, at(1)).await.claimed.len(), 1);
    assert_eq!(bench.claim("crm", 2, at(1)).await.claimed.len(), 0);
}

pub(crate) async fn the_next_time_is_the_earliest_at_which_there_may_be_something(bench: &mut Bench) {
    assert_eq!(bench.claim("crm", ALL, at(0)).await.next_at, None);
    bench.planned(&[to("crm", Some("a"))]).await;
    bench.planned(&[to("crm", Some("a")), to("log", None)]).await;
    bench.planned(&[to("crm", Some("b"))]).await;
    let claims = bench.claim("crm", ALL, at(1)).await;
    assert_eq!(claims.next_at, Some(at(1 + LEASE)), "the leases end");
    bench.settle(&claims.claimed[0], NextStep::RetryAt(at(30)), at(2)).await;
    assert_eq!(bench.claim("crm", ALL, at(2)).await.next_at, Some(at(30)));
    bench.settle(&claims.claimed[1], NextStep::WaitUntil(at(20)), at(2)).await;
    assert_eq!(bench.claim("crm", ALL, at(2)).await.next_at, Some(at(20)));
    bench.kill().await;
    let claims = bench.claim("crm", ALL, at(20)).await;
    assert_eq!((claims.claimed.len(), claims.next_at), (1, Some(at(30))));
    bench.settle(&claims.claimed[0], NextStep::Delivered, at(20)).await;
    drain(bench, "crm").await;
    assert_eq!(bench.claim("crm", ALL, at(2_000_000)).await.next_at, None, "the other handler's is not waited for");
}

pub(crate) async fn claims_come_by_the_time_they_are_due_then_by_id(bench: &mut Bench) {
    let mut planned = Vec::new();
    for _ in 0..4 {
        planned.push(bench.planned(&[to("crm", None)]).await);
    }
    let claimed = bench.claim_all("crm", at(1)).await;
    assert_eq!(positions(&claimed), planned);
    for (claimed, due) in claimed.iter().zip([40, 30, 40, 20]) {
        bench.settle(claimed, NextStep::RetryAt(at(due)), at(2)).await;
    }
    let [first, second, third, fourth] = planned[..] else { panic!("four are planned") };
    assert_eq!(positions(&bench.claim("crm", 1, at(50)).await.claimed), [fourth]);
    assert_eq!(positions(&bench.claim("crm", 2, at(50)).await.claimed), [second, first]);
    assert_eq!(positions(&bench.claim("crm", 2, at(50)).await.claimed), [third]);
}

pub(crate) async fn ruling_18_nothing_is_claimed_before_the_time_that_was_worked_out_for_it(bench: &mut Bench) {
    bench.planned(&[to("crm", None)]).await;
    let due = later(at(10), Duration::from_millis(500));
    let claimed = bench.claim_one("crm", at(0)).await;
    bench.settle(&claimed, NextStep::RetryAt(due), at(1)).await;
    assert_eq!(bench.delivery(claimed.id).await.due_at, Some(due));
    let before = bench.claim("crm", ALL, later(at(10), Duration::from_millis(499))).await;
    assert_eq!((before.claimed.len(), before.next_at), (0, Some(due)));
    assert_eq!(bench.claim_one("crm", due).await.id, claimed.id);
}

pub(crate) async fn every_lane_is_worked_off_in_order_beside_the_others(bench: &mut Bench) {
    let lanes = ["a", "b", "c"];
    let mut planned = Vec::new();
    for n in 0..30 {
        let lane = lanes[n % 7 % 3];
        planned.push((lane, bench.planned(&[to("crm", Some(lane))]).await));
    }
    let drained = positions(&drain(bench, "crm").await);
    assert_eq!(drained.len(), planned.len());
    for lane in lanes {
        let of_lane: Vec<_> = planned.iter().filter(|(own, _)| *own == lane).map(|(_, position)| *position).collect();
        let came: Vec<_> = drained.iter().copied().filter(|position| of_lane.contains(position)).collect();
        assert_eq!(came, of_lane, "lane {lane}");
    }
    assert_eq!(bench.count(DeliveryState::Delivered).await, 30);
    assert_eq!(bench.count(DeliveryState::Pending).await, 0);
}
