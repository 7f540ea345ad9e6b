//! How many events a second reach an HTTP handler, beside what the same client does in a bare loop; and how long after
//! its acknowledgement an event does, at a steady rate. Prints a Markdown table.
//!
//! `cargo bench --bench delivery` has the rows of the promises: 0.3 of the bare loop; p50 within 5 ms, p99 within 25 ms.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the table and the progress are what it is for")]

#[path = "../common/aims.rs"]
#[expect(dead_code, reason = "numbers of other kinds are aimed at elsewhere")]
mod aims;
#[path = "../common/answer.rs"]
#[expect(dead_code, reason = "whether a refusal ends the connection is asked elsewhere")]
mod answer;
mod bare;
#[path = "../common/number.rs"]
mod number;
#[path = "../common/open_loop.rs"]
#[expect(dead_code, reason = "how long acknowledgements take is measured elsewhere")]
mod open_loop;
#[path = "../common/program.rs"]
#[expect(dead_code, reason = "how it starts is measured elsewhere")]
mod program;
mod receiver;
#[path = "../common/request.rs"]
mod request;
#[path = "../seed/mod.rs"]
#[expect(dead_code, reason = "what plans and settles is the program's here")]
mod seed;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use tokio::time::{Instant, sleep};
use workhook::clock::Clock;
use workhook::store::{SqliteSettings, SqliteStore, Store};
use workhook::wake::Wakes;

use self::aims::Aim;
use self::bare::{a_second, bare_loop};
use self::open_loop::{millis, per_mille};
use self::program::Running;
use self::receiver::Receiver;

/// How many are under way at one time: what a handler has by itself, and many.
const CONCURRENCIES: [usize; 2] = [8, 64];
/// How long all that was sent may take to arrive.
const PATIENCE: Duration = Duration::from_secs(120);

/// Measures deliveries.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many events are delivered.
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    events: u64,
    /// How many requests arrive each second, where they arrive steadily.
    #[arg(long, value_name = "N", default_value_t = 500)]
    rate: u64,
    /// For how many seconds.
    #[arg(long, value_name = "N", default_value_t = 10)]
    seconds: u64,
    /// What `cargo bench` passes; `cargo test --all-targets` does not, and wants nothing measured.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if !arguments.bench {
        eprintln!("nothing is measured; use cargo bench --bench delivery");
        return Ok(());
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure(&arguments))
}

async fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    let receiver = Receiver::start().await?;
    println!("| to an HTTP handler | at one time | a second | of the bare loop |\n|---|--:|--:|--:|");
    let mut aims = Vec::new();
    for concurrency in CONCURRENCIES {
        let bare = bare_loop(&receiver, arguments.events, concurrency).await?;
        println!("| the same client in a bare loop | {concurrency} | {bare:.0} | 1.00 |");
        let delivered = backlog(&receiver, arguments.events, concurrency).await?;
        println!("| workhook, events that wait | {concurrency} | {delivered:.0} | {:.2} |", delivered / bare);
        let what = format!(
            "events that wait to an HTTP handler, {concurrency} at one time, of the same client in a bare loop"
        );
        aims.push(Aim::at_least(what, 0.3, delivered / bare));
    }
    println!();

    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let running = start(folder.path(), receiver.address, CONCURRENCIES[0])?;
    let numbers = Arc::new(AtomicU64::new(1));
    let first = receiver.count();
    let sent = open_loop::run(running.public()?, seed::TOKEN, arguments.rate, arguments.seconds, &numbers).await?;
    receiver.wait_for(first + sent.len() as u64, PATIENCE).await?;
    let arrived: HashMap<u64, Instant> = receiver.arrivals();
    let mut took = Vec::new();
    for one in &sent {
        let at = arrived.get(&one.number).context("every one arrives")?;
        // It may arrive before its acknowledgement is read.
        took.push(at.saturating_duration_since(one.at));
    }
    took.sort_unstable();
    let times = [500, 990, 999, 1000].map(|at| millis(per_mille(&took, at)));
    println!("| from acknowledged to the handler's far end | p50 | p99 | p99.9 | slowest |\n|---|--:|--:|--:|--:|");
    println!("| {} a second | {} |", arguments.rate, times.join(" | "));
    for (name, at, most) in [("p50", 500, 5), ("p99", 990, 25)] {
        let what = format!("from acknowledged to the handler's far end at {} a second: {name}", arguments.rate);
        aims.push(Aim::within(what, Duration::from_millis(most), per_mille(&took, at)));
    }
    aims::tell(&aims)
}

fn start(folder: &Path, to: SocketAddr, concurrency: usize) -> anyhow::Result<Running> {
    let more = format!(
        "[[handler]]\nname = \"crm\"\nkind = \"http\"\nurl = \"http://{to}/\"\nevents = [\"*\"]\nconcurrency = {concurrency}\n"
    );
    Running::start(folder, seed::TOKEN, &more)
}

/// How many a second of so many that are stored already reach the handler.
async fn backlog(receiver: &Receiver, events: u64, concurrency: usize) -> anyhow::Result<f64> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let config = SqliteSettings { path: folder.path().join("workhook.db"), ..SqliteSettings::default() };
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&config, &Wakes::default())?);
    seed::append(&store, 0..events, Clock::system().now()).await?;
    store.close().await;
    drop(store);
    let first = receiver.count();
    let _running = start(folder.path(), receiver.address, concurrency)?;
    // From the first that arrives: what it takes to start is not a part of it.
    while receiver.count() == first {
        sleep(Duration::from_millis(1)).await;
    }
    let (began, done) = (Instant::now(), receiver.count() - first);
    receiver.wait_for(first + events, PATIENCE).await?;
    Ok(a_second(events - done, began.elapsed()))
}
