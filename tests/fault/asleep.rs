//! A process that is held for so long that others take over what it had claimed, and then goes on as if nothing had been.

use std::time::Duration;

use tokio_postgres::NoTls;

use crate::database::Database;
use crate::history::{Record, Told};
use crate::replicas::Replica;
use crate::senders::{Came, Load, Sender, Senders};
use crate::stores::Kind;
use crate::wait::{patiently, until};
use crate::world::{PATIENT, World};

/// How long before a delivery is due its process hears nothing any more.
const BEFORE_DUE_MS: i64 = 300;
/// The longest that a process may be silent, and a little.
const SILENT_MS: i64 = 10_050;

/// How long nothing happens in a transaction until whoever began it is taken for asleep in it, in milliseconds.
const LONG_MS: u64 = 300;
/// How long it is looked for such a transaction.
const HELD: Duration = Duration::from_millis(600);

/// Looks into the store.
struct Look {
    runtime: tokio::runtime::Runtime,
    client: tokio_postgres::Client,
}

impl Look {
    fn into(url: &str) -> Look {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (client, connection) = runtime.block_on(tokio_postgres::connect(url, NoTls)).unwrap();
        runtime.spawn(connection);
        Look { runtime, client }
    }

    /// A number out of it.
    fn number(&self, sql: &str) -> Option<i64> {
        self.runtime.block_on(self.client.query_opt(sql, &[])).unwrap()?.get(0)
    }

    /// Waits until this is true.
    #[track_caller]
    fn until(&self, what: &str, is_so: &str) {
        until(what, || self.number(&format!("SELECT 1::bigint WHERE {is_so}")));
    }
}

fn began(world: &World, by: u32, nth: u32) -> usize {
    let is = |record: &Record| matches!(record, Record::AttemptBegan { replica, attempt, .. } if (*replica, *attempt) == (by, nth));
    world.history.count(is)
}

/// Sends an event about an issue of its own.
fn send(sender: &mut Sender, id: &str) {
    assert_eq!(sender.send(id, fastrand::u64(..1 << 32), 0), Some(Came::Acknowledged));
}

#[test]
fn a_replica_that_was_asleep_between_a_claim_and_the_attempt_does_not_make_it() {
    let world = World::on(Kind::Postgres, "asleep");
    let url = world.setup.store_url();
    let [mut sleeper, mut other, _] = Replica::several(&world, &url, PATIENT);
    world
        .receiver
        .plan(|asked| if asked.id == "a" && asked.attempt == 1 { Told::FailedForSeconds(2) } else { Told::Taken });
    sleeper.start();
    sleeper.ready();
    let look = Look::into(&url);
    const NOW: &str = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    // So that it claims late in the time for which it was heard of.
    let heard = look.number("SELECT seen_at FROM processes").unwrap();
    look.until("it says that it is there", &format!("(SELECT seen_at FROM processes) > {heard}"));
    let mut sender = Sender::new(&world.history, &sleeper.address, Load::default(), world.seed(), 0);
    send(&mut sender, "a");
    let soon = format!("epoch = 1 AND NOT claimed AND ready_at < {NOW} + {BEFORE_DUE_MS}");
    look.until("it will soon be due again", &format!("EXISTS (SELECT FROM deliveries WHERE {soon})"));
    sleeper.way.hold();
    look.until("it is claimed", "EXISTS (SELECT FROM deliveries WHERE epoch = 2 AND claimed)");
    sleeper.process().hold();
    // What it had asked for lies before it when it wakes up.
    sleeper.way.mend();
    other.start();
    look.until("it seems to be gone", &format!("(SELECT min(seen_at) FROM processes) < {NOW} - {SILENT_MS}"));
    // Whoever opens the store looks at once what those had who are gone.
    let opened = look.runtime.block_on(Database::open_at(&url));
    until("another has taken over", || (began(&world, 1, 3) == 1).then_some(()));
    sleeper.process().resume();
    // It goes on, and takes part again.
    let mut ids = (0..).map(|nth| format!("more-{nth}"));
    until("it attempts something again", || {
        sender.send(&ids.next()?, fastrand::u64(..1 << 32), 0);
        (began(&world, 0, 1) > 1).then_some(())
    });
    drop(opened);
    other.process().settled();
    assert_eq!(began(&world, 0, 2), 0, "what it had claimed was no longer its own");
    [&mut sleeper, &mut other].into_iter().for_each(Replica::kill);
    world.check(&world.rules());
}

