//! The same request reaches several processes at the same moment.

use std::sync::Barrier;

use crate::history::Record;
use crate::replicas::Replica;
use crate::senders::{Came, Load, Sender};
use crate::stores::Kind;
use crate::world::{PATIENT, World};

/// How many requests there are.
const ROUNDS: usize = 1000;
/// How many issues they are about.
const ENTITIES: u64 = 30;

#[test]
fn the_same_request_to_three_replicas_at_once_is_one_event_and_acknowledged_by_each() {
    let world = World::on(Kind::Postgres, "at-once");
    let mut replicas = Replica::several(&world, &world.setup.store_url(), PATIENT);
    replicas.iter_mut().for_each(Replica::start);
    let barrier = Barrier::new(replicas.len());
    std::thread::scope(|scope| {
        for (number, replica) in (0..).zip(&replicas) {
            let mut sender = Sender::new(&world.history, &replica.address, Load::default(), world.seed(), number);
            let barrier = &barrier;
            scope.spawn(move || {
                for (round, entity) in (0..ROUNDS).zip((0..ENTITIES).cycle()) {
                    barrier.wait();
                    let came = sender.send(&format!("at-once-{round}"), entity, 0);
                    assert_eq!(came, Some(Came::Acknowledged), "round {round}");
                }
            });
        }
    });
    replicas[0].process().settled();
    replicas.iter_mut().for_each(Replica::kill);
    world.check(&world.rules());
    let count = |is: fn(&Record) -> bool| world.history.count(is);
    let acknowledged = count(|record| matches!(record, Record::Answered { status: 200, errcode: Some(0), .. }));
    assert_eq!((acknowledged, count(|record| matches!(record, Record::Stored { .. }))), (3 * ROUNDS, ROUNDS));
    assert_eq!(count(|record| matches!(record, Record::AttemptBegan { .. })), ROUNDS, "each is handled once");
}
