//! What somebody decides about deliveries and handlers.

use workhook::model::{Attempt, Claimed, DeliveryId, DeliveryState, Ended, NewDelivery, NextStep, OpenBreaker};
use workhook::store::Settled;
use workhook::wake::Sleeper;

use crate::bench::{ALL, Bench, LEASE, PATIENCE, at, handler, positions, to};

const LANE: Option<&str> = Some("a");

async fn retry(bench: &Bench, ids: &[DeliveryId], second: i64) -> u64 {
    bench.store.retry(ids.to_vec(), at(second)).await.unwrap()
}

async fn cancel(bench: &Bench, ids: &[DeliveryId], second: i64) -> u64 {
    bench.store.cancel(ids.to_vec(), "not wanted".to_owned(), at(second)).await.unwrap()
}

async fn set_paused(bench: &Bench, name: &str, paused: bool, second: i64) {
    bench.store.set_paused(handler(name), paused, at(second)).await.unwrap();
}

/// Plans a delivery of `crm` in the lane and attempts it until it is dead.
async fn dead_letter(bench: &Bench, second: i64) -> Claimed {
    bench.planned(&[to("crm", LANE)]).await;
    let claimed = bench.claim_one("crm", at(second)).await;
    assert_eq!(bench.settle(&claimed, NextStep::Dead("no".to_owned()), at(second)).await, Settled::Kept);
    claimed
}

async fn history(bench: &Bench, id: DeliveryId) -> Vec<(u32, Ended)> {
    let history = bench.delivery(id).await.history;
    history.iter().map(|Attempt { number, outcome }| (*number, outcome.ended)).collect()
}

pub(crate) async fn ruling_16_a_dead_letter_that_is_retried_keeps_its_key_and_begins_its_attempts_anew(
    bench: &mut Bench,
) {
    bench.planned(&[to("crm", LANE)]).await;
    for next in [NextStep::RetryAt(at(2)), NextStep::Dead("no".to_owned())] {
        let claimed = bench.claim_one("crm", at(2)).await;
        bench.settle(&claimed, next, at(2)).await;
    }
    let dead = bench.deliveries().await.remove(0);
    assert_eq!((dead.attempts, dead.retried, dead.settled_at), (2, 0, Some(at(2))));
    assert_eq!(retry(bench, &[dead.id], 5).await, 1);
    bench.kill().await;
    let retried = bench.delivery(dead.id).await;
    assert_eq!((retried.state, retried.due_at, retried.claimed), (DeliveryState::Pending, Some(at(5)), false));
    assert_eq!((retried.attempts, retried.retried, retried.number), (2, 1, 0));
    assert_eq!((retried.reason, retried.settled_at, retried.lane), (None, None, None));
    bench.assert_tallies().await;

    let third = bench.claim_one("crm", at(5)).await;
    assert_eq!((third.id, third.attempt, third.allowed_attempt), (dead.id, 3, 1));
    let key = format!("{}/crm", third.event.id);
    assert_eq!((third.idempotency_key().as_str(), third.number), (key.as_str(), 0));
    bench.settle(&third, NextStep::RetryAt(at(6)), at(5)).await;
    let fourth = bench.claim_one("crm", at(6)).await;
    assert_eq!((fourth.attempt, fourth.allowed_attempt), (4, 2));
    bench.settle(&fourth, NextStep::Dead("no again".to_owned()), at(6)).await;
    let all = [(1, Ended::Failed), (2, Ended::Refused), (3, Ended::Failed), (4, Ended::Refused)];
    assert_eq!(history(bench, dead.id).await, all, "what came before stays");

    assert_eq!(retry(bench, &[dead.id], 7).await, 1);
    assert_eq!(bench.delivery(dead.id).await.retried, 2);
    let fifth = bench.claim_one("crm", at(7)).await;
    assert_eq!((fifth.attempt, fifth.allowed_attempt), (5, 1));
    bench.assert_tallies().await;
}

