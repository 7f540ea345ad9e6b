//! Replays: events of the past, handled again.

use workhook::model::{
    Candidate, Claimed, DeliveryRecord, DeliveryState, EventFilter, EventId, NewReplay, NextStep, Position, Replay,
    ReplayId, ReplayState, ReplayStep, ReplayTo, ReplayedEvents,
};
use workhook::store::Settled;

use crate::bench::{ALL, Bench, PATIENCE, at, handler, plan, positions, to};
use crate::request::Request;

/// The entity of the requests of these tests.
const ENTITY: &str = "leiga/tenant:1/issue/100";

/// A replay of everything to those who had it.
pub(crate) fn everything() -> NewReplay {
    NewReplay {
        events: ReplayedEvents::Filter(EventFilter::default()),
        to: ReplayTo::SameHandlers,
        undelivered: false,
        per_second: None,
        at: at(5),
    }
}

fn candidate(name: &str, ordered: bool) -> Candidate {
    Candidate { handler: handler(name), ordered }
}

/// A step in which each of these events may go to each of these handlers, in order.
fn step(events: &[Position], to: &[&str]) -> ReplayStep {
    let candidates: Vec<Candidate> = to.iter().map(|name| candidate(name, true)).collect();
    let events = events.iter().map(|position| (*position, candidates.clone())).collect();
    ReplayStep { events, asked_before: false, undelivered: false }
}

pub(crate) async fn start(bench: &Bench, new: NewReplay) -> Replay {
    bench.store.start_replay(new).await.unwrap().unwrap()
}

/// Takes a step at second 10.
async fn take(bench: &Bench, id: ReplayId, step: &ReplayStep, through: Position) {
    bench.store.step_replay(id, step.clone(), through, at(10)).await.unwrap();
}

async fn preview(bench: &Bench, step: &ReplayStep) -> u64 {
    bench.store.preview_replay(step.clone()).await.unwrap()
}

pub(crate) async fn set(bench: &Bench, id: ReplayId, state: ReplayState) -> bool {
    bench.store.set_replay(id, state, at(20)).await.unwrap()
}

pub(crate) async fn replay(bench: &Bench, id: ReplayId) -> Replay {
    bench.store.replay(id).await.unwrap().unwrap()
}

/// The deliveries that a replay made, the oldest first.
async fn made(bench: &Bench, id: ReplayId) -> Vec<DeliveryRecord> {
    let mut deliveries = bench.deliveries().await;
    deliveries.retain(|delivery| delivery.replay == Some(id));
    deliveries
}

async fn deliver(bench: &Bench, claimed: &Claimed) {
    assert_eq!(bench.settle(claimed, NextStep::Delivered, at(1)).await, Settled::Kept);
}

/// Plans so many events for `crm` in the lane of their entity, and delivers them.
pub(crate) async fn delivered(bench: &Bench, count: usize) -> Vec<Position> {
    let mut positions = Vec::new();
    for _ in 0..count {
        positions.push(bench.planned(&[to("crm", Some(ENTITY))]).await);
        deliver(bench, &bench.claim_one("crm", at(1)).await).await;
    }
    positions
}

pub(crate) async fn a_replay_of_one_event_looks_at_that_one_only_which_must_be_there(bench: &mut Bench) {
    bench.planned(&[to("crm", None)]).await;
    let (id, position) = bench.stored(&Request::new()).await;
    bench.stored(&Request::new()).await;
    let of = |id| NewReplay { events: ReplayedEvents::One(id), ..everything() };
    assert_eq!(bench.store.start_replay(of(EventId::new(at(0)))).await.unwrap(), None);
    assert_eq!(bench.store.replays(ALL).await.unwrap(), []);
    let started = start(bench, of(id)).await;
    assert_eq!((started.position, started.last), (Position(position.0 - 1), position));
    take(bench, started.id, &step(&[position], &["crm"]), position).await;
    let done = replay(bench, started.id).await;
    assert_eq!((done.state, done.done_at), (ReplayState::Done, Some(at(10))));
    assert_eq!((done.position, done.events, done.deliveries), (position, 1, 1));
}

