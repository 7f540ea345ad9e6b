//! The one writer: everything that is written goes through its thread and rides a commit with others.
//!
//! There is no timer: a batch is whatever arrived while the commit before it ran (ruling 24). Requests come first in
//! a batch, other units after them. How a batch is written is in commit.rs.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::time::Instant;

use super::checkpoint::{self, Untrustworthy};
use super::commit::{Committer, is_untrustworthy};
use super::queue::{Batch, Queue, Unit};
use crate::contract::Accepted;
use crate::store::{Appended, Metrics, StoreError};

/// The most other units that wait; who comes later waits for a place.
const UNITS_MAX: usize = 256;

/// Hands work to the writer.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    units: Arc<Semaphore>,
}

struct Shared {
    queue: Mutex<Queue>,
    arrived: Condvar,
    failed: watch::Sender<bool>,
    metrics: Metrics,
}

struct Call<F, T> {
    work: F,
    value: Option<T>,
    bytes: usize,
    reply: oneshot::Sender<Result<T, StoreError>>,
    _place: OwnedSemaphorePermit,
}

impl<F, T> Unit for Call<F, T>
where
    F: Fn(&Connection) -> rusqlite::Result<T> + Send,
    T: Send,
{
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn run(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.value = Some((self.work)(connection)?);
        Ok(())
    }

    fn reply(self: Box<Self>, result: Result<(), StoreError>) {
        let Call { value, reply, .. } = *self;
        // Whoever asked may be gone; what was done stands.
        let _ = reply.send(result.and_then(|()| value.ok_or(StoreError::Ended)));
    }
}

impl Writer {
    pub(super) fn new(metrics: Metrics) -> Writer {
        let failed = watch::Sender::new(false);
        let shared = Shared { queue: Mutex::default(), arrived: Condvar::new(), failed, metrics };
        Writer { shared: Arc::new(shared), units: Arc::new(Semaphore::new(UNITS_MAX)) }
    }

    /// Hands over a request. When the future is dropped, the request is stored all the same.
    pub(super) async fn append(&self, accepted: Accepted) -> Result<Appended, StoreError> {
        let answer = {
            let mut queue = self.shared.lock();
            if queue.closed {
                return Err(StoreError::Ended);
            }
            let answer = queue.waiting.push(accepted)?;
            self.shared.metrics.wait(queue.waiting.requests.len());
            answer
        };
        self.shared.arrived.notify_one();
        answer.await.unwrap_or(Err(StoreError::Ended))
    }

    /// Hands over anything else, and waits for a place where too much is waiting.
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        F: Fn(&Connection) -> rusqlite::Result<T> + Send + 'static,
        T: Send + 'static,
    {
        self.write_large(0, work).await
    }

