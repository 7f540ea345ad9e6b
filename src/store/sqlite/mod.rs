//! The embedded store: SQLite with a write-ahead log, every commit synced.
//!
//! One thread writes, a few connections read, one thread makes checkpoints. What always holds: there is one writer,
//! so the order of positions is the order of commits, and "the last planned position" says all about what is planned.

mod append;
mod catalogue;
mod checkpoint;
mod commit;
mod counts;
mod deliveries;
mod delivery_lists;
mod disk;
mod forgetting;
mod intervene;
mod keep;
mod keys;
mod lists;
mod open;
#[cfg(test)]
mod plans;
mod queue;
mod read;
mod replays;
mod rows;
mod settings;
mod threads;
mod transfer;
mod turned_away;
mod writer;

pub use settings::Settings;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use tokio::runtime::Handle;

use self::commit::Committer;
use self::disk::Disk;
use self::keys::Keys;
use self::read::Readers;
use self::threads::Threads;
use self::writer::Writer;
use super::{
    Appended, ClaimRequest, Claims, Counts, DeliveryQuery, EventQuery, EventRow, ForgetStep, Forgotten, LongestWaits,
    Metrics, OpenError, Page, PlanStart, PruneRequest, Pruned, RefusalCount, RejectedQuery, RejectedRow, Settled,
    Space, Store, StoreError, TokenUse,
};
use crate::contract::{Accepted, Rejected};
use crate::model::{
    DeliveryId, DeliveryRecord, EventId, EventRecord, HandlerName, HandlerRecord, NewReplay, OpenBreaker, Plan,
    Position, RejectedId, Replay, ReplayId, ReplayState, ReplayStep, Settlement, StoredEvent,
};
use crate::wake::Wakes;

/// How many connections read.
const READERS: usize = 2;

/// The embedded store.
pub struct SqliteStore {
    writer: Writer,
    readers: Readers,
    /// For planning alone, so that nobody who looks something up holds it up.
    planning: Readers,
    /// For the catalogue alone, which reads and parses whole events.
    cataloguing: Readers,
    /// What repetitions are known by; the writer's, but for keeping them in order.
    keys: Arc<tokio::sync::Mutex<Keys>>,
    /// Held by whoever keeps them in order.
    tidying: tokio::sync::Mutex<()>,
    disk: Arc<Disk>,
    wakes: Wakes,
    /// Held by whoever takes what was forgotten out of the files.
    cleaning: tokio::sync::Mutex<()>,
    threads: Mutex<Option<Threads>>,
}

impl SqliteStore {
    /// Opens the database, makes it if it is not there, and starts the threads. Blocks, and has to be called from
    /// within a runtime, on which those who wait for the store are told.
    ///
    /// # Errors
    /// When it is in use, not ours, newer than this program, or cannot be made safe.
    pub fn open(config: &Settings, wakes: &Wakes) -> Result<SqliteStore, OpenError> {
        SqliteStore::open_metered(config, wakes, Metrics::default())
    }

    /// The same, with what it counts and measures.
    ///
    /// # Errors
    /// When it is in use, not ours, newer than this program, or cannot be made safe.
    pub fn open_metered(config: &Settings, wakes: &Wakes, metrics: Metrics) -> Result<SqliteStore, OpenError> {
        SqliteStore::open_as(config, wakes, metrics, false)
    }

    fn open_as(config: &Settings, wakes: &Wakes, metrics: Metrics, for_copy: bool) -> Result<SqliteStore, OpenError> {
        let (lock, connection) = open::open(config)?;
        let lock = Arc::new(lock);
        let failed = |source| OpenError::Database { path: config.path.clone(), source };
        if !for_copy {
            transfer::check_whole(&connection, &config.path)?;
        }
        let lost = deliveries::recover(&connection).map_err(|source| failed(source.into()))?;
        if lost > 0 {
            tracing::warn!(deliveries = lost, "the process before this one ended while attempts were under way");
        }
        let keys = Arc::new(tokio::sync::Mutex::new(Keys::load(&connection).map_err(|source| failed(source.into()))?));
        let reader = |_| open::open_another(&config.path, true);
        let readers = Readers::new((0..READERS).map(reader).collect::<Result<_, _>>()?);
        let planning = Readers::new(vec![open::open_another(&config.path, true)?]);
        let cataloguing = Readers::new(vec![open::open_another(&config.path, true)?]);
        let beside = open::open_another(&config.path, false)?;

        let remember_ms = i64::try_from(config.remember.as_millis()).unwrap_or(i64::MAX / 2);
        let writer = Writer::new(metrics);
        let (stop_checkpoint, stop) = mpsc::channel();
        let write = {
            let (writer, lock) = (writer.clone(), Arc::clone(&lock));
            let (keys, wakes) = (Arc::clone(&keys), wakes.clone());
            let committer = Committer { connection, keys, remember_ms, wakes, runtime: Handle::current() };
            move || {
                writer.run(&committer);
                drop(committer);
                drop(lock);
            }
        };
        let disk = Arc::new(Disk::new(config));
        let checkpoint = {
            let (writer, disk) = (writer.clone(), Arc::clone(&disk));
            move || checkpoint::run(&beside, &writer, &disk, &stop)
        };
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name(name.to_owned()).spawn(work).map_err(|source| failed(source.into()))
        };
        let threads = Threads {
            writer: spawn("store-writer", Box::new(write))?,
            checkpoint: spawn("store-checkpoint", Box::new(checkpoint))?,
            stop_checkpoint,
            lock,
        };
        let threads = Mutex::new(Some(threads));
        let (wakes, tidying, cleaning) = (wakes.clone(), tokio::sync::Mutex::default(), tokio::sync::Mutex::default());
        Ok(SqliteStore { writer, readers, planning, cataloguing, keys, tidying, disk, wakes, cleaning, threads })
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn append(&self, accepted: Accepted) -> Result<Appended, StoreError> {
        self.disk.has_room_for(accepted.brand())?;
        self.writer.append(accepted).await
    }

