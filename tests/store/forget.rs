//! Forgetting a person or an entity: everything about them goes, and nothing else.

use workhook::model::{
    DeliveryState, EventFilter, NewReplay, NextStep, Position, ReplayId, ReplayState, ReplayStep, ReplayTo,
    ReplayedEvents,
};
use workhook::store::{Appended, EventQuery, ForgetAbout, ForgetStep, Forgotten, RejectedQuery};

use crate::bench::{ALL, Bench, at, plan, to};
use crate::request::Request;

fn person(person: &str) -> ForgetStep {
    ForgetStep { about: ForgetAbout::Person(person.to_owned()), after: Position(0), limit: ALL, dry_run: false }
}

fn entity(entity: &str) -> ForgetStep {
    ForgetStep { about: ForgetAbout::Entity(entity.to_owned()), ..person("") }
}

fn by(name: &str, issue: u32) -> Request {
    Request::new().body(format!(
        r#"{{"date":1,"tenant":{{"id":1}},"trigger":{{"user":{{"id":7,"name":"{name}"}}}},"data":{{"issue":{{"id":{issue}}}}}}}"#
    ))
}

/// The positions of what is left, the oldest first.
async fn left(bench: &Bench) -> Vec<i64> {
    let query = EventQuery { limit: ALL, ..EventQuery::default() };
    let items = bench.store.events(query).await.unwrap().items;
    let mut left: Vec<_> = items.iter().map(|row| row.event.position.0).collect();
    left.reverse();
    left
}

fn forgotten(events: u64) -> Forgotten {
    Forgotten { events, ..Forgotten::default() }
}

