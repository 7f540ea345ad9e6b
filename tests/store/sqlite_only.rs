//! What SQLite promises beyond the trait: one process, others that read, a lock that somebody else holds, and one
//! commit for many.

use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use workhook::store::{Appended, OpenError, SqliteStore, Store, StoreError};
use workhook::wake::Wakes;

use crate::bench::{Fixture, PATIENCE, at, claim_request};
use crate::request::Request;
use crate::sqlite_fixture::SqliteFixture;

/// Within which an answer must be there, whoever holds a lock.
const DEADLINE: Duration = Duration::from_secs(2);

async fn open() -> (SqliteFixture, Arc<dyn Store>) {
    let mut fixture = SqliteFixture::fresh();
    let store = fixture.open(&Wakes::default()).await;
    (fixture, store)
}

/// Another program's connection.
fn connect(fixture: &SqliteFixture) -> Connection {
    Connection::open(fixture.database()).unwrap()
}

fn append(store: &Arc<dyn Store>, request: &Request) -> JoinHandle<Result<Appended, StoreError>> {
    let (store, accepted) = (Arc::clone(store), request.accepted());
    tokio::spawn(async move { store.append(accepted).await })
}

/// Waits until every task that was spawned before has been polled, and so has handed over what it has.
async fn handed_over() {
    // Tasks of this runtime are polled in the order in which they were spawned.
    tokio::spawn(async {}).await.unwrap();
}

/// Appends requests in their order while another program holds the lock, which it then gives back: they are written
/// in two batches at the most, because the first batch waits for the lock.
async fn append_in_two_batches(
    store: &Arc<dyn Store>,
    other: &Connection,
    requests: &[Request],
) -> Vec<Result<Appended, StoreError>> {
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let appends: Vec<_> = requests.iter().map(|request| append(store, request)).collect();
    handed_over().await;
    other.execute_batch("COMMIT").unwrap();
    let mut results = Vec::new();
    for append in appends {
        results.push(append.await.unwrap());
    }
    results
}

/// How many commits are in the write-ahead log.
fn commits(database: &Path) -> usize {
    let log = std::fs::read(database.with_extension("db-wal")).unwrap();
    let page_size = u32::from_be_bytes(log[8..12].try_into().unwrap());
    // Of the frames behind the log's header, the last of each commit says how large the database is.
    let frames = log[32..].chunks_exact(24 + usize::try_from(page_size).unwrap());
    frames.filter(|frame| frame[4..8] != [0; 4]).count()
}

fn is_unavailable<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Unavailable(_)))
}

#[tokio::test]
async fn ruling_23_a_store_belongs_to_one_process_and_is_free_when_it_is_closed() {
    let (fixture, store) = open().await;
    let again = SqliteStore::open(&fixture.config(), &Wakes::default());
    assert!(matches!(again, Err(OpenError::InUse { .. })), "{again:?}");
    store.close().await;
    SqliteStore::open(&fixture.config(), &Wakes::default()).unwrap().close().await;
}

#[tokio::test]
async fn ruling_23_a_store_that_is_dropped_finishes_what_it_has_before_another_may_begin() {
    let (fixture, store) = open().await;
    let other = connect(&fixture);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let appends: Vec<_> = (0..300).map(|_| append(&store, &Request::new())).collect();
    handed_over().await;
    for append in appends {
        append.abort();
        // It is not answered yet, because another program holds the lock; what was handed over is stored all the same.
        assert!(append.await.unwrap_err().is_cancelled());
    }
    drop(store);
    let again = SqliteStore::open(&fixture.config(), &Wakes::default());
    assert!(matches!(again, Err(OpenError::InUse { .. })), "{again:?}");
    other.execute_batch("COMMIT").unwrap();
    let again = tokio::time::timeout(PATIENCE, async {
        loop {
            match SqliteStore::open(&fixture.config(), &Wakes::default()) {
                Err(OpenError::InUse { .. }) => tokio::time::sleep(Duration::from_millis(1)).await,
                opened => break opened.unwrap(),
            }
        }
    });
    let again = again.await.expect("it is free at some time");
    assert_eq!(again.counts().await.unwrap().events, 300);
    again.close().await;
}