pub(crate) async fn a_replay_is_of_what_there_was_when_it_began_and_is_done_at_once_where_that_is_nothing(
    bench: &mut Bench,
) {
    let empty = start(bench, everything()).await;
    assert_eq!((empty.state, empty.done_at, empty.last), (ReplayState::Done, Some(at(5)), Position(0)));
    let mut stored = Vec::new();
    for hour in 0..5 {
        stored.push(bench.stored(&Request::new().received_at(at(hour * 3600))).await.1);
    }
    let since = |second| EventFilter { since: Some(at(second)), ..EventFilter::default() };
    let of = |filter| NewReplay { events: ReplayedEvents::Filter(filter), ..everything() };
    let late = start(bench, of(since(2 * 3600))).await;
    assert_eq!((late.position, late.last), (stored[1], stored[4]), "it begins before the first that it can mean");
    let too_late = start(bench, of(since(9 * 3600))).await;
    assert_eq!(too_late.state, ReplayState::Done);

    let all = start(bench, everything()).await;
    let later = bench.planned(&[]).await;
    take(bench, all.id, &step(&[stored[4], later], &["crm"]), later).await;
    let done = replay(bench, all.id).await;
    assert_eq!((done.state, done.position, done.deliveries), (ReplayState::Done, stored[4], 1));
    assert_eq!(made(bench, all.id).await[0].position, stored[4], "what came later is left out");
}

pub(crate) async fn ruling_16_a_replay_is_a_new_delivery_with_a_number_and_a_key_of_its_own(bench: &mut Bench) {
    let [position] = delivered(bench, 1).await[..] else { panic!("one is delivered") };
    for number in 1..=2 {
        let started = start(bench, everything()).await;
        take(bench, started.id, &step(&[position], &["crm"]), position).await;
        bench.kill().await;
        let [again] = &made(bench, started.id).await[..] else { panic!("one is made") };
        assert_eq!((again.number, again.state, again.position), (number, DeliveryState::Pending, position));
        assert_eq!((again.lane.as_deref(), again.due_at, again.planned_at), (Some(ENTITY), Some(at(10)), at(10)));
        assert_eq!((again.attempts, again.retried, again.reason.as_deref()), (0, 0, None));
        bench.assert_tallies().await;
        let claimed = bench.claim_one("crm", at(10)).await;
        assert_eq!((claimed.number, claimed.attempt, claimed.allowed_attempt), (number, 1, 1));
        let key = format!("{}/crm/{number}", claimed.event.id);
        assert_eq!(claimed.idempotency_key().as_str(), key);
        deliver(bench, &claimed).await;
    }
    let numbers: Vec<_> = bench.deliveries().await.iter().map(|delivery| delivery.replay.is_some()).collect();
    assert_eq!(numbers, [false, true, true], "only a replay's are marked as such");
}

pub(crate) async fn ruling_16_a_replay_s_deliveries_stand_at_the_end_of_their_lane_in_their_order(bench: &mut Bench) {
    let old = delivered(bench, 3).await;
    let waiting = [bench.planned(&[to("crm", Some(ENTITY))]).await, bench.planned(&[to("crm", Some(ENTITY))]).await];
    let started = start(bench, everything()).await;
    // Whichever way round the step names them.
    take(bench, started.id, &step(&[old[1], old[0]], &["crm"]), old[1]).await;
    take(bench, started.id, &step(&[old[2]], &["crm"]), old[2]).await;
    let later = bench.planned(&[to("crm", Some(ENTITY))]).await;
    bench.kill().await;
    let mut came = Vec::new();
    for _ in 0..6 {
        let claimed = bench.claim_one("crm", at(100)).await;
        came.push(claimed.event.position);
        deliver(bench, &claimed).await;
    }
    assert_eq!(came, [waiting[0], waiting[1], old[0], old[1], old[2], later]);
    bench.assert_tallies().await;
}

