//! How long every list, filter and page takes with many events stored; prints a Markdown table.
//!
//! `cargo bench --bench lists -- --events 1000000` is the row of the promise: no more than 50 ms.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the table and the progress are what it is for")]

#[path = "../seed/mod.rs"]
#[expect(dead_code, reason = "events that are planned by nobody are stored elsewhere")]
mod seed;

use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use jiff::{Timestamp, ToSpan};
use tokio::time::Instant;
use workhook::clock::Clock;
use workhook::model::{DeliveryFilter, DeliveryId, DeliveryState, EventFilter, EventOutcome, Position};
use workhook::store::{DeliveryQuery, EventQuery, RejectedQuery, SqliteSettings, SqliteStore, Start, Store};
use workhook::wake::Wakes;

/// How often each is asked.
const TIMES: usize = 20;
/// The entries of a page.
const LIMIT: usize = 50;

/// Measures lists.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many events are stored.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    events: u64,
    /// What `cargo bench` passes; `cargo test --all-targets` does not, and wants nothing measured.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if !arguments.bench {
        eprintln!("nothing is measured; use cargo bench --bench lists");
        return Ok(());
    }
    tokio::runtime::Runtime::new()?.block_on(measure(arguments.events))
}

async fn measure(events: u64) -> anyhow::Result<()> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let config = SqliteSettings { path: folder.path().join("workhook.db"), ..SqliteSettings::default() };
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&config, &Wakes::default())?);
    let now = Clock::system().now();
    eprintln!("storing {events} events");
    seed::fill(&store, events, 0, 30, now).await?;
    println!("| with {events} events stored | median | slowest of {TIMES} |\n| --- | --- | --- |");
    let last = i64::try_from(events)?;
    for (name, filter) in event_filters(now)? {
        let pages = [
            ("first page", Start::Newest),
            ("page in the middle", Start::Before(Position(last / 2))),
            ("last page", Start::Before(Position(LIMIT as i64))),
            ("page towards the newest", Start::After(Position(last / 2))),
        ];
        for (page, start) in pages {
            let query = || store.events(EventQuery { limit: LIMIT, start, filter: filter.clone() });
            timed(&format!("events {name}, {page}"), query).await?;
        }
    }
    for (name, filter) in delivery_filters(now)? {
        for (page, start) in
            [("first page", Start::Newest), ("page in the middle", Start::Before(DeliveryId(last / 2)))]
        {
            let query = || store.deliveries(DeliveryQuery { limit: LIMIT, start, filter: filter.clone() });
            timed(&format!("deliveries {name}, {page}"), query).await?;
        }
    }
    timed("rejected", || store.rejected(RejectedQuery { limit: LIMIT, ..RejectedQuery::default() })).await?;
    timed("counts", || store.counts()).await?;
    timed("handlers", || store.handlers()).await?;
    timed("space", || store.space()).await?;
    let page = store.events(EventQuery { limit: 1, ..EventQuery::default() }).await?;
    if let Some(row) = page.items.first() {
        timed("one event", || store.event(row.event.id)).await?;
    }
    store.close().await;
    Ok(())
}

fn event_filters(now: Timestamp) -> anyhow::Result<Vec<(String, EventFilter)>> {
    let none = EventFilter::default;
    let mut filters = vec![
        ("of all".to_owned(), none()),
        ("by name".to_owned(), EventFilter { name: Some("Issue.Update".parse()?), ..none() }),
        ("by object".to_owned(), EventFilter { name: Some("Sprint.*".parse()?), ..none() }),
        ("by webhook".to_owned(), EventFilter { webhook: Some("product".to_owned()), ..none() }),
        ("by entity".to_owned(), EventFilter { entity: Some("issue/100".to_owned()), ..none() }),
        ("by person".to_owned(), EventFilter { person: Some("Person 7".to_owned()), ..none() }),
        ("by nobody".to_owned(), EventFilter { person: Some("Nobody".to_owned()), ..none() }),
        ("by text".to_owned(), EventFilter { text: Some("login machine".to_owned()), ..none() }),
        ("by a rare text".to_owned(), EventFilter { text: Some("machine 17".to_owned()), ..none() }),
        ("since a day".to_owned(), EventFilter { since: Some(now.checked_sub(24.hours())?), ..none() }),
        ("until a week ago".to_owned(), EventFilter { until: Some(now.checked_sub(168.hours())?), ..none() }),
    ];
    for outcome in EventOutcome::ALL {
        filters.push((format!("{} ", outcome.as_str()), EventFilter { outcome: Some(outcome), ..none() }));
        let name = Some("Comment.Create".parse()?);
        let person = Some("Person 7".to_owned());
        let both = EventFilter { outcome: Some(outcome), name, person, ..none() };
        filters.push((format!("{} by name and person", outcome.as_str()), both));
    }
    Ok(filters)
}

fn delivery_filters(now: Timestamp) -> anyhow::Result<Vec<(String, DeliveryFilter)>> {
    let none = DeliveryFilter::default;
    let crm = Some(seed::handler("crm")?);
    let mut filters = vec![
        ("of all".to_owned(), none()),
        ("by handler".to_owned(), DeliveryFilter { handler: crm.clone(), ..none() }),
        ("by name".to_owned(), DeliveryFilter { name: Some("Sprint.*".parse()?), ..none() }),
        ("by reason".to_owned(), DeliveryFilter { reason: Some("404".to_owned()), ..none() }),
        ("since a day".to_owned(), DeliveryFilter { since: Some(now.checked_sub(24.hours())?), ..none() }),
    ];
    for state in DeliveryState::ALL {
        filters.push((format!("{state}"), DeliveryFilter { state: Some(state), ..none() }));
        let both = DeliveryFilter { state: Some(state), handler: crm.clone(), ..none() };
        filters.push((format!("{state} by handler"), both));
    }
    Ok(filters)
}

async fn timed<T, E, F>(name: &str, ask: impl Fn() -> F) -> anyhow::Result<()>
where
    F: Future<Output = Result<T, E>>,
    E: std::error::Error + Send + Sync + 'static,
{
    let mut took: Vec<Duration> = Vec::new();
    for _ in 0..TIMES {
        let began = Instant::now();
        ask().await?;
        took.push(began.elapsed());
    }
    took.sort_unstable();
    let millis = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1000.0);
    println!("| {} | {} | {} |", name.trim(), millis(took[TIMES / 2]), millis(took[TIMES - 1]));
    Ok(())
}