#[tokio::test]
async fn ruling_23_another_program_may_read_while_the_store_writes() {
    let (fixture, store) = open().await;
    let reader = Connection::open_with_flags(fixture.database(), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let count = || reader.query_row("SELECT count(*) FROM events", [], |row| row.get::<_, i64>(0)).unwrap();
    store.append(Request::new().accepted()).await.unwrap();
    assert_eq!(count(), 1);
    reader.execute_batch("BEGIN").unwrap();
    assert_eq!(count(), 1);
    for _ in 0..20 {
        store.append(Request::new().accepted()).await.unwrap();
    }
    assert_eq!(count(), 1, "a reader sees one state for as long as it reads");
    reader.execute_batch("COMMIT").unwrap();
    assert_eq!(count(), 21);
    store.close().await;
}

#[tokio::test]
async fn ruling_23_a_lock_that_another_program_holds_is_an_answer_in_time_and_passes() {
    let (fixture, store) = open().await;
    let other = connect(&fixture);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let began = Instant::now();
    let probed = store.probe().await;
    assert!(is_unavailable(&probed), "{probed:?}");
    assert!(began.elapsed() < DEADLINE, "{:?}", began.elapsed());
    assert_eq!(store.counts().await.unwrap().events, 0, "reading goes on");
    other.execute_batch("COMMIT").unwrap();
    store.probe().await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn ruling_07_when_the_commit_fails_neither_the_first_nor_its_duplicate_is_answered() {
    let (fixture, store) = open().await;
    let other = connect(&fixture);
    let request = Request::new();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (first, duplicate, claimed) = tokio::join!(
        store.append(request.accepted()),
        store.append(request.accepted()),
        store.claim(claim_request("crm", 1, at(0)))
    );
    assert!(is_unavailable(&first) && is_unavailable(&duplicate), "{first:?}, {duplicate:?}");
    assert!(is_unavailable(&claimed), "{claimed:?}");
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(store.counts().await.unwrap().events, 0);
    assert!(matches!(store.append(request.accepted()).await.unwrap(), Appended::Stored { .. }));
    assert!(matches!(store.append(request.accepted()).await.unwrap(), Appended::Duplicate { .. }));
    store.close().await;
}

#[tokio::test]
async fn ruling_24_what_waits_shares_a_commit() {
    let (fixture, store) = open().await;
    store.probe().await.unwrap();
    let before = commits(&fixture.database());
    let requests: Vec<Request> = (0..200).map(|_| Request::new()).collect();
    let probe = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.probe().await }
    });
    let results = append_in_two_batches(&store, &connect(&fixture), &requests).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    probe.await.unwrap().unwrap();
    let commits = commits(&fixture.database()) - before;
    assert!((1..=2).contains(&commits), "{commits} commits for 200 requests and a probe");
    store.close().await;
}

#[tokio::test]
async fn ruling_24_what_cannot_be_stored_fails_alone() {
    let (fixture, store) = open().await;
    let other = connect(&fixture);
    let triggers = "CREATE TRIGGER bad_row BEFORE INSERT ON events WHEN NEW.name = 'Bad.Row'
                    BEGIN SELECT RAISE(ABORT, 'bad'); END;
                    CREATE TRIGGER bad_unit BEFORE INSERT ON rejected BEGIN SELECT RAISE(ABORT, 'bad'); END;";
    other.execute_batch(triggers).unwrap();
    let mut requests: Vec<Request> = (0..20).map(|_| Request::new()).collect();
    requests[7] = Request::new().event("Bad.Row");
    requests[14] = requests[13].clone();
    let reject = tokio::spawn({
        let (store, rejected) = (Arc::clone(&store), Request::new().body("x").rejected());
        async move { store.reject(rejected).await }
    });
    let results = append_in_two_batches(&store, &other, &requests).await;
    assert!(is_unavailable(&reject.await.unwrap()));
    for (n, result) in results.iter().enumerate() {
        let as_expected = match n {
            7 => is_unavailable(result),
            14 => matches!(result, Ok(Appended::Duplicate { .. })),
            _ => matches!(result, Ok(Appended::Stored { .. })),
        };
        assert!(as_expected, "{n}: {result:?}");
    }
    assert_eq!(store.counts().await.unwrap().events, 18);
    store.close().await;
}

