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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// Something that takes a while to be dropped.
    struct Slow(Arc<AtomicBool>);

    impl Drop for Slow {
        fn drop(&mut self) {
            std::thread::sleep(DROP_WITHIN / 5);
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[tokio::test]
    async fn when_the_threads_have_ended_every_attempt_has_been_dropped() {
        let dropped = Arc::new(AtomicBool::new(false));
        let threads = HandlerThreads::start().unwrap();
        let (slow, (started, wait)) = (Slow(Arc::clone(&dropped)), tokio::sync::oneshot::channel());
        threads.handle().spawn(async move {
            let _slow = slow;
            started.send(()).unwrap();
            std::future::pending::<()>().await;
        });
        wait.await.unwrap();
        drop(threads);
        assert!(dropped.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn what_blocks_its_thread_does_not_hold_up_the_end() {
        let threads = HandlerThreads::start().unwrap();
        let (free, blocked) = std::sync::mpsc::channel::<()>();
        let (started, wait) = tokio::sync::oneshot::channel();
        threads.handle().spawn(async move {
            started.send(()).unwrap();
            blocked.recv()
        });
        wait.await.unwrap();
        drop(threads);
        free.send(()).unwrap();
    }
}