pub(crate) async fn the_events_in_which_a_person_stands_go(bench: &mut Bench) {
    for name in ["Jane Doe", "Max", "jane doe", "Jane Doering"] {
        bench.stored(&by(name, 100)).await;
    }
    let conflict = Request::new();
    bench.stored(&conflict).await;
    bench.append(&conflict.clone().body(r#"{"by":"Jane Doe"}"#)).await;
    assert_eq!(bench.store.forget(ForgetStep { dry_run: true, ..person("Jane Doe") }).await.unwrap(), forgotten(3));
    assert_eq!(left(bench).await, [1, 2, 3, 4, 5], "it was only counted");
    assert_eq!(bench.store.forget(person("Jane Doe")).await.unwrap(), forgotten(3));
    assert_eq!(left(bench).await, [2, 4]);
    assert_eq!(bench.store.forget(person("Jane Doe")).await.unwrap(), forgotten(0));
    assert_eq!(bench.store.forget(person("7")).await.unwrap(), forgotten(2), "by the id");
}

pub(crate) async fn the_events_of_an_entity_go_by_its_whole_name_or_its_short_one(bench: &mut Bench) {
    for issue in [100, 10, 100, 1000] {
        bench.stored(&by("Max", issue)).await;
    }
    assert_eq!(bench.store.forget(entity("leiga/tenant:1/issue/10")).await.unwrap(), forgotten(1));
    assert_eq!(bench.store.forget(entity("leiga/tenant:2/issue/100")).await.unwrap(), forgotten(0));
    assert_eq!(bench.store.forget(entity("issue/100")).await.unwrap(), forgotten(2));
    assert_eq!(left(bench).await, [4]);
}

pub(crate) async fn the_body_of_a_duplicate_that_is_about_the_entity_goes_and_its_event_stays(bench: &mut Bench) {
    let request = by("Max", 100);
    let (id, _) = bench.stored(&request).await;
    for issue in [200, 300, 100] {
        let conflict = request.clone().body(by("Max", issue).accepted().body().clone());
        assert!(matches!(bench.append(&conflict).await, Appended::Duplicate { .. }));
    }
    let dry_run = ForgetStep { dry_run: true, ..entity("issue/200") };
    let one = Forgotten { bodies: 1, ..Forgotten::default() };
    assert_eq!(bench.store.forget(dry_run).await.unwrap(), one);
    assert_eq!(bench.store.forget(entity("issue/200")).await.unwrap(), one);
    assert_eq!(left(bench).await, [1]);
    assert_eq!(bench.store.other_body(id, 1).await.unwrap().as_deref(), Some(&b""[..]), "it is still a conflict");
    assert!(bench.store.other_body(id, 2).await.unwrap().is_some_and(|body| !body.is_empty()));
}

pub(crate) async fn rejected_requests_go_in_the_first_step_only(bench: &mut Bench) {
    bench.store.reject(by("Jane Doe", 100).set("Retry-Num", "x").rejected()).await.unwrap();
    bench.store.reject(Request::new().body("cut off: Jane Doe").rejected()).await.unwrap();
    bench.store.reject(Request::new().body("cut off: Max").rejected()).await.unwrap();
    let later = ForgetStep { after: Position(1), ..person("Jane Doe") };
    assert_eq!(bench.store.forget(later).await.unwrap(), forgotten(0));
    let one = Forgotten { rejected: 1, ..Forgotten::default() };
    assert_eq!(bench.store.forget(entity("issue/100")).await.unwrap(), one);
    assert_eq!(bench.store.forget(person("Jane Doe")).await.unwrap(), one);
    let query = RejectedQuery { limit: ALL, ..RejectedQuery::default() };
    assert_eq!(bench.store.rejected(query).await.unwrap().items.len(), 1);
    assert_eq!(bench.store.counts().await.unwrap().rejected, 1);
}

pub(crate) async fn a_step_of_forgetting_looks_at_so_many_and_says_where_to_go_on(bench: &mut Bench) {
    for name in ["Jane Doe", "Max", "Jane Doe", "Max", "Jane Doe"] {
        bench.stored(&by(name, 100)).await;
    }
    let (mut after, mut steps, mut events) = (Position(0), 0, 0);
    loop {
        let forgotten = bench.store.forget(ForgetStep { after, limit: 2, ..person("Jane Doe") }).await.unwrap();
        (steps, events) = (steps + 1, events + forgotten.events);
        match forgotten.through {
            Some(through) => after = through,
            None => break,
        }
    }
    assert_eq!((steps, events), (3, 3));
    assert_eq!(left(bench).await, [2, 4]);
}

pub(crate) async fn what_is_forgotten_before_it_was_planned_is_planned_no_more(bench: &mut Bench) {
    bench.stored(&by("Max", 1)).await;
    let (_, position) = bench.stored(&by("Jane Doe", 1)).await;
    bench.stored(&by("Max", 1)).await;
    bench.stored(&by("Jane Doe", 1)).await;
    let read = bench.store.unplanned(ALL).await.unwrap();
    assert_eq!(bench.store.forget(person("Jane Doe")).await.unwrap(), forgotten(2));
    let counts = bench.store.counts().await.unwrap();
    assert_eq!((counts.events, counts.unplanned, counts.uncatalogued), (2, 2, 2));
    assert_eq!(bench.store.unplanned(ALL).await.unwrap().len(), 2);
    // The planner may have read them before.
    let plans = read.iter().map(|event| plan(event.position, &[to("crm", Some("a"))])).collect();
    bench.store.plan(plans, at(0)).await.unwrap();
    assert_eq!(bench.count(DeliveryState::Pending).await, 2);
    assert!(bench.store.unplanned(ALL).await.unwrap().is_empty());
    for _ in 0..2 {
        let claimed = bench.claim_one("crm", at(1)).await;
        assert_ne!(claimed.event.position, position);
        bench.settle(&claimed, NextStep::Delivered, at(1)).await;
    }
    assert_eq!(bench.store.catalogue(ALL).await.unwrap(), 2);
    let counts = bench.store.counts().await.unwrap();
    assert_eq!((counts.events, counts.unplanned, counts.uncatalogued), (2, 0, 0));
}

pub(crate) async fn what_is_forgotten_while_it_is_handled_has_no_result_and_its_lane_goes_on(bench: &mut Bench) {
    for name in ["Jane Doe", "Max"] {
        let (_, position) = bench.stored(&by(name, 1)).await;
        bench.store.plan(vec![plan(position, &[to("crm", Some("a"))])], at(0)).await.unwrap();
    }
    let claimed = bench.claim_one("crm", at(1)).await;
    assert_eq!(bench.store.forget(person("Jane Doe")).await.unwrap(), forgotten(1));
    assert_eq!(bench.settle(&claimed, NextStep::Delivered, at(1)).await, workhook::store::Settled::LostLease);
    assert_eq!(bench.claim_one("crm", at(1)).await.event.position, Position(2));
    assert_eq!(bench.store.counts().await.unwrap().deliveries, [(DeliveryState::Pending, 1)]);
}

pub(crate) async fn a_repetition_of_what_was_forgotten_is_known(bench: &mut Bench) {
    let request = by("Jane Doe", 100);
    bench.stored(&request).await;
    assert_eq!(bench.store.forget(entity("issue/100")).await.unwrap(), forgotten(1));
    assert_eq!(bench.append(&request).await, Appended::Duplicate { id: None, conflict: false });
    assert!(left(bench).await.is_empty());
}

pub(crate) async fn what_was_forgotten_is_found_by_no_word(bench: &mut Bench) {
    bench.stored(&by("Jane Doe", 100)).await;
    bench.store.catalogue(ALL).await.unwrap();
    bench.store.forget(person("Jane Doe")).await.unwrap();
    let filter = EventFilter { person: Some("Jane Doe".to_owned()), ..EventFilter::default() };
    let query = EventQuery { limit: ALL, filter, ..EventQuery::default() };
    assert!(bench.store.events(query).await.unwrap().items.is_empty());
}

pub(crate) async fn a_replay_that_asks_for_what_is_forgotten_ends_and_goes_with_it(bench: &mut Bench) {
    bench.stored(&by("Max", 100)).await;
    let start = async |filter| {
        let events = ReplayedEvents::Filter(filter);
        let new = NewReplay { events, to: ReplayTo::SameHandlers, undelivered: false, per_second: None, at: at(5) };
        bench.store.start_replay(new).await.unwrap().unwrap().id
    };
    let some = |text: &str| Some(text.to_owned());
    let by_name = start(EventFilter { person: some(" jane doe "), ..EventFilter::default() }).await;
    let by_id = start(EventFilter { person: some("7"), ..EventFilter::default() }).await;
    let by_words = start(EventFilter { text: some("of Jane Doe"), ..EventFilter::default() }).await;
    let short = start(EventFilter { entity: some("issue/100"), ..EventFilter::default() }).await;
    let whole = start(EventFilter { entity: some("leiga/tenant:1/issue/100"), ..EventFilter::default() }).await;
    let other = start(EventFilter { person: some("Max"), text: some("7"), ..EventFilter::default() }).await;
    let left = async || -> Vec<ReplayId> {
        let mut left: Vec<_> = bench.store.replays(ALL).await.unwrap().into_iter().map(|replay| replay.id).collect();
        left.reverse();
        left
    };
    assert!(bench.store.set_replay(by_name, ReplayState::Stopped, at(6)).await.unwrap());
    bench.store.forget(ForgetStep { dry_run: true, ..person("Jane Doe") }).await.unwrap();
    assert_eq!(left().await, [by_name, by_id, by_words, short, whole, other]);
    bench.store.forget(person("Jane Doe")).await.unwrap();
    assert_eq!(left().await, [by_id, short, whole, other]);
    bench.store.forget(entity("leiga/tenant:1/issue/100")).await.unwrap();
    assert_eq!(left().await, [by_id, other]);
    bench.store.forget(person("7")).await.unwrap();
    assert_eq!(left().await, [other]);
    // Whoever was about to take a step does nothing.
    let nothing = ReplayStep { events: Vec::new(), asked_before: true, undelivered: false };
    bench.store.step_replay(by_id, nothing, Position(1), at(7)).await.unwrap();
    assert_eq!(left().await, [other]);
}
