//! Far ends that hang, answer garbage, answer for ever, or close half-way: their deliveries are made again until they
//! are taken, nobody else waits for them, and the process stays small.

use std::time::Duration;

use crate::history::{Record, Told};

use crate::stores::{Kind, on_both};
use crate::world::{CRM, PATIENT, World};

/// What a far end does that misbehaves.
const MISDEEDS: [Told; 9] = [
    Told::TakenEndlessly,
    Told::TakenInDrips,
    Told::TakenHalfWay,
    Told::Failed,
    Told::FailedForSeconds(1),
    Told::Nothing,
    Told::Garbage,
    Told::EndlessHead,
    Told::Closed,
];
/// The most memory that it may have had, in KiB: 150 MiB.
const MEMORY_MAX_KIB: u64 = 150 << 10;

on_both! {
    whatever_a_far_end_does_every_event_is_taken_in_order_and_the_process_stays_small,
    a_far_end_that_never_answers_holds_up_no_other_and_no_sender,
    refused_for_good_an_event_is_dead_with_a_reason_and_its_lane_goes_on,
}

fn whatever_a_far_end_does_every_event_is_taken_in_order_and_the_process_stays_small(kind: Kind) {
    let mut world = World::on(kind, "misdeeds");
    let seed = world.seed();
    world.receiver.plan(move |asked| {
        let fate = World::fate(seed, asked, 3 * MISDEEDS.len() as u64);
        let misdeed = usize::try_from(fate).ok().and_then(|fate| MISDEEDS.get(fate)).copied();
        misdeed.filter(|_| asked.attempt <= 4).unwrap_or(Told::Taken)
    });
    world.load.pause_ms = 60;
    let process = world.start();
    let senders = world.senders();
    world.pause(2500, 3000);
    senders.stop();
    process.settled();
    let most = process.memory_kib("VmHWM");
    assert!(most < MEMORY_MAX_KIB, "it had {most} KiB");
    process.kill();
    world.check(&world.rules());
    for misdeed in MISDEEDS {
        let done = |record: &Record| matches!(record, Record::AttemptEnded { told, .. } if *told == misdeed);
        assert!(world.history.count(done) > 0, "{misdeed:?} was done");
    }
}

fn a_far_end_that_never_answers_holds_up_no_other_and_no_sender(kind: Kind) {
    let mut world = World::on(kind, "never-answers");
    world.receiver.plan(|asked| if asked.handler == CRM { Told::Taken } else { Told::Nothing });
    let handlers = [world.receiver.handler(CRM, PATIENT), world.receiver.handler("deaf", "timeout = \"60s\"")].concat();
    world.setup = world.setup.clone().config(&handlers);
    let process = world.start();
    let senders = world.senders();
    world.pause(1000, 1500);
    senders.stop();
    let count = |is: fn(&Record) -> bool| world.history.count(is);
    // Whatever was acknowledged is delivered to the one handler at once, while the other has taken nothing yet.
    let all_delivered = || {
        let health = process.health()?;
        // The other one has taken none.
        let delivered = health.deliveries.iter().filter(|of| of.state == "delivered");
        (delivered.map(|of| of.count).sum::<u64>() == health.events).then_some(())
    };
    crate::wait::within(Duration::from_secs(5), "all are delivered to it", all_delivered);
    let deaf = count(|record| matches!(record, Record::AttemptBegan { handler, .. } if handler == "deaf"));
    assert_eq!(deaf, 8, "as many as it may be asked at one time, and not one has ended");
    process.kill();
    world.check(&world.rules_of_one());
}

fn refused_for_good_an_event_is_dead_with_a_reason_and_its_lane_goes_on(kind: Kind) {
    let mut world = World::on(kind, "refused");
    let seed = world.seed();
    world.receiver.plan(move |asked| if World::fate(seed, asked, 3) == 0 { Told::Refused } else { Told::Taken });
    let process = world.start();
    let senders = world.senders();
    world.pause(300, 500);
    senders.stop();
    process.settled();
    process.kill();
    world.check(&world.rules());
    let dead = world.history.count(|record| matches!(record, Record::Delivery(delivery) if delivery.state == "dead"));
    assert!(dead > 0, "some were refused");
}