pub(crate) async fn ruling_16_a_dead_letter_that_is_retried_runs_out_of_order(bench: &mut Bench) {
    let dead = dead_letter(bench, 1).await;
    let head = bench.planned(&[to("crm", LANE)]).await;
    let behind = bench.planned(&[to("crm", LANE)]).await;
    let claimed = bench.claim_one("crm", at(2)).await;
    assert_eq!(claimed.event.position, head);
    retry(bench, &[dead.id], 3).await;
    let retried = bench.claim_one("crm", at(3)).await;
    assert_eq!(retried.id, dead.id, "it does not wait for those of its lane");
    bench.settle(&claimed, NextStep::Delivered, at(4)).await;
    assert_eq!(bench.claim_one("crm", at(4)).await.event.position, behind, "nor do they wait for it");
    bench.settle(&retried, NextStep::Dead("no".to_owned()), at(4)).await;
    assert_eq!(positions(&bench.claim_all("crm", at(5)).await), [], "nor does its end let another begin");
    retry(bench, &[dead.id], 6).await;
    let later = bench.planned(&[to("crm", Some("b"))]).await;
    assert_eq!(positions(&bench.claim_all("crm", at(6)).await), [later, dead.event.position]);
}

pub(crate) async fn only_what_is_dead_or_cancelled_is_retried(bench: &mut Bench) {
    let dead = dead_letter(bench, 1).await.id;
    for _ in 0..4 {
        bench.planned(&[to("crm", None)]).await;
    }
    let [delivered, claimed, cancelled] = &bench.claim("crm", 3, at(2)).await.claimed[..] else { panic!("not three") };
    bench.settle(delivered, NextStep::Delivered, at(2)).await;
    cancel(bench, &[cancelled.id], 3).await;
    let ids: Vec<DeliveryId> = bench.deliveries().await.iter().map(|delivery| delivery.id).collect();
    assert_eq!(retry(bench, &[], 4).await, 0);
    assert_eq!(retry(bench, &[&ids[..], &ids[..], &[DeliveryId(9999)]].concat(), 4).await, 2, "each once");
    for delivery in bench.deliveries().await {
        let was_retried = [dead, cancelled.id].contains(&delivery.id);
        assert_eq!(delivery.retried, u32::from(was_retried), "{delivery:?}");
        let expected = if delivery.id == delivered.id { DeliveryState::Delivered } else { DeliveryState::Pending };
        assert_eq!((delivery.state, delivery.claimed), (expected, delivery.id == claimed.id));
    }
    assert_eq!(bench.settle(claimed, NextStep::Delivered, at(5)).await, Settled::Kept, "its claim still holds");
    bench.assert_tallies().await;
}

pub(crate) async fn ruling_21_a_delivery_that_was_dead_from_the_start_can_be_retried(bench: &mut Bench) {
    bench.planned(&[NewDelivery { dead: Some("no".to_owned()), ..to("crm", LANE) }]).await;
    let id = bench.deliveries().await[0].id;
    assert_eq!(retry(bench, &[id], 1).await, 1);
    let claimed = bench.claim_one("crm", at(1)).await;
    assert_eq!((claimed.id, claimed.attempt, claimed.allowed_attempt), (id, 1, 1));
    bench.assert_tallies().await;
}

pub(crate) async fn a_cancelled_delivery_says_why_and_is_not_attempted(bench: &mut Bench) {
    bench.planned(&[to("crm", None)]).await;
    let id = bench.deliveries().await[0].id;
    assert_eq!(cancel(bench, &[id, id, DeliveryId(9999)], 3).await, 1);
    assert_eq!(cancel(bench, &[id], 4).await, 0, "the first decision stands");
    bench.kill().await;
    let cancelled = bench.delivery(id).await;
    assert_eq!((cancelled.state, cancelled.due_at, cancelled.claimed), (DeliveryState::Cancelled, None, false));
    assert_eq!((cancelled.reason.as_deref(), cancelled.settled_at), (Some("not wanted"), Some(at(3))));
    assert!(cancelled.history.is_empty());
    assert_eq!(positions(&bench.claim_all("crm", at(1000)).await), []);
    bench.assert_tallies().await;
}

