//! Copies from one store to another: equal in all that the verbs tell, resumed where they were interrupted, refused
//! where somebody could be hurt by them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use workhook::contract::Brand;
use workhook::model::{
    DeliveryState, EventFilter, NewDelivery, NewReplay, NextStep, NotRouted, OpenBreaker, Plan, Position, ReplayState,
    ReplayStep, ReplayTo, ReplayedEvents,
};
use workhook::store::transfer::{CopyError, Given, Reached, Row, Rows, Table, Transfer, copy};
use workhook::store::{
    Appended, Counts, DeliveryQuery, EventQuery, ForgetAbout, ForgetStep, Metrics, OpenError, PostgresCopy,
    PostgresSettings, PostgresStore, PruneRequest, RefusalCount, RejectedQuery, SqliteSettings, SqliteStore, Store,
    StoreError, TokenUse,
};
use workhook::wake::Wakes;

use crate::bench::{ALL, Bench, Fixture, at, handler, plan, to};
use crate::postgres_fixture::PostgresFixture;
use crate::request::Request;
use crate::sqlite_fixture::SqliteFixture;

/// A request that is told apart by its number, with what is hard to keep.
fn request(n: usize) -> Request {
    let body =
        format!(r#"{{"date":1,"tenant":{{"id":1}},"data":{{"issue":{{"id":{},"summary":"nul \u0000 {n}"}}}}}}"#, n % 7);
    let brand = if n.is_multiple_of(2) { Brand::Leiga } else { Brand::WorkZappy };
    Request::new().brand(brand).id(&format!("occurrence-{n}")).body(body).received_at(at(n as i64))
}

/// Fills a store with some of everything.
async fn fill(bench: &Bench) {
    for n in 0..1300 {
        let (_, position) = bench.stored(&request(n)).await;
        let lane = format!("lane {}\0", n % 5);
        let (ordered, free) = (to("crm", Some(&lane)), to("chat", None));
        let not_routed = vec![NotRouted { handler: "log".to_owned(), clause: format!("events, {}", n % 3) }];
        let dead = NewDelivery { dead: Some("no \0 plan".to_owned()), ..to("dead", None) };
        let deliveries = match n % 4 {
            0 => vec![ordered],
            1 => vec![ordered, free],
            2 => vec![dead],
            _ => Vec::new(),
        };
        if n < 1290 {
            bench.store.plan(vec![Plan { position, deliveries, not_routed }], at(n as i64)).await.unwrap();
        }
    }
    for n in 0..3 {
        bench.append(&request(0).body(format!(r#"{{"other":{n}}}"#))).await;
    }
    bench.append(&request(1)).await;
    for (n, claimed) in bench.claim("chat", 12, at(2000)).await.claimed.iter().enumerate() {
        let next = match n % 4 {
            0 => NextStep::Delivered,
            1 => NextStep::RetryAt(at(3000)),
            2 => NextStep::Dead("it said \0".to_owned()),
            _ => continue,
        };
        bench.settle(claimed, next, at(2001)).await;
    }
    let ids: Vec<_> = bench.claim_all("crm", at(2002)).await.iter().map(|claimed| claimed.id).collect();
    bench.store.cancel(ids[..1].to_vec(), "not wanted".to_owned(), at(2003)).await.unwrap();
    bench.store.retry(ids[..1].to_vec(), at(2004)).await.unwrap();
    bench.store.set_paused(handler("chat"), true, at(5)).await.unwrap();
    let breaker = OpenBreaker { since: at(1), until: at(9), failures: 3, probes: 1, reason: "it is down".to_owned() };
    bench.store.keep_breaker(handler("crm"), Some(breaker)).await.unwrap();
    decide(bench).await;
    turn_away(bench).await;
    // What is gone leaves holes.
    let about = ForgetAbout::Entity("issue/3".to_owned());
    let mut after = Position(0);
    loop {
        let step = ForgetStep { about: about.clone(), after, limit: 500, dry_run: false };
        let Some(through) = bench.store.forget(step).await.unwrap().through else { break };
        after = through;
    }
    let known = ["crm", "chat"].map(handler).to_vec();
    let old = PruneRequest { received_before: at(100), after: Position(0), limit: 500, known_handlers: known };
    assert!(bench.store.prune(old).await.unwrap().removed > 10);
}

async fn decide(bench: &Bench) {
    let filter = EventFilter { text: Some("nul".to_owned()), ..EventFilter::default() };
    let new = NewReplay {
        events: ReplayedEvents::Filter(filter),
        to: ReplayTo::RematchHandler(handler("crm")),
        undelivered: true,
        per_second: Some(7),
        at: at(2005),
    };
    let running = bench.store.start_replay(new.clone()).await.unwrap().unwrap();
    let nothing = ReplayStep { events: Vec::new(), asked_before: false, undelivered: true };
    bench.store.step_replay(running.id, nothing, Position(300), at(2006)).await.unwrap();
    let stopped = bench.store.start_replay(NewReplay { to: ReplayTo::SameHandlers, ..new }).await.unwrap().unwrap();
    assert!(bench.store.set_replay(stopped.id, ReplayState::Stopped, at(2007)).await.unwrap());
}

async fn turn_away(bench: &Bench) {
    for n in 0..4 {
        let request = Request::new().body(vec![0xff; 10 + n]).received_at(at(n as i64));
        let id = bench.store.reject(request.rejected()).await.unwrap();
        if n == 1 {
            let (event, _) = bench.stored(&Request::new()).await;
            bench.store.rejected_became(id, event, at(60)).await.unwrap();
        }
    }
    let refusal = |peer: &str, count| RefusalCount {
        code: "no-token".to_owned(),
        peer: peer.to_owned(),
        claimed_webhook_id: String::new(),
        count,
        last_at: at(count as i64),
    };
    bench.store.count_refusals(vec![refusal("192.0.2.1", 3), refusal("::1", 5)]).await.unwrap();
    let used = TokenUse { webhook: "product".to_owned(), token: "0a1b".to_owned(), count: 4, last_at: at(7) };
    bench.store.count_uses(vec![used]).await.unwrap();
}

/// All that the verbs tell of a store, but for how far its catalogue is.
async fn told(store: &dyn Store) -> Vec<String> {
    let mut told = Vec::new();
    let events = store.events(EventQuery { limit: ALL, ..EventQuery::default() }).await.unwrap();
    for row in &events.items {
        told.push(format!("{row:?}"));
        told.push(format!("{:?}", store.event(row.event.id).await.unwrap().unwrap()));
        for number in 1..=row.receipts.saturating_sub(1) {
            told.push(format!("{:?}", store.other_body(row.event.id, number).await.unwrap()));
        }
    }
    for delivery in store.deliveries(DeliveryQuery { limit: ALL, ..DeliveryQuery::default() }).await.unwrap().items {
        told.push(format!("{delivery:?}"));
    }
    for row in store.rejected(RejectedQuery { limit: ALL, ..RejectedQuery::default() }).await.unwrap().items {
        told.push(format!("{:?}", store.rejected_request(row.id).await.unwrap()));
    }
    told.extend(store.refusals(ALL).await.unwrap().iter().map(|refusal| format!("{refusal:?}")));
    told.extend(store.token_uses().await.unwrap().iter().map(|used| format!("{used:?}")));
    told.extend(store.handlers().await.unwrap().iter().map(|handler| format!("{handler:?}")));
    told.extend(store.replays(ALL).await.unwrap().iter().map(|replay| format!("{replay:?}")));
    let counts = store.counts().await.unwrap();
    assert_eq!(counts.events, events.items.len() as u64);
    told.push(format!("{:?}", Counts { uncatalogued: 0, ..counts }));
    told
}

#[track_caller]
fn assert_same(one: &[String], other: &[String]) {
    for (one, other) in one.iter().zip(other) {
        assert_eq!(one, other);
    }
    assert_eq!(one.len(), other.len());
}

/// What goes on in a copy as it would have gone on in the store that it is of.
async fn goes_on(bench: &Bench) {
    let known = bench.append(&request(1299)).await;
    assert!(matches!(known, Appended::Duplicate { id: Some(_), conflict: false }), "{known:?}");
    let removed = bench.append(&request(3)).await;
    assert!(matches!(removed, Appended::Duplicate { .. }), "its key stays: {removed:?}");
    let (_, position) = bench.stored(&Request::new()).await;
    assert!(position > Position(1301), "no position is given twice: {position}");

    let unplanned = bench.store.unplanned(ALL).await.unwrap();
    assert!(unplanned.len() > 5 && unplanned.is_sorted_by_key(|event| event.position));
    let plans = unplanned.iter().map(|event| plan(event.position, &[to("crm", Some("lane 0\0"))])).collect();
    bench.store.plan(plans, at(4000)).await.unwrap();
    while bench.store.catalogue(500).await.unwrap() > 0 {}
    let words = EventFilter { text: Some("nul 777".to_owned()), ..EventFilter::default() };
    let found = bench.store.events(EventQuery { limit: 10, filter: words, ..EventQuery::default() }).await.unwrap();
    assert_eq!(found.items.iter().map(|row| row.event.position).collect::<Vec<_>>(), [Position(778)]);

    // Every lane is worked off in its order, behind what was claimed or was its head before.
    let mut last = BTreeMap::new();
    loop {
        let claimed = bench.claim_all("crm", at(5000)).await;
        if claimed.is_empty() {
            break;
        }
        for one in claimed {
            if let Some(lane) = bench.store.delivery(one.id).await.unwrap().unwrap().lane {
                let before = last.insert(lane, one.id);
                assert!(before.is_none_or(|before| before < one.id), "{before:?} {:?}", one.id);
            }
            bench.settle(&one, NextStep::Delivered, at(5000)).await;
        }
    }
    assert_eq!(last.len(), 5);
    let counts = bench.store.handlers().await.unwrap();
    let crm = counts.iter().find(|record| record.name == handler("crm")).unwrap();
    assert!(crm.deliveries.iter().all(|(state, _)| *state == DeliveryState::Delivered), "{crm:?}");
    bench.assert_tallies().await;
}

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

    async fn copied_as(&self) -> Result<Option<String>, StoreError> {
        self.store.copied_as().await
    }

    async fn set_copied_as(&self, copy: Option<String>) -> Result<(), StoreError> {
        self.store.set_copied_as(copy).await
    }

    async fn reached(&self) -> Result<Option<Reached>, StoreError> {
        self.store.reached().await
    }

    async fn given(&self) -> Result<Given, StoreError> {
        self.store.given().await
    }

    async fn finish(&self, given: Given) -> Result<(), StoreError> {
        self.store.finish(given).await
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

#[tokio::test]
async fn an_empty_store_is_copied_and_the_copy_is_not_copied_over() {
    let (from, to) = (SqliteFixture::fresh(), SqliteFixture::fresh());
    let (from, to) = (from.config(), to.config());
    let (source, target) = (open_file(&from).await, open_file(&to).await);
    let copied = copy(&*source, &*target, "first".to_owned(), |_| {}).await.unwrap();
    assert!(!copied.resumed && copied.tables.iter().all(|(_, rows)| *rows == 0), "{copied:?}");
    target.close_transfer().await;
    let store = SqliteStore::open(&to, &Wakes::default()).unwrap();
    store.append(Request::new().accepted()).await.unwrap();
    store.close().await;
    let target = open_file(&to).await;
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
    copy(&*source, &*target, "whole".to_owned(), |_| {}).await.unwrap();
    source.close_transfer().await;
    target.close_transfer().await;
    fixture.open(&Wakes::default()).await.close().await;
}
