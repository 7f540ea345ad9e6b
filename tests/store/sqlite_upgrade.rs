//! A database that an earlier version made: it opens, nothing is lost, and what is counted now is counted of all.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use refinery::{Migration, Runner};
use rusqlite::Connection;
use rusqlite::types::Value;
use workhook::model::{DeliveryId, DeliveryState, Ended, EventFilter, EventOutcome, NextStep, Position};
use workhook::store::{Appended, EventQuery, RejectedQuery, Settled, Store};
use workhook::wake::Wakes;

use crate::bench::{ALL, Bench, Fixture, LEASE, at, positions};
use crate::request::Request;
use crate::sqlite_fixture::SqliteFixture;

/// What the first version's migration is known by, in every database that it made. It never changes.
const FIRST_CHECKSUM: u64 = 1_873_018_087_063_765_334;
/// One of everything that the first version kept: five events are planned and one is not; `crm` has them in one lane.
const KEPT: &str = include_str!("sqlite_v1.sql");
/// What the first version kept it in.
const TABLES: [&str; 12] = [
    "events",
    "keys",
    "duplicates",
    "receipts",
    "verdicts",
    "plans",
    "deliveries",
    "attempts",
    "rejected",
    "refusals",
    "marks",
    "sqlite_sequence",
];

/// A place with a database of the first version, which ended while an attempt was under way.
struct FirstVersion(SqliteFixture);

#[async_trait]
impl Fixture for FirstVersion {
    fn fresh() -> FirstVersion {
        let fixture = SqliteFixture::fresh();
        let path = fixture.database();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut connection = Connection::open(path).unwrap();
        let settings =
            "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA application_id = 0x776b686b; PRAGMA journal_mode = WAL";
        connection.execute_batch(settings).unwrap();
        let sql = include_str!("../../src/store/sqlite/migrations/V1__first.sql");
        let first = Migration::unapplied("V1__first", sql).unwrap();
        assert_eq!(first.checksum(), FIRST_CHECKSUM, "databases of the first version would not open any more");
        Runner::new(&[first]).set_grouped(true).run(&mut connection).unwrap();
        connection.execute_batch(KEPT).unwrap();
        FirstVersion(fixture)
    }

    fn kind(&self) -> &'static str {
        "sqlite of the first version"
    }

    async fn open(&mut self, wakes: &Wakes) -> Arc<dyn Store> {
        let before = kept(self.0.database());
        let store = self.0.open(wakes).await;
        assert_eq!(kept(self.0.database()), before, "nothing is lost, and nothing is changed");
        store
    }

    async fn kill(&mut self, store: Arc<dyn Store>) {
        self.0.kill(store).await;
    }
}

/// Every row of the first version's tables, as far as it knew them.
fn kept(database: PathBuf) -> Vec<(&'static str, Vec<Vec<Value>>)> {
    let connection = Connection::open(database).unwrap();
    let rows = |table| {
        // An attempt that was under way is over, and what it held is due.
        let columns = match table {
            "deliveries" => {
                "id, position, handler, number, lane, state, iif(claimed, 0, ready_at), claimed, epoch,
                             attempts, reason, planned_at, settled_at"
            }
            "keys" => "hash, position, expires_at",
            "rejected" => "id, received_at, webhook, brand, claimed_webhook_id, peer, reason, headers, body",
            _ => "*",
        };
        let only = match table {
            "marks" => "name IN ('planned', 'stalled', 'stalled_at', 'rejected_bytes', 'probe')",
            "sqlite_sequence" => "name IN ('events', 'deliveries', 'rejected')",
            _ => "true",
        };
        let is_moved = table == "keys" && connection.table_exists(None, "old_keys").unwrap();
        let place = if is_moved { "old_keys" } else { table };
        let mut statement = connection.prepare(&format!("SELECT {columns} FROM {place} WHERE {only}")).unwrap();
        let width = statement.column_count();
        let row = |row: &rusqlite::Row<'_>| (0..width).map(|column| row.get(column)).collect();
        let rows: Vec<Vec<Value>> = statement.query_map([], row).unwrap().collect::<Result<_, _>>().unwrap();
        assert!(!rows.is_empty(), "there is something in {table}");
        (table, rows)
    };
    TABLES.map(rows).to_vec()
}

#[tokio::test]
async fn a_database_of_the_first_version_opens_with_all_that_it_has() {
    let mut bench = Bench::fresh::<FirstVersion>().await;
    let counts = bench.store.counts().await.unwrap();
    assert_eq!((counts.events, counts.unplanned, counts.rejected, counts.uncatalogued), (6, 1, 2, 6));
    assert_eq!(counts.oldest_pending, Some(at(1)));
    let expected = [
        (1, "crm", DeliveryState::Delivered, 1),
        (2, "crm", DeliveryState::Dead, 2),
        (3, "crm", DeliveryState::Pending, 1),
        (4, "crm", DeliveryState::Pending, 0),
        (5, "log", DeliveryState::Pending, 1),
        (6, "log", DeliveryState::Cancelled, 0),
    ];
    let deliveries = bench.deliveries().await;
    let there = deliveries.iter().map(|one| (one.id.0, one.handler.as_str(), one.state, one.attempts));
    assert_eq!(there.collect::<Vec<_>>(), expected);
    assert!(deliveries.iter().all(|one| one.retried == 0 && one.replay.is_none()));
    bench.assert_tallies().await;

    let of = |filter| bench.store.events(EventQuery { limit: ALL, filter, ..EventQuery::default() });
    let events = of(EventFilter::default()).await.unwrap().items;
    assert_eq!(events.iter().map(|row| (row.receipts, row.planned)).collect::<Vec<_>>()[..2], [(1, false), (1, true)]);
    let first = bench.record(events[5].event.id).await;
    assert_eq!((first.receipts, first.duplicates.len(), first.planned_at), (3, 2, Some(at(1))));
    for (outcome, position) in [
        (EventOutcome::Has(DeliveryState::Dead), 2),
        (EventOutcome::Has(DeliveryState::Cancelled), 5),
        (EventOutcome::Unplanned, 6),
    ] {
        let found = of(EventFilter { outcome: Some(outcome), ..EventFilter::default() }).await.unwrap().items;
        assert_eq!(found.iter().map(|row| row.event.position.0).collect::<Vec<_>>(), [position], "{outcome:?}");
    }
    let rejected = bench.store.rejected(RejectedQuery { limit: ALL, ..RejectedQuery::default() }).await.unwrap().items;
    assert_eq!(rejected.iter().map(|row| row.reason.as_str()).collect::<Vec<_>>(), ["the second", "the first"]);
    assert!(rejected.iter().all(|row| row.became.is_none()));
    bench.reopen().await;
    bench.assert_tallies().await;
    bench.store.close().await;
}

