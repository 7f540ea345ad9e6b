//! Keeping within bounds: what is old goes, and what has to stay stays.

use workhook::model::{DeliveryState, EventFilter, NewDelivery, NextStep, Position};
use workhook::store::{Appended, EventQuery, PruneRequest, Pruned};

use crate::bench::{ALL, Bench, REMEMBER, at, handler, plan, to};
use crate::request::Request;

fn all_before(second: i64) -> PruneRequest {
    PruneRequest { received_before: at(second), after: Position(0), limit: ALL, known_handlers: vec![handler("crm")] }
}

fn removed(count: u64) -> Pruned {
    Pruned { removed: count, orphans: 0, through: None }
}

async fn positions(bench: &Bench, filter: EventFilter) -> Vec<i64> {
    let query = EventQuery { limit: ALL, filter, ..EventQuery::default() };
    let items = bench.store.events(query).await.unwrap().items;
    let mut positions: Vec<_> = items.iter().map(|row| row.event.position.0).collect();
    positions.reverse();
    positions
}

/// Stores events received one second after the other, and plans each for nobody.
async fn planned_for_nobody(bench: &Bench, seconds: std::ops::Range<i64>) {
    for second in seconds {
        let (_, position) = bench.stored(&Request::new().received_at(at(second))).await;
        bench.store.plan(vec![plan(position, &[])], at(second)).await.unwrap();
    }
}

pub(crate) async fn events_that_are_old_enough_go_and_the_others_stay(bench: &mut Bench) {
    planned_for_nobody(bench, 0..6).await;
    assert_eq!(bench.store.prune(all_before(0)).await.unwrap(), removed(0));
    assert_eq!(bench.store.prune(all_before(3)).await.unwrap(), removed(3));
    assert_eq!(positions(bench, EventFilter::default()).await, [4, 5, 6]);
    assert_eq!(bench.store.counts().await.unwrap().events, 3);
    assert_eq!(bench.store.prune(all_before(3)).await.unwrap(), removed(0));
    bench.reopen().await;
    assert_eq!(bench.store.prune(all_before(100)).await.unwrap(), removed(3));
    assert_eq!(bench.store.counts().await.unwrap().events, 0);
    assert_eq!(bench.stored(&Request::new()).await.1, Position(7), "no position is given twice");
}

pub(crate) async fn a_step_looks_at_so_many_and_says_where_to_go_on(bench: &mut Bench) {
    planned_for_nobody(bench, 0..5).await;
    let step = |after| PruneRequest { after, limit: 2, ..all_before(4) };
    let first = bench.store.prune(step(Position(0))).await.unwrap();
    assert_eq!(first, Pruned { removed: 2, orphans: 0, through: Some(Position(2)) });
    let second = bench.store.prune(step(Position(2))).await.unwrap();
    assert_eq!(second, Pruned { removed: 2, orphans: 0, through: Some(Position(4)) });
    assert_eq!(bench.store.prune(step(Position(4))).await.unwrap(), removed(0));
}

pub(crate) async fn what_is_not_planned_or_pending_for_a_known_handler_stays(bench: &mut Bench) {
    let pending = bench.planned(&[to("crm", Some("a"))]).await;
    bench.planned(&[to("crm", Some("b"))]).await;
    let claimed = bench.claim_all("crm", at(1)).await;
    bench.settle(&claimed[1], NextStep::Delivered, at(1)).await;
    let (_, unplanned) = bench.stored(&Request::new()).await;
    assert_eq!(bench.store.prune(all_before(100)).await.unwrap(), removed(1));
    assert_eq!(positions(bench, EventFilter::default()).await, [pending.0, unplanned.0]);
    let counts = bench.store.counts().await.unwrap();
    assert_eq!((counts.events, counts.unplanned), (2, 1));
    assert_eq!(counts.deliveries, [(DeliveryState::Pending, 1)]);
    bench.settle(&claimed[0], NextStep::Dead("no".to_owned()), at(2)).await;
    bench.store.plan(vec![plan(unplanned, &[])], at(2)).await.unwrap();
    assert_eq!(bench.store.prune(all_before(100)).await.unwrap(), removed(2));
    assert_eq!(bench.store.counts().await.unwrap().deliveries, []);
}

pub(crate) async fn ruling_20_what_is_pending_for_an_unknown_handler_goes_and_its_lane_goes_on(bench: &mut Bench) {
    bench.planned(&[to("gone", Some("a"))]).await;
    let younger = Request::new().received_at(at(50));
    let (_, second) = bench.stored(&younger).await;
    bench.store.plan(vec![plan(second, &[to("gone", Some("a"))])], at(50)).await.unwrap();
    let pruned = bench.store.prune(all_before(10)).await.unwrap();
    assert_eq!(pruned, Pruned { removed: 1, orphans: 1, through: None });
    assert_eq!(bench.claim_one("gone", at(60)).await.event.position, second, "it was behind the one that went");
    assert_eq!(bench.count(DeliveryState::Pending).await, 1);
}

