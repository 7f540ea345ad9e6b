//! The tasks that the store owns: they begin when it is opened, and end when it is closed or dropped.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::ingest::Ingest;
use super::open::Server;
use super::pool::Pool;
use super::settling::Settling;
use super::{Database, hints, processes};

/// The longest that is waited for a task to end.
const END_MAX: Duration = Duration::from_secs(5);

/// What runs beside the verbs.
pub(super) struct Tasks {
    /// Those that finish what waits, and the others.
    finishing: tokio::sync::Mutex<Vec<JoinHandle<()>>>,
    beside: tokio::sync::Mutex<Vec<JoinHandle<()>>>,
    all: Vec<AbortHandle>,
    stop: CancellationToken,
}

/// What the tasks work with.
pub(super) struct Work {
    pub(super) db: Arc<Database>,
    pub(super) server: Server,
    /// For storing events, and for saying that this process is there.
    pub(super) own_pool: Pool,
    pub(super) ingest: Arc<Ingest>,
    pub(super) settling: Arc<Settling>,
    pub(super) remember_ms: i64,
    pub(super) poll_only: bool,
}

impl Tasks {
    pub(super) fn start(work: Work) -> Tasks {
        let stop = CancellationToken::new();
        let Work { db, server, own_pool, ingest, settling, remember_ms, poll_only } = work;
        let storing = {
            let (db, pool) = (Arc::clone(&db), own_pool.clone());
            tokio::spawn(async move { ingest.run(&db, &pool, remember_ms).await })
        };
        let keeping = {
            let db = Arc::clone(&db);
            tokio::spawn(async move { settling.run(&db).await })
        };
        let beating = {
            let (db, stop) = (Arc::clone(&db), stop.clone());
            tokio::spawn(async move { processes::run(&db, &own_pool, &stop).await })
        };
        let hinting = {
            let stop = stop.clone();
            tokio::spawn(async move {
                if poll_only { hints::poll(&db, &stop).await } else { hints::listen(&server, &db, &stop).await }
            })
        };
        let all = [&storing, &keeping, &beating, &hinting].map(JoinHandle::abort_handle).to_vec();
        Tasks { finishing: vec![storing, keeping].into(), beside: vec![beating, hinting].into(), all, stop }
    }

    /// Waits until what was handed over is done, and then ends everything else.
    pub(super) async fn end(&self) {
        end(&self.finishing).await;
        self.stop.cancel();
        end(&self.beside).await;
    }
}

async fn end(tasks: &tokio::sync::Mutex<Vec<JoinHandle<()>>>) {
    for mut task in tasks.lock().await.drain(..) {
        match timeout(END_MAX, &mut task).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(error = %error, "a task of the store ended early"),
            Err(_) => {
                tracing::error!("a task of the store did not end in time");
                task.abort();
            }
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.all.iter().for_each(AbortHandle::abort);
    }
}
