//! `kill -9` at random moments under load: nothing acknowledged is missing, nothing is unhandled, nothing is out of order
//! (promises 1, 2, 4 and 5).

use crate::checker::Rules;
use crate::history::{Record, Told};
use crate::senders::Load;
use crate::stores::{Kind, on_both};
use crate::world::World;

/// How often it is killed, where `WORKHOOK_FAULT_ROUNDS` does not say.
const ROUNDS: u64 = 10;

on_both! {
    killed_at_random_moments_it_loses_nothing_and_repeats_nothing_that_it_need_not,
}

fn killed_at_random_moments_it_loses_nothing_and_repeats_nothing_that_it_need_not(kind: Kind) {
    let mut world = World::on(kind, "kills");
    let seed = world.seed();
    // Of a lane's deliveries there is mostly one under way, and others behind it.
    world.receiver.plan(move |asked| Told::TakenAfter(World::fate(seed, asked, 20)));
    // Many at once, so that a commit is of several requests and there is always one to be killed in.
    world.load = Load { senders: 24, pause_ms: 2, ..Load::default() };
    let senders = world.senders();
    for _ in 0..world.rounds(ROUNDS) {
        let process = world.start();
        // Early and late: while it takes up what it had, and under full load.
        world.pause(5, 300);
        process.kill();
    }
    let process = world.start();
    world.pause(50, 100);
    senders.stop();
    process.kill();
    let acknowledged = world.history.count(|record| matches!(record, Record::Answered { status: 200, .. }));
    assert!(acknowledged > 0, "the load reached it");
    let process = world.start();
    process.settled();
    process.kill();
    world.check(&Rules { concurrency: Some(8), ..world.rules() });
}