#[tokio::test]
async fn a_database_of_the_first_version_goes_on_where_it_was() {
    let mut bench = Bench::fresh::<FirstVersion>().await;
    let lost = bench.claim_one("crm", at(10)).await;
    assert_eq!((lost.id, lost.attempt, lost.allowed_attempt), (DeliveryId(3), 2, 2));
    let history = bench.delivery(lost.id).await.history;
    assert_eq!(history.iter().map(|attempt| attempt.outcome.ended).collect::<Vec<_>>(), [Ended::Lost]);
    assert_eq!(bench.settle(&lost, NextStep::Delivered, at(11)).await, Settled::Kept);
    let ids = vec![DeliveryId(2), DeliveryId(6)];
    assert_eq!(bench.store.retry(ids, at(12)).await.unwrap(), 2);
    bench.kill().await;
    assert_eq!(positions(&bench.claim_all("crm", at(12)).await), [Position(4), Position(2)]);
    let of_log = bench.claim("log", ALL, at(12)).await;
    assert_eq!((positions(&of_log.claimed), of_log.next_at), (vec![Position(5)], Some(at(50))));
    assert_eq!(bench.claim_all("log", at(50)).await.len(), 1);
    assert_eq!(bench.claim("crm", ALL, at(12)).await.next_at, Some(at(12 + LEASE)));

    let (_, position) = bench.stored(&Request::new()).await;
    assert_eq!(position, Position(7));
    let unplanned = bench.store.unplanned(ALL).await.unwrap();
    assert_eq!(unplanned.iter().map(|event| event.position.0).collect::<Vec<_>>(), [6, 7]);
    while bench.store.catalogue(4).await.unwrap() > 0 {}
    assert_eq!(bench.store.counts().await.unwrap().uncatalogued, 0);
    bench.assert_tallies().await;
    bench.store.close().await;
}

/// Puts the newest keys back to where the fourth version had them, a row for each.
fn as_the_fourth_version_had_it(database: PathBuf) {
    let connection = Connection::open(database).unwrap();
    let fourth = include_str!("../../src/store/sqlite/migrations/V4__key_generations.sql");
    let (_, table) = fourth.split_once("CREATE TABLE new_keys").unwrap();
    let (columns, _) = table.split_once(';').unwrap();
    connection.execute_batch(&format!("CREATE TABLE new_keys{columns}")).unwrap();
    for (daily, from) in [(true, "daily_keys"), (false, "lasting_keys")] {
        let mut rows = connection.prepare(&format!("SELECT keys FROM {from} ORDER BY number")).unwrap();
        let rows: Vec<Vec<u8>> = rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        for (number, key) in (1_i64..).zip(rows.concat().chunks(32)) {
            let number_at = |at: usize| i64::from_be_bytes(key[at..at + 8].try_into().unwrap());
            let values = rusqlite::params![daily, number, &key[..16], number_at(16), number_at(24)];
            connection.execute("INSERT INTO new_keys VALUES (?1, ?2, ?3, ?4, ?5)", values).unwrap();
        }
        connection.execute_batch(&format!("DROP TABLE {from}")).unwrap();
    }
    connection.execute_batch("DROP TABLE copying; DELETE FROM refinery_schema_history WHERE version > 4").unwrap();
}

#[tokio::test]
async fn what_the_fourth_version_knew_repetitions_by_is_known_still() {
    let (wakes, mut fixture) = (Wakes::default(), SqliteFixture::fresh());
    let store = fixture.open(&wakes).await;
    let requests: Vec<Request> = (0..3).map(|n| Request::new().id(&format!("known-{n}"))).collect();
    for request in &requests {
        assert!(matches!(store.append(request.accepted()).await.unwrap(), Appended::Stored { .. }));
    }
    store.close().await;
    as_the_fourth_version_had_it(fixture.database());
    let store = fixture.open(&wakes).await;
    for (n, request) in requests.iter().enumerate() {
        let by_body = request.clone().id(&format!("another-{n}")).retry(1);
        for request in [request, &by_body] {
            let again = store.append(request.accepted()).await.unwrap();
            assert!(matches!(again, Appended::Duplicate { id: Some(_), conflict: false }), "{again:?}");
        }
    }
    assert!(matches!(store.append(Request::new().id("new").accepted()).await.unwrap(), Appended::Stored { .. }));
    store.close().await;
}
