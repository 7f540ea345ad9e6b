//! How long after its acknowledgement by one process an event is attempted by another.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::Context;
use tokio::time::Instant;

use super::cluster::Cluster;
use super::open_loop::{self, millis, per_mille};
use super::program::Running;
use super::receiver::Receiver;
use super::seed::TOKEN;

/// How long all that was sent may take to arrive.
const PATIENCE: Duration = Duration::from_secs(60);

/// Measures both ways of hearing of an event, at several rates, and prints a table.
pub(crate) async fn table(cluster: &Cluster, folder: &Path, rates: &[u64], seconds: u64) -> anyhow::Result<String> {
    let mut table =
        "| from acknowledged by one to the far end of another | p50 | p99 | slowest |\n|---|--:|--:|--:|\n".to_owned();
    for (name, setting) in [("NOTIFY", "poll_only = false\n"), ("`poll_only`", "poll_only = true\n")] {
        for &rate in rates {
            let took = measure(cluster, folder, setting, rate, seconds).await?;
            let times = [500, 990, 1000].map(|at| millis(per_mille(&took, at)));
            let _ = writeln!(table, "| {name}, {rate} a second | {} |", times.join(" | "));
        }
    }
    Ok(table)
}

/// How long each took, sorted.
async fn measure(
    cluster: &Cluster,
    folder: &Path,
    setting: &str,
    rate: u64,
    seconds: u64,
) -> anyhow::Result<Vec<Duration>> {
    let receiver = Receiver::start().await?;
    let url = cluster.database("wake").await?;
    let start = |role: &str, more: &str| {
        let folder = folder.join(role);
        std::fs::create_dir_all(&folder)?;
        Running::start_on(&url, role, &folder, TOKEN, &format!("{setting}{more}"))
    };
    let handler = format!(
        "[[handler]]\nname = \"crm\"\nkind = \"http\"\nurl = \"http://{}/\"\nevents = [\"*\"]\n",
        receiver.address
    );
    let (ingest, dispatch) = (start("ingest", "")?, start("dispatch", &handler)?);
    // Until one has arrived it is not there.
    let numbers = Arc::new(AtomicU64::new(1));
    let first = open_loop::run(ingest.public()?, TOKEN, 1, 1, &numbers).await?;
    receiver.wait_for(first.len() as u64, PATIENCE).await?;
    let sent = open_loop::run(ingest.public()?, TOKEN, rate, seconds, &numbers).await?;
    receiver.wait_for((first.len() + sent.len()) as u64, PATIENCE).await?;
    drop((ingest, dispatch));
    cluster.remove("wake").await?;
    let arrived: HashMap<u64, Instant> = receiver.arrivals();
    let took = sent.iter().map(|one| {
        let at = arrived.get(&one.number).context("every one arrives")?;
        // It may arrive before its acknowledgement is read.
        Ok(at.saturating_duration_since(one.at))
    });
    let mut took = took.collect::<anyhow::Result<Vec<Duration>>>()?;
    took.sort_unstable();
    Ok(took)
}
