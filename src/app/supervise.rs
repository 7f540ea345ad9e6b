//! Running, and ending in order (ruling 22).

use std::future::Future;
use std::time::Duration;

use thiserror::Error;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::App;
use crate::dispatch;
use crate::dispatch::House;
use crate::store::StoreError;

/// By when attempts are cut short, from the signal on: containers are killed after ten seconds.
const CUT_AFTER: Duration = Duration::from_secs(7);
/// How long tasks may take to end after that.
const END_WITHIN: Duration = Duration::from_millis(600);
/// By when the process ends, whatever is left, from the signal on.
const ENDED_BY: Duration = Duration::from_secs(8);
/// How long the last traces may take, beside the store's end.
const TRACES_WITHIN: Duration = Duration::from_secs(1);
/// How often a durable write is tried, so that being ready means something.
const PROBE_EVERY: Duration = Duration::from_secs(5);
/// How long one may take.
const PROBE_WITHIN: Duration = Duration::from_secs(2);

/// Why running ended other than by being told to.
#[derive(Debug, Error)]
pub enum RunError {
    /// A task ended by itself.
    #[error("the task {0} ended by itself")]
    Ended(&'static str),
    /// A task ended by a panic.
    #[error("a task ended in a panic")]
    Panicked(#[source] JoinError),
    /// The store's disk can no longer be trusted; what was acknowledged is safe, nothing more is taken.
    #[error("the store failed, and can no longer be trusted to keep anything; see the log")]
    StoreFailed,
}

impl App {
    /// Runs until `shutdown`, or until something that must not end does; then ends everything in order.
    ///
    /// # Errors
    /// When it was not told to end.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), RunError> {
        let ends = Ends::default();
        let mut tasks = JoinSet::new();
        let store = self.house.store.clone();
        let health = self.house.health.clone();
        let traces = self.house.traces.clone();
        if let Some(public) = self.public {
            spawn(&mut tasks, "ingest", self.ingest.run(public, ends.ingest.clone()));
        }
        spawn(&mut tasks, "admin", self.admin.run(self.private, ends.admin.clone()));
        spawn(&mut tasks, "probe", probe(self.house.clone(), ends.admin.clone()));
        if self.role.dispatches() {
            spawn(&mut tasks, "upkeep", self.upkeep.run(ends.dispatch.clone()));
            let consumers = self.changeable.consumers.subscribe();
            let dispatched = dispatch::run(self.house, consumers, ends.dispatch.clone(), ends.attempts.clone());
            spawn(&mut tasks, "dispatch", dispatched);
        }

        let result = tokio::select! {
            () = shutdown => Ok(()),
            _ = store.failed() => Err(RunError::StoreFailed),
            ended = tasks.join_next() => Err(early(ended)),
        };

        let told = Instant::now();
        health.start_draining();
        ends.dispatch.cancel();
        if result.is_ok() {
            let drain_delay = self.changeable.rules.now().drain_delay;
            tracing::info!("stopping: still accepting for {drain_delay:?}");
            sleep_until(told + drain_delay).await;
        }
        ends.ingest.cancel();
        let cut_at = told + CUT_AFTER;
        let finish = async {
            while tasks.len() > ends.last_tasks() {
                if tasks.join_next().await.is_none() {
                    break;
                }
            }
        };
        if timeout_at(cut_at, finish).await.is_err() {
            tracing::warn!("attempts that were under way are cut short; they are tried again at the next start");
        }
        ends.attempts.cancel();
        ends.admin.cancel();
        if timeout(END_WITHIN, async { while tasks.join_next().await.is_some() {} }).await.is_err() {
            tracing::warn!("tasks that did not end in time are dropped");
            tasks.abort_all();
        }
        let close = async { tokio::join!(store.close(), traces.end(TRACES_WITHIN)) };
        if timeout_at(told + ENDED_BY, close).await.is_err() {
            tracing::warn!("the store was not closed in time; nothing that was acknowledged is lost by that");
        }
        drop(self.threads);
        tracing::info!("stopped");
        result
    }
}

#[derive(Debug, Default)]
struct Ends {
    ingest: CancellationToken,
    dispatch: CancellationToken,
    attempts: CancellationToken,
    admin: CancellationToken,
}

impl Ends {
    /// How many tasks end only at the very last: the private door and the probe.
    fn last_tasks(&self) -> usize {
        if self.admin.is_cancelled() { 0 } else { 2 }
    }
}

fn spawn(tasks: &mut JoinSet<&'static str>, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
    tasks.spawn(async move {
        task.await;
        name
    });
}

fn early(ended: Option<Result<&'static str, JoinError>>) -> RunError {
    match ended {
        Some(Ok(name)) => RunError::Ended(name),
        Some(Err(error)) => RunError::Panicked(error),
        None => RunError::Ended("of all tasks"),
    }
}

/// Says whether the store can be written to, now and then.
async fn probe(house: House, stop: CancellationToken) {
    loop {
        let written = timeout(PROBE_WITHIN, house.store.probe()).await;
        // A disk that is nearly full still takes what handling and removing need.
        let disk_full = matches!(written, Ok(Err(StoreError::Full)));
        let writable = disk_full || matches!(written, Ok(Ok(())));
        house.health.set_disk_full(disk_full);
        if !writable {
            tracing::warn!("the store cannot be written to; not ready");
        }
        house.health.set_store_writable(writable);
        if timeout(PROBE_EVERY, stop.cancelled()).await.is_ok() {
            return;
        }
    }
}
