//! How many events a second reach an HTTP handler, by one process and by several, beside what the same client does in a
//! bare loop.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use workhook::clock::Clock;

use super::bare::{a_second, bare_loop};
use super::cluster::{self, Cluster};
use super::program::Running;
use super::receiver::Receiver;
use super::seed::{self, TOKEN};

/// How many are under way at one time in each process: what a handler has by itself, and many.
const CONCURRENCIES: [usize; 2] = [8, 64];
/// How long all may take to arrive.
const PATIENCE: Duration = Duration::from_secs(120);

/// Measures events that wait, stored but not planned, and prints a table.
pub(crate) async fn table(cluster: &Cluster, folder: &Path, events: u64) -> anyhow::Result<String> {
    let receiver = Receiver::start().await?;
    let mut table =
        "| to an HTTP handler | at one time in each | a second | of the bare loop | log for each | on disk for each |\n\
         |---|--:|--:|--:|--:|--:|\n"
            .to_owned();
    for concurrency in CONCURRENCIES {
        let bare = bare_loop(&receiver, events, concurrency).await?;
        let _ = writeln!(table, "| the same client in a bare loop | {concurrency} | {bare:.0} | 1.00 | | |");
        for replicas in [1, 3] {
            let Delivered { rate, log, bytes } =
                backlog(cluster, &receiver, folder, events, replicas, concurrency).await?;
            let name = if replicas == 1 { "1 replica".to_owned() } else { format!("{replicas} replicas") };
            let _ = writeln!(
                table,
                "| workhook, {name} | {concurrency} | {rate:.0} | {:.2} | {:.1} kB | {:.1} kB |",
                rate / bare,
                log / 1000.0,
                bytes / 1000.0
            );
        }
    }
    Ok(table)
}

/// Events delivered a second, and what each cost from its storing to its end: bytes of the write-ahead log, and of the
/// database as it is then, with what is not cleaned up yet.
struct Delivered {
    rate: f64,
    log: f64,
    bytes: f64,
}

async fn backlog(
    cluster: &Cluster,
    receiver: &Receiver,
    folder: &Path,
    events: u64,
    replicas: usize,
    concurrency: usize,
) -> anyhow::Result<Delivered> {
    let url = cluster.database("deliver").await?;
    let before = cluster.work(&url).await?;
    let store = cluster::open(&url).await?;
    seed::append(&store, 0..events, Clock::system().now()).await?;
    store.close().await;
    drop(store);
    let more = format!(
        "[[handler]]\nname = \"crm\"\nkind = \"http\"\nurl = \"http://{}/\"\nevents = [\"*\"]\nconcurrency = {concurrency}\n",
        receiver.address
    );
    let (first, mut running) = (receiver.count(), Vec::new());
    for number in 0..replicas {
        let folder = folder.join(format!("delivering-{number}"));
        std::fs::create_dir_all(&folder)?;
        running.push(Running::start_on(&url, "dispatch", &folder, TOKEN, &more)?);
    }
    // From the first that arrives: what it takes to start is not a part of it.
    while receiver.count() == first {
        sleep(Duration::from_millis(1)).await;
    }
    let (began, done) = (Instant::now(), receiver.count() - first);
    receiver.wait_for(first + events, PATIENCE).await?;
    let rate = a_second(events - done, began.elapsed());
    drop(running);
    let after = cluster.work(&url).await?;
    cluster.remove("deliver").await?;
    #[expect(clippy::cast_precision_loss, reason = "some megabytes")]
    let each = |before: i64, after: i64| (after - before) as f64 / events as f64;
    Ok(Delivered { rate, log: each(before.log_bytes, after.log_bytes), bytes: each(before.bytes, after.bytes) })
}