pub(crate) async fn a_replay_s_delivery_waits_for_nobody_where_its_handler_or_its_event_has_no_order(
    bench: &mut Bench,
) {
    let about_nothing = Request::new().event("Project.Update").body(r#"{"tenant":{"id":1},"data":{}}"#);
    let first = bench.planned(&[to("crm", Some(ENTITY))]).await;
    let (_, second) = bench.stored(&about_nothing).await;
    let started = start(bench, everything()).await;
    let mut step = step(&[first, second], &["crm", "log"]);
    for (_, candidates) in &mut step.events {
        candidates[1].ordered = false;
    }
    take(bench, started.id, &step, second).await;
    let lanes: Vec<_> = made(bench, started.id).await;
    let lanes: Vec<_> = lanes.iter().map(|delivery| (delivery.handler.as_str(), delivery.lane.as_deref())).collect();
    assert_eq!(lanes, [("crm", Some(ENTITY)), ("log", None), ("crm", None), ("log", None)]);
    assert_eq!(positions(&bench.claim_all("log", at(10)).await), [first, second]);
    assert_eq!(positions(&bench.claim_all("crm", at(10)).await), [first, second], "the first one planned is the head");
}

pub(crate) async fn a_handler_that_never_had_an_event_can_get_it_and_planning_goes_on_beside(bench: &mut Bench) {
    let (_, position) = bench.stored(&Request::new()).await;
    let started = start(bench, everything()).await;
    take(bench, started.id, &step(&[position], &["crm", "new"]), position).await;
    bench.store.plan(vec![plan(position, &[to("crm", Some(ENTITY))])], at(11)).await.unwrap();
    let deliveries = bench.deliveries().await;
    let numbers: Vec<_> = deliveries.iter().map(|delivery| (delivery.handler.as_str(), delivery.number)).collect();
    assert_eq!(numbers, [("crm", 1), ("new", 1), ("crm", 0)]);
    assert_eq!(bench.claim_one("crm", at(11)).await.number, 1, "what was planned later comes behind");
    bench.assert_tallies().await;
}

pub(crate) async fn a_step_makes_what_its_preview_says_for_those_who_are_to_get_it(bench: &mut Bench) {
    let mut events = Vec::new();
    for _ in 0..5 {
        events.push(bench.planned(&[to("crm", None)]).await);
    }
    let claimed = bench.claim("crm", 4, at(1)).await.claimed;
    deliver(bench, &claimed[0]).await;
    bench.settle(&claimed[1], NextStep::Dead("no".to_owned()), at(1)).await;
    bench.store.cancel(vec![claimed[2].id], "no".to_owned(), at(1)).await.unwrap();
    // Delivered, dead, cancelled, claimed, pending; and `new` had none of them.
    let (unplanned, gone) = (bench.stored(&Request::new()).await.1, Position(9999));
    events.extend([unplanned, gone]);
    type Made = Vec<(&'static str, usize)>;
    let both =
        |events: &[usize]| -> Made { events.iter().flat_map(|event| [("crm", *event), ("new", *event)]).collect() };
    // What one case makes makes `new` one that had it, so the cases that ask for that come first.
    let cases: [(bool, bool, Made); 4] = [
        (true, true, vec![("crm", 1), ("crm", 2)]),
        (true, false, vec![("crm", 0), ("crm", 1), ("crm", 2), ("crm", 3), ("crm", 4)]),
        (false, true, [vec![("new", 0)], both(&[1, 2]), vec![("new", 3), ("new", 4)], both(&[5])].concat()),
        (false, false, both(&[0, 1, 2, 3, 4, 5])),
    ];
    for (asked_before, undelivered, expected) in cases {
        let step = ReplayStep { asked_before, undelivered, ..step(&events, &["crm", "new"]) };
        let expected: Vec<_> = expected.iter().map(|(name, event)| (*name, events[*event])).collect();
        assert_eq!(preview(bench, &step).await, expected.len() as u64, "{asked_before} {undelivered}");
        let started = start(bench, everything()).await;
        take(bench, started.id, &step, started.last).await;
        let made = made(bench, started.id).await;
        let came: Vec<_> = made.iter().map(|delivery| (delivery.handler.as_str(), delivery.position)).collect();
        assert_eq!(came, expected, "{asked_before} {undelivered}");
        let done = replay(bench, started.id).await;
        assert_eq!((done.events, done.deliveries), (6, expected.len() as u64), "one event is not there");
        // What was made is taken back, so that the next case finds what this one did.
        let ids: Vec<_> = made.iter().map(|delivery| delivery.id).collect();
        bench.assert_tallies().await;
        bench.store.cancel(ids, "enough".to_owned(), at(11)).await.unwrap();
        bench.assert_tallies().await;
    }
}

pub(crate) async fn a_step_that_names_somebody_twice_makes_one_delivery(bench: &mut Bench) {
    let [position] = delivered(bench, 1).await[..] else { panic!("one is delivered") };
    let started = start(bench, everything()).await;
    let twice = step(&[position, position], &["crm", "crm"]);
    assert_eq!(preview(bench, &twice).await, 1);
    assert_eq!(bench.deliveries().await.len(), 1, "a preview makes nothing");
    take(bench, started.id, &twice, position).await;
    let done = replay(bench, started.id).await;
    assert_eq!((done.events, done.deliveries), (1, 1));
    assert_eq!(made(bench, started.id).await.len(), 1);
}

pub(crate) async fn a_replay_goes_on_after_any_end_where_it_was_and_makes_nothing_twice(bench: &mut Bench) {
    let events = delivered(bench, 9).await;
    let started = start(bench, everything()).await;
    for (n, of_step) in events.chunks(2).enumerate() {
        let through = *of_step.last().unwrap();
        take(bench, started.id, &step(of_step, &["crm"]), through).await;
        bench.restart(n % 2 == 0).await;
        let so_far = replay(bench, started.id).await;
        assert_eq!((so_far.position, so_far.events, so_far.deliveries), (through, so_far.events, so_far.events));
        // Whoever does not know how far it came begins earlier: what was looked at is not looked at again.
        take(bench, started.id, &step(of_step, &["crm"]), through).await;
        take(bench, started.id, &step(&events[..=n], &["crm"]), events[n]).await;
        assert_eq!(replay(bench, started.id).await, so_far);
    }
    let done = replay(bench, started.id).await;
    assert_eq!((done.state, done.events, done.deliveries), (ReplayState::Done, 9, 9));
    let made: Vec<Position> = made(bench, started.id).await.iter().map(|delivery| delivery.position).collect();
    assert_eq!(made, events);
    take(bench, started.id, &step(&events, &["crm"]), Position(9999)).await;
    assert_eq!(replay(bench, started.id).await, done, "what is done stays as it is");
    bench.assert_tallies().await;
}

pub(crate) async fn a_step_that_begins_before_the_replay_s_place_makes_only_what_is_behind_it(bench: &mut Bench) {
    let events = delivered(bench, 4).await;
    let started = start(bench, everything()).await;
    take(bench, started.id, &step(&events[..2], &["crm"]), events[1]).await;
    take(bench, started.id, &step(&events, &["crm"]), events[2]).await;
    let made: Vec<Position> = made(bench, started.id).await.iter().map(|delivery| delivery.position).collect();
    assert_eq!(made, events[..3], "nor what is behind the last that was looked at");
    let so_far = replay(bench, started.id).await;
    assert_eq!((so_far.state, so_far.position, so_far.events), (ReplayState::Running, events[2], 3));
    take(bench, started.id, &step(&[], &[]), events[3]).await;
    let done = replay(bench, started.id).await;
    assert_eq!((done.state, done.events), (ReplayState::Done, 3), "a step without an event ends it as well");
}

pub(crate) async fn a_stopped_replay_makes_nothing_until_it_goes_on(bench: &mut Bench) {
    let events = delivered(bench, 3).await;
    let started = start(bench, everything()).await;
    take(bench, started.id, &step(&events[..1], &["crm"]), events[0]).await;
    assert!(set(bench, started.id, ReplayState::Stopped).await);
    bench.kill().await;
    let stopped = replay(bench, started.id).await;
    assert_eq!((stopped.state, stopped.position, stopped.done_at), (ReplayState::Stopped, events[0], None));
    take(bench, started.id, &step(&events[1..], &["crm"]), events[2]).await;
    assert_eq!(replay(bench, started.id).await, stopped);
    assert_eq!(made(bench, started.id).await.len(), 1);
    assert!(set(bench, started.id, ReplayState::Running).await);
    take(bench, started.id, &step(&events[1..], &["crm"]), events[2]).await;
    assert_eq!(replay(bench, started.id).await.state, ReplayState::Done);
    assert_eq!(made(bench, started.id).await.len(), 3);
    bench.assert_tallies().await;
}

pub(crate) async fn a_replay_stops_goes_on_and_is_done_once(bench: &mut Bench) {
    use ReplayState::{Done, Running, Stopped};

    let events = delivered(bench, 2).await;
    let cases = [
        (&[][..], Running, false),
        (&[], Stopped, true),
        (&[], Done, true),
        (&[Stopped], Running, true),
        (&[Stopped], Stopped, false),
        (&[Stopped], Done, true),
        (&[Done], Running, false),
        (&[Done], Stopped, false),
        (&[Done], Done, false),
    ];
    for (before, next, expected) in cases {
        let started = start(bench, everything()).await;
        for state in before {
            assert!(set(bench, started.id, *state).await);
        }
        let was = replay(bench, started.id).await;
        assert_eq!(set(bench, started.id, next).await, expected, "{before:?} {next:?}");
        let done_at = (expected && next == Done).then_some(at(20)).or(was.done_at);
        let expected = Replay { state: if expected { next } else { was.state }, done_at, ..was };
        assert_eq!(replay(bench, started.id).await, expected, "{before:?} {next:?}");
    }
    assert!(!set(bench, ReplayId(9999), Done).await);
    take(bench, ReplayId(9999), &step(&events, &["crm"]), events[1]).await;
    assert_eq!(bench.deliveries().await.len(), 2);
}

pub(crate) async fn a_replay_wakes_whoever_makes_it_and_its_deliveries_the_handlers(bench: &mut Bench) {
    let events = delivered(bench, 2).await;
    let (mut replays, mut deliveries) = (bench.wakes.replays.sleeper(), bench.wakes.deliveries.sleeper());
    let started = start(bench, everything()).await;
    tokio::time::timeout(PATIENCE, replays.woken()).await.expect("a new replay wakes whoever makes it");
    take(bench, started.id, &step(&events[..1], &["crm"]), events[0]).await;
    tokio::time::timeout(PATIENCE, deliveries.woken()).await.expect("its deliveries wake the handlers");
    for state in [ReplayState::Stopped, ReplayState::Running] {
        assert!(set(bench, started.id, state).await);
        tokio::time::timeout(PATIENCE, replays.woken()).await.expect("and so does what somebody decides about it");
    }
}
