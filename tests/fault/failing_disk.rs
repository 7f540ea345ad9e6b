//! A disk that fails under load: a sync, a write or a read that cannot be done, and no room for more. Nothing is
//! acknowledged that is not safe, and what cannot be trusted any more is not gone on with.

use std::time::Duration;

use tokio::time::Instant;

use crate::disk::Dial;
use crate::driver::Process;
use crate::history::{Did, Record};
use crate::http;
use crate::power::{acknowledged, on_a_disk};
use crate::senders::{Came, Sender};
use crate::wait::until;
use crate::world::World;

/// How long an answer may take, in milliseconds.
const ANSWER_WITHIN_MS: u64 = 2200;
/// How long the end may take: far less than the order to stop does, since nothing is left to be done in order.
const ENDS_WITHIN: Duration = Duration::from_secs(4);
/// How many events there are where the store cannot be read.
const EVENTS: usize = 30;
/// How many starts with a read that fails are tried.
const STARTS: u64 = 6;

/// Waits until so many more requests got this answer.
#[track_caller]
fn more_answers(world: &World, more: usize, wanted: u16) {
    let is = |record: &Record| matches!(record, Record::Answered { status, .. } if *status == wanted);
    let before = world.history.count(is);
    until("answers", || (world.history.count(is) >= before + more).then_some(()));
}

/// How many of the requests from a line of the history on were acknowledged.
fn acknowledged_from(world: &World, line: usize) -> usize {
    let entries = world.history.entries();
    let sent =
        |request| move |record: &Record| matches!(record, Record::Sent { request: sent, .. } if *sent == request);
    let late = entries[line..].iter().filter(|entry| match entry.record {
        Record::Answered { request, status: 200, .. } => {
            entries[line..].iter().any(|entry| sent(request)(&entry.record))
        }
        _ => false,
    });
    late.count()
}

/// Something fails once under load, and all that must hold from then on: no request is acknowledged any more, all are
/// over in time, and the process says why it ends. The next one goes on with what is safe, and a power cut then takes
/// nothing.
fn fails_once(name: &'static str, fault: Dial, within: i64) {
    let (mut world, disk) = on_a_disk(name);
    let senders = world.senders();
    let process = world.start();
    more_answers(&world, 20, 200);
    // Those who wait may find their connection closed.
    world.history.process(Did::Starved);
    disk.set(fault, world.random.i64(1..=within));
    until("it says why", || process.log().iter().any(|line| line.contains("disk I/O error")).then_some(()));
    let line = world.history.entries().len();
    let began = Instant::now();
    assert_eq!(process.ended(), Some(1), "seed {}", world.seed());
    assert!(began.elapsed() < ENDS_WITHIN, "it ended after {:?}, seed {}", began.elapsed(), world.seed());
    assert_eq!(acknowledged_from(&world, line), 0, "acknowledged after {fault:?}, seed {}", world.seed());
    for entry in world.history.entries() {
        if let Record::Answered { took_ms, .. } | Record::Unanswered { took_ms, .. } = entry.record {
            assert!(took_ms <= ANSWER_WITHIN_MS, "over only after {took_ms} ms, seed {}", world.seed());
        }
    }

    let process = world.start();
    more_answers(&world, 20, 200);
    process.kill();
    disk.power_cut_of_all();
    senders.stop();
    world.settle_and_check();
}

#[test]
fn when_a_commit_cannot_be_synced_nothing_more_is_acknowledged_and_it_ends() {
    fails_once("failing-sync", Dial::LogSyncFails, 20);
}

#[test]
fn when_a_checkpoint_cannot_be_synced_nothing_more_is_acknowledged_and_it_ends() {
    fails_once("failing-sync-of-database", Dial::DatabaseSyncFails, 1);
}

#[test]
fn when_something_cannot_be_written_nothing_more_is_acknowledged_and_it_ends() {
    fails_once("failing-write", Dial::WriteFails, 200);
}

#[test]
fn on_a_full_disk_everyone_is_answered_in_time_and_it_goes_on_by_itself_when_there_is_room() {
    let (mut world, disk) = on_a_disk("full-disk");
    let senders = world.senders();
    let process = world.start();
    let readyz = || http::get(process.public, "/readyz").unwrap();
    for _ in 0..world.rounds(1) {
        more_answers(&world, 50, 200);
        disk.set(Dial::Room, world.random.i64(..100_000));
        disk.set(Dial::IsLimited, 1);
        more_answers(&world, 50, 503);
        until("it says that it is not ready", || {
            let (status, body) = readyz();
            (status == 503 && body.contains("disk")).then_some(())
        });
        disk.set(Dial::IsLimited, 0);
        more_answers(&world, 50, 200);
        until("it is ready", || (readyz().0 == 200).then_some(()));
    }
    senders.stop();
    process.settled();
    process.kill();
    world.check(&world.rules());
}

