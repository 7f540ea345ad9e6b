//! The one writer: everything that is written goes through its thread and rides a commit with others.
//!
//! There is no timer: a batch is whatever arrived while the commit before it ran (ruling 24). Requests come first in
//! a batch, other units after them. How a batch is written is in commit.rs.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::time::Instant;

use super::checkpoint::{self, Untrustworthy};
use super::commit::{Committer, is_untrustworthy};
use crate::contract::Accepted;
use crate::store::{Appended, Metrics, StoreError};

/// The most requests that wait; more are turned away.
const WAITING_MAX: usize = 4096;
/// The most bytes of bodies that wait; more are turned away.
const WAITING_BYTES_MAX: usize = 64 << 20;
/// The longest that a request may have to wait, as far as can be told. The rest of 2 s is for its body and checkpoints.
const WAIT_MAX: Duration = Duration::from_millis(1200);
/// The most requests in one commit.
const BATCH_MAX: usize = 512;
/// The most bytes of bodies in one commit, beside its first request.
const BATCH_BYTES_MAX: usize = 8 << 20;
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

#[derive(Default)]
struct Queue {
    requests: VecDeque<Request>,
    bytes: usize,
    units: VecDeque<Box<dyn Unit>>,
    commits: u64,
    /// How long a commit takes at present.
    commit_takes: Duration,
    finish_checkpoint: bool,
    /// Those who wait until the log is emptied.
    empty_log: Vec<oneshot::Sender<bool>>,
    closed: bool,
}

/// A request that waits to be stored.
pub(super) struct Request {
    pub(super) accepted: Accepted,
    pub(super) reply: oneshot::Sender<Result<Appended, StoreError>>,
}

/// Something to write that is not a request. It may be run again, after a rollback.
pub(super) trait Unit: Send {
    /// How many bytes it holds, where they count.
    fn bytes(&self) -> usize;
    fn run(&mut self, connection: &Connection) -> rusqlite::Result<()>;
    fn reply(self: Box<Self>, result: Result<(), StoreError>);
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
        let (reply, answer) = oneshot::channel();
        {
            let mut queue = self.shared.lock();
            if queue.closed {
                return Err(StoreError::Ended);
            }
            let bytes = accepted.body().len();
            if queue.requests.len() >= WAITING_MAX || !queue.has_room_for(bytes) || !queue.has_time_for_one_more() {
                return Err(StoreError::Busy);
            }
            queue.bytes += bytes;
            queue.requests.push_back(Request { accepted, reply });
            self.shared.metrics.wait(queue.requests.len());
        }
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
            if bytes > 0 && !queue.has_room_for(bytes) {
                return Err(StoreError::Busy);
            }
            queue.bytes += bytes;
            queue.units.push_back(Box::new(Call { work, value: None, bytes, reply, _place: place }));
        }
        self.shared.arrived.notify_one();
        answer.await.unwrap_or(Err(StoreError::Ended))
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
                // It rises at once and falls step by step.
                queue.commit_takes = took.max((queue.commit_takes + took) / 2);
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
                self.metrics.wait(queue.requests.len());
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

/// What is written in one commit.
pub(super) struct Batch {
    pub(super) requests: Vec<Request>,
    pub(super) units: Vec<Box<dyn Unit>>,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.units.is_empty()
    }
}

impl Queue {
    fn has_work(&self) -> bool {
        let of_log = self.finish_checkpoint || !self.empty_log.is_empty();
        !self.requests.is_empty() || !self.units.is_empty() || of_log
    }

    /// Whether so many bytes may wait as well; what waits alone may be of any size.
    fn has_room_for(&self, bytes: usize) -> bool {
        self.bytes == 0 || self.bytes + bytes <= WAITING_BYTES_MAX
    }

    /// Whether one more would be stored in time: after the commit under way and those before its own. What fits into the
    /// next commit is always taken, so that it is found out again how long one takes.
    fn has_time_for_one_more(&self) -> bool {
        let before = (self.requests.len() / BATCH_MAX).max(self.bytes / BATCH_BYTES_MAX);
        let commits = u32::try_from(before + 2).unwrap_or(u32::MAX);
        before == 0 || self.commit_takes.saturating_mul(commits) <= WAIT_MAX
    }

    fn take(&mut self) -> Batch {
        let mut requests = Vec::new();
        let mut bytes = 0;
        while let Some(request) = self.requests.front() {
            let len = request.accepted.body().len();
            if requests.len() == BATCH_MAX || (bytes + len > BATCH_BYTES_MAX && !requests.is_empty()) {
                break;
            }
            bytes += len;
            self.bytes -= len;
            requests.extend(self.requests.pop_front());
        }
        let units: Vec<Box<dyn Unit>> = self.units.drain(..).collect();
        self.bytes -= units.iter().map(|unit| unit.bytes()).sum::<usize>();
        Batch { requests, units }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::sample::accepted;
    use bytes::Bytes;

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
            writer.shared.lock().commit_takes = commit_takes;
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

    #[test]
    fn a_batch_is_bounded_and_a_request_larger_than_that_goes_alone() {
        let mut queue = Queue::default();
        let large = Bytes::from(format!("{{\"a\":\"{}\"}}", "x".repeat(BATCH_BYTES_MAX)));
        for body in [large, Bytes::from_static(b"{}"), Bytes::from_static(b"{}")] {
            queue.bytes += body.len();
            queue.requests.push_back(Request { accepted: accepted(body), reply: oneshot::channel().0 });
        }
        assert_eq!(queue.take().requests.len(), 1);
        assert_eq!(queue.take().requests.len(), 2);
        assert_eq!(queue.bytes, 0);
    }
}
