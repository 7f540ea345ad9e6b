//! Copies from one store to another: equal in all that the verbs tell, resumed where they were interrupted, refused
//! where somebody could be hurt by them.

mod filled;

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use workhook::secret::Secret;
use workhook::store::transfer::{Copied, CopyError, Filled, Given, Reached, Row, Rows, Table, Transfer, copy};
use workhook::store::{
    Metrics, OpenError, PostgresCopy, PostgresSettings, PostgresStore, SqliteSettings, SqliteStore, Store, StoreError,
};
use workhook::wake::Wakes;

use self::filled::{assert_same, fill, goes_on, told};
use crate::bench::{Bench, Fixture};
use crate::postgres_fixture::PostgresFixture;
use crate::postgres_server::Proxy;
use crate::request::Request;
use crate::sqlite_fixture::SqliteFixture;

/// A store that fails after so many writes.
struct Failing<'a> {
    store: &'a dyn Transfer,
    writes: AtomicUsize,
}

#[async_trait]
impl Transfer for Failing<'_> {
    async fn count(&self, table: &'static Table) -> Result<u64, StoreError> {
        self.store.count(table).await
    }

    async fn read(&self, table: &'static Table, after: Option<String>) -> Result<Rows, StoreError> {
        self.store.read(table, after).await
    }

    async fn write(&self, table: &'static Table, rows: Vec<Row>, reached: Reached) -> Result<(), StoreError> {
        let left = self.writes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if left.is_err() {
            return Err(StoreError::Busy);
        }
        self.store.write(table, rows, reached).await
    }

    async fn id(&self) -> Result<String, StoreError> {
        self.store.id().await
    }

    async fn copied_as(&self) -> Result<Option<String>, StoreError> {
        self.store.copied_as().await
    }

    async fn set_copied_as(&self, copy: String) -> Result<(), StoreError> {
        self.store.set_copied_as(copy).await
    }

    async fn reached(&self) -> Result<Option<Reached>, StoreError> {
        self.store.reached().await
    }

    async fn filled(&self) -> Result<Option<Filled>, StoreError> {
        self.store.filled().await
    }

    async fn given(&self) -> Result<Given, StoreError> {
        self.store.given().await
    }

    async fn finish(&self, given: Given, filled: Filled) -> Result<(), StoreError> {
        self.store.finish(given, filled).await
    }

    async fn cannot_be_copied(&self) -> Result<Option<&'static str>, StoreError> {
        self.store.cannot_be_copied().await
    }

    async fn close_transfer(&self) {
        self.store.close_transfer().await;
    }
}

