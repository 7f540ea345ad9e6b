//! The far end of the handler: it takes everything, and notes when.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::bail;
use axum::Router;
use axum::extract::State;
use axum::routing::post;
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

use super::number::number;

/// A server on a port of its own, for as long as the runtime is.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    count: AtomicU64,
    arrivals: Mutex<HashMap<u64, Instant>>,
}

impl Receiver {
    pub(crate) async fn start() -> anyhow::Result<Receiver> {
        let seen = Arc::new(Seen::default());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let router = Router::new().route("/", post(take)).with_state(Arc::clone(&seen));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Receiver { address, seen })
    }

    /// How many requests there were.
    pub(crate) fn count(&self) -> u64 {
        self.seen.count.load(Ordering::SeqCst)
    }

    /// When each arrived, by the number of the request that became the event.
    pub(crate) fn arrivals(&self) -> HashMap<u64, Instant> {
        self.seen.arrivals.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until there were so many.
    pub(crate) async fn wait_for(&self, count: u64, patience: Duration) -> anyhow::Result<()> {
        let late = Instant::now() + patience;
        while self.count() < count {
            if Instant::now() > late {
                bail!("{} of {count} arrived", self.count());
            }
            sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }
}

async fn take(State(seen): State<Arc<Seen>>, body: Bytes) {
    let now = Instant::now();
    if let Some(number) = number(&body) {
        seen.arrivals.lock().unwrap_or_else(PoisonError::into_inner).entry(number).or_insert(now);
    }
    seen.count.fetch_add(1, Ordering::SeqCst);
}