#[tokio::test]
async fn ruling_24_what_fails_alone_is_known_by_nothing() {
    let (fixture, store) = open().await;
    let first = Request::new();
    let Appended::Stored { id, .. } = store.append(first.accepted()).await.unwrap() else { panic!("it is new") };
    let other = connect(&fixture);
    let trigger = "CREATE TRIGGER bad BEFORE INSERT ON receipts BEGIN SELECT RAISE(ABORT, 'bad'); END";
    other.execute_batch(trigger).unwrap();
    // It is known by its body, and from then on would be by its own ID.
    let again = first.clone().id("another").retry(1);
    let results = append_in_two_batches(&store, &other, &[Request::new(), again.clone()]).await;
    assert!(results[0].is_ok() && is_unavailable(&results[1]), "{results:?}");
    other.execute_batch("DROP TRIGGER bad").unwrap();

    assert!(matches!(store.append(again.accepted()).await.unwrap(), Appended::Duplicate { .. }));
    let record = store.event(id).await.unwrap().unwrap();
    let matched: Vec<bool> = record.duplicates.iter().map(|receipt| receipt.matched_by_body).collect();
    assert_eq!(matched, [true], "by its ID it was not known yet");
    store.close().await;
}

#[tokio::test]
async fn an_answer_tells_what_stands_when_a_whole_batch_is_undone() {
    let (fixture, store) = open().await;
    let other = connect(&fixture);
    // A full disk ends a transaction in the same way.
    let trigger = "CREATE TRIGGER full BEFORE INSERT ON events WHEN NEW.name = 'Bad.Row'
                   BEGIN SELECT RAISE(ROLLBACK, 'bad'); END";
    other.execute_batch(trigger).unwrap();
    let mut requests: Vec<Request> = (0..20).map(|_| Request::new()).collect();
    requests[10] = Request::new().event("Bad.Row");
    let results = append_in_two_batches(&store, &other, &requests).await;
    assert!(is_unavailable(&results[10]), "{:?}", results[10]);
    other.execute_batch("DROP TRIGGER full").unwrap();
    for (request, result) in requests.iter().zip(&results) {
        let again = store.append(request.accepted()).await.unwrap();
        match result {
            Ok(Appended::Stored { id, .. }) => {
                assert_eq!(again, Appended::Duplicate { id: Some(*id), conflict: false });
            }
            Err(StoreError::Unavailable(_)) => assert!(matches!(again, Appended::Stored { .. }), "{again:?}"),
            other => panic!("{other:?}"),
        }
    }
    store.close().await;
}

#[tokio::test]
async fn the_folder_and_the_files_are_their_owner_s_alone() {
    let (fixture, store) = open().await;
    store.probe().await.unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let database = fixture.database();
    assert_eq!(mode(database.parent().unwrap()), 0o700);
    assert_eq!((mode(&database), mode(&database.with_extension("db-wal"))), (0o600, 0o600));
    store.close().await;
}

#[tokio::test]
async fn a_damaged_database_is_written_to_no_more_and_says_so() {
    let (mut fixture, store) = open().await;
    append(&store, &Request::new()).await.unwrap().unwrap();
    store.close().await;
    let connection = connect(&fixture);
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, u32>(0)).unwrap();
    let (page, size) = (number("SELECT rootpage FROM sqlite_schema WHERE name = 'events'"), number("PRAGMA page_size"));
    drop(connection);
    let file = std::fs::OpenOptions::new().write(true).open(fixture.database()).unwrap();
    file.write_all_at(&[0xff; 512], u64::from((page - 1) * size)).unwrap();

    let store = fixture.open(&Wakes::default()).await;
    let failed = append(&store, &Request::new()).await.unwrap();
    assert!(matches!(failed, Err(StoreError::Unavailable(_))), "{failed:?}");
    tokio::time::timeout(PATIENCE, store.failed()).await.expect("it says that it failed");
    let ended = append(&store, &Request::new()).await.unwrap();
    assert!(matches!(ended, Err(StoreError::Ended)), "{ended:?}");
    store.close().await;
}
