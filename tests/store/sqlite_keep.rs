//! What SQLite promises of keeping within bounds: nothing of what was forgotten is left in its files, and a disk that
//! is nearly full takes nothing more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use workhook::contract::{Accepted, Notice, NoticeKind};
use workhook::model::{EventFilter, NewReplay, NextStep, Position, ReplayTo, ReplayedEvents};
use workhook::store::{
    Appended, DiskFree, ForgetAbout, ForgetStep, Forgotten, Left, PruneRequest, SqliteSettings, SqliteStore, Store,
    StoreError,
};
use workhook::wake::Wakes;

use crate::bench::{ALL, Bench, Fixture, PATIENCE, at, plan, to};
use crate::request::Request;
use crate::sqlite_fixture::SqliteFixture;

/// Something that stands nowhere else, in the letters of the body and of the catalogue.
const MARKER: &str = "zanzibarcelona";

/// How often the marker stands in the files of a database.
fn marks(config: &SqliteSettings) -> usize {
    let database = config.path.to_str().unwrap();
    let in_file = |path: String| {
        let bytes = std::fs::read(path).unwrap_or_default().to_ascii_lowercase();
        bytes.windows(MARKER.len()).filter(|window| *window == MARKER.as_bytes()).count()
    };
    [database.to_owned(), format!("{database}-wal"), format!("{database}-shm")].into_iter().map(in_file).sum()
}

fn by(name: &str, n: usize) -> Request {
    // Of different sizes, on one page and on more than one.
    let filler = "x".repeat(if n.is_multiple_of(20) { 30_000 } else { 100 * (n % 17) });
    Request::new().body(format!(
        r#"{{"date":1,"trigger":{{"user":{{"id":7,"name":"{name}"}}}},"data":{{"issue":{{"id":{n},"summary":"{n}"}}}},"f":"{filler}"}}"#
    ))
}

#[tokio::test]
async fn the_disk_gets_back_what_is_free_in_the_file_and_its_own_room_is_told() {
    let mut bench = Bench::of(SqliteFixture::fresh()).await;
    let before = bench.store.space().await.unwrap();
    assert!(before.disk_free.is_some_and(|free| free > 0));
    let (_, position) = bench.stored(&Request::new().large(4 << 20)).await;
    bench.store.plan(vec![plan(position, &[])], at(0)).await.unwrap();
    let old =
        PruneRequest { received_before: Timestamp::MAX, after: Position(0), limit: ALL, known_handlers: Vec::new() };
    assert_eq!(bench.store.prune(old).await.unwrap().removed, 1);
    while bench.store.give_back().await.unwrap() {}
    bench.reopen().await;
    let given_back = bench.store.space().await.unwrap();
    assert!(given_back.files < before.used + (1 << 20), "{before:?} {given_back:?}");
    bench.store.close().await;
}

