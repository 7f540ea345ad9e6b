//! One row: claims from a store with so many deliveries pending in so many lanes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use workhook::clock::Clock;
use workhook::model::{NewDelivery, NextStep, Plan, Settlement};
use workhook::store::{ClaimRequest, Store};

use super::seed;

/// How many claims are measured for each row.
const CLAIMS: usize = 2000;
/// The handler that they are for.
const HANDLER: &str = "crm";

/// The head of the table.
pub(crate) const HEAD: &str = "| claim of one delivery | p50 | p99 | slowest of 2000 |\n|---|--:|--:|--:|";

/// How many are pending, in how many lanes, for each row.
pub(crate) fn all(pending: u64) -> [(u64, u64); 4] {
    [(1, 1), (pending, 1), (pending, 30), (pending, 10_000)]
}

/// How long claims took.
pub(crate) struct Row {
    name: String,
    p50: Duration,
    pub(crate) p99: Duration,
    slowest: Duration,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99, slowest] = [self.p50, self.p99, self.slowest].map(|time| time.as_micros());
        write!(f, "| {} | {p50} µs | {p99} µs | {slowest} µs |", self.name)
    }
}

/// Measures a row on an empty store.
pub(crate) async fn measure(store: &Arc<dyn Store>, pending: u64, lanes: u64) -> anyhow::Result<Row> {
    let name = match pending {
        1 => "one pending".to_owned(),
        _ => format!("{pending} pending in {lanes} lanes"),
    };
    let now = Clock::system().now();
    eprintln!("{name}: storing them");
    seed::append(store, 0..pending, now).await?;
    plan(store, lanes, now).await?;
    let mut took = Vec::new();
    for n in pending..pending + CLAIMS as u64 {
        // As many are pending each time.
        seed::append(store, n..n + 1, now).await?;
        plan(store, lanes, now).await?;
        took.push(claim(store, now).await?);
    }
    took.sort_unstable();
    let [p50, p99, slowest] = [CLAIMS / 2, CLAIMS * 99 / 100, CLAIMS - 1].map(|at| took[at]);
    Ok(Row { name, p50, p99, slowest })
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
