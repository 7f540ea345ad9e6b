//! The threads of the embedded store, and their end in order.

use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use super::SqliteStore;
use super::open::Lock;
use super::read::Readers;

/// The one that writes, and the one that makes checkpoints.
pub(super) struct Threads {
    pub(super) writer: JoinHandle<()>,
    pub(super) checkpoint: JoinHandle<()>,
    pub(super) stop_checkpoint: mpsc::Sender<()>,
    /// Held by the writer's thread as well: a store that was dropped is nobody else's before that has ended.
    pub(super) lock: Arc<Lock>,
}

impl Threads {
    /// Waits until they have ended; the writer was told to, and the other one is. When the future is dropped, they end all
    /// the same.
    pub(super) async fn end(self, readers: [Readers; 3]) {
        let join = tokio::task::spawn_blocking(move || {
            drop(self.stop_checkpoint);
            let checkpoint = self.checkpoint.join();
            // Readers go before the writer's last checkpoint, so that it can empty the log.
            readers.iter().for_each(Readers::close);
            let writer = self.writer.join();
            drop(self.lock);
            writer.and(checkpoint)
        });
        if !matches!(join.await, Ok(Ok(()))) {
            tracing::error!("a thread of the store ended by a panic");
        }
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        // The untidy end: the threads finish what they have and go.
        self.writer.close();
    }
}
