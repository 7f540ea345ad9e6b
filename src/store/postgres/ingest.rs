//! Storing events: what arrives while a batch is under way is the next batch, in one statement.
//!
//! What always holds: nobody is told before the commit; and one that fails never fails its neighbours, because the
//! batch is done again then, each by itself. What was handed over is done though nobody waits for it any more. Where it
//! is not known whether something was committed, it is not done again: that could make two events of one.

mod columns;
mod exact;
mod fast;
mod receipts;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Database;
use super::failure::Failure;
use super::pool::Pool;
use crate::contract::{Accepted, Lifetime};
use crate::store::config::DAY_MS;
use crate::store::waiting::{Request, Waiting};
use crate::store::{Appended, Metrics, StoreError};

/// The longest that a batch takes; it is the longest that a request may wait for its answer (ruling 9).
const BATCH_TAKES_MAX: Duration = Duration::from_secs(2);

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

    /// Takes nothing more; what is waiting is still stored.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_one();
    }

    /// The task's work: until it is closed and nothing waits.
    pub(super) async fn run(&self, db: &Arc<Database>, pool: &Pool, remember_ms: i64) {
        while let Some(requests) = self.next().await {
            let (count, began) = (requests.len(), Instant::now());
            let store = Storing { db, pool, remember_ms };
            let is_good = store.store(requests).await;
            let took = began.elapsed();
            self.metrics.committed(count, took, is_good);
            self.lock().waiting.took(took);
        }
    }

    /// Waits for requests and takes a batch of them; `None` when it is closed and nothing waits.
    async fn next(&self) -> Option<Vec<Request>> {
        loop {
            {
                let mut queue = self.lock();
                let requests = queue.waiting.take();
                self.metrics.wait(queue.waiting.requests.len());
                if !requests.is_empty() {
                    return Some(requests);
                }
                if queue.closed {
                    return None;
                }
            }
            self.arrived.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // A panic while the lock is held leaves the queue whole: nothing in here is half done.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What it takes to store a batch.
struct Storing<'a> {
    db: &'a Database,
    pool: &'a Pool,
    remember_ms: i64,
}

impl Storing<'_> {
    /// Stores a batch, and tells everyone what became of theirs; whether all went well.
    async fn store(&self, requests: Vec<Request>) -> bool {
        // What may be matched by its body, and the same id twice, needs a look first; most need none.
        let (fast, mut rest) = fast::split(requests);
        let mut is_good = true;
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
                Err(failure) if failure.is_about_a_row() => {
                    tracing::warn!(error = %failure, "one of many could not be stored; each is tried by itself");
                    is_good &= self.one_by_one(fast).await;
                }
                Err(failure) => {
                    is_good = false;
                    failed(fast, failure);
                }
            }
        }
        if !rest.is_empty() {
            is_good &= self.exactly(rest).await;
        }
        is_good
    }

    async fn exactly(&self, requests: Vec<Request>) -> bool {
        match self.pool.within(BATCH_TAKES_MAX, || exact::store(self, &requests)).await {
            Ok(appended) => {
                self.woke(&appended.iter().cloned().map(Some).collect::<Vec<_>>());
                requests.into_iter().zip(appended).for_each(|(request, appended)| tell(request, Ok(appended)));
                true
            }
            Err(failure) if failure.is_about_a_row() && requests.len() > 1 => {
                tracing::warn!(error = %failure, "one of many could not be stored; each is tried by itself");
                self.one_by_one(requests).await
            }
            Err(failure) => {
                failed(requests, failure);
                false
            }
        }
    }

    async fn one_by_one(&self, requests: Vec<Request>) -> bool {
        let (mut is_good, began) = (true, Instant::now());
        let mut requests = requests.into_iter();
        for request in requests.by_ref() {
            is_good &= Box::pin(self.exactly(vec![request])).await;
            // Those who come after these have waited for too long as well.
            if began.elapsed() > BATCH_TAKES_MAX {
                break;
            }
        }
        let late: Vec<Request> = requests.collect();
        if !late.is_empty() {
            failed(late, Failure::Away("there was no time left to try each by itself".to_owned()));
            return false;
        }
        is_good
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

/// Tells everyone that it failed, and the log once.
fn failed(requests: Vec<Request>, failure: Failure) {
    tracing::error!(error = %failure, requests = requests.len(), "a batch of requests was not stored");
    let failure = Arc::new(failure);
    for request in requests {
        tell(request, Err(StoreError::from(Failure::Shared(Arc::clone(&failure)))));
    }
}
