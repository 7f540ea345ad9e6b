//! Hints to other processes that there is something to do, and theirs to this one.
//!
//! A hint says nothing but that somebody should look, and may be lost: all look every few seconds anyway. It is told
//! outside of all transactions, on the connection that listens, at most once in a while.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_postgres::{AsyncMessage, Client};
use tokio_util::sync::CancellationToken;

use super::Database;
use super::open::{CONNECT_MAX, Server};
use crate::wake::Wakes;

/// The least time between two hints of this process.
const PAUSE: Duration = Duration::from_millis(50);
/// How often this process looks by itself while nothing tells it.
const POLL: Duration = Duration::from_secs(1);

/// The task's work where there is LISTEN: until it is stopped.
pub(super) async fn listen(server: &Server, db: &Database, stop: &CancellationToken) {
    loop {
        match Line::open(server, db).await {
            Ok(line) => {
                // Whatever was told before went past.
                wake_all(&db.wakes);
                if stop.run_until_cancelled(line.talk(db)).await.is_none() {
                    return;
                }
            }
            Err(error) => tracing::warn!(error = %error, "cannot listen for hints of other processes"),
        }
        if stop.run_until_cancelled(sleep(POLL)).await.is_none() {
            return;
        }
        wake_all(&db.wakes);
    }
}

/// The task's work where there is no LISTEN: until it is stopped.
pub(super) async fn poll(db: &Database, stop: &CancellationToken) {
    while stop.run_until_cancelled(sleep(POLL)).await.is_some() {
        wake_all(&db.wakes);
    }
}

fn wake_all(wakes: &Wakes) {
    for wake in [&wakes.events, &wakes.deliveries, &wakes.replays] {
        wake.wake();
    }
}

/// A connection that hints come and go by.
struct Line {
    client: Client,
    channel: String,
    /// Ends when the connection does.
    driver: JoinHandle<()>,
}

impl Line {
    async fn open(server: &Server, db: &Database) -> Result<Line, Box<dyn std::error::Error + Send + Sync>> {
        let (client, mut connection) = timeout(CONNECT_MAX, server.config().connect(server.tls())).await??;
        let own = Arc::new(AtomicI32::new(0));
        let (wakes, own_id) = (db.wakes.clone(), Arc::clone(&own));
        let driver = tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                if let AsyncMessage::Notification(hint) = message
                    && hint.process_id() != own_id.load(Ordering::Relaxed)
                {
                    wake_all(&wakes);
                }
            }
        });
        let channel = format!("workhook_{:016x}", db.lock_key("hints"));
        let line = Line { client, channel, driver };
        let listen = async {
            let row = line.client.query_typed_one("SELECT pg_backend_pid()", &[]).await?;
            own.store(row.try_get(0)?, Ordering::Relaxed);
            line.client.batch_execute(&format!("LISTEN {}", line.channel)).await
        };
        timeout(CONNECT_MAX, listen).await??;
        Ok(line)
    }

    /// Tells others what they should look for, until the connection ends.
    async fn talk(mut self, db: &Database) {
        let notify = format!("NOTIFY {}", self.channel);
        loop {
            tokio::select! {
                _ = &mut self.driver => return,
                () = db.to_tell.notified() => {
                    if !matches!(timeout(CONNECT_MAX, self.client.batch_execute(&notify)).await, Ok(Ok(()))) {
                        return;
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