pub(crate) async fn an_event_goes_with_everything_that_belongs_to_it(bench: &mut Bench) {
    let request = Request::new().set("Event", "Comment.Create");
    let (id, position) = bench.stored(&request).await;
    bench.append(&request.clone().body(r#"{"other":1}"#)).await;
    let dead = NewDelivery { dead: Some("no".to_owned()), ..to("chat", None) };
    bench.store.plan(vec![plan(position, &[to("crm", None), dead])], at(0)).await.unwrap();
    let claimed = bench.claim_one("crm", at(1)).await;
    bench.settle(&claimed, NextStep::Delivered, at(1)).await;
    assert_eq!(bench.store.catalogue(ALL).await.unwrap(), 1);
    assert_eq!(bench.store.prune(all_before(100)).await.unwrap(), removed(1));
    assert!(bench.store.event(id).await.unwrap().is_none());
    assert!(bench.store.other_body(id, 1).await.unwrap().is_none());
    assert!(bench.store.delivery(claimed.id).await.unwrap().is_none());
    let named = EventFilter { name: Some("Comment.Create".parse().unwrap()), ..EventFilter::default() };
    assert!(positions(bench, named).await.is_empty());
    let handlers = bench.store.handlers().await.unwrap();
    assert!(handlers.iter().all(|handler| handler.deliveries.is_empty()), "{handlers:?}");
}

pub(crate) async fn ruling_08_a_repetition_of_what_was_removed_is_known_until_its_time_is_over(bench: &mut Bench) {
    let request = Request::new();
    let (_, position) = bench.stored(&request).await;
    bench.store.plan(vec![plan(position, &[])], at(0)).await.unwrap();
    assert_eq!(bench.store.prune(all_before(100)).await.unwrap(), removed(1));
    assert_eq!(bench.append(&request).await, Appended::Duplicate { id: None, conflict: false });
    let days = i64::try_from(REMEMBER.as_secs()).unwrap();
    for (now, still_known) in [(days - 1, true), (days, false)] {
        while bench.store.tidy_keys(at(now)).await.unwrap() {}
        // A clock that is set back finds only what is still there.
        let known = matches!(bench.append(&request).await, Appended::Duplicate { .. });
        assert_eq!(known, still_known, "after {now} s");
    }
}

pub(crate) async fn many_keys_go_in_steps(bench: &mut Bench) {
    let requests: Vec<_> = (0..1200).map(|_| Request::new()).collect();
    bench.append_at_once(&requests).await;
    // One for the id and one for the body of each.
    let late = at(i64::try_from(REMEMBER.as_secs()).unwrap());
    let mut steps = 0;
    while bench.store.tidy_keys(late).await.unwrap() {
        steps += 1;
    }
    assert!((3..100).contains(&steps), "{steps} steps for 2,400 keys");
    assert!(!bench.store.tidy_keys(late).await.unwrap());
    assert!(matches!(bench.append(&requests[7]).await, Appended::Stored { .. }));
}

pub(crate) async fn what_was_removed_is_counted_in_no_backlog(bench: &mut Bench) {
    planned_for_nobody(bench, 0..4).await;
    assert_eq!(bench.store.counts().await.unwrap().uncatalogued, 4);
    assert_eq!(bench.store.prune(all_before(2)).await.unwrap(), removed(2));
    assert_eq!(bench.store.counts().await.unwrap().uncatalogued, 2);
    assert_eq!(bench.store.catalogue(ALL).await.unwrap(), 2);
    assert_eq!(bench.store.counts().await.unwrap().uncatalogued, 0);
}

/// Something of a size that cannot be made smaller, in letters and digits.
fn noise(bytes: usize) -> String {
    let digits: Vec<char> = ('0'..='9').chain('A'..='Z').chain('a'..='z').collect();
    let mut state = 0x9e37_79b9_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        digits[state as usize % digits.len()]
    };
    (0..bytes).map(|_| next()).collect()
}

pub(crate) async fn the_room_that_it_takes_is_told(bench: &mut Bench) {
    let before = bench.store.space().await.unwrap();
    let large = Request::new().body(format!(r#"{{"data":"{}"}}"#, noise(4 << 20)));
    let position = bench.stored(&large).await.1;
    let with = bench.store.space().await.unwrap();
    assert!(with.used >= before.used + (4 << 20) && with.files >= with.used, "{before:?} {with:?}");
    bench.store.plan(vec![plan(position, &[])], at(0)).await.unwrap();
    assert_eq!(bench.store.prune(all_before(100)).await.unwrap(), removed(1));
    let after = bench.store.space().await.unwrap();
    assert!(after.used < before.used + (1 << 20), "{before:?} {after:?}");
    assert!(with.free < (1 << 20) && after.free >= (4 << 20), "{with:?} {after:?}");
    while bench.store.give_back().await.unwrap() {}
    bench.reopen().await;
    let given_back = bench.store.space().await.unwrap();
    assert!(given_back.used < before.used + (1 << 20), "{before:?} {given_back:?}");
}
