//! Three processes behind nginx under load, on a server of their own: each is killed and started again, the server
//! crashes, and connections to it are cut, lost and slowed down, by a plan that the seed makes.

use std::time::Duration;

use crate::checker::{Front, Rules};
use crate::driver::Address;
use crate::front;
use crate::history::{Did, Record, Told};
use crate::replicas::{COUNT, Replica};
use crate::senders::{Load, Senders};
use crate::server::Server;
use crate::world::{PATIENT, World, seconds};

/// How long it takes, where `WORKHOOK_REPLICAS_SECONDS` does not say.
const SECONDS: u64 = 60;
/// How many attempts a process has under way: `PATIENT` says so.
const CONCURRENCY: usize = 8;
/// For how long nginx leaves a process alone that it could not reach, and a little.
const NGINX_MINDS_FOR_MS: u64 = 6000;
/// How much later an answer is by way of nginx, at the most.
const NGINX_ADDS_MS: u64 = 300;
/// The least that is acknowledged in a second.
const ACKNOWLEDGED_MIN: u64 = 40;

/// What is done. Times are milliseconds.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// A process is killed and started again.
    Kill(usize),
    /// Its connections to the server are cut, and no other gets through for so long.
    Cut(usize, u64),
    /// They are lost without a word.
    Lose(usize),
    /// Whatever goes over them takes so much longer, for so long.
    Delay(usize, u64, u64),
    /// The server crashes and is away for so long; meanwhile this one is killed, if any.
    Crash(u64, Option<usize>),
}

/// The faults, each with how long nothing is done before it. The server crashes twice, and each process is killed as often
/// as the others, and once at least.
fn plan(random: &mut fastrand::Rng, seconds: u64) -> Vec<(u64, Fault)> {
    let (mut at, mut crashes, mut plan) = (0, 0, Vec::new());
    let mut order: Vec<usize> = (0..COUNT).collect();
    random.shuffle(&mut order);
    let mut turns = order.iter().copied().cycle();
    while at < seconds * 1000 {
        let (pause, replica) = (random.u64(500..3000), random.usize(..COUNT));
        let (fault, takes) = if at >= (crashes + 1) * seconds * 1000 / 3 && crashes < 2 {
            crashes += 1;
            let away = random.u64(500..4000);
            (Fault::Crash(away, random.bool().then_some(replica)), away + 1000)
        } else {
            match random.u8(..10) {
                0..6 => (Fault::Kill(turns.next().unwrap_or(replica)), 1000),
                // Now and then for so long that others take it for gone.
                6 => (Fault::Cut(replica, 12_000), 12_000),
                7 => (Fault::Cut(replica, random.u64(0..2000)), 1000),
                8 => (Fault::Lose(replica), 0),
                _ => (Fault::Delay(replica, random.u64(10..200), 2000), 2000),
            }
        };
        at += pause + takes;
        plan.push((pause, fault));
    }
    let kills = plan.iter().filter(|(_, fault)| matches!(fault, Fault::Kill(_))).count();
    plan.extend(order.iter().skip(kills).map(|which| (500, Fault::Kill(*which))));
    plan
}

#[test]
fn three_replicas_behind_nginx_lose_nothing_whatever_is_done_to_them_and_to_the_database() {
    let (mut world, server) = (World::new("replicas"), Server::start());
    world.setup = world.setup.clone().server(&server.url);
    let seconds = seconds("WORKHOOK_REPLICAS_SECONDS", SECONDS);
    let plan = plan(&mut world.random, seconds);
    let mut replicas = Replica::several(&world, &server.url, PATIENT);
    replicas.iter_mut().for_each(Replica::start);
    replicas.iter().for_each(Replica::ready);
    let front = front::Front::start(std::array::from_fn(|number| replicas[number].public));
    let seed = world.seed();
    world.receiver.plan(move |asked| match World::fate(seed, asked, 40) {
        0 => Told::Failed,
        1 => Told::Closed,
        2..10 => Told::TakenAfter(20),
        _ => Told::Taken,
    });
    world.load = Load { senders: 12, pause_ms: 80, ..Load::default() };
    let senders = Senders::start(&world.history, &Address::of(front.address), world.load, seed, 1);
    for (pause, fault) in plan {
        wait(pause);
        eprintln!("{fault:?}");
        inflict(&mut replicas, &server, fault);
    }
    wait(1000);
    senders.stop();
    replicas.iter().for_each(Replica::ready);
    replicas[0].process().settled();
    replicas.iter_mut().for_each(Replica::kill);
    let front = Some(Front { adds_ms: NGINX_ADDS_MS, minds_for_ms: NGINX_MINDS_FOR_MS });
    world.check(&Rules { concurrency: Some(CONCURRENCY), front, ..world.rules() });
    let acknowledged = world.history.count(|record| matches!(record, Record::Answered { status: 200, .. }));
    assert!(acknowledged as u64 >= seconds * ACKNOWLEDGED_MIN, "the load reached them: {acknowledged}");
}

fn wait(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

/// Does it; everything is up again afterwards.
fn inflict(replicas: &mut [Replica; COUNT], server: &Server, fault: Fault) {
    match fault {
        Fault::Kill(which) => {
            replicas[which].kill();
            replicas[which].start();
        }
        Fault::Cut(which, ms) => {
            replicas[which].did(Did::CutOff);
            replicas[which].way.cut();
            wait(ms);
            replicas[which].way.mend();
        }
        Fault::Lose(which) => {
            replicas[which].did(Did::CutOff);
            replicas[which].way.lose();
        }
        Fault::Delay(which, by_ms, ms) => {
            replicas[which].way.delay(Duration::from_millis(by_ms));
            wait(ms);
            replicas[which].way.mend();
        }
        Fault::Crash(ms, killed) => {
            replicas.iter().for_each(|replica| replica.did(Did::StoreStopped));
            server.crash();
            if let Some(which) = killed {
                replicas[which].kill();
            }
            wait(ms);
            server.again();
            if let Some(which) = killed {
                replicas[which].start();
            }
        }
    }
}
