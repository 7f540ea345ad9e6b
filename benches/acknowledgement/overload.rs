//! More than there is room for: requests are due at twice the rate that is acknowledged, whatever the answers do. The
//! program has one core and the load generator another, so that neither takes it from the other.

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
use super::load::{self, Load};
use super::process;
use super::request::Request;
use super::target::{Running, TOKEN, Target};

/// On how many connections: as many as the door holds.
pub(crate) const CONNECTIONS: usize = 1024;
/// For how long, each time.
const TIME: Duration = Duration::from_secs(6);
/// On how many connections it is found out what it can take.
const CAPACITY_CONNECTIONS: usize = 256;

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Overloaded {
    /// How many a second it can take, as fast as they are answered.
    pub(crate) capacity: f64,
    /// How many a second were answered, stored and turned away.
    pub(crate) answered: f64,
    pub(crate) accepted: f64,
    pub(crate) refused: f64,
    /// The slowest answer, from when its request was sent.
    pub(crate) slowest: Duration,
    pub(crate) peak_memory_kib: u64,
}

/// What one connection saw.
#[derive(Debug, Default)]
struct Seen {
    acknowledged: u64,
    /// How many of them within the time, and how many were turned away in it.
    accepted: u64,
    refused: u64,
    slowest: Duration,
}

/// Sends twice as many as it can take to a program with nothing stored.
pub(crate) async fn measure(workhook: &Path, folder: &Path) -> anyhow::Result<Overloaded> {
    let capacity = capacity(workhook, folder).await?;
    let rate = 2.0 * capacity;
    let running = Running::start(Target::OnOneCore, workhook, folder).await?;
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
        all.acknowledged += seen.acknowledged;
        all.accepted += seen.accepted;
        all.refused += seen.refused;
        all.slowest = all.slowest.max(seen.slowest);
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of seconds' worth")]
    let a_second = |count: u64| count as f64 / TIME.as_secs_f64();
    let kept = running.health().await?.map_or(0, |health| health.events);
    ensure!(kept >= all.acknowledged, "{} were acknowledged, {kept} are kept", all.acknowledged);
    Ok(Overloaded {
        capacity,
        answered: a_second(all.accepted + all.refused),
        accepted: a_second(all.accepted),
        refused: a_second(all.refused),
        slowest: all.slowest,
        peak_memory_kib: process::peak_memory_kib(running.pid())?,
    })
}

/// How many a second are acknowledged, as fast as they are answered.
async fn capacity(workhook: &Path, folder: &Path) -> anyhow::Result<f64> {
    let running = Running::start(Target::OnOneCore, workhook, folder).await?;
    let load = Load {
        addresses: vec![running.public()],
        token: TOKEN,
        connections: CAPACITY_CONNECTIONS,
        warm_up: Duration::from_millis(500),
        time: TIME,
        servers: vec![running.pid()],
    };
    let loaded = load::run(&load).await?;
    ensure!(loaded.failures.is_empty(), "not acknowledged: {:?}", loaded.failures);
    #[expect(clippy::cast_precision_loss, reason = "a count of seconds' worth")]
    Ok(loaded.counted as f64 / TIME.as_secs_f64())
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
        let ended = Instant::now();
        seen.slowest = seen.slowest.max(ended - began);
        let in_time = u64::from(ended < start + TIME);
        match answer {
            Answer::Acknowledged => {
                seen.acknowledged += 1;
                seen.accepted += in_time;
            }
            Answer::Refused { closes } => {
                seen.refused += in_time;
                if closes {
                    stream = TcpStream::connect(address).await?;
                    stream.set_nodelay(true)?;
                }
            }
        }
    }
}
