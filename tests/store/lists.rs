//! Looking things up.

use workhook::model::{
    DeliveryFilter, DeliveryId, DeliveryState, EventFilter, EventId, NewDelivery, NextStep, Position,
};
use workhook::store::{Counts, DeliveryQuery, EventQuery, RejectedQuery, Start};

use crate::bench::{ALL, Bench, at, handler, plan, to};
use crate::request::Request;

fn events_up_to(limit: usize) -> EventQuery {
    EventQuery { limit, ..EventQuery::default() }
}

fn deliveries_up_to(limit: usize) -> DeliveryQuery {
    DeliveryQuery { limit, ..DeliveryQuery::default() }
}

async fn events(bench: &Bench, query: EventQuery) -> Vec<Position> {
    bench.store.events(query).await.unwrap().items.iter().map(|row| row.event.position).collect()
}

async fn deliveries(bench: &Bench, query: DeliveryQuery) -> Vec<DeliveryId> {
    bench.store.deliveries(query).await.unwrap().items.iter().map(|delivery| delivery.id).collect()
}

pub(crate) async fn a_new_store_is_empty(bench: &mut Bench) {
    assert_eq!(bench.store.counts().await.unwrap(), Counts::default());
    assert_eq!(events(bench, events_up_to(ALL)).await, []);
    assert_eq!(deliveries(bench, deliveries_up_to(ALL)).await, []);
    assert!(
        bench.store.rejected(RejectedQuery { limit: ALL, ..RejectedQuery::default() }).await.unwrap().items.is_empty()
    );
    assert!(bench.store.refusals(ALL).await.unwrap().is_empty());
    assert!(bench.store.unplanned(ALL).await.unwrap().is_empty());
    assert!(bench.claim_all("crm", at(0)).await.is_empty());
}

pub(crate) async fn an_unknown_event_is_none(bench: &mut Bench) {
    bench.stored(&Request::new()).await;
    assert!(bench.store.event(EventId::new(at(0))).await.unwrap().is_none());
}

pub(crate) async fn events_come_newest_first_and_by_what_is_asked_for(bench: &mut Bench) {
    let mut all = Vec::new();
    for n in 0..6 {
        let request = Request::new().event(if n % 2 == 0 { "Issue.Update" } else { "Phase.Start" });
        let request = request.webhook(if n < 3 { "product" } else { "support" });
        all.insert(0, bench.stored(&request).await.1);
    }
    assert_eq!(events(bench, events_up_to(ALL)).await, all);
    assert_eq!(events(bench, events_up_to(2)).await, all[..2]);
    assert_eq!(events(bench, events_up_to(0)).await, []);
    let before = EventQuery { start: Start::Before(all[1]), ..events_up_to(3) };
    assert_eq!(events(bench, before).await, all[2..5]);
    let after = EventQuery { start: Start::After(all[4]), ..events_up_to(3) };
    assert_eq!(events(bench, after).await, [all[3], all[2], all[1]], "the oldest of those behind it first");
    let named = EventFilter { name: Some("Sprint.Start".parse().unwrap()), ..EventFilter::default() };
    let of_webhook = EventFilter { webhook: Some("product".to_owned()), ..EventFilter::default() };
    let both = EventFilter { webhook: of_webhook.webhook.clone(), ..named.clone() };
    let nobody = EventFilter { name: Some("Comment.*".parse().unwrap()), ..EventFilter::default() };
    let filtered = |filter: &EventFilter| EventQuery { filter: filter.clone(), ..events_up_to(ALL) };
    // First by reading them, then by the catalogue.
    for catalogued in [0, 2, 4] {
        assert_eq!(bench.store.catalogue(2).await.unwrap(), 2);
        assert_eq!(events(bench, filtered(&named)).await, [all[0], all[2], all[4]], "{catalogued}");
        assert_eq!(events(bench, filtered(&of_webhook)).await, all[3..]);
        let before = EventQuery { start: Start::Before(all[0]), ..filtered(&both) };
        assert_eq!(events(bench, before).await, [all[4]]);
        let after = EventQuery { start: Start::After(all[4]), ..filtered(&named) };
        assert_eq!(events(bench, after).await, [all[2], all[0]]);
        assert_eq!(events(bench, filtered(&nobody)).await, []);
    }
    assert_eq!(bench.store.catalogue(2).await.unwrap(), 0);
}

