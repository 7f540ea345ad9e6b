//! More than there is room for: requests are sent at twice the rate that was acknowledged, whatever the answers do.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::ensure;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::answer::{self, Answer};
use super::process;
use super::request::Request;
use super::target::{Running, TOKEN, Target};

/// On how many connections.
pub(crate) const CONNECTIONS: usize = 1024;
/// For how long.
const TIME: Duration = Duration::from_secs(6);

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Overloaded {
    /// How many a second were sent, stored and turned away.
    pub(crate) sent: f64,
    pub(crate) accepted: f64,
    pub(crate) refused: f64,
    /// The slowest answer, from when its request was sent.
    pub(crate) slowest: Duration,
    pub(crate) peak_memory_kib: u64,
}

/// What one connection saw.
#[derive(Debug, Default)]
struct Seen {
    accepted: u64,
    refused: u64,
    slowest: Duration,
}

/// Sends so many a second to a program with nothing stored.
pub(crate) async fn measure(workhook: &Path, folder: &Path, rate: f64) -> anyhow::Result<Overloaded> {
    let running = Running::start(Target::Acknowledging, workhook, folder).await?;
    let request = Request::new(running.public(), TOKEN)?;
    let start = Instant::now() + Duration::from_millis(500);
    let (next, numbers) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(1)));
    let mut tasks = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (request, next, numbers) = (request.clone(), Arc::clone(&next), Arc::clone(&numbers));
        tasks.spawn(connection(running.public(), request, next, numbers, start, rate));
    }
    let mut all = Seen::default();
    while let Some(ended) = tasks.join_next().await {
        let seen = ended??;
        all.accepted += seen.accepted;
        all.refused += seen.refused;
        all.slowest = all.slowest.max(seen.slowest);
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of seconds' worth")]
    let a_second = |count: u64| count as f64 / start.elapsed().as_secs_f64();
    let kept = running.health().await?.map_or(0, |health| health.events);
    ensure!(kept >= all.accepted, "{} were acknowledged, {kept} are kept", all.accepted);
    Ok(Overloaded {
        sent: a_second(all.accepted + all.refused),
        accepted: a_second(all.accepted),
        refused: a_second(all.refused),
        slowest: all.slowest,
        peak_memory_kib: process::peak_memory_kib(running.pid())?,
    })
}

async fn connection(
    address: SocketAddr,
    mut request: Request,
    next: Arc<AtomicU64>,
    numbers: Arc<AtomicU64>,
    start: Instant,
    rate: f64,
) -> anyhow::Result<Seen> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut seen, mut buffer) = (Seen::default(), [0; 1024]);
    loop {
        #[expect(clippy::cast_precision_loss, reason = "a count of seconds' worth")]
        let after = Duration::from_secs_f64(next.fetch_add(1, Ordering::Relaxed) as f64 / rate);
        if after >= TIME {
            return Ok(seen);
        }
        sleep_until(start + after).await;
        let began = Instant::now();
        if began >= start + TIME {
            return Ok(seen);
        }
        stream.write_all(request.numbered(numbers.fetch_add(1, Ordering::Relaxed))).await?;
        let answer = answer::read(&mut stream, &mut buffer).await?;
        seen.slowest = seen.slowest.max(began.elapsed());
        match answer {
            Answer::Acknowledged => seen.accepted += 1,
            Answer::Refused { closes } => {
                seen.refused += 1;
                if closes {
                    stream = TcpStream::connect(address).await?;
                    stream.set_nodelay(true)?;
                }
            }
        }
    }
}
