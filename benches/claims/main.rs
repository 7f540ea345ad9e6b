//! How long a claim takes with many deliveries pending in few lanes and in many, beside a store with one; prints a
//! Markdown table.
//!
//! `cargo bench --bench claims -- --pending 100000` has the rows of the promise: p99 within twice of an empty store.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the table and the progress are what it is for")]

#[path = "../seed/mod.rs"]
#[expect(dead_code, reason = "what settles them is not asked for here")]
mod seed;

use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use jiff::Timestamp;
use tokio::time::Instant;
use workhook::clock::Clock;
use workhook::model::{NewDelivery, NextStep, Plan, Settlement};
use workhook::store::{ClaimRequest, SqliteSettings, SqliteStore, Store};
use workhook::wake::Wakes;

/// How many claims are measured for each row.
const CLAIMS: usize = 2000;
/// The handler that they are for.
const HANDLER: &str = "crm";

/// Measures claims.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many deliveries are pending.
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    pending: u64,
    /// What `cargo bench` passes; `cargo test --all-targets` does not, and wants nothing measured.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if !arguments.bench {
        eprintln!("nothing is measured; use cargo bench --bench claims");
        return Ok(());
    }
    tokio::runtime::Runtime::new()?.block_on(async {
        println!("| claim of one delivery | p50 | p99 | slowest of {CLAIMS} |\n|---|--:|--:|--:|");
        row("one pending", 1, 1).await?;
        for lanes in [1, 30, 10_000] {
            let pending = arguments.pending;
            row(&format!("{pending} pending in {lanes} lanes"), pending, lanes).await?;
        }
        Ok(())
    })
}

async fn row(name: &str, pending: u64, lanes: u64) -> anyhow::Result<()> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let config = SqliteSettings { path: folder.path().join("workhook.db"), ..SqliteSettings::default() };
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&config, &Wakes::default())?);
    let now = Clock::system().now();
    eprintln!("{name}: storing them");
    seed::append(&store, 0..pending, now).await?;
    plan(&store, lanes, now).await?;
    let mut took = Vec::new();
    for n in 0..CLAIMS {
        // As many are pending each time.
        seed::append(&store, pending + n as u64..pending + n as u64 + 1, now).await?;
        plan(&store, lanes, now).await?;
        took.push(claim(&store, now).await?);
    }
    took.sort_unstable();
    let times = [CLAIMS / 2, CLAIMS * 99 / 100, CLAIMS - 1].map(|at| format!("{} µs", took[at].as_micros()));
    println!("| {name} | {} |", times.join(" | "));
    store.close().await;
    Ok(())
}

/// Plans what is not planned, in lanes by turns.
async fn plan(store: &Arc<dyn Store>, lanes: u64, now: Timestamp) -> anyhow::Result<()> {
    loop {
        let unplanned = store.unplanned(256).await?;
        if unplanned.is_empty() {
            return Ok(());
        }
        let plans = unplanned.iter().map(|event| {
            let lane = event.position.0.unsigned_abs() % lanes;
            let delivery =
                NewDelivery { handler: seed::handler(HANDLER)?, lane: Some(format!("issue/{lane}")), dead: None };
            Ok(Plan { position: event.position, deliveries: vec![delivery], not_routed: Vec::new() })
        });
        store.plan(plans.collect::<anyhow::Result<_>>()?, now).await?;
    }
}

/// How long one claim takes; what was claimed is delivered then.
async fn claim(store: &Arc<dyn Store>, now: Timestamp) -> anyhow::Result<Duration> {
    let lease = Duration::from_secs(60);
    let began = Instant::now();
    let claims = store.claim(ClaimRequest { handler: seed::handler(HANDLER)?, limit: 1, now, lease }).await?;
    let took = began.elapsed();
    anyhow::ensure!(claims.claimed.len() == 1, "one is claimed");
    for claimed in claims.claimed {
        let (id, epoch, attempt) = (claimed.id, claimed.epoch, claimed.attempt);
        store.settle(Settlement { id, epoch, attempt, outcome: None, next: NextStep::Delivered, at: now }).await?;
    }
    Ok(took)
}
