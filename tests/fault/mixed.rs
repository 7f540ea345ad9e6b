//! Everything at once: a plan of faults, one after another, while senders send and the far end misbehaves.

use std::time::Duration;

use rusqlite::Connection;

use crate::driver::Process;
use crate::history::Told;
use crate::stores::{Kind, on_both};
use crate::wall::Wall;
use crate::world::World;

/// How many faults there are, where `WORKHOOK_FAULT_ROUNDS` does not say.
const ROUNDS: u64 = 8;
/// The furthest that the clock jumps, in milliseconds: a day.
const JUMP_MAX_MS: i64 = 24 * 3_600_000;

/// What is done to the process.
#[derive(Debug, Clone, Copy)]
enum Fault {
    Kill,
    Stop,
    Hold(u64),
    /// Of the store, where it is a file.
    Lock(u64),
    Jump(i64),
}

fn next(kind: Kind, random: &mut fastrand::Rng) -> Fault {
    match random.u8(..8) {
        0..3 => Fault::Kill,
        3 => Fault::Stop,
        4 => Fault::Hold(random.u64(100..1500)),
        5 if kind == Kind::Sqlite => Fault::Lock(random.u64(100..1500)),
        _ => Fault::Jump(random.i64(-JUMP_MAX_MS..JUMP_MAX_MS)),
    }
}

on_both! {
    one_fault_after_another_under_load_breaks_no_promise,
}

fn one_fault_after_another_under_load_breaks_no_promise(kind: Kind) {
    let mut world = World::on(kind, "mixed");
    let (setup, mut wall) = Wall::hang(&world.setup, &world.history);
    world.setup = setup;
    let seed = world.seed();
    world.receiver.plan(move |asked| match World::fate(seed, asked, 40) {
        0 => Told::FailedForSeconds(1),
        1 => Told::Nothing,
        2 => Told::Garbage,
        3 => Told::TakenHalfWay,
        4 => Told::Closed,
        5..15 => Told::TakenAfter(30),
        15..20 => Told::Failed,
        _ => Told::Taken,
    });
    let plan: Vec<Fault> = (0..world.rounds(ROUNDS)).map(|_| next(kind, &mut world.random)).collect();
    let senders = world.senders();
    let mut process = world.start();
    for fault in plan {
        world.pause(50, 400);
        process = inflict(&world, &mut wall, process, fault);
    }
    world.pause(100, 200);
    senders.stop();
    // So that what has gathered is worked off soon; when it is due is as it was.
    world.receiver.plan(|_| Told::Taken);
    process.settled();
    process.kill();
    world.check(&world.rules());
}

/// Does it, and gives the process that runs then.
fn inflict(world: &World, wall: &mut Wall, process: Process, fault: Fault) -> Process {
    match fault {
        Fault::Kill => {
            process.kill();
            return world.start();
        }
        Fault::Stop => {
            assert_eq!(process.stop().code, Some(0));
            return world.start();
        }
        Fault::Hold(ms) => {
            process.hold();
            std::thread::sleep(Duration::from_millis(ms));
            process.resume();
        }
        Fault::Lock(ms) => {
            let other = Connection::open(world.setup.database()).unwrap();
            other.busy_timeout(Duration::from_secs(5)).unwrap();
            other.execute_batch("BEGIN IMMEDIATE").unwrap();
            std::thread::sleep(Duration::from_millis(ms));
            other.execute_batch("ROLLBACK").unwrap();
        }
        Fault::Jump(by_ms) => wall.jump(by_ms),
    }
    process
}
