//! The threads that handlers run on, apart from those of the doors.

use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

use super::BuildError;

/// The fewest threads: a handler that blocks one leaves others.
const THREADS_MIN: usize = 4;
/// How long the end waits for attempts to be dropped, which is when their programs are killed.
const DROP_WITHIN: Duration = Duration::from_millis(250);

/// A runtime for handlers only. When it is dropped, what still runs on it and blocks its thread is left behind.
#[derive(Debug)]
pub(super) struct HandlerThreads(Option<Runtime>);

impl HandlerThreads {
    pub(super) fn start() -> Result<HandlerThreads, BuildError> {
        let threads = std::thread::available_parallelism().map_or(THREADS_MIN, |cores| cores.get().max(THREADS_MIN));
        let runtime = Builder::new_multi_thread().thread_name("handlers").worker_threads(threads).enable_all().build();
        runtime.map(|runtime| HandlerThreads(Some(runtime))).map_err(BuildError::Threads)
    }

    pub(super) fn handle(&self) -> Handle {
        self.0.as_ref().map_or_else(Handle::current, |runtime| runtime.handle().clone())
    }
}

impl Drop for HandlerThreads {
    fn drop(&mut self) {
        let Some(runtime) = self.0.take() else { return };
        // A task must not wait for another runtime's end, but it may wait for a thread that does.
        let end = std::thread::Builder::new().spawn(move || runtime.shutdown_timeout(DROP_WITHIN));
        if let Ok(end) = end {
            drop(end.join());
        }
    }
}
