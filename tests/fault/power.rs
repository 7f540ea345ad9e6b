//! Power cuts at random moments, under load and while it starts: nothing that was acknowledged is missing, and the
//! database is sound (promise 1).
//!
//! The same cuts lose something once a commit is no longer synced, which is what `synchronous = NORMAL` would mean.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::RangeInclusive;

use rusqlite::Connection;

use crate::disk::{Dial, Disk};
use crate::driver::Process;
use crate::history::{Did, Record};
use crate::senders::Load;
use crate::world::World;

/// How often the power is cut, where `WORKHOOK_FAULT_ROUNDS` does not say.
const ROUNDS: u64 = 5;
/// After how many calls to the disk at the most, as a power of two; the fewer, the likelier. The log is moved into the
/// database after some 2^11.
const CALLS_LOG2: RangeInclusive<u32> = 3..=14;
/// How often it may be cut at the most until something is lost that was not synced.
const ROUNDS_UNTIL_LOST: u64 = 100;

/// A run on a disk of its own, with enough to write that the log is moved into the database now and then.
pub(crate) fn on_a_disk(name: &'static str) -> (World, Disk) {
    let mut world = World::new(name);
    let (disk, setup) = Disk::of(world.setup.clone());
    world.setup = setup;
    world.load = Load { pause_ms: 2, ballast: 3000, ..world.load };
    (world, disk)
}

/// Lets it run until the power is cut, in the middle of whatever it does then.
fn run_until_a_cut(world: &mut World, disk: &Disk) {
    let calls = 1 << world.random.u32(CALLS_LOG2);
    let die_in = world.random.i64(1..=calls);
    let while_it_starts = world.random.u8(..4) == 0;
    disk.set(Dial::IsShort, i64::from(world.random.bool()));
    if while_it_starts {
        disk.set(Dial::DieIn, die_in);
    }
    match Process::try_start(&world.setup, &world.history, &world.address) {
        Ok(process) => {
            // From here on it may be gone before anybody sees it.
            world.history.process(Did::Starved);
            if !while_it_starts {
                disk.set(Dial::DieIn, die_in);
            }
            assert_eq!(process.ended(), None, "it was killed");
        }
        Err(log) => assert_eq!(disk.get(Dial::DieIn), 0, "it ended otherwise: {log:#?}"),
    }
    disk.power_cut(&mut world.random);
}

/// What was acknowledged and is not in the store, of which a copy is opened; it is sound.
#[track_caller]
fn missing(world: &World) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let (database, copy) = (world.setup.database(), folder.path().join("copy.db"));
    if !database.exists() {
        return acknowledged(world).into_iter().collect();
    }
    fs::copy(&database, &copy).unwrap();
    // There is none where it was moved in whole.
    let _ = fs::copy(database.with_extension("db-wal"), copy.with_extension("db-wal"));
    let store = Connection::open(&copy).unwrap();
    let sound: String = store.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok", "WORKHOOK_FAULT_SEED={}", world.seed());
    let Ok(mut ids) = store.prepare("SELECT occurrence_id FROM events WHERE occurrence_id IS NOT NULL") else {
        return acknowledged(world).into_iter().collect();
    };
    let stored: BTreeSet<String> = ids.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    acknowledged(world).difference(&stored).cloned().collect()
}

/// The ids that were acknowledged so far.
pub(crate) fn acknowledged(world: &World) -> BTreeSet<String> {
    let (mut sent, mut acknowledged) = (BTreeMap::new(), BTreeSet::new());
    for entry in world.history.entries() {
        match entry.record {
            Record::Sent { request, id, .. } => {
                sent.insert(request, id);
            }
            Record::Answered { request, status: 200, errcode: Some(0), .. } => {
                acknowledged.extend(sent.remove(&request));
            }
            _ => {}
        }
    }
    acknowledged
}

#[test]
fn after_power_cuts_at_random_moments_nothing_that_was_acknowledged_is_missing() {
    let (mut world, disk) = on_a_disk("power-cuts");
    let senders = world.senders();
    let rounds = world.rounds(ROUNDS);
    for round in 0..rounds {
        run_until_a_cut(&mut world, &disk);
        let missing = missing(&world);
        assert!(missing.is_empty(), "round {round} of seed {}: {missing:?} are missing", world.seed());
    }
    disk.set(Dial::IsShort, 0);
    let process = world.start();
    world.pause(100, 200);
    senders.stop();
    process.kill();
    disk.power_cut(&mut world.random);
    let acknowledged = acknowledged(&world).len();
    assert!(acknowledged > 0, "the load reached it");
    eprintln!("{rounds} power cuts, {acknowledged} acknowledged events");
    world.settle_and_check();
}

#[test]
fn a_token_that_was_made_is_the_same_after_a_power_cut() {
    let (mut world, disk) = on_a_disk("made-token");
    // On another address than loopback there is always one.
    world.setup = world.setup.env("WORKHOOK__ADMIN__LISTEN", "0.0.0.0:0");
    world.start().kill();
    let token = || fs::read_to_string(world.setup.database().with_file_name("admin-token"));
    let made = token().unwrap();
    disk.power_cut_of_all();
    assert_eq!(token().ok(), Some(made));
    world.start().kill();
}

#[test]
fn where_a_commit_is_not_synced_the_same_power_cuts_lose_what_was_acknowledged() {
    let (mut world, disk) = on_a_disk("power-cuts-unsynced");
    disk.set(Dial::IsLying, 1);
    let senders = world.senders();
    let lost = (0..ROUNDS_UNTIL_LOST).any(|_| {
        run_until_a_cut(&mut world, &disk);
        !missing(&world).is_empty()
    });
    senders.stop();
    assert!(lost, "the cuts of seed {} lost nothing", world.seed());
}
