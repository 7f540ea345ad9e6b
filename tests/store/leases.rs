//! How claims are held and lost, and what counts as an attempt.

use std::time::Duration;

use workhook::model::{Attempt, Claimed, DeliveryState, Ended, NextStep, Settlement};
use workhook::store::{LongestWaits, Settled};

use crate::bench::{Bench, LEASE, at, handler, positions, settlement, to};

/// One delivery in a lane with another one behind it.
async fn two_in_a_lane(bench: &Bench) {
    bench.planned(&[to("crm", Some("a"))]).await;
    bench.planned(&[to("crm", Some("a"))]).await;
}

async fn history(bench: &Bench, claimed: &Claimed) -> Vec<(u32, Ended)> {
    let history = bench.delivery(claimed.id).await.history;
    history.iter().map(|Attempt { number, outcome }| (*number, outcome.ended)).collect()
}

pub(crate) async fn what_is_claimed_is_held_until_its_lease_ends(bench: &mut Bench) {
    two_in_a_lane(bench).await;
    let claimed = bench.claim_one("crm", at(1)).await;
    assert_eq!((claimed.attempt, claimed.lease_until), (1, at(1 + LEASE)));
    assert_eq!(bench.claim_all("crm", at(LEASE)).await.len(), 0);
    let record = bench.delivery(claimed.id).await;
    assert_eq!((record.state, record.claimed, record.attempts), (DeliveryState::Pending, true, 1));
    assert_eq!((record.due_at, record.settled_at), (Some(at(1 + LEASE)), None));
}

pub(crate) async fn after_its_lease_it_is_claimed_again_and_the_attempt_is_lost(bench: &mut Bench) {
    two_in_a_lane(bench).await;
    let lost = bench.claim_one("crm", at(1)).await;
    let again = bench.claim_one("crm", at(1 + LEASE)).await;
    assert_eq!((again.id, again.attempt, again.lease_until), (lost.id, 2, at(1 + 2 * LEASE)));
    assert!(again.epoch > lost.epoch);
    assert_eq!(again.idempotency_key(), lost.idempotency_key());
    assert_eq!(history(bench, &lost).await, [(1, Ended::Lost)]);
    let message = bench.delivery(lost.id).await.history.remove(0).outcome.message;
    assert!(!message.is_empty(), "it says what happened");
}

pub(crate) async fn the_result_of_a_lost_claim_is_refused_and_changes_nothing(bench: &mut Bench) {
    two_in_a_lane(bench).await;
    let lost = bench.claim_one("crm", at(1)).await;
    let again = bench.claim_one("crm", at(100)).await;
    for next in
        [NextStep::Delivered, NextStep::RetryAt(at(101)), NextStep::WaitUntil(at(101)), NextStep::Dead("no".to_owned())]
    {
        assert_eq!(bench.settle(&lost, next, at(101)).await, Settled::LostLease);
        let record = bench.delivery(lost.id).await;
        assert_eq!((record.state, record.claimed, record.attempts), (DeliveryState::Pending, true, 2));
        assert_eq!((record.due_at, record.reason, record.settled_at), (Some(at(100 + LEASE)), None, None));
        assert_eq!(history(bench, &lost).await, [(1, Ended::Lost)]);
        assert_eq!(bench.claim_all("crm", at(101)).await.len(), 0, "neither it nor the one behind it");
    }
    assert_eq!(bench.settle(&again, NextStep::Delivered, at(102)).await, Settled::Kept);
    assert_eq!(history(bench, &lost).await, [(1, Ended::Lost), (2, Ended::Delivered)]);
    assert_eq!(bench.claim_all("crm", at(102)).await.len(), 1);
}

