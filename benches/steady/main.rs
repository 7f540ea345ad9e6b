//! How late acknowledgements are while retention runs through many old events, beside without: requests arrive in an
//! open loop at a steady rate, first with retention off, then with it on, at the same store in one run.
//!
//! `cargo bench --bench retention -- --events 1000000` is the row of the promise: p99 within twice of without.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the table and the progress are what it is for")]

#[path = "../acknowledgement/request.rs"]
mod request;
#[path = "../seed/mod.rs"]
mod seed;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Parser;
use jiff::ToSpan;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use workhook::clock::Clock;
use workhook::store::{Config, SqliteStore, Store};
use workhook::wake::Wakes;

use self::request::Request;

const CONNECTIONS: usize = 64;

/// Measures acknowledgements beside retention.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many old events there are.
    #[arg(long, value_name = "N", default_value_t = 50_000)]
    events: u64,
    /// How many requests arrive each second.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    rate: u64,
    /// For how many seconds, each time.
    #[arg(long, value_name = "N", default_value_t = 10)]
    seconds: u64,
    /// What `cargo bench` passes; `cargo test --all-targets` does not, and wants nothing measured.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if !arguments.bench {
        eprintln!("nothing is measured; use cargo bench --bench retention");
        return Ok(());
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure(&arguments))
}

async fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    eprintln!("storing {} events", arguments.events);
    let end = Clock::system().now().checked_sub(960.hours())?;
    let store = open(folder.path())?;
    seed::fill(&store, arguments.events, 30, end).await?;
    store.close().await;
    drop(store);

    println!(
        "| {} a second, {} old events | old events removed | p50 | p99 | p99.9 | slowest |\n| --- | --- | --- | --- | --- | --- |",
        arguments.rate, arguments.events
    );
    let numbers = Arc::new(AtomicU64::new(1));
    let mut before = arguments.events;
    for (name, retention) in [("without retention", "off"), ("beside retention", "30d")] {
        let running = Running::start(folder.path(), retention)?;
        let mut took = load(running.public, arguments, &numbers).await?;
        drop(running);
        // The events of now are never old enough: what is missing went by its age.
        let store = open(folder.path())?;
        let sent = numbers.load(Ordering::Relaxed) - 1;
        let kept = store.counts().await?.events.saturating_sub(sent);
        store.close().await;
        took.sort_unstable();
        let millis = |per_mille: usize| {
            let at = (took.len() * per_mille / 1000).min(took.len() - 1);
            format!("{:.2} ms", took[at].as_secs_f64() * 1000.0)
        };
        let removed = before.saturating_sub(kept);
        println!("| {name} | {removed} | {} | {} | {} | {} |", millis(500), millis(990), millis(999), millis(1000));
        before = kept;
    }
    Ok(())
}

fn open(folder: &Path) -> anyhow::Result<Arc<dyn Store>> {
    let config = Config { path: folder.join("workhook.db"), ..Config::default() };
    Ok(Arc::new(SqliteStore::open(&config, &Wakes::default())?))
}

/// The program as a process of its own; ended when it is dropped.
struct Running {
    child: Child,
    public: SocketAddr,
}

impl Running {
    fn start(folder: &Path, retention: &str) -> anyhow::Result<Running> {
        let file = folder.join("workhook.toml");
        let text = format!(
            "[ingest]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[store]\nurl = \"sqlite:{}/workhook.db\"\n\
             retention = \"{retention}\"\n[[webhook]]\nname = \"product\"\ntokens = [\"{}\"]\n\
             [[handler]]\nname = \"nobody\"\nkind = \"log\"\nevents = [\"No.Such\"]\n",
            folder.display(),
            seed::TOKEN
        );
        std::fs::write(&file, text)?;
        let mut child = Command::new(env!("CARGO_BIN_EXE_workhook"))
            .args(["serve", "--config"])
            .arg(file)
            .env_clear()
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut log = BufReader::new(child.stderr.take().context("it was asked for")?);
        let public = loop {
            let mut line = String::new();
            ensure!(log.read_line(&mut line)? > 0, "it ended before it was there");
            let said: serde_json::Value = serde_json::from_str(&line)?;
            if said["message"] == "receiving" {
                break said["public"].as_str().context("an address")?.parse()?;
            }
        };
        // What it says further on is read, so that it never waits for a reader.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Ok(Running { child, public })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends at a steady rate, whatever the answers do; how long each took from when it was due.
async fn load(address: SocketAddr, arguments: &Arguments, numbers: &Arc<AtomicU64>) -> anyhow::Result<Vec<Duration>> {
    let start = Instant::now() + Duration::from_millis(500);
    let (next, count) = (Arc::new(AtomicU64::new(0)), arguments.rate * arguments.seconds);
    let mut tasks = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut request = Request::new(address, seed::TOKEN)?;
        let (next, numbers, rate) = (Arc::clone(&next), Arc::clone(numbers), arguments.rate);
        tasks.spawn(async move {
            let mut took = Vec::new();
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= count {
                    return anyhow::Ok(took);
                }
                let due = start + Duration::from_secs(n) / u32::try_from(rate)?;
                let began = if due > Instant::now() {
                    sleep_until(due).await;
                    // The clock of the load generator is not what is measured.
                    Instant::now()
                } else {
                    due
                };
                stream.write_all(request.numbered(numbers.fetch_add(1, Ordering::Relaxed))).await?;
                acknowledged(&mut stream).await?;
                took.push(began.elapsed());
            }
        });
    }
    let mut took = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        took.extend(ended??);
    }
    Ok(took)
}

/// Reads one answer, which has to be an acknowledgement.
async fn acknowledged(stream: &mut TcpStream) -> anyhow::Result<()> {
    let (mut buffer, mut filled) = ([0; 1024], 0);
    while !buffer[..filled].ends_with(br#"{"errcode":0}"#) {
        let read = stream.read(&mut buffer[filled..]).await?;
        filled += read;
        ensure!(
            read > 0 && filled < buffer.len(),
            "not acknowledged: {:?}",
            String::from_utf8_lossy(&buffer[..filled])
        );
    }
    Ok(())
}
