//! Requests at a steady rate, whatever the answers do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::answer::read_acknowledgement;
use super::request::Request;

const CONNECTIONS: usize = 64;

/// One request that was acknowledged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Acknowledged {
    /// Its number, which no other has.
    pub(crate) number: u64,
    /// How long it took from when it was due.
    pub(crate) took: Duration,
    /// When it was acknowledged.
    pub(crate) at: Instant,
}

/// Sends so many a second for so long, with numbers from `numbers` on.
pub(crate) async fn run(
    address: SocketAddr,
    token: &str,
    rate: u64,
    seconds: u64,
    numbers: &Arc<AtomicU64>,
) -> anyhow::Result<Vec<Acknowledged>> {
    let start = Instant::now() + Duration::from_millis(500);
    let (next, count) = (Arc::new(AtomicU64::new(0)), rate * seconds);
    let mut tasks = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut request = Request::new(address, token)?;
        let (next, numbers) = (Arc::clone(&next), Arc::clone(numbers));
        tasks.spawn(async move {
            let (mut acknowledged, mut buffer) = (Vec::new(), [0; 1024]);
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= count {
                    return anyhow::Ok(acknowledged);
                }
                let due = start + Duration::from_secs(n) / u32::try_from(rate)?;
                let began = if due > Instant::now() {
                    sleep_until(due).await;
                    // The clock of the load generator is not what is measured.
                    Instant::now()
                } else {
                    due
                };
                let number = numbers.fetch_add(1, Ordering::Relaxed);
                stream.write_all(request.numbered(number)).await?;
                read_acknowledgement(&mut stream, &mut buffer).await?;
                let at = Instant::now();
                acknowledged.push(Acknowledged { number, took: at - began, at });
            }
        });
    }
    let mut all = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        all.extend(ended??);
    }
    Ok(all)
}

/// The value that so many of a thousand do not exceed.
pub(crate) fn per_mille(sorted: &[Duration], per_mille: usize) -> Duration {
    sorted[(sorted.len() * per_mille / 1000).min(sorted.len() - 1)]
}

/// As it is written in tables.
pub(crate) fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}
