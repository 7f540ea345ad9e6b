//! What waits for the writer, and how much of it goes into one commit.
//!
//! What always holds: what waits is bounded in number, in bytes, and in how long it will wait as far as can be told.

use std::collections::VecDeque;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::contract::Accepted;
use crate::store::{Appended, StoreError};

/// The most requests that wait; more are turned away.
pub(super) const WAITING_MAX: usize = 4096;
/// The most bytes of bodies that wait; more are turned away.
pub(super) const WAITING_BYTES_MAX: usize = 64 << 20;
/// The longest that a request may have to wait, as far as can be told. The rest of 2 s is for its body and checkpoints.
const WAIT_MAX: Duration = Duration::from_millis(1200);
/// From how many waiting requests on other work holds back, where it can.
pub(super) const PRESSED_FROM: usize = 8;
/// The most requests in one commit.
pub(super) const BATCH_MAX: usize = 512;
/// The most bytes of bodies in one commit, beside its first request.
const BATCH_BYTES_MAX: usize = 8 << 20;

/// What waits for the writer.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) requests: VecDeque<Request>,
    pub(super) bytes: usize,
    pub(super) units: VecDeque<Box<dyn Unit>>,
    pub(super) commits: u64,
    /// How long a commit takes at present.
    pub(super) commit_takes: Duration,
    pub(super) finish_checkpoint: bool,
    /// Those who wait until the log is emptied.
    pub(super) empty_log: Vec<oneshot::Sender<bool>>,
    pub(super) closed: bool,
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
    pub(super) fn has_work(&self) -> bool {
        let of_log = self.finish_checkpoint || !self.empty_log.is_empty();
        !self.requests.is_empty() || !self.units.is_empty() || of_log
    }

    /// Whether a request of so many bytes may wait as well.
    pub(super) fn takes(&self, bytes: usize) -> bool {
        self.requests.len() < WAITING_MAX && self.has_room_for(bytes) && self.has_time_for_one_more()
    }

    /// Whether so many bytes may wait as well; what waits alone may be of any size.
    pub(super) fn has_room_for(&self, bytes: usize) -> bool {
        self.bytes == 0 || self.bytes + bytes <= WAITING_BYTES_MAX
    }

    /// Whether one more would be stored in time: after the commit under way and those before its own. What fits into the
    /// next commit is always taken, so that it is found out again how long one takes.
    fn has_time_for_one_more(&self) -> bool {
        let before = (self.requests.len() / BATCH_MAX).max(self.bytes / BATCH_BYTES_MAX);
        let commits = u32::try_from(before + 2).unwrap_or(u32::MAX);
        before == 0 || self.commit_takes.saturating_mul(commits) <= WAIT_MAX
    }

    pub(super) fn take(&mut self) -> Batch {
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
    use bytes::Bytes;

    use super::*;
    use crate::contract::sample::accepted;

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
