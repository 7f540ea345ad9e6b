//! Storing events: what arrives while a batch is under way is the next batch, in one statement.
//!
//! What always holds: nobody is told before the commit; and one that fails, or that somebody else holds, never fails its
//! neighbours, because the batch is taken apart then (contested.rs). What was handed over is done though nobody waits
//! for it any more. Where it is not known whether something was committed, it is not done again: that could make two
//! events of one.

mod columns;
mod contested;
mod exact;
mod fast;
mod receipts;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use self::contested::{APART_MAX, Contested, Left, halves};
use super::Database;
use super::failure::Failure;
use super::pool::Pool;
use crate::contract::{Accepted, Lifetime};
use crate::store::config::DAY_MS;
use crate::store::waiting::{Request, Waiting};
use crate::store::{Appended, Metrics, StoreError};

/// The longest that a batch takes; it is the longest that a request may wait for its answer (ruling 9).
const BATCH_TAKES_MAX: Duration = Duration::from_secs(2);
/// How long a batch waits for what somebody else holds, at the least and at the most: four times as long as a batch takes
/// at present, which is longer than others hold something, unless they have fallen asleep.
const PATIENCE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(500));

/// Takes requests, and hands them to the task that stores them.
pub(super) struct Ingest {
    queue: Mutex<Queue>,
    arrived: Notify,
    metrics: Metrics,
}

#[derive(Default)]
struct Queue {
    waiting: Waiting,
    closed: bool,
}

impl Ingest {
    pub(super) fn new(metrics: Metrics) -> Ingest {
        Ingest { queue: Mutex::default(), arrived: Notify::new(), metrics }
    }

    /// Hands over a request. When the future is dropped, the request is stored all the same.
    pub(super) async fn append(&self, accepted: Accepted) -> Result<Appended, StoreError> {
        let answer = {
            let mut queue = self.lock();
            if queue.closed {
                return Err(StoreError::Ended);
            }
            let answer = queue.waiting.push(accepted)?;
            self.metrics.wait(queue.waiting.requests.len());
            answer
        };
        self.arrived.notify_one();
        answer.await.unwrap_or(Err(StoreError::Ended))
    }

    /// Whether so many requests wait that what can be done later should be.
    pub(super) fn is_pressed(&self) -> bool {
        self.lock().waiting.is_pressed()
    }