#[tokio::test]
async fn nothing_of_what_was_forgotten_is_left_in_the_files() {
    let fixture = SqliteFixture::fresh();
    let config = fixture.config();
    let bench = Bench::of(fixture).await;
    let marked = format!("Zed {MARKER}");
    for n in 0..600 {
        let request = by(if n % 3 == 0 { &marked } else { "Max" }, n);
        let (_, position) = bench.stored(&request).await;
        if n % 50 == 0 {
            bench.append(&request.clone().body(format!(r#"{{"again":"{marked}"}}"#))).await;
        }
        let received = if n % 5 == 0 { vec![] } else { vec![to("crm", None)] };
        bench.store.plan(vec![plan(position, &received)], at(0)).await.unwrap();
        if n % 100 == 0 {
            bench.store.catalogue(ALL).await.unwrap();
        }
    }
    for person in [&marked, "Max"].into_iter().cycle().take(100) {
        let filter = EventFilter { person: Some(person.to_owned()), ..EventFilter::default() };
        let (events, to) = (ReplayedEvents::Filter(filter), ReplayTo::SameHandlers);
        bench
            .store
            .start_replay(NewReplay { events, to, undelivered: false, per_second: None, at: at(0) })
            .await
            .unwrap();
    }
    bench.store.reject(Request::new().body(format!("cut off: {marked}")).rejected()).await.unwrap();
    for claimed in bench.claim("crm", 30, at(1)).await.claimed {
        let is_marked = String::from_utf8_lossy(&claimed.event.body).contains(MARKER);
        let said = if is_marked { marked.clone() } else { "no".to_owned() };
        bench.settle(&claimed, NextStep::Dead(format!("it said {said}")), at(1)).await;
    }
    bench.store.catalogue(ALL).await.unwrap();
    assert!(marks(&config) > 100, "it is there before");

    assert_eq!(forget(&bench, &marked, Position(0)).await, 208, "eight of them only by a duplicate with another body");
    assert_eq!(marks(&config), 0, "in the files while it runs");
    bench.store.close().await;
    assert_eq!(marks(&config), 0, "in the files afterwards");
}

/// Forgets a person from a position on, until it is done; how many events.
async fn forget(bench: &Bench, person: &str, after: Position) -> u64 {
    let mut step = ForgetStep { after, limit: 100, ..asked(person) };
    let mut events = 0;
    loop {
        let forgotten = bench.store.forget(step.clone()).await.unwrap();
        events += forgotten.events;
        let Some(through) = forgotten.through else { return events };
        step.after = through;
    }
}

fn asked(person: &str) -> ForgetStep {
    let about = ForgetAbout::Person(person.to_owned());
    ForgetStep { about, after: Position(0), limit: ALL, dry_run: false }
}

#[tokio::test]
async fn forgetting_that_ended_before_its_end_says_so_and_goes_on_after_a_restart() {
    let fixture = SqliteFixture::fresh();
    let config = fixture.config();
    let mut bench = Bench::of(fixture).await;
    let marked = format!("Zed {MARKER}");
    for n in 0..60 {
        bench.stored(&by(if n < 10 { &marked } else { "Max" }, n)).await;
    }
    bench.store.catalogue(ALL).await.unwrap();
    let begun = bench.store.forget(ForgetStep { limit: 20, ..asked(&marked) }).await.unwrap();
    assert_eq!((begun.events, begun.through), (10, Some(Position(20))));
    bench.reopen().await;
    assert!(marks(&config) > 0, "its word is in the catalogue still");
    let dry = bench.store.forget(ForgetStep { dry_run: true, ..asked(&marked) }).await.unwrap();
    assert_eq!(dry, Forgotten { left: Some(Left::Catalogue), ..Forgotten::default() });
    assert_eq!(forget(&bench, &marked, Position(i64::MAX)).await, 0);
    assert_eq!(marks(&config), 0);
    let dry = bench.store.forget(ForgetStep { dry_run: true, ..asked(&marked) }).await.unwrap();
    assert_eq!(dry, Forgotten::default());
}

#[tokio::test]
async fn while_somebody_reads_the_database_it_is_said_that_the_log_is_left() {
    let fixture = SqliteFixture::fresh();
    let config = fixture.config();
    let bench = Bench::of(fixture).await;
    let marked = format!("Zed {MARKER}");
    bench.stored(&by(&marked, 1)).await;
    let other = rusqlite::Connection::open(&config.path).unwrap();
    other.execute_batch("BEGIN; SELECT count(*) FROM events").unwrap();
    let forgotten = bench.store.forget(asked(&marked)).await.unwrap();
    let left = Forgotten { events: 1, through: Some(Position(1)), left: Some(Left::Log), ..Forgotten::default() };
    assert_eq!(forgotten, left);
    assert!(marks(&config) > 0);
    drop(other);
    assert_eq!(bench.store.forget(asked(&marked)).await.unwrap(), Forgotten::default());
    assert_eq!(marks(&config), 0);
}

#[tokio::test]
async fn ruling_23_while_the_disk_is_nearly_full_only_notices_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let free = Arc::new(AtomicU64::new(1000));
    let config = SqliteSettings {
        path: folder.path().join("workhook.db"),
        min_free: 1000,
        disk_free: DiskFree::told_by({
            let free = Arc::clone(&free);
            move |_| Some(free.load(Ordering::SeqCst))
        }),
        ..SqliteSettings::default()
    };
    let store = SqliteStore::open(&config, &Wakes::default()).unwrap();
    assert!(matches!(store.append(Request::new().accepted()).await, Ok(Appended::Stored { .. })));
    free.store(999, Ordering::SeqCst);
    until(|| async { matches!(store.append(Request::new().accepted()).await, Err(StoreError::Full)) }).await;
    let rejected = store.reject(Request::new().body("x").rejected()).await;
    assert!(matches!(rejected, Err(StoreError::Full)), "{rejected:?}");
    assert!(matches!(store.probe().await, Err(StoreError::Full)));
    assert_eq!(store.space().await.unwrap().disk_free, Some(999));
    let notice = Notice {
        kind: NoticeKind::DiskFull,
        occurrence: "now".to_owned(),
        title: "the disk is nearly full".to_owned(),
        particulars: serde_json::Map::new(),
        at: Timestamp::UNIX_EPOCH,
    };
    let own = store.append(Accepted::from(notice)).await;
    assert!(matches!(own, Ok(Appended::Stored { .. })), "{own:?}");
    let events = store.unplanned(ALL).await.unwrap();
    store.plan(events.iter().map(|event| plan(event.position, &[])).collect(), at(0)).await.unwrap();
    let all = PruneRequest { received_before: Timestamp::MAX, after: Position(0), limit: ALL, known_handlers: vec![] };
    assert!(store.prune(all).await.unwrap().removed > 1, "there is still room to prune");
    free.store(1000, Ordering::SeqCst);
    until(|| async { store.append(Request::new().accepted()).await.is_ok() }).await;
    store.probe().await.unwrap();
    store.close().await;
}

async fn until<F: Future<Output = bool>>(condition: impl Fn() -> F) {
    let met = async {
        while !condition().await {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, met).await.expect("it comes about");
}
