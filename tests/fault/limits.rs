//! What the process may have is used up: descriptors, memory. It says no, does not spin, and goes on.

use std::net::TcpStream;
use std::time::Duration;

use crate::driver::Process;
use crate::history::Did;
use crate::http::Connection;
use crate::senders::{Came, Load, Sender};
use crate::wait::until;
use crate::world::World;

/// More descriptors than it needs to start, and far fewer than the connections that come.
const DESCRIPTORS: &str = "-n 80";
const CONNECTIONS: usize = 150;
/// How much more memory it may take than it has when it runs, in KiB: a few large requests.
const MEMORY_LEFT_KIB: u64 = 8 << 10;
/// How long it is watched while it can accept nothing.
const WATCHED: Duration = Duration::from_secs(1);
/// How much of the processor it may use in that time.
const BUSY_MAX: Duration = Duration::from_millis(300);

/// Connections that have begun a request and do not go on with it. None is idle, so none is closed for another.
fn begun(process: &Process) -> Vec<TcpStream> {
    let open = |_| {
        Connection::open(process.public).map(|mut connection| {
            connection.write(b"POST /webhook HTTP/1.1\r\nhost:");
            connection.stream
        })
    };
    (0..CONNECTIONS).filter_map(open).collect()
}

#[test]
fn without_descriptors_it_does_not_spin_and_with_them_it_takes_events_again() {
    let mut world = World::new("descriptors");
    world.setup = world.setup.clone().limit(DESCRIPTORS);
    let process = world.start();
    let senders = world.senders();
    world.pause(200, 300);
    senders.stop();
    world.history.process(Did::Starved);
    let open = begun(&process);
    let short = |line: &String| line.contains("could not be accepted");
    until("it can accept no more", || process.log().iter().any(short).then_some(()));
    let before = process.processor_time();
    std::thread::sleep(WATCHED);
    let busy = process.processor_time() - before;
    drop(open);
    assert!(busy < BUSY_MAX, "it used the processor for {busy:?} of {WATCHED:?}");
    let mut sender = Sender::new(&world.history, &world.address, Load::default(), world.seed(), 99);
    until("it takes an event again", || (sender.send("after-all", 99, 0) == Some(Came::Acknowledged)).then_some(()));
    world.history.process(Did::Relieved);
    let senders = world.senders();
    world.pause(200, 300);
    senders.stop();
    process.settled();
    process.kill();
    world.check(&world.rules());
}

#[test]
fn out_of_memory_it_says_no_or_ends_and_loses_nothing_that_it_acknowledged() {
    let mut world = World::new("memory");
    let process = world.start();
    let senders = world.senders();
    world.pause(200, 300);
    senders.stop();
    world.history.process(Did::Starved);
    let left = process.limit_memory(MEMORY_LEFT_KIB);
    world.load = Load { senders: 8, pause_ms: 1, ballast: 2 << 20, ..world.load };
    let senders = world.senders();
    world.pause(1500, 2000);
    senders.stop();
    let (needed, end) = (process.memory_kib("VmData"), process.end_now());
    assert!(end.is_some() || needed + (2 << 10) > left, "it came to the limit of {left} KiB, or near: {needed}");
    world.load = Load::default();
    let senders = world.senders();
    let process = world.start();
    world.pause(200, 300);
    senders.stop();
    process.kill();
    world.settle_and_check();
}
