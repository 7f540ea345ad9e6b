//! A store with some of everything, what the verbs tell of it, and what goes on in it.

use std::collections::BTreeMap;

use workhook::contract::Brand;
use workhook::model::{
    DeliveryState, EventFilter, NewDelivery, NewReplay, NextStep, NotRouted, OpenBreaker, Plan, Position, ReplayState,
    ReplayStep, ReplayTo, ReplayedEvents,
};
use workhook::store::{
    Appended, Counts, DeliveryQuery, EventQuery, ForgetAbout, ForgetStep, PruneRequest, RefusalCount, RejectedQuery,
    Store, TokenUse,
};

use crate::bench::{ALL, Bench, at, handler, plan, to};
use crate::request::Request;

/// A request that is told apart by its number, with what is hard to keep.
fn request(n: usize) -> Request {
    let body =
        format!(r#"{{"date":1,"tenant":{{"id":1}},"data":{{"issue":{{"id":{},"summary":"nul \u0000 {n}"}}}}}}"#, n % 7);
    let brand = if n.is_multiple_of(2) { Brand::Leiga } else { Brand::WorkZappy };
    Request::new().brand(brand).id(&format!("occurrence-{n}")).body(body).received_at(at(n as i64))
}

/// Fills a store with some of everything.
pub(super) async fn fill(bench: &Bench) {
    for n in 0..1300 {
        let (_, position) = bench.stored(&request(n)).await;
        let lane = format!("lane {}\0", n % 5);
        let (ordered, free) = (to("crm", Some(&lane)), to("chat", None));
        let not_routed = vec![NotRouted { handler: "log".to_owned(), clause: format!("events, {}", n % 3) }];
        let dead = NewDelivery { dead: Some("no \0 plan".to_owned()), ..to("dead", None) };
        let deliveries = match n % 4 {
            0 => vec![ordered],
            1 => vec![ordered, free],
            2 => vec![dead],
            _ => Vec::new(),
        };
        if n < 1290 {
            bench.store.plan(vec![Plan { position, deliveries, not_routed }], at(n as i64)).await.unwrap();
        }
    }
    for n in 0..3 {
        bench.append(&request(0).body(format!(r#"{{"other":{n}}}"#))).await;
    }
    bench.append(&request(1)).await;
    for (n, claimed) in bench.claim("chat", 12, at(2000)).await.claimed.iter().enumerate() {
        let next = match n % 4 {
            0 => NextStep::Delivered,
            1 => NextStep::RetryAt(at(3000)),
            2 => NextStep::Dead("it said \0".to_owned()),
            _ => continue,
        };
        bench.settle(claimed, next, at(2001)).await;
    }
    let ids: Vec<_> = bench.claim_all("crm", at(2002)).await.iter().map(|claimed| claimed.id).collect();
    bench.store.cancel(ids[..1].to_vec(), "not wanted".to_owned(), at(2003)).await.unwrap();
    bench.store.retry(ids[..1].to_vec(), at(2004)).await.unwrap();
    bench.store.set_paused(handler("chat"), true, at(5)).await.unwrap();
    let breaker = OpenBreaker { since: at(1), until: at(9), failures: 3, probes: 1, reason: "it is down".to_owned() };
    bench.store.keep_breaker(handler("crm"), Some(breaker)).await.unwrap();
    decide(bench).await;
    turn_away(bench).await;
    // What is gone leaves holes.
    let about = ForgetAbout::Entity("issue/3".to_owned());
    let mut after = Position(0);
    loop {
        let step = ForgetStep { about: about.clone(), after, limit: 500, dry_run: false };
        let Some(through) = bench.store.forget(step).await.unwrap().through else { break };
        after = through;
    }
    let known = ["crm", "chat"].map(handler).to_vec();
    let old = PruneRequest { received_before: at(100), after: Position(0), limit: 500, known_handlers: known };
    assert!(bench.store.prune(old).await.unwrap().removed > 10);
}

async fn decide(bench: &Bench) {
    let filter = EventFilter { text: Some("nul".to_owned()), ..EventFilter::default() };
    let new = NewReplay {
        events: ReplayedEvents::Filter(filter),
        to: ReplayTo::RematchHandler(handler("crm")),
        undelivered: true,
        per_second: Some(7),
        at: at(2005),
    };
    let running = bench.store.start_replay(new.clone()).await.unwrap().unwrap();
    let nothing = ReplayStep { events: Vec::new(), asked_before: false, undelivered: true };
    bench.store.step_replay(running.id, nothing, Position(300), at(2006)).await.unwrap();
    let stopped = bench.store.start_replay(NewReplay { to: ReplayTo::SameHandlers, ..new }).await.unwrap().unwrap();
    assert!(bench.store.set_replay(stopped.id, ReplayState::Stopped, at(2007)).await.unwrap());
}

async fn turn_away(bench: &Bench) {
    for n in 0..4 {
        let request = Request::new().body(vec![0xff; 10 + n]).received_at(at(n as i64));
        let id = bench.store.reject(request.rejected()).await.unwrap();
        if n == 1 {
            let (event, _) = bench.stored(&Request::new()).await;
            bench.store.rejected_became(id, event, at(60)).await.unwrap();
        }
    }
    let refusal = |peer: &str, count| RefusalCount {
        code: "no-token".to_owned(),
        peer: peer.to_owned(),
        claimed_webhook_id: String::new(),
        count,
        last_at: at(count as i64),
    };
    bench.store.count_refusals(vec![refusal("192.0.2.1", 3), refusal("::1", 5)]).await.unwrap();
    let used = TokenUse { webhook: "product".to_owned(), token: "0a1b".to_owned(), count: 4, last_at: at(7) };
    bench.store.count_uses(vec![used]).await.unwrap();
}

/// All that the verbs tell of a store, but for how far its catalogue is.
pub(super) async fn told(store: &dyn Store) -> Vec<String> {
    let mut told = Vec::new();
    let events = store.events(EventQuery { limit: ALL, ..EventQuery::default() }).await.unwrap();
    for row in &events.items {
        told.push(format!("{row:?}"));
        told.push(format!("{:?}", store.event(row.event.id).await.unwrap().unwrap()));
        for number in 1..=row.receipts.saturating_sub(1) {
            told.push(format!("{:?}", store.other_body(row.event.id, number).await.unwrap()));
        }
    }
    for delivery in store.deliveries(DeliveryQuery { limit: ALL, ..DeliveryQuery::default() }).await.unwrap().items {
        told.push(format!("{delivery:?}"));
    }
    for row in store.rejected(RejectedQuery { limit: ALL, ..RejectedQuery::default() }).await.unwrap().items {
        told.push(format!("{:?}", store.rejected_request(row.id).await.unwrap()));
    }
    told.extend(store.refusals(ALL).await.unwrap().iter().map(|refusal| format!("{refusal:?}")));
    told.extend(store.token_uses().await.unwrap().iter().map(|used| format!("{used:?}")));
    told.extend(store.handlers().await.unwrap().iter().map(|handler| format!("{handler:?}")));
    told.extend(store.replays(ALL).await.unwrap().iter().map(|replay| format!("{replay:?}")));
    let counts = store.counts().await.unwrap();
    assert_eq!(counts.events, events.items.len() as u64);
    told.push(format!("{:?}", Counts { uncatalogued: 0, ..counts }));
    told
}

#[track_caller]
pub(super) fn assert_same(one: &[String], other: &[String]) {
    for (one, other) in one.iter().zip(other) {
        assert_eq!(one, other);
    }
    assert_eq!(one.len(), other.len());
}

/// What goes on in a copy as it would have gone on in the store that it is of.
pub(super) async fn goes_on(bench: &Bench) {
    let known = bench.append(&request(1299)).await;
    assert!(matches!(known, Appended::Duplicate { id: Some(_), conflict: false }), "{known:?}");
    let removed = bench.append(&request(3)).await;
    assert!(matches!(removed, Appended::Duplicate { .. }), "its key stays: {removed:?}");
    let (_, position) = bench.stored(&Request::new()).await;
    assert!(position > Position(1301), "no position is given twice: {position}");

    let unplanned = bench.store.unplanned(ALL).await.unwrap();
    assert!(unplanned.len() > 5 && unplanned.is_sorted_by_key(|event| event.position));
    let plans = unplanned.iter().map(|event| plan(event.position, &[to("crm", Some("lane 0\0"))])).collect();
    bench.store.plan(plans, at(4000)).await.unwrap();
    while bench.store.catalogue(500).await.unwrap() > 0 {}
    let words = EventFilter { text: Some("nul 777".to_owned()), ..EventFilter::default() };
    let found = bench.store.events(EventQuery { limit: 10, filter: words, ..EventQuery::default() }).await.unwrap();
    assert_eq!(found.items.iter().map(|row| row.event.position).collect::<Vec<_>>(), [Position(778)]);

    // Every lane is worked off in its order, behind what was claimed or was its head before.
    let mut last = BTreeMap::new();
    loop {
        let claimed = bench.claim_all("crm", at(5000)).await;
        if claimed.is_empty() {
            break;
        }
        for one in claimed {
            if let Some(lane) = bench.store.delivery(one.id).await.unwrap().unwrap().lane {
                let before = last.insert(lane, one.id);
                assert!(before.is_none_or(|before| before < one.id), "{before:?} {:?}", one.id);
            }
            bench.settle(&one, NextStep::Delivered, at(5000)).await;
        }
    }
    assert_eq!(last.len(), 5);
    let counts = bench.store.handlers().await.unwrap();
    let crm = counts.iter().find(|record| record.name == handler("crm")).unwrap();
    assert!(crm.deliveries.iter().all(|(state, _)| *state == DeliveryState::Delivered), "{crm:?}");
    bench.assert_tallies().await;
}
