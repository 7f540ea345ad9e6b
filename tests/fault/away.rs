//! The database is away for a while, from all processes.

use std::time::Duration;

use crate::history::{Did, Record};
use crate::replicas::Replica;
use crate::senders::{Load, Senders};
use crate::server::Server;
use crate::stores::Kind;
use crate::wait::until;
use crate::world::{PATIENT, World, seconds};

/// For how long it is away, where `WORKHOOK_POSTGRES_AWAY_SECONDS` does not say.
const SECONDS: u64 = 10;
/// How many send to each process.
const SENDERS: u64 = 3;

#[test]
fn while_the_database_is_away_every_request_is_answered_503_in_time_and_then_all_goes_on_by_itself() {
    let (mut world, server) = (World::new("database-away"), Server::start());
    world.setup = world.setup.clone().server(&server.url);
    let go = |replicas: &[Replica]| {
        replicas.iter().for_each(|replica| replica.did(Did::StoreStopped));
        server.crash();
    };
    while_away(&world, &server.url, go, |_| server.again());
}

#[test]
fn while_the_database_says_nothing_every_request_is_answered_503_in_time_and_then_all_goes_on_by_itself() {
    let world = World::on(Kind::Postgres, "database-silent");
    let go = |replicas: &[Replica]| {
        for replica in replicas {
            replica.did(Did::CutOff);
            replica.way.hold();
        }
    };
    while_away(&world, &world.setup.store_url(), go, |replicas| replicas.iter().for_each(|replica| replica.way.mend()));
}

/// Three processes under load, from which the database goes away and to which it comes back.
fn while_away(world: &World, url: &str, go: impl Fn(&[Replica]), come_back: impl Fn(&[Replica])) {
    let mut replicas = Replica::several(world, url, PATIENT);
    replicas.iter_mut().for_each(Replica::start);
    replicas.iter().for_each(Replica::ready);
    let senders: Vec<_> = (1..)
        .zip(&replicas)
        .map(|(round, replica)| {
            // What two processes store at the same moment has no order to keep, so no two senders share an issue.
            let load = Load { senders: SENDERS, first: round * SENDERS, pause_ms: 60, ..Load::default() };
            Senders::start(&world.history, &replica.address, load, world.seed(), round)
        })
        .collect();
    let acknowledged = || world.history.count(|record| matches!(record, Record::Answered { status: 200, .. }));
    until("requests are acknowledged", || (acknowledged() > 50).then_some(()));
    go(&replicas);
    for replica in &replicas {
        let is_store = |(status, said): &(u16, String)| *status == 503 && said.contains("\"store\"");
        until("it says that the store is away", || replica.readyz().filter(is_store));
    }
    let declined = || world.history.count(|record| matches!(record, Record::Answered { status: 503, .. }));
    let before = (acknowledged(), declined());
    std::thread::sleep(Duration::from_secs(seconds("WORKHOOK_POSTGRES_AWAY_SECONDS", SECONDS)));
    assert_eq!(acknowledged(), before.0, "there was nothing to keep it in");
    assert!(
        (declined() - before.1) as u64 > 2 * SENDERS,
        "requests were answered meanwhile: {}",
        declined() - before.1
    );
    come_back(&replicas);
    replicas.iter().for_each(Replica::ready);
    until("requests are acknowledged again", || (acknowledged() > before.0 + 50).then_some(()));
    senders.into_iter().for_each(Senders::stop);
    replicas[0].process().settled();
    replicas.iter_mut().for_each(Replica::kill);
    world.check(&world.rules());
}
