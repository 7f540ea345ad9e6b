//! What the store counts and measures.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::{Config, Place, SqliteSettings};
use crate::telemetry::metrics::{Counter, Gauge, Histogram, Registry, SHORT};

/// Bounds for how many requests share a commit; the last is the most that do.
const BATCHES: &[u64] = &[0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

/// The metrics of the store. Copies share them.
#[derive(Debug, Clone)]
pub struct Metrics {
    commit: Histogram,
    batch: Histogram,
    failed: Counter,
    waiting: Gauge,
    pool: Pool,
}

/// How many connections to a database there are: open, of these idle, and how many wait for one.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Connections {
    pub(super) open: usize,
    pub(super) idle: usize,
    pub(super) waiting: usize,
}

impl Connections {
    /// Both together.
    pub(super) fn and(self, other: Connections) -> Connections {
        Connections {
            open: self.open + other.open,
            idle: self.idle + other.idle,
            waiting: self.waiting + other.waiting,
        }
    }
}

/// Who tells how many there are, once there is somebody.
#[derive(Clone, Default)]
struct Pool(Arc<OnceLock<Box<Tell>>>);

type Tell = dyn Fn() -> Connections + Send + Sync;

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pool")
    }
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::shared(&mut Registry::default())
    }
}

impl Metrics {
    /// Adds the metrics of the store with these settings.
    pub fn new(registry: &mut Registry, config: &Config) -> Metrics {
        match &config.place {
            Place::Sqlite(settings) => Metrics::embedded(registry, settings),
            Place::Postgres(_) => Metrics::with_pool(registry),
        }
    }

    /// What every store counts.
    fn shared(registry: &mut Registry) -> Metrics {
        let metrics = Metrics {
            commit: Histogram::of_times(SHORT),
            batch: Histogram::of_numbers(BATCHES),
            failed: registry.counter("commits_failed", "Commits that failed, with everything that was in them"),
            waiting: Gauge::default(),
            pool: Pool::default(),
        };
        registry.add("commit_seconds", "How long a durable commit took, good or failed", metrics.commit.clone());
        registry.add("commit_requests", "How many requests shared a commit", metrics.batch.clone());
        registry.add("waiting_requests", "Requests that wait for a commit", metrics.waiting.clone());
        metrics
    }

    fn embedded(registry: &mut Registry, settings: &SqliteSettings) -> Metrics {
        let metrics = Metrics::shared(registry);
        let (disk_free, folder) = (settings.disk_free.clone(), settings.folder().to_owned());
        let help = "What the disk of the database has left; NaN where it does not say";
        registry.ask("disk_free_bytes", help, move || disk_free.now(&folder).map_or(f64::NAN, bytes));
        let log = PathBuf::from(format!("{}-wal", settings.path.display()));
        let database = settings.path.clone();
        registry.ask("database_bytes", "Size of the database file", move || size(&database));
        registry.ask("write_ahead_log_bytes", "Size of the write-ahead log beside the database", move || size(&log));
        metrics
    }

    fn with_pool(registry: &mut Registry) -> Metrics {
        let metrics = Metrics::shared(registry);
        let mut ask = |name: &str, help: &str, of: fn(Connections) -> usize| {
            let pool = metrics.pool.clone();
            registry.ask(name, help, move || pool.0.get().map_or(0.0, |tell| bytes(of(tell()) as u64)));
        };
        ask("pool_connections", "Connections to the database that are open", |all| all.open);
        ask("pool_idle_connections", "Connections to the database that are open and not in use", |all| all.idle);
        ask("pool_waiting", "How many wait for a connection to the database", |all| all.waiting);
        metrics
    }

    /// Has somebody tell how many connections there are.
    pub(super) fn ask_for_connections(&self, tell: impl Fn() -> Connections + Send + Sync + 'static) {
        // Nobody told before: a store is opened once.
        let _ = self.pool.0.set(Box::new(tell));
    }

    /// So many requests wait for a commit.
    pub(super) fn wait(&self, requests: usize) {
        self.waiting.set(i64::try_from(requests).unwrap_or(i64::MAX));
    }

    /// A commit with so many requests ended.
    pub(super) fn committed(&self, requests: usize, took: Duration, good: bool) {
        self.commit.took(took);
        self.batch.had(requests as u64);
        if !good {
            self.failed.inc();
        }
    }

    /// Something that was left of a commit failed after it.
    pub(super) fn failed_later(&self) {
        self.failed.inc();
    }
}

/// The size of a file in bytes; 0 where it is not there.
fn size(path: &Path) -> f64 {
    std::fs::metadata(path).map_or(0.0, |file| bytes(file.len()))
}

#[expect(clippy::cast_precision_loss, reason = "a metric is a float, and no disk has so many bytes")]
fn bytes(count: u64) -> f64 {
    count as f64
}