pub(crate) async fn after_the_clock_was_set_back_nothing_waits_for_longer_than_it_may(bench: &mut Bench) {
    let now = -100_000;
    bench.planned(&[to("crm", Some("tried"))]).await;
    let tried = bench.claim_one("crm", at(0)).await;
    bench.settle(&tried, NextStep::RetryAt(at(1)), at(0)).await;
    bench.planned(&[to("crm", Some("held"))]).await;
    let held = bench.claim_one("crm", at(0)).await;
    bench.planned(&[to("crm", Some("soon"))]).await;
    let soon = bench.claim_one("crm", at(0)).await;
    bench.settle(&soon, NextStep::RetryAt(at(now + 20)), at(0)).await;
    bench.planned(&[to("crm", Some("new"))]).await;
    bench.planned(&[to("other", Some("new"))]).await;

    let [retry, lease] = [30, LEASE.unsigned_abs()].map(Duration::from_secs);
    let longest = LongestWaits { handler: handler("crm"), now: at(now), retry, lease };
    assert_eq!(bench.store.shorten_waits(longest.clone()).await.unwrap(), 3);
    assert_eq!(bench.store.shorten_waits(longest).await.unwrap(), 0);
    let due: Vec<_> = bench.deliveries().await.into_iter().map(|delivery| delivery.due_at).collect();
    let expected = [now + 30, now + LEASE, now + 20, now, 0].map(|second| Some(at(second)));
    assert_eq!(due, expected, "tried, held, soon, new, and another handler's");
    assert_eq!(bench.settle(&held, NextStep::Delivered, at(now)).await, Settled::Kept, "the attempt goes on");
}

pub(crate) async fn a_late_result_is_kept_while_nobody_has_claimed_it_again(bench: &mut Bench) {
    two_in_a_lane(bench).await;
    let claimed = bench.claim_one("crm", at(1)).await;
    assert_eq!(bench.settle(&claimed, NextStep::Delivered, at(1000)).await, Settled::Kept);
    assert_eq!(history(bench, &claimed).await, [(1, Ended::Delivered)]);
}

pub(crate) async fn a_result_is_kept_once(bench: &mut Bench) {
    two_in_a_lane(bench).await;
    let claimed = bench.claim_one("crm", at(1)).await;
    assert_eq!(bench.settle(&claimed, NextStep::Dead("no".to_owned()), at(2)).await, Settled::Kept);
    assert_eq!(bench.settle(&claimed, NextStep::Delivered, at(3)).await, Settled::LostLease);
    bench.release(&claimed).await;
    let record = bench.delivery(claimed.id).await;
    assert_eq!((record.state, record.attempts, record.settled_at), (DeliveryState::Dead, 1, Some(at(2))));
    assert_eq!(record.due_at, None);

    let behind = bench.claim_one("crm", at(3)).await;
    assert_eq!(bench.settle(&behind, NextStep::RetryAt(at(10)), at(4)).await, Settled::Kept);
    assert_eq!(bench.settle(&behind, NextStep::Delivered, at(5)).await, Settled::LostLease);
    assert_eq!(bench.delivery(behind.id).await.due_at, Some(at(10)));
}

pub(crate) async fn ruling_17_what_is_given_back_is_no_attempt_and_keeps_its_place(bench: &mut Bench) {
    two_in_a_lane(bench).await;
    let other = bench.planned(&[to("crm", None)]).await;
    let claimed = bench.claim("crm", 1, at(1)).await.claimed.remove(0);
    bench.release(&claimed).await;
    let record = bench.delivery(claimed.id).await;
    assert_eq!((record.attempts, record.claimed, record.state), (0, false, DeliveryState::Pending));
    assert!(record.history.is_empty());
    bench.kill().await;
    let again = bench.claim_all("crm", at(1)).await;
    assert_eq!(positions(&again), [claimed.event.position, other]);
    assert_eq!((again[0].id, again[0].attempt), (claimed.id, 1));
    assert!(again[0].epoch > claimed.epoch);
    assert_eq!(bench.settle(&claimed, NextStep::Delivered, at(1)).await, Settled::LostLease);
}

pub(crate) async fn ruling_17_giving_back_a_lost_claim_changes_nothing(bench: &mut Bench) {
    two_in_a_lane(bench).await;
    let lost = bench.claim_one("crm", at(1)).await;
    let again = bench.claim_one("crm", at(100)).await;
    bench.release(&lost).await;
    assert_eq!(bench.claim_all("crm", at(101)).await.len(), 0);
    assert_eq!(bench.delivery(lost.id).await.attempts, 2);
    bench.store.release(vec![(lost.id, lost.epoch), (again.id, again.epoch)]).await.unwrap();
    assert_eq!(bench.claim_one("crm", at(101)).await.attempt, 2, "the attempt that was lost counts");
    bench.store.release(Vec::new()).await.unwrap();
}

pub(crate) async fn ruling_17_what_was_given_back_after_a_failure_counts_on_from_there(bench: &mut Bench) {
    two_in_a_lane(bench).await;
    let first = bench.claim_one("crm", at(1)).await;
    bench.settle(&first, NextStep::RetryAt(at(10)), at(2)).await;
    let second = bench.claim_one("crm", at(10)).await;
    assert_eq!(second.attempt, 2);
    bench.release(&second).await;
    assert_eq!(bench.claim_one("crm", at(10)).await.attempt, 2);
    assert_eq!(history(bench, &first).await, [(1, Ended::Failed)]);
}