pub(crate) async fn only_what_is_pending_is_cancelled(bench: &mut Bench) {
    let dead = dead_letter(bench, 1).await.id;
    bench.planned(&[to("crm", LANE)]).await;
    let delivered = bench.claim_one("crm", at(2)).await;
    bench.settle(&delivered, NextStep::Delivered, at(2)).await;
    bench.planned(&[to("crm", LANE)]).await;
    let failed = bench.claim_one("crm", at(3)).await;
    bench.settle(&failed, NextStep::RetryAt(at(100)), at(3)).await;
    assert_eq!(cancel(bench, &[dead, delivered.id, failed.id], 4).await, 1);
    let states: Vec<DeliveryState> = bench.deliveries().await.iter().map(|delivery| delivery.state).collect();
    assert_eq!(states, [DeliveryState::Dead, DeliveryState::Delivered, DeliveryState::Cancelled]);
    assert_eq!(history(bench, failed.id).await, [(1, Ended::Failed)], "no attempt was under way");
    bench.assert_tallies().await;
}

pub(crate) async fn a_lane_goes_on_after_what_was_cancelled_in_it(bench: &mut Bench) {
    let mut lane = Vec::new();
    for _ in 0..6 {
        lane.push(bench.planned(&[to("crm", LANE), to("log", LANE)]).await);
    }
    let ids: Vec<DeliveryId> = bench.deliveries().await.iter().map(|delivery| delivery.id).collect();
    let of_crm: Vec<DeliveryId> = ids.into_iter().step_by(2).collect();
    assert_eq!(cancel(bench, &of_crm[2..3], 1).await, 1);
    let head = bench.claim_one("crm", at(1)).await;
    assert_eq!(head.event.position, lane[0], "one behind the head moves nobody");
    assert_eq!(cancel(bench, &[of_crm[1], of_crm[0]], 2).await, 2);
    bench.kill().await;
    let next = bench.claim_one("crm", at(2)).await;
    assert_eq!(next.event.position, lane[3], "the first that is left is due at once");
    bench.settle(&next, NextStep::RetryAt(at(500)), at(3)).await;
    assert_eq!(cancel(bench, &[next.id], 4).await, 1);
    assert_eq!(bench.claim_one("crm", at(4)).await.event.position, lane[4]);
    assert_eq!(bench.claim_one("log", at(4)).await.event.position, lane[0], "another handler's lane is another");
    bench.assert_tallies().await;
}

pub(crate) async fn the_result_of_an_attempt_is_refused_when_its_delivery_was_cancelled_meanwhile(bench: &mut Bench) {
    bench.planned(&[to("crm", LANE)]).await;
    let claimed = bench.claim_one("crm", at(1)).await;
    cancel(bench, &[claimed.id], 2).await;
    for next in [NextStep::Delivered, NextStep::RetryAt(at(3)), NextStep::Dead("no".to_owned())] {
        assert_eq!(bench.settle(&claimed, next, at(3)).await, Settled::LostLease);
    }
    bench.release(&claimed).await;
    let cancelled = bench.delivery(claimed.id).await;
    assert_eq!((cancelled.state, cancelled.attempts, cancelled.settled_at), (DeliveryState::Cancelled, 1, Some(at(2))));
    let [Attempt { number: 1, outcome }] = &cancelled.history[..] else { panic!("{:?}", cancelled.history) };
    assert_eq!(outcome.ended, Ended::Lost, "that it was under way is told");
    assert!(outcome.message.contains("cancelled"), "{}", outcome.message);

    retry(bench, &[claimed.id], 4).await;
    assert_eq!(bench.settle(&claimed, NextStep::Delivered, at(4)).await, Settled::LostLease);
    let again = bench.claim_one("crm", at(4)).await;
    assert_eq!((again.attempt, again.allowed_attempt), (2, 1));
    assert_eq!(bench.settle(&claimed, NextStep::Delivered, at(4)).await, Settled::LostLease);
    assert_eq!(bench.settle(&again, NextStep::Delivered, at(5)).await, Settled::Kept);
    assert_eq!(history(bench, claimed.id).await, [(1, Ended::Lost), (2, Ended::Delivered)]);
    bench.assert_tallies().await;
}

