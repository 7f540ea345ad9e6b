//! The load generator: so many connections, on each one request after the other, as fast as they are answered.
//!
//! It shares the cores with what it loads, so it does as little as it can: bytes that are there already go out in one
//! write, and an answer is compared, not parsed. Only an answer that is 200 with `errcode` 0 counts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::answer::read_acknowledgement;
use super::process;
use super::request::Request;

/// How long the last answers may take after the end.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is to be done.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    /// Where the connections go, by turns.
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) token: &'static str,
    pub(crate) connections: usize,
    /// How long it goes on before anything is measured.
    pub(crate) warm_up: Duration,
    pub(crate) time: Duration,
    /// The processes whose time on the cores is measured.
    pub(crate) servers: Vec<u32>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// Acknowledgements within the measured time.
    pub(crate) counted: u64,
    /// Acknowledgements from the first connection to the last.
    pub(crate) acknowledged: u64,
    /// How long each answer took that came after the warm-up, in microseconds.
    pub(crate) took: Vec<u32>,
    /// Why a connection was given up.
    pub(crate) failures: Vec<String>,
    /// The servers' time on the cores within the measured time.
    pub(crate) server_cpu: Duration,
    /// This process's.
    pub(crate) own_cpu: Duration,
    /// All others', as far as it is not these two's.
    pub(crate) other_cpu: Duration,
}

struct Times {
    start: Instant,
    end: Instant,
}

/// Loads servers. An answer that is none ends its connection, and is a failure.
pub(crate) async fn run(load: &Load) -> anyhow::Result<Loaded> {
    let mut streams = Vec::new();
    for address in load.addresses.iter().copied().cycle().take(load.connections) {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        streams.push((stream, Request::new(address, load.token)?));
    }
    let start = Instant::now() + load.warm_up;
    let times = Arc::new(Times { start, end: start + load.time });
    let numbers = Arc::new(AtomicU64::new(1));
    let mut tasks = JoinSet::new();
    for (stream, request) in streams {
        tasks.spawn(connection(stream, request, Arc::clone(&numbers), Arc::clone(&times)));
    }
    sleep_until(times.start).await;
    let before = Cores::now(&load.servers)?;
    sleep_until(times.end).await;
    let after = Cores::now(&load.servers)?;
    let mut loaded = Loaded {
        server_cpu: after.server - before.server,
        own_cpu: after.own - before.own,
        other_cpu: after.others.saturating_sub(before.others),
        ..Loaded::default()
    };
    while let Some(ended) = tasks.join_next().await {
        let ended = ended?;
        loaded.counted += ended.counted;
        loaded.acknowledged += ended.acknowledged;
        loaded.took.extend(ended.took);
        loaded.failures.extend(ended.failures);
    }
    Ok(loaded)
}

/// Who has had how much time on the cores.
struct Cores {
    server: Duration,
    own: Duration,
    others: Duration,
}

impl Cores {
    fn now(servers: &[u32]) -> anyhow::Result<Cores> {
        let server = servers.iter().map(|server| process::cpu_time(*server)).sum::<anyhow::Result<Duration>>()?;
        let own = process::cpu_time(std::process::id())?;
        Ok(Cores { server, own, others: process::busy_time()?.saturating_sub(server + own) })
    }
}

async fn connection(mut stream: TcpStream, mut request: Request, numbers: Arc<AtomicU64>, times: Arc<Times>) -> Loaded {
    let mut loaded = Loaded::default();
    let talk = async {
        let mut buffer = [0; 1024];
        let mut began = Instant::now();
        while began < times.end {
            stream.write_all(request.numbered(numbers.fetch_add(1, Ordering::Relaxed))).await?;
            read_acknowledgement(&mut stream, &mut buffer).await?;
            let ended = Instant::now();
            loaded.acknowledged += 1;
            if ended >= times.start {
                loaded.took.push(u32::try_from((ended - began).as_micros())?);
                loaded.counted += u64::from(ended < times.end);
            }
            began = ended;
        }
        anyhow::Ok(())
    };
    match timeout_at(times.end + PATIENCE, talk).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => loaded.failures.push(format!("{error:#}")),
        Err(_) => loaded.failures.push(format!("no answer within {PATIENCE:?} of the end")),
    }
    loaded
}
