//! The wall clock jumps, as it does when somebody sets it or a machine wakes up: nothing waits for a time that has become
//! far away, and no result of a lease that ended by the jump is taken.

use crate::checker::Rules;
use crate::history::{Record, Told};
use crate::stores::{Kind, on_both};
use crate::wait::until;
use crate::wall::Wall;
use crate::world::{CRM, PATIENT, World};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

impl World {
    /// With a wall clock that can be moved.
    fn with_wall(kind: Kind, name: &'static str) -> (World, Wall) {
        let mut world = World::on(kind, name);
        let (setup, wall) = Wall::hang(&world.setup, &world.history);
        world.setup = setup;
        (world, wall)
    }
}

on_both! {
    when_the_clock_is_set_back_nothing_waits_longer_than_the_longest_back_off,
    when_the_clock_was_wrong_at_a_start_and_right_at_the_next_nothing_waits_longer_than_the_longest_back_off,
    when_the_clock_is_set_forward_the_result_of_a_lease_that_ended_by_it_is_refused,
}

fn when_the_clock_is_set_back_nothing_waits_longer_than_the_longest_back_off(kind: Kind) {
    let (mut world, mut wall) = World::with_wall(kind, "set-back");
    let seed = world.seed();
    world.receiver.plan(move |asked| if World::fate(seed, asked, 2) == 0 { Told::Taken } else { Told::Failed });
    let process = world.start();
    let senders = world.senders();
    world.pause(200, 400);
    wall.jump(-DAY_MS);
    world.pause(200, 400);
    senders.stop();
    process.settled();
    process.kill();
    world.check(&world.rules());
}

fn when_the_clock_was_wrong_at_a_start_and_right_at_the_next_nothing_waits_longer_than_the_longest_back_off(
    kind: Kind,
) {
    let (mut world, mut wall) = World::with_wall(kind, "right-again");
    world.receiver.plan(|_| Told::Failed);
    wall.jump(DAY_MS);
    let process = world.start();
    let senders = world.senders();
    world.pause(200, 400);
    senders.stop();
    process.kill();
    wall.jump(-DAY_MS);
    world.receiver.plan(|_| Told::Taken);
    world.settle_and_check();
}

fn when_the_clock_is_set_forward_the_result_of_a_lease_that_ended_by_it_is_refused(kind: Kind) {
    let (mut world, mut wall) = World::with_wall(kind, "set-forward");
    // More places than lanes, so that something is claimed while attempts are under way.
    let handler = PATIENT.replace("= 8", "= 64").replace("\"1s\"", "\"30s\"");
    world.setup = world.setup.clone().config(&world.receiver.handler(CRM, &handler));
    world.receiver.plan(|asked| if asked.attempt == 1 { Told::TakenAfter(700) } else { Told::TakenAfter(900) });
    let process = world.start();
    let senders = world.senders();
    let began =
        |nth: u32| move |record: &Record| matches!(record, Record::AttemptBegan { attempt, .. } if *attempt == nth);
    until("attempts are under way", || (world.history.count(began(1)) > 3).then_some(()));
    wall.jump(HOUR_MS);
    until("they are made again", || (world.history.count(began(2)) > 3).then_some(()));
    senders.stop();
    until("results were refused", || process.log().iter().any(|line| line.contains("was refused")).then_some(()));
    world.receiver.plan(|_| Told::Taken);
    process.settled();
    process.kill();
    world.check(&Rules { timeout_ms: 30_000, ..world.rules() });
}
