//! The threads that handlers run on, apart from those of the doors.

use tokio::runtime::{Builder, Handle, Runtime};

use super::BuildError;

/// The fewest threads: a handler that blocks one leaves others.
const THREADS_MIN: usize = 4;

/// A runtime for handlers only. When it is dropped, what still runs on it is left behind.
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
        // A handler that blocks its thread must not hold up the end.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