#[test]
fn the_results_of_a_replica_that_was_asleep_are_refused_and_it_counts_them() {
    let mut world = World::on(Kind::Postgres, "refused-results");
    let url = world.setup.store_url();
    // No attempt ends by its time-out meanwhile.
    let [mut sleeper, mut other, _] = Replica::several(&world, &url, &PATIENT.replace("\"1s\"", "\"60s\""));
    world.receiver.plan(|asked| if asked.replica == 0 { Told::TakenAfter(300) } else { Told::Taken });
    sleeper.start();
    let senders = Senders::start(&world.history, &sleeper.address, world.load, world.seed(), 1);
    until("attempts are under way", || (began(&world, 0, 1) > 20).then_some(()));
    other.start();
    world.pause(100, 300);
    sleeper.process().hold();
    senders.stop();
    let look = Look::into(&url);
    until("others have made them again", || (began(&world, 1, 2) > 0).then_some(()));
    look.until("all is done", "NOT EXISTS (SELECT FROM deliveries WHERE state = 'pending')");
    sleeper.process().resume();
    until("it counts that they were refused", || (sleeper.counted("lost") > 0).then_some(()));
    let said = || sleeper.process().log().iter().any(|line| line.contains("a result was refused")).then_some(());
    until("it says so", said);
    other.process().settled();
    [&mut sleeper, &mut other].into_iter().for_each(Replica::kill);
    world.check(&crate::checker::Rules { timeout_ms: 60_000, ..world.rules() });
}

#[test]
fn a_replica_that_falls_asleep_in_a_transaction_holds_up_nobody() {
    let world = World::on(Kind::Postgres, "in-transaction");
    let url = world.setup.store_url();
    let [mut sleeper, mut other, _] = Replica::several(&world, &url, PATIENT);
    sleeper.start();
    sleeper.ready();
    let look = Look::into(&url);
    // It plans, and most of the time that takes it waits for the database, in a transaction.
    sleeper.way.delay(Duration::from_millis(100));
    let senders = Senders::start(&world.history, &sleeper.address, world.load, world.seed(), 1);
    let planning = ["DELETE FROM unplanned", "INSERT INTO deliveries", "INSERT INTO verdicts", "INSERT INTO plans"];
    let planning = planning.map(|beginning| format!("query LIKE '{beginning}%'")).join(" OR ");
    let asleep = format!(
        "SELECT 1::bigint FROM pg_stat_activity WHERE state = 'idle in transaction' AND ({planning})
             AND application_name = '{}' AND state_change < clock_timestamp() - interval '{LONG_MS} ms'",
        sleeper.name
    );
    until("it fell asleep in one", || {
        sleeper.process().hold();
        let found = patiently(HELD, || look.number(&asleep));
        if found.is_none() {
            sleeper.process().resume();
            std::thread::sleep(Duration::from_millis(fastrand::u64(300..900)));
        }
        found
    });
    senders.stop();
    other.start();
    let mut sender = Sender::new(&world.history, &other.address, Load::default(), world.seed(), 0);
    send(&mut sender, "behind");
    let planned = "EXISTS (SELECT FROM deliveries d JOIN events e USING (position) WHERE e.occurrence_id = 'behind')";
    look.until("another plans", planned);
    sleeper.way.mend();
    sleeper.process().resume();
    other.process().settled();
    [&mut sleeper, &mut other].into_iter().for_each(Replica::kill);
    world.check(&world.rules());
}

impl Database {
    /// Opens the store at an address as a process does; closed when it is dropped.
    async fn open_at(url: &str) -> workhook::store::PostgresStore {
        let settings = workhook::store::PostgresSettings::new(workhook::secret::Secret::new(url.to_owned()));
        let metrics = workhook::store::Metrics::default();
        workhook::store::PostgresStore::open(&settings, &workhook::wake::Wakes::default(), metrics).await.unwrap()
    }
}
