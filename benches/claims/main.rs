//! How long a claim takes with many deliveries pending in few lanes and in many, beside a store with one; prints a
//! Markdown table.
//!
//! `benches/run claims --pending 100000` has the rows of the promise: p99 within twice of an empty store.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the table and the progress are what it is for")]

#[path = "../common/aims.rs"]
#[expect(dead_code, reason = "numbers of other kinds are aimed at elsewhere")]
mod aims;
mod row;
#[path = "../seed/mod.rs"]
#[expect(dead_code, reason = "what settles them is not asked for here")]
mod seed;

use std::sync::Arc;

use clap::Parser;
use workhook::store::{SqliteSettings, SqliteStore, Store};
use workhook::wake::Wakes;

use self::aims::Aim;

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
        println!("{}", row::HEAD);
        let mut rows = Vec::new();
        for (pending, lanes) in row::all(arguments.pending) {
            let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
            let config = SqliteSettings { path: folder.path().join("workhook.db"), ..SqliteSettings::default() };
            let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&config, &Wakes::default())?);
            let row = row::measure(&store, pending, lanes).await?;
            println!("{row}");
            rows.push(row);
            store.close().await;
        }
        let slowest = rows.iter().map(|row| row.p99).max().unwrap_or_default();
        let what = format!("claim with {} pending in 1, 30 and 10,000 lanes: p99, of that with one", arguments.pending);
        aims::tell(&[Aim::at_most(what, 2.0, slowest.as_secs_f64() / rows[0].p99.as_secs_f64())])
    })
}