    async fn reject(&self, rejected: Rejected) -> Result<RejectedId, StoreError> {
        self.disk.has_room_for(rejected.brand())?;
        let bytes = rejected.body().len();
        self.writer.write_large(bytes, move |connection| turned_away::reject(connection, &rejected)).await
    }

    async fn count_refusals(&self, counts: Vec<RefusalCount>) -> Result<(), StoreError> {
        self.writer.write(move |connection| turned_away::count_refusals(connection, &counts)).await
    }

    fn is_pressed(&self) -> bool {
        self.writer.is_pressed()
    }

    async fn start_planning(&self) -> Result<PlanStart, StoreError> {
        self.writer.write(deliveries::start_planning).await
    }

    async fn end_planning(&self) -> Result<(), StoreError> {
        self.writer.write(deliveries::end_planning).await
    }

    async fn unplanned(&self, limit: usize) -> Result<Vec<StoredEvent>, StoreError> {
        self.planning.read(move |connection| read::unplanned(connection, limit)).await
    }

    async fn plan(&self, plans: Vec<Plan>, now: Timestamp) -> Result<(), StoreError> {
        self.writer.write(move |connection| deliveries::plan(connection, &plans, now)).await?;
        self.wakes.deliveries.wake();
        Ok(())
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Claims, StoreError> {
        self.writer.write(move |connection| deliveries::claim(connection, &request)).await
    }

    async fn shorten_waits(&self, longest: LongestWaits) -> Result<usize, StoreError> {
        self.writer.write(move |connection| deliveries::shorten_waits(connection, &longest)).await
    }

    async fn settle(&self, settlement: Settlement) -> Result<Settled, StoreError> {
        self.writer.write(move |connection| deliveries::settle(connection, &settlement)).await
    }

    async fn release(&self, claims: Vec<(DeliveryId, i64)>) -> Result<(), StoreError> {
        self.writer.write(move |connection| deliveries::release(connection, &claims)).await
    }

    async fn other_body(&self, id: EventId, number: u64) -> Result<Option<Bytes>, StoreError> {
        self.readers.read(move |connection| read::other_body(connection, id, number)).await
    }

    async fn event(&self, id: EventId) -> Result<Option<EventRecord>, StoreError> {
        self.readers.read(move |connection| read::event(connection, id)).await
    }

    async fn events(&self, query: EventQuery) -> Result<Page<EventRow>, StoreError> {
        self.readers.read(move |connection| lists::events(connection, &query)).await
    }

    async fn deliveries(&self, query: DeliveryQuery) -> Result<Page<DeliveryRecord>, StoreError> {
        self.readers.read(move |connection| delivery_lists::deliveries(connection, &query)).await
    }

    async fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryRecord>, StoreError> {
        self.readers.read(move |connection| read::delivery(connection, id)).await
    }

    async fn rejected(&self, query: RejectedQuery) -> Result<Page<RejectedRow>, StoreError> {
        self.readers.read(move |connection| turned_away::rejected(connection, &query)).await
    }

    async fn rejected_request(&self, id: RejectedId) -> Result<Option<RejectedRow>, StoreError> {
        self.readers.read(move |connection| turned_away::rejected_request(connection, id)).await
    }

    async fn refusals(&self, limit: usize) -> Result<Vec<RefusalCount>, StoreError> {
        self.readers.read(move |connection| turned_away::refusals(connection, limit)).await
    }

    async fn token_uses(&self) -> Result<Vec<TokenUse>, StoreError> {
        self.readers.read(turned_away::token_uses).await
    }

    async fn handlers(&self) -> Result<Vec<HandlerRecord>, StoreError> {
        self.readers.read(delivery_lists::handlers).await
    }

    async fn replays(&self, limit: usize) -> Result<Vec<Replay>, StoreError> {
        self.readers.read(move |connection| replays::list(connection, limit)).await
    }

    async fn replay(&self, id: ReplayId) -> Result<Option<Replay>, StoreError> {
        self.readers.read(move |connection| replays::find(connection, id)).await
    }

    async fn running_replays(&self) -> Result<Vec<Replay>, StoreError> {
        self.readers.read(replays::running).await
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        self.readers.read(counts::counts).await
    }

    async fn retry(&self, ids: Vec<DeliveryId>, now: Timestamp) -> Result<u64, StoreError> {
        let retried = self.writer.write(move |connection| intervene::retry(connection, &ids, now)).await;
        self.wakes.deliveries.wake();
        retried
    }

    async fn cancel(&self, ids: Vec<DeliveryId>, reason: String, now: Timestamp) -> Result<u64, StoreError> {
        let cancelled = self.writer.write(move |connection| intervene::cancel(connection, &ids, &reason, now)).await;
        self.wakes.deliveries.wake();
        cancelled
    }

    async fn set_paused(&self, handler: HandlerName, paused: bool, now: Timestamp) -> Result<(), StoreError> {
        let set = self.writer.write(move |connection| intervene::set_paused(connection, &handler, paused, now)).await;
        self.wakes.deliveries.wake();
        set
    }

    async fn keep_breaker(&self, handler: HandlerName, breaker: Option<OpenBreaker>) -> Result<(), StoreError> {
        self.writer.write(move |connection| intervene::keep_breaker(connection, &handler, breaker.as_ref())).await
    }

    async fn replace_breaker(
        &self,
        handler: HandlerName,
        from: Option<OpenBreaker>,
        to: Option<OpenBreaker>,
    ) -> Result<bool, StoreError> {
        let replace =
            move |connection: &_| intervene::replace_breaker(connection, &handler, from.as_ref(), to.as_ref());
        self.writer.write(replace).await
    }

    async fn open_breakers(&self) -> Result<Vec<(HandlerName, OpenBreaker)>, StoreError> {
        let records = self.readers.read(delivery_lists::handlers).await?;
        Ok(records.into_iter().filter_map(|record| Some((record.name, record.breaker?))).collect())
    }

    async fn start_replay(&self, new: NewReplay) -> Result<Option<Replay>, StoreError> {
        let started = self.writer.write(move |connection| replays::start(connection, &new)).await;
        self.wakes.replays.wake();
        started
    }

    async fn step_replay(
        &self,
        id: ReplayId,
        step: ReplayStep,
        through: Position,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.writer.write(move |connection| replays::step(connection, id, &step, through, now)).await?;
        self.wakes.deliveries.wake();
        Ok(())
    }

    async fn preview_replay(&self, step: ReplayStep) -> Result<u64, StoreError> {
        self.readers.read(move |connection| replays::preview(connection, &step)).await
    }

    async fn set_replay(&self, id: ReplayId, state: ReplayState, now: Timestamp) -> Result<bool, StoreError> {
        let set = self.writer.write(move |connection| replays::set(connection, id, state, now)).await;
        self.wakes.replays.wake();
        set
    }

    async fn rejected_became(&self, id: RejectedId, event: EventId, now: Timestamp) -> Result<(), StoreError> {
        self.writer.write(move |connection| turned_away::became(connection, id, event, now)).await
    }

    async fn count_uses(&self, uses: Vec<TokenUse>) -> Result<(), StoreError> {
        self.writer.write(move |connection| turned_away::count_uses(connection, &uses)).await
    }

    async fn catalogue(&self, limit: usize) -> Result<usize, StoreError> {
        let entries = self.cataloguing.read(move |connection| catalogue::next(connection, limit)).await?;
        if entries.is_empty() {
            return Ok(0);
        }
        self.writer.write(move |connection| catalogue::keep(connection, &entries)).await
    }

    async fn prune(&self, request: PruneRequest) -> Result<Pruned, StoreError> {
        self.writer.write(move |connection| keep::prune(connection, &request)).await
    }

    async fn tidy_keys(&self, now: Timestamp) -> Result<bool, StoreError> {
        let _one = self.tidying.lock().await;
        let Some(piece) = self.keys.lock().await.next_piece(now.as_millisecond()) else { return Ok(false) };
        let piece = Arc::new(piece);
        let more = {
            let piece = Arc::clone(&piece);
            self.writer.write(move |connection| piece.write(connection)).await?
        };
        self.keys.lock().await.wrote(&piece, more);
        Ok(true)
    }

    async fn forget(&self, step: ForgetStep) -> Result<Forgotten, StoreError> {
        forgetting::forget(&self.writer, &self.readers, &self.cleaning, step).await
    }

    async fn space(&self) -> Result<Space, StoreError> {
        let disk = Arc::clone(&self.disk);
        self.readers.read(move |connection| keep::space(connection, disk.path(), disk.free())).await
    }

    async fn give_back(&self) -> Result<bool, StoreError> {
        self.writer.write(keep::give_back).await
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.disk.has_room()?;
        self.writer
            .write(|connection| {
                let last = deliveries::mark(connection, "probe")?;
                deliveries::set_mark(connection, "probe", last.wrapping_add(1))
            })
            .await
    }

    async fn failed(&self) -> StoreError {
        self.writer.failed().await;
        StoreError::Ended
    }

    async fn close(&self) {
        self.writer.close();
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(threads) = threads else { return };
        threads.end([&self.readers, &self.planning, &self.cataloguing].map(Clone::clone)).await;
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").finish_non_exhaustive()
    }
}
