//! What waits for the writer, and how much of it goes into one commit.

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::store::StoreError;
use crate::store::waiting::{Request, Waiting};

/// What waits for the writer.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) waiting: Waiting,
    pub(super) units: Vec<Box<dyn Unit>>,
    pub(super) commits: u64,
    pub(super) finish_checkpoint: bool,
    /// Those who wait until the log is emptied.
    pub(super) empty_log: Vec<oneshot::Sender<bool>>,
    pub(super) closed: bool,
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
        !self.waiting.requests.is_empty() || !self.units.is_empty() || of_log
    }

    pub(super) fn take(&mut self) -> Batch {
        let requests = self.waiting.take();
        let units = std::mem::take(&mut self.units);
        self.waiting.bytes -= units.iter().map(|unit| unit.bytes()).sum::<usize>();
        Batch { requests, units }
    }
}