    /// Takes nothing more; what is waiting is still stored.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_one();
    }

    /// The task's work: until it is closed and nothing waits.
    pub(super) async fn run(&self, db: &Arc<Database>, pool: &Pool, remember_ms: i64) {
        let mut contested = Contested::default();
        while let Some(requests) = self.next(contested.again_in()).await {
            let storing = Storing { db, pool, remember_ms, shard: db.shard, patience: self.patience() };
            if !requests.is_empty() {
                let (count, began) = (requests.len(), Instant::now());
                let mut left = storing.store(requests).await;
                let took = began.elapsed();
                left.failed |= contested.put(std::mem::take(&mut left.contested));
                self.metrics.committed(count, took, !left.failed);
                self.took(took, &left);
            }
            if contested.try_again(&storing).await {
                self.metrics.failed_later();
            }
        }
    }

    /// How long a batch waits at present for what somebody else holds.
    fn patience(&self) -> Duration {
        (self.lock().waiting.commit_takes * 4).clamp(PATIENCE.0, PATIENCE.1)
    }

    /// A batch took so long. What one took that was taken apart says how long somebody else holds something: neither
    /// patience goes by that, nor how many may wait.
    fn took(&self, took: Duration, left: &Left) {
        if !left.apart {
            self.lock().waiting.took(took);
        }
    }

    /// Waits for requests and takes a batch of them, which is empty when this time is over; `None` when it is closed and
    /// nothing waits.
    async fn next(&self, again_in: Option<Duration>) -> Option<Vec<Request>> {
        loop {
            {
                let mut queue = self.lock();
                let requests = queue.waiting.take();
                self.metrics.wait(queue.waiting.requests.len());
                if !requests.is_empty() {
                    return Some(requests);
                }
                if queue.closed && again_in.is_none() {
                    return None;
                }
            }
            match again_in {
                None => self.arrived.notified().await,
                Some(again_in) if timeout(again_in, self.arrived.notified()).await.is_err() => return Some(Vec::new()),
                Some(_) => {}
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // A panic while the lock is held leaves the queue whole: nothing in here is half done.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What it takes to store a batch.
#[derive(Clone, Copy)]
struct Storing<'a> {
    db: &'a Database,
    pool: &'a Pool,
    remember_ms: i64,
    /// Where events are counted.
    shard: i64,
    /// How long it waits for what somebody else holds.
    patience: Duration,
}

impl Storing<'_> {
    /// Stores a batch, and tells everyone what became of theirs, but for what is contested.
    async fn store(&self, requests: Vec<Request>) -> Left {
        // What may be matched by its body, and the same id twice, needs a look first; most need none.
        let (fast, mut rest) = fast::split(requests);
        let mut left = Left::default();
        if !fast.is_empty() {
            match self.pool.within(BATCH_TAKES_MAX, || fast::store(self, &fast)).await {
                Ok(stored) => {
                    self.woke(&stored);
                    let mut known = Vec::new();
                    for (request, stored) in fast.into_iter().zip(stored) {
                        match stored {
                            Some(appended) => tell(request, Ok(appended)),
                            None => known.push(request),
                        }
                    }
                    // In the order in which they came, as far as it matters: those with a key twice come second.
                    known.append(&mut rest);
                    rest = known;
                }
                Err(failure) => left.add(self.not_together(fast, failure).await),
            }
        }
        if !rest.is_empty() {
            match self.exactly(&rest).await {
                Ok(appended) => tell_all(rest, appended),
                Err(failure) => left.add(self.not_together(rest, failure).await),
            }
        }
        left
    }

    async fn exactly(&self, requests: &[Request]) -> Result<Vec<Appended>, Failure> {
        let appended = self.pool.within(BATCH_TAKES_MAX, || exact::store(self, requests)).await?;
        self.woke(&appended.iter().cloned().map(Some).collect::<Vec<_>>());
        Ok(appended)
    }

    /// What becomes of a batch that could not be stored together.
    async fn not_together(&self, requests: Vec<Request>, failure: Failure) -> Left {
        if failure.is_contested() {
            return contested::apart(self, halves(requests), APART_MAX).await;
        }
        if failure.is_about_a_row() && requests.len() > 1 {
            tracing::warn!(error = %failure, "one of many could not be stored; they are taken apart");
            return contested::apart(self, halves(requests), BATCH_TAKES_MAX).await;
        }
        failed(requests, failure);
        Left { failed: true, ..Left::default() }
    }

    fn woke(&self, appended: &[Option<Appended>]) {
        if appended.iter().flatten().any(|appended| matches!(appended, Appended::Stored { .. })) {
            self.db.hint(&self.db.wakes.events);
        }
    }

    /// Until when a key stands for an event.
    fn expires_at(&self, received_at: Timestamp, lifetime: Lifetime) -> i64 {
        received_at.as_millisecond()
            + match lifetime {
                Lifetime::Day => DAY_MS,
                Lifetime::Retention => self.remember_ms,
            }
    }
}

fn tell(request: Request, appended: Result<Appended, StoreError>) {
    // Whoever sent it may be gone; the event stands.
    let _ = request.reply.send(appended);
}

fn tell_all(requests: Vec<Request>, appended: Vec<Appended>) {
    requests.into_iter().zip(appended).for_each(|(request, appended)| tell(request, Ok(appended)));
}

/// Tells everyone that it failed, and the log once.
fn failed(requests: Vec<Request>, failure: Failure) {
    tracing::error!(error = %failure, requests = requests.len(), "a batch of requests was not stored");
    let failure = Arc::new(failure);
    for request in requests {
        tell(request, Err(StoreError::from(Failure::Shared(Arc::clone(&failure)))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_batch_took_that_was_taken_apart_makes_no_later_one_wait_for_longer() {
        let (ingest, millis) = (Ingest::new(Metrics::default()), Duration::from_millis);
        assert_eq!(ingest.patience(), millis(100), "at the least");
        ingest.took(millis(60), &Left::default());
        assert_eq!(ingest.patience(), millis(240));
        ingest.took(millis(700), &Left { apart: true, ..Left::default() });
        assert_eq!(ingest.patience(), millis(240));
        ingest.took(millis(700), &Left::default());
        assert_eq!(ingest.patience(), millis(500), "at the most");
    }
}