pub(crate) async fn ruling_17_being_told_to_wait_is_no_attempt_and_a_failure_is_one(bench: &mut Bench) {
    two_in_a_lane(bench).await;
    let steps = [
        (1, NextStep::WaitUntil(at(10)), 0),
        (1, NextStep::WaitUntil(at(10)), 0),
        (1, NextStep::RetryAt(at(10)), 1),
        (2, NextStep::WaitUntil(at(10)), 1),
        (2, NextStep::RetryAt(at(10)), 2),
        (3, NextStep::Delivered, 3),
    ];
    let mut last = None;
    for (attempt, next, counted) in steps {
        let claimed = bench.claim_one("crm", at(10)).await;
        assert_eq!(claimed.attempt, attempt);
        assert_eq!(bench.settle(&claimed, next, at(10)).await, Settled::Kept);
        assert_eq!(bench.delivery(claimed.id).await.attempts, counted);
        last = Some(claimed);
    }
    // What does not count gives its number, and its place in the history, to the next.
    let expected = [(1, Ended::Failed), (2, Ended::Failed), (3, Ended::Delivered)];
    assert_eq!(history(bench, &last.unwrap()).await, expected);
}

pub(crate) async fn ruling_17_what_was_not_attempted_after_all_counts_for_nothing(bench: &mut Bench) {
    two_in_a_lane(bench).await;
    let nothing = |claimed: &Claimed, next| Settlement { outcome: None, ..settlement(claimed, next, at(5)) };
    let lost = bench.claim_one("crm", at(1)).await;
    bench.kill().await;
    for next in [NextStep::WaitUntil(at(2)), NextStep::RetryAt(at(2)), NextStep::Dead("used up".to_owned())] {
        let claimed = bench.claim_one("crm", at(2)).await;
        assert_eq!((claimed.id, claimed.attempt), (lost.id, 2));
        assert_eq!(bench.store.settle(nothing(&claimed, next)).await.unwrap(), Settled::Kept);
        assert_eq!(bench.delivery(claimed.id).await.attempts, 1);
        assert_eq!(history(bench, &claimed).await, [(1, Ended::Lost)]);
    }
    let dead = bench.delivery(lost.id).await;
    assert_eq!((dead.state, dead.reason.as_deref()), (DeliveryState::Dead, Some("used up")));
    let next = bench.claim_one("crm", at(5)).await;
    assert_ne!(next.id, lost.id, "the lane goes on");
}

pub(crate) async fn ruling_17_what_was_claimed_when_the_process_ended_is_due_at_once_and_counts(bench: &mut Bench) {
    two_in_a_lane(bench).await;
    let other = bench.planned(&[to("crm", None)]).await;
    let before = bench.claim_all("crm", at(1)).await;
    assert_eq!(positions(&before), [before[0].event.position, other]);
    bench.kill().await;
    let after = bench.claim_all("crm", at(2)).await;
    assert_eq!(positions(&after), positions(&before));
    for (after, before) in after.iter().zip(&before) {
        assert_eq!((after.id, after.attempt), (before.id, 2));
        assert!(after.epoch > before.epoch);
        assert_eq!(history(bench, before).await, [(1, Ended::Lost)]);
        assert_eq!(bench.settle(before, NextStep::Delivered, at(2)).await, Settled::LostLease);
    }
    bench.kill().await;
    assert_eq!(bench.claim_all("crm", at(3)).await[0].attempt, 3);
    assert_eq!(history(bench, &after[0]).await, [(1, Ended::Lost), (2, Ended::Lost)]);
}

pub(crate) async fn ruling_17_only_what_was_claimed_is_due_at_once_after_the_process_ended(bench: &mut Bench) {
    bench.planned(&[to("crm", None)]).await;
    let claimed = bench.claim_one("crm", at(1)).await;
    bench.settle(&claimed, NextStep::RetryAt(at(50)), at(1)).await;
    bench.kill().await;
    assert_eq!(bench.claim_all("crm", at(49)).await.len(), 0);
    assert_eq!(bench.claim_one("crm", at(50)).await.attempt, 2);
    assert_eq!(history(bench, &claimed).await, [(1, Ended::Failed)]);
}
