//! The store is in somebody else's hands: another program holds its lock, or is workhook itself.

use std::time::Duration;

use rusqlite::Connection;

use crate::driver::Process;
use crate::history::Record;
use crate::wait::until;
use crate::world::World;

/// How long the other program holds the lock: longer than an answer may take.
const HELD_FOR: Duration = Duration::from_secs(3);

#[test]
fn while_another_program_holds_the_store_s_lock_senders_get_503_in_time_and_then_200_again() {
    let mut world = World::new("locked");
    let process = world.start();
    let senders = world.senders();
    world.pause(100, 300);
    let other = Connection::open(world.setup.database()).unwrap();
    other.busy_timeout(Duration::from_secs(5)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    std::thread::sleep(HELD_FOR);
    other.execute_batch("ROLLBACK").unwrap();
    let with = |wanted: u16| {
        let history = world.history.clone();
        move || history.count(|record| matches!(record, Record::Answered { status, .. } if *status == wanted))
    };
    assert!(with(503)() > 0, "senders were turned away meanwhile");
    let before = with(200)();
    until("it takes events again", || (with(200)() > before).then_some(()));
    senders.stop();
    process.settled();
    process.kill();
    world.check(&world.rules());
}

#[test]
fn ruling_23_a_second_process_on_the_same_store_is_refused_and_the_first_goes_on() {
    let mut world = World::new("second-process");
    let process = world.start();
    let senders = world.senders();
    let address = crate::driver::Address::default();
    let refused = Process::try_start(&world.setup, &world.history, &address).unwrap_err();
    assert!(refused.iter().any(|line| line.contains("in use")), "{refused:#?}");
    world.pause(100, 200);
    senders.stop();
    process.settled();
    process.kill();
    world.check(&world.rules());
}