pub(crate) async fn an_event_is_found_by_words_of_any_script(bench: &mut Bench) {
    let summary = "हिन्दी में त्रुटि ① naïve Straße 登录失败";
    let body = format!(r#"{{"data":{{"issue":{{"id":1,"summary":"{summary}"}}}}}}"#);
    let (_, position) = bench.stored(&Request::new().body(body)).await;
    bench.stored(&Request::new()).await;
    // First by reading them, then by the catalogue.
    for _ in 0..2 {
        for (text, expected) in
            [("हिन्दी", true), ("①", true), ("NAÏVE", true), ("straße", true), ("登录", true), ("हि", false)]
        {
            let filter = EventFilter { text: Some(text.to_owned()), ..EventFilter::default() };
            let found = events(bench, EventQuery { filter, ..events_up_to(ALL) }).await;
            assert_eq!(found, if expected { vec![position] } else { Vec::new() }, "{text}");
        }
        bench.store.catalogue(10).await.unwrap();
    }
}

pub(crate) async fn an_event_in_a_list_tells_its_receipts_and_its_deliveries(bench: &mut Bench) {
    let request = Request::new();
    let (_, position) = bench.stored(&request).await;
    bench.append(&request).await;
    bench.append(&request).await;
    let dead = NewDelivery { dead: Some("no".to_owned()), ..to("chat", None) };
    bench.store.plan(vec![plan(position, &[to("crm", None), to("log", None), dead])], at(0)).await.unwrap();
    bench.stored(&Request::new()).await;
    let rows = bench.store.events(events_up_to(ALL)).await.unwrap().items;
    assert_eq!((rows[0].receipts, rows[0].planned, rows[0].deliveries.len()), (1, false, 0));
    assert_eq!((rows[1].receipts, rows[1].planned), (3, true));
    let mut states = rows[1].deliveries.clone();
    states.sort_by_key(|(state, _)| state.as_str());
    assert_eq!(states, [(DeliveryState::Dead, 1), (DeliveryState::Pending, 2)]);
}

pub(crate) async fn an_event_in_a_list_has_its_body_where_that_is_no_larger_than_64_kib(bench: &mut Bench) {
    let envelope = r#"{"data":""}"#.len();
    let sizes = [(1 << 16) - envelope, (1 << 16) - envelope + 1];
    for size in sizes {
        bench.stored(&Request::new().large(size)).await;
    }
    let rows = bench.store.events(events_up_to(ALL)).await.unwrap().items;
    assert_eq!(rows.iter().map(|row| row.event.body.len()).collect::<Vec<_>>(), [0, 1 << 16]);
    assert_eq!(bench.record(rows[0].event.id).await.event.body.len(), (1 << 16) + 1);
}

pub(crate) async fn deliveries_come_newest_first_and_by_what_is_asked_for(bench: &mut Bench) {
    for _ in 0..4 {
        bench.planned(&[to("crm", None), to("log", None)]).await;
    }
    let crm = bench.claim("crm", 2, at(1)).await.claimed;
    bench.settle(&crm[0], NextStep::Delivered, at(1)).await;
    bench.settle(&crm[1], NextStep::Dead("no".to_owned()), at(1)).await;
    let all = deliveries(bench, deliveries_up_to(ALL)).await;
    assert!(all.len() == 8 && all.is_sorted_by(|a, b| a > b), "{all:?}");
    assert_eq!(deliveries(bench, deliveries_up_to(3)).await, all[..3]);
    assert_eq!(
        deliveries(bench, DeliveryQuery { start: Start::Before(all[2]), ..deliveries_up_to(2) }).await,
        all[3..5]
    );
    let after = DeliveryQuery { start: Start::After(all[4]), ..deliveries_up_to(2) };
    assert_eq!(deliveries(bench, after).await, [all[3], all[2]], "the oldest of those behind it first");
    let filtered = |filter: DeliveryFilter| DeliveryQuery { filter, ..deliveries_up_to(ALL) };
    let of_crm = filtered(DeliveryFilter { handler: Some(handler("crm")), ..DeliveryFilter::default() });
    let crms = deliveries(bench, of_crm.clone()).await;
    assert_eq!(crms.len(), 4);
    let state = |state, query: &DeliveryQuery| filtered(DeliveryFilter { state: Some(state), ..query.filter.clone() });
    let of_all = deliveries_up_to(ALL);
    assert_eq!(deliveries(bench, state(DeliveryState::Delivered, &of_all)).await, [crm[0].id]);
    assert_eq!(deliveries(bench, state(DeliveryState::Dead, &of_crm)).await, [crm[1].id]);
    assert_eq!(deliveries(bench, state(DeliveryState::Pending, &of_crm)).await, crms[..2]);
    assert_eq!(deliveries(bench, state(DeliveryState::Cancelled, &of_all)).await, []);
    let of_nobody = filtered(DeliveryFilter { handler: Some(handler("nobody")), ..DeliveryFilter::default() });
    assert_eq!(deliveries(bench, of_nobody).await, []);
}

pub(crate) async fn the_counts_are_of_what_is_there(bench: &mut Bench) {
    let mut stored = Vec::new();
    for _ in 0..4 {
        stored.push(bench.stored(&Request::new()).await.1);
    }
    bench.append(&Request::new().id("twice")).await;
    bench.append(&Request::new().id("twice")).await;
    bench.store.reject(Request::new().body("x").rejected()).await.unwrap();
    for (position, second) in stored.into_iter().zip([10, 20, 30]) {
        bench.store.plan(vec![plan(position, &[to("crm", Some("a"))])], at(second)).await.unwrap();
    }
    assert_eq!(bench.store.counts().await.unwrap().oldest_pending, Some(at(10)));
    let first = bench.claim_one("crm", at(40)).await;
    bench.settle(&first, NextStep::Delivered, at(40)).await;
    bench.claim_one("crm", at(40)).await;
    bench.kill().await;
    let counts = bench.store.counts().await.unwrap();
    assert_eq!((counts.events, counts.unplanned, counts.rejected), (5, 2, 1));
    assert_eq!(counts.oldest_pending, Some(at(20)));
    assert_eq!(bench.count(DeliveryState::Delivered).await, 1);
    assert_eq!(bench.count(DeliveryState::Pending).await, 2);
    assert_eq!(bench.count(DeliveryState::Dead).await, 0);
}