#[test]
fn a_power_cut_while_the_disk_is_full_takes_nothing_and_it_starts_when_there_is_room() {
    let (mut world, disk) = on_a_disk("full-disk-cut");
    let senders = world.senders();
    let process = world.start();
    more_answers(&world, 50, 200);
    disk.set(Dial::Room, world.random.i64(..100_000));
    disk.set(Dial::IsLimited, 1);
    more_answers(&world, 20, 503);
    process.kill();
    senders.stop();
    disk.power_cut(&mut world.random);
    // Without any room it says so.
    disk.set(Dial::Room, 0);
    match Process::try_start(&world.setup, &world.history, &world.address) {
        Ok(process) => process.kill(),
        Err(log) => assert!(log.iter().any(|line| line.contains("disk is full")), "{log:#?}"),
    }
    disk.set(Dial::IsLimited, 0);
    world.settle_and_check();
}

/// How many events the list has; `None` where it says that it cannot tell.
fn listed(process: &Process) -> Option<usize> {
    let (status, body) = http::get(process.private, "/api/v1/events?limit=100").filter(|(status, _)| *status != 503)?;
    assert_eq!(status, 200, "{body}");
    let page: serde_json::Value = serde_json::from_str(&body).unwrap();
    Some(page["events"].as_array().unwrap().len())
}

/// Stores some events; how many.
fn store_some(world: &mut World) -> usize {
    let senders = world.senders();
    let process = world.start();
    more_answers(world, EVENTS, 200);
    senders.stop();
    process.settled();
    let stored = listed(&process).unwrap();
    assert!(stored >= acknowledged(world).len());
    process.kill();
    stored
}

/// Sends an event again that was acknowledged, as if its answer had not come.
fn send_again(world: &World) -> Option<Came> {
    let known = acknowledged(world);
    let sent = world.history.entries().into_iter().find_map(|entry| match entry.record {
        Record::Sent { id, entity, .. } if known.contains(&id) => Some((id, entity)),
        _ => None,
    });
    let (id, entity) = sent.unwrap();
    Sender::new(&world.history, &world.address, world.load, world.seed(), 0).send(&id, entity, 0)
}

#[test]
fn a_store_that_cannot_be_read_is_not_taken_for_an_empty_one() {
    let (mut world, disk) = on_a_disk("failing-read");
    let stored = store_some(&mut world);
    // It has just started: there is nothing in its memory that a list could be made of.
    let process = world.start();
    disk.set(Dial::ReadFails, -1);
    assert_eq!(listed(&process), None, "{stored} are there");
    assert!(disk.get(Dial::Struck) > 0, "something was read");
    process.kill();

    let reads: Vec<i64> = (0..world.rounds(STARTS)).map(|_| world.random.i64(1..60)).chain([-1]).collect();
    for read in reads {
        disk.set(Dial::ReadFails, read);
        let started = Process::try_start(&world.setup, &world.history, &world.address);
        let struck = disk.get(Dial::ReadFails) <= 0;
        disk.set(Dial::ReadFails, 0);
        match started {
            Ok(process) => {
                let told = until("the list", || listed(&process));
                assert_eq!(told, stored, "read {read} of the start failed, seed {}", world.seed());
                assert_eq!(send_again(&world), Some(Came::Acknowledged), "read {read} of the start failed");
                assert_eq!(listed(&process), Some(stored), "read {read}: sent again, seed {}", world.seed());
                process.kill();
            }
            Err(log) => assert!(struck && log.iter().any(|line| line.contains("cannot open")), "{log:#?}"),
        }
    }
    world.settle_and_check();
}

#[test]
fn reads_and_writes_that_do_less_than_they_were_asked_to_change_nothing() {
    let (mut world, disk) = on_a_disk("short");
    disk.set(Dial::IsShort, 1);
    let senders = world.senders();
    let process = world.start();
    more_answers(&world, 300, 200);
    senders.stop();
    let ended = process.stop();
    assert_eq!(ended.code, Some(0), "it took {:?}", ended.took);
    world.settle_and_check();
}
