//! Requests that wait to be stored, and how many of them go into one commit.
//!
//! What always holds: what waits is bounded in number, in bytes, and in how long it will wait as far as can be told.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Appended, StoreError};
use crate::contract::Accepted;

/// The most requests that wait; more are turned away.
pub(super) const WAITING_MAX: usize = 4096;
/// The most bytes of bodies that wait; more are turned away.
pub(super) const WAITING_BYTES_MAX: usize = 64 << 20;
/// The longest that a request may have to wait, as far as can be told. The rest of 2 s is for its body and the unforeseen.
const WAIT_MAX: Duration = Duration::from_millis(1200);
/// From how many waiting requests on other work holds back, where it can.
const PRESSED_FROM: usize = 8;
/// The most requests in one commit.
pub(super) const BATCH_MAX: usize = 512;
/// The most bytes of bodies in one commit, beside its first request.
const BATCH_BYTES_MAX: usize = 8 << 20;

/// What waits.
#[derive(Default)]
pub(super) struct Waiting {
    pub(super) requests: VecDeque<Request>,
    /// The bytes of their bodies, and of what else waits.
    pub(super) bytes: usize,
    /// How long a commit takes at present.
    pub(super) commit_takes: Duration,
}

/// A request that waits to be stored.
pub(super) struct Request {
    pub(super) accepted: Accepted,
    /// Since when it waits.
    pub(super) since: Instant,
    pub(super) reply: oneshot::Sender<Result<Appended, StoreError>>,
}

impl Waiting {
    /// Takes a request in, where it may wait as well; where it will be told what became of it.
    pub(super) fn push(
        &mut self,
        accepted: Accepted,
    ) -> Result<oneshot::Receiver<Result<Appended, StoreError>>, StoreError> {
        let bytes = accepted.body().len();
        if !self.takes(bytes) {
            return Err(StoreError::Busy);
        }
        let (reply, answer) = oneshot::channel();
        self.bytes += bytes;
        self.requests.push_back(Request { accepted, since: Instant::now(), reply });
        Ok(answer)
    }

    /// Whether a request of so many bytes may wait as well.
    fn takes(&self, bytes: usize) -> bool {
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

    /// Whether more requests wait than come in while a commit is made, but for a flood.
    pub(super) fn is_pressed(&self) -> bool {
        self.requests.len() >= PRESSED_FROM
    }

    /// Takes out what goes into the next commit.
    pub(super) fn take(&mut self) -> Vec<Request> {
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
        requests
    }

    /// A commit took so long. What one takes at present rises at once and falls step by step.
    pub(super) fn took(&mut self, took: Duration) {
        self.commit_takes = took.max((self.commit_takes + took) / 2);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::contract::sample::accepted;

    #[test]
    fn a_batch_is_bounded_and_a_request_larger_than_that_goes_alone() {
        let mut waiting = Waiting::default();
        let large = Bytes::from(format!("{{\"a\":\"{}\"}}", "x".repeat(BATCH_BYTES_MAX)));
        for body in [large, Bytes::from_static(b"{}"), Bytes::from_static(b"{}")] {
            waiting.push(accepted(body)).unwrap();
        }
        assert_eq!(waiting.take().len(), 1);
        assert_eq!(waiting.take().len(), 2);
        assert_eq!(waiting.bytes, 0);
    }

    #[test]
    fn it_is_pressed_while_more_wait_than_come_in_during_a_commit() {
        let mut waiting = Waiting::default();
        let mut pressed = Vec::new();
        for _ in 0..PRESSED_FROM {
            pressed.push(waiting.is_pressed());
            waiting.push(accepted("{}")).unwrap();
        }
        assert!(!pressed.contains(&true) && waiting.is_pressed(), "{pressed:?}");
        waiting.take();
        assert!(!waiting.is_pressed());
    }
}