pub(crate) async fn ruling_20_deliveries_of_a_handler_that_nobody_runs_can_be_cancelled(bench: &mut Bench) {
    bench.planned(&[to("gone", LANE), to("crm", LANE)]).await;
    bench.reopen().await;
    let deliveries = bench.deliveries().await;
    let orphan = deliveries.iter().find(|delivery| delivery.handler.as_str() == "gone").unwrap();
    assert_eq!(cancel(bench, &[orphan.id], 1).await, 1);
    assert_eq!(bench.claim_all("gone", at(2)).await.len(), 0);
    assert_eq!(bench.claim_all("crm", at(2)).await.len(), 1);
    bench.assert_tallies().await;
}

pub(crate) async fn a_paused_handler_claims_nothing_and_goes_on_when_it_is_resumed(bench: &mut Bench) {
    let first = bench.planned(&[to("crm", LANE), to("log", LANE)]).await;
    set_paused(bench, "crm", true, 5).await;
    let second = bench.planned(&[to("crm", None)]).await;
    for untidy in [false, true] {
        let claims = bench.claim("crm", ALL, at(10)).await;
        assert_eq!((claims.claimed.len(), claims.next_at), (0, None), "not even a time to come back at");
        bench.restart(untidy).await;
    }
    assert_eq!(bench.claim_one("log", at(10)).await.event.position, first, "others go on");
    set_paused(bench, "crm", true, 6).await;
    let of_crm = bench.handler("crm").await;
    assert_eq!(of_crm.paused_at, Some(at(5)), "it is paused since it was first");
    assert_eq!(of_crm.deliveries, [(DeliveryState::Pending, 2)]);
    set_paused(bench, "crm", false, 20).await;
    bench.kill().await;
    assert_eq!(bench.handler("crm").await.paused_at, None);
    assert_eq!(positions(&bench.claim_all("crm", at(20)).await), [first, second]);
}

pub(crate) async fn what_was_under_way_when_its_handler_was_paused_is_settled_all_the_same(bench: &mut Bench) {
    let first = bench.planned(&[to("crm", LANE)]).await;
    let second = bench.planned(&[to("crm", LANE)]).await;
    let held = bench.claim_one("crm", at(1)).await;
    set_paused(bench, "crm", true, 2).await;
    assert_eq!(positions(&bench.claim_all("crm", at(2 + LEASE)).await), [], "a lease that ran out changes nothing");
    assert_eq!(bench.settle(&held, NextStep::RetryAt(at(100)), at(100)).await, Settled::Kept);
    set_paused(bench, "crm", false, 101).await;
    let again = bench.claim_one("crm", at(101)).await;
    assert_eq!((again.event.position, again.attempt), (first, 2));
    set_paused(bench, "crm", true, 102).await;
    assert_eq!(bench.settle(&again, NextStep::Delivered, at(103)).await, Settled::Kept);
    assert_eq!(positions(&bench.claim_all("crm", at(104)).await), []);
    set_paused(bench, "crm", false, 105).await;
    assert_eq!(bench.claim_one("crm", at(105)).await.event.position, second);
}

pub(crate) async fn a_handler_can_be_paused_before_it_has_a_delivery_and_leaves_no_trace(bench: &mut Bench) {
    set_paused(bench, "crm", false, 0).await;
    assert_eq!(bench.store.handlers().await.unwrap(), []);
    set_paused(bench, "crm", true, 1).await;
    bench.reopen().await;
    let paused = bench.handler("crm").await;
    assert_eq!((paused.paused_at, paused.deliveries.len(), paused.oldest_pending), (Some(at(1)), 0, None));
    set_paused(bench, "crm", false, 2).await;
    assert_eq!(bench.store.handlers().await.unwrap(), []);
}

