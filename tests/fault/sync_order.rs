//! The order in which things happen on the way to an answer: what it acknowledges is written, the sync of that has
//! ended, and only then the answer is sent (promise 1).

use std::collections::{BTreeMap, BTreeSet};
use std::thread;

use crate::disk::Dial;
use crate::http::Connection;
use crate::power::on_a_disk;
use crate::senders::bytes;

/// How many connections there are, and how many requests each sends.
const CONNECTIONS: u64 = 8;
const REQUESTS: u64 = 150;

/// Sends requests one after the other on one connection: its port, and the ids that were acknowledged.
fn send(to: std::net::SocketAddr, connection: u64) -> (u16, Vec<String>) {
    let mut open = Connection::open(to).unwrap();
    let port = open.stream.local_addr().unwrap().port();
    let send = |n| {
        let id = format!("seen-{connection:02}{n:06}");
        assert!(open.write(&bytes(&id, connection, 0, 0)), "{id} is sent");
        let answer = open.read().unwrap();
        assert_eq!(answer.status(), Some(200), "{answer:?}");
        id
    };
    (port, (0..REQUESTS).map(send).collect())
}

/// The ids that were acknowledged before a sync had ended that began after they were written.
fn too_early(trace: &[String], sent: &BTreeMap<u16, Vec<String>>) -> Vec<String> {
    let mut answers: BTreeMap<u16, _> = sent.iter().map(|(port, ids)| (*port, ids.iter())).collect();
    let (mut written, mut syncing, mut synced) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut early = Vec::new();
    for line in trace {
        let mut words = line.split(' ');
        match words.next() {
            Some("wrote") => written.extend(words.filter(|id| !synced.contains(id))),
            Some("sync") => syncing.append(&mut written),
            Some("synced") => synced.append(&mut syncing),
            Some("answered") => {
                let port = words.next().and_then(|port| port.parse().ok());
                let acknowledged = port.and_then(|port: u16| answers.get_mut(&port)?.next());
                early.extend(acknowledged.filter(|id| !synced.contains(id.as_str())).cloned());
            }
            _ => panic!("{line:?} is nothing that disk.c writes down"),
        }
    }
    let left: usize = answers.values().map(std::iter::ExactSizeIterator::len).sum();
    assert_eq!(left, 0, "answers that were not seen");
    early
}

#[test]
fn no_answer_is_sent_before_the_sync_of_what_it_acknowledges_has_ended() {
    let (world, disk) = on_a_disk("sync-order");
    disk.set(Dial::IsTraced, 1);
    let process = world.start();
    let to = process.public;
    let senders: Vec<_> = (0..CONNECTIONS).map(|connection| thread::spawn(move || send(to, connection))).collect();
    let sent: BTreeMap<_, _> = senders.into_iter().map(|sender| sender.join().unwrap()).collect();
    process.stop();
    let early = too_early(&disk.trace(), &sent);
    eprintln!("{} of {} answers were sent too early", early.len(), CONNECTIONS * REQUESTS);
    assert!(early.is_empty(), "{early:?}");
}

#[track_caller]
fn check(trace: &str, expected: &[&str]) {
    let sent = BTreeMap::from([(1, vec!["a".to_owned(), "b".to_owned()])]);
    let trace: Vec<_> = trace.split(", ").map(str::to_owned).collect();
    assert_eq!(too_early(&trace, &sent), expected, "{trace:?}");
}

#[test]
fn an_answer_that_is_too_early_is_seen() {
    check("wrote a b, sync, synced, answered 1, answered 1", &[]);
    check("wrote a, sync, synced, answered 1, wrote a b, sync, synced, answered 9, answered 1", &[]);
    check("wrote a b, sync, answered 1, synced, answered 1", &["a"]);
    check("wrote a, sync, wrote b, synced, answered 1, answered 1", &["b"]);
    check("answered 1, answered 1, wrote a b, sync, synced", &["a", "b"]);
}
