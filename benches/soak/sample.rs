//! What the program has at a moment: memory and descriptors by the kernel, files by their sizes, and the rest by its own
//! metrics.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use super::process;
use super::program::Running;

/// How long an answer of the private door may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What there is at a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) memory_kib: u64,
    pub(crate) descriptors: u64,
    /// Lanes in which a delivery waits.
    pub(crate) lanes: u64,
    pub(crate) pending: u64,
    /// Events that cannot be found by their terms yet.
    pub(crate) uncatalogued: u64,
    /// Bytes of the write-ahead log and of the database.
    pub(crate) log: u64,
    pub(crate) database: u64,
}

impl Sample {
    pub(crate) async fn take(running: &Running, folder: &Path, private: &Private) -> anyhow::Result<Sample> {
        let metrics = private.metrics().await?;
        let size = |name: &str| anyhow::Ok(std::fs::metadata(folder.join(name))?.len());
        Ok(Sample {
            memory_kib: process::memory_kib(running.pid())?,
            descriptors: process::descriptors(running.pid())?,
            lanes: sum(&metrics, "workhook_lanes{", "")?,
            pending: sum(&metrics, "workhook_deliveries{", "state=\"pending\"")?,
            uncatalogued: sum(&metrics, "workhook_uncatalogued_events ", "")?,
            log: size("workhook.db-wal")?,
            database: size("workhook.db")?,
        })
    }
}

/// The private door.
#[derive(Debug)]
pub(crate) struct Private {
    client: reqwest::Client,
    url: String,
}

impl Private {
    pub(crate) fn new(address: SocketAddr) -> anyhow::Result<Private> {
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
        Ok(Private { client, url: format!("http://{address}/metrics") })
    }

    /// How many deliveries are pending, and events not planned.
    pub(crate) async fn pending(&self) -> anyhow::Result<u64> {
        let metrics = self.metrics().await?;
        let unplanned = sum(&metrics, "workhook_unplanned_events ", "")?;
        Ok(unplanned + sum(&metrics, "workhook_deliveries{", "state=\"pending\"")?)
    }

    async fn metrics(&self) -> anyhow::Result<String> {
        Ok(self.client.get(&self.url).send().await?.error_for_status()?.text().await?)
    }
}

/// The sum of the lines that begin so and have this in them; an error where there is none.
fn sum(metrics: &str, begins: &str, has: &str) -> anyhow::Result<u64> {
    let lines = metrics.lines().filter(|line| line.starts_with(begins) && line.contains(has));
    let values = lines.map(|line| line.rsplit(' ').next().unwrap_or_default().parse::<u64>());
    let values: Vec<u64> = values.collect::<Result<_, _>>().with_context(|| format!("{begins} is no number"))?;
    anyhow::ensure!(!values.is_empty(), "the metrics have no {begins}");
    Ok(values.iter().sum())
}