pub(crate) async fn a_breaker_comes_back_after_a_restart_until_it_is_closed(bench: &mut Bench) {
    let opened =
        OpenBreaker { since: at(1), until: at(31), failures: 5, probes: 0, reason: "it did not answer".to_owned() };
    let probed =
        OpenBreaker { until: at(91), failures: 6, probes: 1, reason: "it answered 503".to_owned(), ..opened.clone() };
    for (n, breaker) in [opened, probed].into_iter().enumerate() {
        bench.store.keep_breaker(handler("crm"), Some(breaker.clone())).await.unwrap();
        bench.restart(n == 1).await;
        assert_eq!(bench.handler("crm").await.breaker, Some(breaker));
    }
    set_paused(bench, "crm", true, 40).await;
    set_paused(bench, "crm", false, 41).await;
    assert_eq!(bench.handler("crm").await.breaker.map(|breaker| breaker.probes), Some(1), "a pause leaves it alone");
    set_paused(bench, "crm", true, 42).await;
    bench.store.keep_breaker(handler("crm"), None).await.unwrap();
    bench.kill().await;
    let closed = bench.handler("crm").await;
    assert_eq!((closed.breaker, closed.paused_at), (None, Some(at(42))), "and it leaves the pause alone");
    set_paused(bench, "crm", false, 43).await;
    bench.store.keep_breaker(handler("crm"), None).await.unwrap();
    assert_eq!(bench.store.handlers().await.unwrap(), []);
}

pub(crate) async fn a_breaker_is_replaced_only_where_it_is_the_one_that_was_known(bench: &mut Bench) {
    let opened = OpenBreaker { since: at(1), until: at(31), failures: 5, probes: 0, reason: "it was down".to_owned() };
    let taken = OpenBreaker { until: at(50), ..opened.clone() };
    let open = |breaker: &OpenBreaker| vec![(handler("crm"), breaker.clone())];
    let replace = async |from: Option<&OpenBreaker>, to: Option<&OpenBreaker>| {
        bench.store.replace_breaker(handler("crm"), from.cloned(), to.cloned()).await.unwrap()
    };
    assert!(!replace(Some(&opened), Some(&taken)).await, "nothing is open");
    assert!(replace(None, Some(&opened)).await);
    assert!(!replace(None, Some(&taken)).await, "it is open already");
    assert_eq!(bench.store.open_breakers().await.unwrap(), open(&opened));
    assert!(replace(Some(&opened), Some(&taken)).await);
    assert!(!replace(Some(&opened), None).await, "somebody else has the probe");
    assert_eq!(bench.store.open_breakers().await.unwrap(), open(&taken));
    set_paused(bench, "crm", true, 60).await;
    let replace = async |from: Option<&OpenBreaker>, to: Option<&OpenBreaker>| {
        bench.store.replace_breaker(handler("crm"), from.cloned(), to.cloned()).await.unwrap()
    };
    assert!(replace(Some(&taken), None).await);
    assert_eq!(bench.store.open_breakers().await.unwrap(), []);
    assert_eq!(bench.handler("crm").await.paused_at, Some(at(60)), "and it leaves the pause alone");
}

pub(crate) async fn a_decision_wakes_the_handlers(bench: &mut Bench) {
    async fn woken(deliveries: &mut Sleeper, by: &str) {
        let woken = tokio::time::timeout(PATIENCE, deliveries.woken()).await;
        woken.unwrap_or_else(|_| panic!("{by} wakes nobody"));
    }
    let dead = dead_letter(bench, 1).await.id;
    let mut deliveries = bench.wakes.deliveries.sleeper();
    retry(bench, &[dead], 2).await;
    woken(&mut deliveries, "a retry").await;
    cancel(bench, &[dead], 3).await;
    woken(&mut deliveries, "to cancel").await;
    set_paused(bench, "crm", true, 4).await;
    woken(&mut deliveries, "a pause").await;
    set_paused(bench, "crm", false, 5).await;
    woken(&mut deliveries, "the end of a pause").await;
}
