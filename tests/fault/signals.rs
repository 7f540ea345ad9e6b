//! Signals under load: held and let go on, told to stop, told twice.

use std::time::Duration;

use crate::history::{Record, Told};
use crate::stores::{Kind, on_both};
use crate::wait::until;
use crate::world::{CRM, PATIENT, World};

/// How often it is held, and how often it is told to stop.
const TIMES: usize = 3;

on_both! {
    held_for_longer_than_anything_waits_it_goes_on_as_if_nothing_had_been,
    ruling_22_told_to_stop_under_load_it_finishes_what_it_began_and_makes_no_attempt_twice,
    ruling_22_an_attempt_that_hangs_is_cut_short_and_does_not_count,
    ruling_22_a_second_signal_ends_it_at_once_and_loses_nothing,
}

fn held_for_longer_than_anything_waits_it_goes_on_as_if_nothing_had_been(kind: Kind) {
    let mut world = World::on(kind, "held");
    let process = world.start();
    let senders = world.senders();
    for _ in 0..TIMES {
        world.pause(100, 300);
        process.hold();
        // Longer than a sender's request and a handler's attempt may take.
        world.pause(1000, 3000);
        process.resume();
    }
    world.pause(300, 300);
    senders.stop();
    process.settled();
    process.kill();
    world.check(&world.rules());
}

fn ruling_22_told_to_stop_under_load_it_finishes_what_it_began_and_makes_no_attempt_twice(kind: Kind) {
    let mut world = World::on(kind, "stopped");
    // Longer than it still accepts, so that there are attempts under way when it would otherwise end.
    world.receiver.plan(|_| Told::TakenAfter(1300));
    let handler = PATIENT.replace("\"1s\"", "\"10s\"");
    world.setup = world.setup.clone().config(&world.receiver.handler(CRM, &handler));
    world.load.pause_ms = 50;
    let senders = world.senders();
    for _ in 0..TIMES {
        let process = world.start();
        world.pause(200, 500);
        let ended = process.stop();
        assert_eq!(ended.code, Some(0));
        assert!(
            ended.took < Duration::from_secs(4),
            "nothing took longer, and yet it ended only after {:?}",
            ended.took
        );
    }
    senders.stop();
    world.receiver.plan(|_| Told::Taken);
    world.settle_and_check();
    let attempts = world.history.count(|record| matches!(record, Record::AttemptBegan { .. }));
    let events = world.history.count(|record| matches!(record, Record::Stored { .. }));
    assert_eq!(attempts, events, "one attempt for each event");
}

fn ruling_22_an_attempt_that_hangs_is_cut_short_and_does_not_count(kind: Kind) {
    let mut world = World::on(kind, "cut-short");
    world.receiver.plan(|_| Told::Nothing);
    world.setup = world.setup.clone().config(&world.receiver.handler(CRM, "timeout = \"30s\""));
    let process = world.start();
    let senders = world.senders();
    let began = |record: &Record| matches!(record, Record::AttemptBegan { .. });
    until("an attempt is under way", || (world.history.count(began) > 0).then_some(()));
    senders.stop();
    let ended = process.stop();
    assert_eq!(ended.code, Some(0));
    world.receiver.plan(|_| Told::Taken);
    world.settle_and_check();
    let counted = world.history.count(|record| matches!(record, Record::AttemptBegan { attempt, .. } if *attempt > 1));
    assert_eq!(counted, 0, "what was cut short has given its number to the next");
}

fn ruling_22_a_second_signal_ends_it_at_once_and_loses_nothing(kind: Kind) {
    let mut world = World::on(kind, "told-twice");
    world.receiver.plan(|_| Told::TakenAfter(500));
    let process = world.start();
    let senders = world.senders();
    world.pause(200, 400);
    process.tell_to_stop();
    // Within the drain delay, in which the first one does nothing to be seen from here but this.
    until("it says that it stops", || process.log().iter().any(|line| line.contains("stopping")).then_some(()));
    process.tell_to_stop();
    assert_eq!(process.ended(), Some(1));
    senders.stop();
    world.receiver.plan(|_| Told::Taken);
    world.settle_and_check();
}