    /// The same for what holds so many bytes, which count among those that wait.
    pub(super) async fn write_large<T, F>(&self, bytes: usize, work: F) -> Result<T, StoreError>
    where
        F: Fn(&Connection) -> rusqlite::Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let place = Arc::clone(&self.units).acquire_owned().await.map_err(|_| StoreError::Ended)?;
        let (reply, answer) = oneshot::channel();
        {
            let mut queue = self.shared.lock();
            if queue.closed {
                return Err(StoreError::Ended);
            }
            if bytes > 0 && !queue.waiting.has_room_for(bytes) {
                return Err(StoreError::Busy);
            }
            queue.waiting.bytes += bytes;
            queue.units.push(Box::new(Call { work, value: None, bytes, reply, _place: place }));
        }
        self.shared.arrived.notify_one();
        answer.await.unwrap_or(Err(StoreError::Ended))
    }

    /// Whether so many requests wait that what can be done later should be.
    pub(super) fn is_pressed(&self) -> bool {
        self.shared.lock().waiting.is_pressed()
    }

    /// How many commits there were.
    pub(super) fn commits(&self) -> u64 {
        self.shared.lock().commits
    }

    /// Asks the writer to finish a checkpoint between two commits.
    pub(super) fn finish_checkpoint(&self) {
        self.shared.lock().finish_checkpoint = true;
        self.shared.arrived.notify_one();
    }

    /// Has everything moved out of the log and the log emptied, between two commits; whether it was, which it is not
    /// while somebody reads what is in it.
    pub(super) async fn empty_log(&self) -> Result<bool, StoreError> {
        let (reply, answer) = oneshot::channel();
        {
            let mut queue = self.shared.lock();
            if queue.closed {
                return Err(StoreError::Ended);
            }
            queue.empty_log.push(reply);
        }
        self.shared.arrived.notify_one();
        answer.await.map_err(|_| StoreError::Ended)
    }

    /// Takes nothing more; what is waiting is still written.
    pub(super) fn close(&self) {
        self.shared.lock().closed = true;
        self.shared.arrived.notify_one();
    }

    /// Waits until the disk can no longer be trusted.
    pub(super) async fn failed(&self) {
        let mut failed = self.shared.failed.subscribe();
        if failed.wait_for(|failed| *failed).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// The disk can no longer be trusted: nothing is taken any more, and whoever waits is told.
    pub(super) fn fail(&self) {
        self.shared.fail();
    }

    /// Whether the disk can no longer be trusted.
    pub(super) fn has_failed(&self) -> bool {
        *self.shared.failed.borrow()
    }

    /// The thread's work: until it is closed and nothing waits, or until the disk can no longer be trusted.
    pub(super) fn run(&self, committer: &Committer) {
        let work = || self.work(committer);
        let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        if !matches!(worked, Ok(Ok(()))) {
            self.shared.fail();
        }
        if !self.has_failed() {
            checkpoint::truncate(&committer.connection);
        }
    }

    fn work(&self, committer: &Committer) -> Result<(), Untrustworthy> {
        while let Some(batch) = self.shared.next() {
            let (requests, empty) = (batch.requests.len(), batch.is_empty());
            let began = Instant::now();
            let committed = committer.commit(batch);
            let took = began.elapsed();
            if !empty {
                self.shared.metrics.committed(requests, took, committed.is_ok());
            }
            if let Err(error) = &committed {
                tracing::error!(error = %error, requests, "a commit failed");
                if is_untrustworthy(error) {
                    return Err(Untrustworthy);
                }
            }
            let (finish, empty) = {
                let mut queue = self.shared.lock();
                queue.commits += 1;
                queue.waiting.took(took);
                (std::mem::take(&mut queue.finish_checkpoint), std::mem::take(&mut queue.empty_log))
            };
            if finish {
                checkpoint::passive(&committer.connection)?;
            }
            if !empty.is_empty() {
                let emptied = checkpoint::empty(&committer.connection)?;
                for waiting in empty {
                    // Whoever asked may be gone; the log is empty all the same.
                    let _ = waiting.send(emptied);
                }
            }
        }
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // A panic while the lock is held leaves the queue whole: nothing in here is half done.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for work and takes a batch of it; `None` when it is closed and nothing waits.
    fn next(&self) -> Option<Batch> {
        let mut queue = self.lock();
        loop {
            if queue.has_work() {
                let batch = queue.take();
                self.metrics.wait(queue.waiting.requests.len());
                return Some(batch);
            }
            if queue.closed {
                return None;
            }
            queue = self.arrived.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Nothing is taken any more, and whoever waits is told.
    fn fail(&self) {
        let waiting = {
            let mut queue = self.lock();
            std::mem::replace(&mut *queue, Queue { closed: true, ..Queue::default() })
        };
        self.failed.send_replace(true);
        // Those who wait learn it by their reply's being dropped; the thread, by being woken.
        drop(waiting);
        self.arrived.notify_one();
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::contract::sample::accepted;
    use crate::store::waiting::{BATCH_MAX, WAITING_BYTES_MAX, WAITING_MAX};

    /// Hands a request to a writer that nobody runs; whether it took it.
    async fn takes(writer: &Writer, body: &Bytes) -> bool {
        let append = writer.append(accepted(body.clone()));
        tokio::select! {
            biased;
            answer = append => !matches!(answer, Err(StoreError::Busy)),
            () = std::future::ready(()) => true,
        }
    }

    #[tokio::test]
    async fn what_waits_is_bounded_in_number_and_in_bytes() {
        let writer = Writer::new(Metrics::default());
        for _ in 0..WAITING_MAX {
            assert!(takes(&writer, &Bytes::from_static(b"{}")).await);
        }
        assert!(!takes(&writer, &Bytes::from_static(b"{}")).await);

        let writer = Writer::new(Metrics::default());
        let large = Bytes::from(format!("{{\"a\":\"{}\"}}", "x".repeat(WAITING_BYTES_MAX / 4)));
        assert_eq!(
            [takes(&writer, &large).await, takes(&writer, &large).await, takes(&writer, &large).await],
            [true; 3]
        );
        assert!(!takes(&writer, &large).await);
        assert!(takes(&writer, &Bytes::from_static(b"{}")).await, "a small one still fits");
    }

    #[tokio::test]
    async fn where_commits_take_long_fewer_wait_and_what_fits_into_the_next_one_always_may() {
        let may_wait = async |commit_takes: Duration| {
            let writer = Writer::new(Metrics::default());
            writer.shared.lock().waiting.commit_takes = commit_takes;
            let mut count = 0;
            while takes(&writer, &Bytes::from_static(b"{}")).await {
                count += 1;
            }
            count
        };
        assert_eq!(may_wait(Duration::from_millis(50)).await, WAITING_MAX);
        assert_eq!(may_wait(Duration::from_millis(300)).await, 3 * BATCH_MAX);
        assert_eq!(may_wait(Duration::from_secs(60)).await, BATCH_MAX);
    }
}