/// Opens a store for a copy.
type Opener<'a> = &'a (dyn Fn() -> BoxFuture<'a> + Sync);
type BoxFuture<'a> = std::pin::Pin<Box<dyn Future<Output = Box<dyn Transfer>> + Send + 'a>>;

/// Copies with an interruption every few writes, each time with stores that are opened anew; how many rows.
async fn copy_by_and_by(from: Opener<'_>, to: Opener<'_>) -> u64 {
    for interrupted in 0.. {
        let (source, target) = (from().await, to().await);
        let failing = Failing { store: &*target, writes: AtomicUsize::new(2) };
        let mut last = 0;
        let copied = copy(&*source, &failing, format!("copy {interrupted}"), |step| {
            assert!(step.done <= step.total && step.done >= last, "{step:?}");
            last = step.done;
        });
        let copied = copied.await;
        source.close_transfer().await;
        target.close_transfer().await;
        match copied {
            Ok(copied) => {
                assert!(copied.resumed && interrupted > 5, "{interrupted} {copied:?}");
                return copied.tables.iter().map(|(_, rows)| rows).sum();
            }
            Err(CopyError::To(StoreError::Busy)) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    unreachable!("it is whole at some time")
}

async fn open_file(settings: &SqliteSettings) -> Box<dyn Transfer> {
    let settings = settings.clone();
    let opened = tokio::task::spawn_blocking(move || SqliteStore::open_for_copy(&settings));
    Box::new(opened.await.unwrap().unwrap())
}

async fn open_tables(settings: &PostgresSettings) -> Box<dyn Transfer> {
    Box::new(PostgresCopy::open(settings).await.unwrap())
}

/// A store with some of everything that is closed, and what it told when it was open the last time.
async fn filled() -> (Bench, SqliteSettings, Vec<String>) {
    let fixture = SqliteFixture::fresh();
    let settings = fixture.config();
    let mut bench = Bench::of(fixture).await;
    fill(&bench).await;
    bench.reopen().await;
    let told = told(&*bench.store).await;
    bench.store.close().await;
    (bench, settings, told)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_a_file_is_equal_verb_by_verb_though_it_was_interrupted_and_goes_on() {
    let (_source, from, expected) = filled().await;
    let fixture = SqliteFixture::fresh();
    let to = fixture.config();
    let rows = copy_by_and_by(&|| Box::pin(open_file(&from)), &|| Box::pin(open_file(&to))).await;
    assert!(rows > 4000, "{rows}");
    let bench = Bench::of(fixture).await;
    assert_same(&told(&*bench.store).await, &expected);
    goes_on(&bench).await;
    bench.store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_is_the_same_in_postgresql_and_when_it_is_copied_back() {
    let (_source, from, expected) = filled().await;
    let mut fixture = PostgresFixture::fresh();
    fixture.open(&Wakes::default()).await.close().await;
    let tables = fixture.settings();
    let rows = copy_by_and_by(&|| Box::pin(open_file(&from)), &|| Box::pin(open_tables(&tables))).await;
    let back = SqliteFixture::fresh();
    let file = back.config();
    let rows_back = copy_by_and_by(&|| Box::pin(open_tables(&tables)), &|| Box::pin(open_file(&file))).await;
    assert_eq!(rows, rows_back);
    for bench in [Bench::of(fixture).await, Bench::of(back).await] {
        assert_same(&told(&*bench.store).await, &expected);
        goes_on(&bench).await;
        bench.store.close().await;
    }
}

/// Opens a store and stores something in it, as somebody who serves from it does.
async fn use_file(settings: &SqliteSettings) {
    let store = SqliteStore::open(settings, &Wakes::default()).unwrap();
    store.append(Request::new().accepted()).await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn a_copy_that_is_whole_is_known_until_the_store_that_was_copied_is_used() {
    let fixtures = [SqliteFixture::fresh(), SqliteFixture::fresh()];
    let [from, to] = fixtures.each_ref().map(SqliteFixture::config);
    let mut fixture = PostgresFixture::fresh();
    fixture.open(&Wakes::default()).await.close().await;
    use_file(&from).await;
    let settings = fixture.settings();
    let both = async |name: &str| {
        let (source, file, tables) = (open_file(&from).await, open_file(&to).await, open_tables(&settings).await);
        let mut copied = Vec::new();
        for target in [&file, &tables] {
            copied.push(copy(&*source, &**target, name.to_owned(), |_| {}).await);
        }
        for store in [source, file, tables] {
            store.close_transfer().await;
        }
        copied
    };
    let of_both = |copied: Vec<Result<Copied, CopyError>>| -> Vec<_> {
        let events = |copied: &Copied| copied.tables.iter().find(|(table, _)| *table == "events").unwrap().1;
        copied.into_iter().map(|copied| copied.map(|copied| (copied.already, events(&copied))).unwrap()).collect()
    };
    assert_eq!(of_both(both("first").await), [(false, 1), (false, 1)]);
    assert_eq!(of_both(both("second").await), [(true, 1), (true, 1)]);
    use_file(&to).await;
    fixture.open(&Wakes::default()).await.close().await;
    assert_eq!(of_both(both("third").await), [(true, 1), (true, 1)], "who goes on is the copy");
    use_file(&from).await;
    let went_on = both("fourth").await;
    assert!(went_on.iter().all(|copied| matches!(copied, Err(CopyError::WentOn))), "{went_on:?}");
}

#[tokio::test]
async fn a_store_that_was_copied_while_it_was_empty_and_filled_then_is_not_known_as_copied() {
    let fixtures = [SqliteFixture::fresh(), SqliteFixture::fresh()];
    let [from, to] = fixtures.each_ref().map(SqliteFixture::config);
    let mut fixture = PostgresFixture::fresh();
    fixture.open(&Wakes::default()).await.close().await;
    use_file(&from).await;
    let source = open_file(&from).await;
    let empty = [open_file(&to).await, open_tables(&fixture.settings()).await];
    for store in empty {
        let last = SqliteFixture::fresh();
        let target = open_file(&last.config()).await;
        copy(&*store, &*target, "empty".to_owned(), |_| {}).await.unwrap();
        copy(&*source, &*store, "filled".to_owned(), |_| {}).await.unwrap();
        let again = copy(&*store, &*target, "again".to_owned(), |_| {}).await;
        assert!(matches!(again, Err(CopyError::WentOn)), "{again:?}");
        for store in [store, target] {
            store.close_transfer().await;
        }
    }
    source.close_transfer().await;
}

#[tokio::test]
async fn one_store_by_two_addresses_is_not_copied_into_itself_and_two_schemas_are_two_stores() {
    let mut fixtures = [PostgresFixture::fresh(), PostgresFixture::fresh()];
    for fixture in &mut fixtures {
        fixture.open(&Wakes::default()).await.close().await;
    }
    let [one, other] = fixtures.each_ref().map(PostgresFixture::settings);
    let proxy = Proxy::start(&fixtures[0].url()).await;
    let far = PostgresSettings { url: Secret::new(proxy.url.clone()), ..one.clone() };
    let (near, far, other) = (open_tables(&one).await, open_tables(&far).await, open_tables(&other).await);
    let same = copy(&*near, &*far, "same".to_owned(), |_| {}).await;
    assert!(matches!(same, Err(CopyError::Same)), "{same:?}");
    copy(&*far, &*other, "other".to_owned(), |_| {}).await.unwrap();
    for store in [near, far, other] {
        store.close_transfer().await;
    }
}

#[tokio::test]
async fn an_empty_store_is_copied_and_another_one_is_not_copied_over_it() {
    let fixtures = [SqliteFixture::fresh(), SqliteFixture::fresh(), SqliteFixture::fresh()];
    let [from, to, another] = fixtures.each_ref().map(SqliteFixture::config);
    let (source, target) = (open_file(&from).await, open_file(&to).await);
    let copied = copy(&*source, &*target, "first".to_owned(), |_| {}).await.unwrap();
    assert!(!copied.resumed && copied.tables.iter().all(|(_, rows)| *rows == 0), "{copied:?}");
    target.close_transfer().await;
    use_file(&to).await;
    let (source, target) = (open_file(&another).await, open_file(&to).await);
    let again = copy(&*source, &*target, "second".to_owned(), |_| {}).await;
    assert!(matches!(again, Err(CopyError::NotEmpty("events"))), "{again:?}");
}

#[tokio::test]
async fn a_store_that_is_half_filled_is_opened_by_nobody_and_goes_on_only_while_the_other_is_not_used() {
    let fixtures = [SqliteFixture::fresh(), SqliteFixture::fresh(), SqliteFixture::fresh()];
    let [from, to, other] = fixtures.each_ref().map(SqliteFixture::config);
    let half = async |from: &SqliteSettings| {
        let (source, target) = (open_file(from).await, open_file(&to).await);
        let failing = Failing { store: &*target, writes: AtomicUsize::new(3) };
        let copied = copy(&*source, &failing, "half".to_owned(), |_| {}).await;
        source.close_transfer().await;
        target.close_transfer().await;
        copied
    };
    assert!(matches!(half(&from).await, Err(CopyError::To(StoreError::Busy))));
    let opened = SqliteStore::open(&to, &Wakes::default());
    assert!(matches!(opened, Err(OpenError::HalfCopied { .. })), "{opened:?}");
    let another = half(&other).await;
    assert!(matches!(another, Err(CopyError::Another)), "{another:?}");
    assert!(matches!(half(&from).await, Err(CopyError::To(StoreError::Busy))), "it goes on");
    let (half_filled, last) = (open_file(&to).await, SqliteFixture::fresh());
    let copied = copy(&*half_filled, &*open_file(&last.config()).await, "of half".to_owned(), |_| {}).await;
    assert!(matches!(copied, Err(CopyError::NotYet(_))), "nor is it copied: {copied:?}");
    half_filled.close_transfer().await;
    SqliteStore::open(&from, &Wakes::default()).unwrap().close().await;
    let used = half(&from).await;
    assert!(matches!(used, Err(CopyError::Another)), "{used:?}");
}

#[tokio::test]
async fn nobody_may_run_on_a_store_that_is_copied_or_filled() {
    let fixture = SqliteFixture::fresh();
    let store = SqliteStore::open(&fixture.config(), &Wakes::default()).unwrap();
    let opened = SqliteStore::open_for_copy(&fixture.config());
    assert!(matches!(opened, Err(OpenError::InUse { .. })), "{opened:?}");
    store.close().await;

    let mut fixture = PostgresFixture::fresh();
    let store = fixture.open(&Wakes::default()).await;
    let opened = PostgresCopy::open(&fixture.settings()).await;
    assert!(matches!(opened, Err(OpenError::Running { .. })), "{opened:?}");
    store.close().await;
    PostgresCopy::open(&fixture.settings()).await.unwrap().close_transfer().await;
}

#[tokio::test]
async fn tables_that_are_half_filled_are_opened_by_nobody() {
    let from = SqliteFixture::fresh();
    let mut fixture = PostgresFixture::fresh();
    fixture.open(&Wakes::default()).await.close().await;
    let (source, target) = (open_file(&from.config()).await, open_tables(&fixture.settings()).await);
    let failing = Failing { store: &*target, writes: AtomicUsize::new(3) };
    let copied = copy(&*source, &failing, "half".to_owned(), |_| {}).await;
    assert!(matches!(copied, Err(CopyError::To(StoreError::Busy))), "{copied:?}");
    let opened = PostgresStore::open(&fixture.settings(), &Wakes::default(), Metrics::default()).await;
    assert!(matches!(opened, Err(OpenError::HalfCopied { .. })), "{opened:?}");
    let last = SqliteFixture::fresh();
    let copied = copy(&*target, &*open_file(&last.config()).await, "of half".to_owned(), |_| {}).await;
    assert!(matches!(copied, Err(CopyError::NotYet(_))), "nor copied: {copied:?}");
    copy(&*source, &*target, "whole".to_owned(), |_| {}).await.unwrap();
    source.close_transfer().await;
    target.close_transfer().await;
    fixture.open(&Wakes::default()).await.close().await;
}
