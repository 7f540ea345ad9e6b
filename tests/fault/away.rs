//! The database is away for a while, from all processes.

use std::time::Duration;

use crate::history::{Did, Record};
use crate::replicas::Replica;
use crate::senders::{Load, Senders};
use crate::server::Server;
use crate::wait::until;
use crate::world::{PATIENT, World, seconds};

/// For how long it is away, where `WORKHOOK_POSTGRES_AWAY_SECONDS` does not say.
const SECONDS: u64 = 10;

#[test]
fn while_the_database_is_away_every_request_is_answered_503_in_time_and_then_all_goes_on_by_itself() {
    let (mut world, server) = (World::new("database-away"), Server::start());
    world.setup = world.setup.clone().server(&server.url);
    let mut replicas = Replica::several(&world, &server.url, PATIENT);
    replicas.iter_mut().for_each(Replica::start);
    replicas.iter().for_each(Replica::ready);
    let load = Load { senders: 3, pause_ms: 60, ..Load::default() };
    let senders: Vec<_> = (1..)
        .zip(&replicas)
        .map(|(round, replica)| Senders::start(&world.history, &replica.address, load, world.seed(), round))
        .collect();
    let acknowledged = || world.history.count(|record| matches!(record, Record::Answered { status: 200, .. }));
    until("requests are acknowledged", || (acknowledged() > 50).then_some(()));
    replicas.iter().for_each(|replica| replica.did(Did::StoreStopped));
    server.crash();
    let (before, sent) = (acknowledged(), world.history.entries().len());
    for replica in &replicas {
        let is_store = |(status, said): &(u16, String)| *status == 503 && said.contains("\"store\"");
        until("it says that the store is away", || replica.readyz().filter(is_store));
    }
    std::thread::sleep(Duration::from_secs(seconds("WORKHOOK_POSTGRES_AWAY_SECONDS", SECONDS)));
    assert_eq!(acknowledged(), before, "there was nothing to keep it in");
    let entries = world.history.entries();
    let declined = |entry: &&crate::history::Entry| matches!(entry.record, Record::Answered { status: 503, .. });
    let answered = entries[sent..].iter().filter(declined).count();
    assert!(answered >= 20, "requests were answered meanwhile: {answered}");
    server.again();
    replicas.iter().for_each(Replica::ready);
    until("requests are acknowledged again", || (acknowledged() > before + 50).then_some(()));
    senders.into_iter().for_each(Senders::stop);
    replicas[0].process().settled();
    replicas.iter_mut().for_each(Replica::kill);
    world.check(&world.rules());
}
