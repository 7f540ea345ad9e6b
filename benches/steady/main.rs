//! How late acknowledgements are at a steady rate, in one run: with an empty store, with many old events, and while
//! retention runs through these; and how long the program takes to start with them.
//!
//! `benches/run steady --events 1000000 --pending 100000 --seconds 30` has the rows of the promises.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the table and the progress are what it is for")]

#[path = "../common/aims.rs"]
#[expect(dead_code, reason = "numbers of other kinds are aimed at elsewhere")]
mod aims;
#[path = "../common/answer.rs"]
#[expect(dead_code, reason = "whether a refusal ends the connection is asked elsewhere")]
mod answer;
#[path = "../common/disk.rs"]
mod disk;
#[path = "../common/open_loop.rs"]
#[expect(dead_code, reason = "which one was acknowledged when is asked elsewhere")]
mod open_loop;
#[path = "../common/process.rs"]
#[expect(dead_code, reason = "only its memory is measured here")]
mod process;
#[path = "../common/program.rs"]
#[expect(dead_code, reason = "its private door is asked elsewhere")]
mod program;
#[path = "../common/request.rs"]
mod request;
#[path = "../seed/mod.rs"]
#[expect(dead_code, reason = "events that are planned by nobody are stored elsewhere")]
mod seed;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Parser;
use jiff::ToSpan;
use workhook::clock::Clock;
use workhook::store::{SqliteSettings, SqliteStore, Store};
use workhook::wake::Wakes;

use self::aims::Aim;
use self::open_loop::{millis, per_mille};
use self::program::Running;

/// How long the disk is measured.
const DISK_TIME: Duration = Duration::from_secs(2);

/// Measures acknowledgements at a steady rate.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many old events there are.
    #[arg(long, value_name = "N", default_value_t = 50_000)]
    events: u64,
    /// How many deliveries of them are pending, for a handler that there is not.
    #[arg(long, value_name = "N", default_value_t = 5000)]
    pending: u64,
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
        eprintln!("nothing is measured; use cargo bench --bench steady");
        return Ok(());
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure(&arguments))
}

async fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    let temporary = |name: &str| tempfile::Builder::new().prefix(name).tempdir_in(env!("CARGO_TARGET_TMPDIR"));
    let (empty, full) = (temporary("empty")?, temporary("full")?);
    let mut synced: Vec<Duration> = disk::measure(empty.path(), DISK_TIME)?
        .into_iter()
        .map(|micros| Duration::from_micros(micros.into()))
        .collect();
    synced.sort_unstable();
    let disk_p99 = per_mille(&synced, 990);
    println!("The disk: `fdatasync` {} at p50, {} at p99.\n", millis(per_mille(&synced, 500)), millis(disk_p99));

    println!(
        "| {} a second | events before | old events removed | start | p50 | p99 | p99.9 | slowest | memory, at most |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|--:|",
        arguments.rate
    );
    let fresh = row("an empty store", empty.path(), "off", arguments).await?;
    eprintln!("storing {} events", arguments.events);
    let end = Clock::system().now().checked_sub(960.hours())?;
    let store = open(full.path())?;
    seed::fill(&store, arguments.events, arguments.pending, 30, end).await?;
    store.close().await;
    drop(store);
    let old = row("old events, retention off", full.path(), "off", arguments).await?;
    let beside = row("beside retention", full.path(), "30d", arguments).await?;

    let Arguments { events, pending, rate, .. } = arguments;
    let times = |one: Duration, other: Duration| one.as_secs_f64() / other.as_secs_f64();
    let memory_kib = fresh.memory_kib.max(old.memory_kib).max(beside.memory_kib);
    let (at_rate, stored) = (format!("acknowledgements at {rate} a second"), format!("with {events} events stored"));
    aims::tell(&[
        Aim::within(format!("{at_rate}: p99"), Duration::from_millis(5), fresh.p99),
        Aim::at_most(format!("{at_rate}: p99.9, of the disk's own p99"), 10.0, times(fresh.p999, disk_p99)),
        Aim::at_most(format!("{at_rate} {stored}: p99, of that with an empty store"), 1.5, times(old.p99, fresh.p99)),
        Aim::at_most(
            format!("{at_rate} while retention removes old ones: p99, of that without"),
            2.0,
            times(beside.p99, old.p99),
        ),
        Aim::within(format!("start {stored} and {pending} pending"), Duration::from_millis(500), old.started),
        Aim::fits(format!("memory {stored}"), 150, memory_kib),
    ])
}

/// What is aimed at in a row.
struct Row {
    started: Duration,
    p99: Duration,
    p999: Duration,
    memory_kib: u64,
}

async fn row(name: &str, folder: &Path, retention: &str, arguments: &Arguments) -> anyhow::Result<Row> {
    let more = format!(
        "retention = \"{retention}\"\n[[handler]]\nname = \"nobody\"\nkind = \"log\"\nevents = [\"No.Such\"]\n"
    );
    let store = open(folder)?;
    let before = store.counts().await?.events;
    store.close().await;
    drop(store);
    let running = Running::start(folder, seed::TOKEN, &more)?;
    let (started, numbers) = (running.started, Arc::new(AtomicU64::new(before + 1)));
    let acknowledged =
        open_loop::run(running.public()?, seed::TOKEN, arguments.rate, arguments.seconds, &numbers).await?;
    let memory_kib = process::peak_memory_kib(running.pid())?;
    drop(running);
    // The events of now are never old enough: what is missing went by its age.
    let store = open(folder)?;
    let sent = numbers.load(Ordering::Relaxed) - 1 - before;
    let kept = store.counts().await?.events;
    store.close().await;
    let removed = (before + sent).saturating_sub(kept);
    let mut took: Vec<Duration> = acknowledged.iter().map(|one| one.took).collect();
    took.sort_unstable();
    let [p50, p99, p999, slowest] = [500, 990, 999, 1000].map(|at| per_mille(&took, at));
    let times = [started, p50, p99, p999, slowest].map(millis).join(" | ");
    println!("| {name} | {before} | {removed} | {times} | {} MiB |", memory_kib.div_ceil(1024));
    Ok(Row { started, p99, p999, memory_kib })
}

fn open(folder: &Path) -> anyhow::Result<Arc<dyn Store>> {
    let config = SqliteSettings { path: folder.join("workhook.db"), ..SqliteSettings::default() };
    Ok(Arc::new(SqliteStore::open(&config, &Wakes::default())?))
}
