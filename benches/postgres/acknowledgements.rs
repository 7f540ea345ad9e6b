//! Acknowledgements a second by one process and by several, and the same rows by pgbench, in turn.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use tokio::time::{Instant, sleep};

use super::cluster::{self, Cluster, Work};
use super::load::{self, Load};
use super::pgbench::Stored;
use super::program::Running;
use super::seed::TOKEN;

/// How many connections there are, and how many clients of pgbench.
const CONNECTIONS: usize = 64;
/// How often everything is measured; the table has the medians.
const ROUNDS: usize = 3;
const WARM_UP: Duration = Duration::from_secs(1);
/// How long connections that ended may take until they are gone, and what they did is counted.
const COUNTED_WITHIN: Duration = Duration::from_secs(10);

/// What stores requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    /// pgbench, one request in a transaction.
    OneEach,
    /// pgbench with so many clients, and as many requests in a transaction as so many replicas had.
    Batches(usize),
    /// So many replicas, in a role.
    Replicas(usize, &'static str),
}

impl Target {
    /// In an order in which what pgbench copies comes after what it is copied from.
    const ALL: [Target; 7] = [
        Target::Replicas(1, "ingest"),
        Target::OneEach,
        Target::Replicas(3, "ingest"),
        Target::Replicas(1, "all"),
        Target::Batches(1),
        Target::Replicas(3, "all"),
        Target::Batches(3),
    ];

    fn name(self) -> String {
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        match self {
            Target::OneEach => format!("pgbench, {CONNECTIONS} clients, one in a transaction"),
            Target::Batches(clients) => format!("pgbench, {clients} client{}, in batches", plural(clients)),
            Target::Replicas(count, role) => format!("workhook, {count} replica{}, role `{role}`", plural(count)),
        }
    }
}

/// One target, measured once; rates are a second.
#[derive(Debug, Clone, Copy)]
struct Sample {
    rate: f64,
    p50: f64,
    p99: f64,
    /// Requests in a commit.
    batch: f64,
    log_bytes: f64,
    bytes: f64,
    syncs: f64,
    /// Cores in use, of the server and of workhook.
    server: f64,
    replicas: f64,
}

/// Measures all and prints a table.
pub(crate) async fn table(cluster: &Cluster, folder: &Path, seconds: u64) -> anyhow::Result<String> {
    let time = Duration::from_secs(seconds);
    let mut samples: Vec<(Target, Sample)> = Vec::new();
    let mut stored = None;
    for round in 0..ROUNDS {
        for target in Target::ALL {
            let url = cluster.database("load").await?;
            let measured = match (target, &stored) {
                (Target::Replicas(count, role), _) => replicas(cluster, &url, folder, count, role, time).await?,
                (Target::OneEach, Some(one)) => pgbench(cluster, &url, folder, one, CONNECTIONS, 1, time).await?,
                (Target::Batches(count), Some(one)) => {
                    let as_many = median(&samples, Target::Replicas(count, "ingest"), |sample| sample.batch);
                    pgbench(cluster, &url, folder, one, count, whole(as_many), time).await?
                }
                (_, None) => anyhow::bail!("workhook comes first"),
            };
            eprintln!("round {} of {ROUNDS}, {}: {measured:.1?}", round + 1, target.name());
            samples.push((target, measured));
            if stored.is_none() {
                stored = Some(Stored::of(&url).await?);
            }
            cluster.remove("load").await?;
        }
    }
    Ok(written(&samples))
}

async fn replicas(
    cluster: &Cluster,
    url: &str,
    folder: &Path,
    count: usize,
    role: &str,
    time: Duration,
) -> anyhow::Result<Sample> {
    let mut running = Vec::new();
    for number in 0..count {
        let folder = folder.join(format!("replica-{number}"));
        std::fs::create_dir_all(&folder)?;
        let nobody = "[[handler]]\nname = \"nobody\"\nkind = \"log\"\nevents = [\"No.Such\"]\n";
        running.push(Running::start_on(url, role, &folder, TOKEN, nobody)?);
    }
    let addresses = running.iter().map(Running::public).collect::<anyhow::Result<_>>()?;
    let servers = running.iter().map(Running::pid).collect();
    let load = Load { addresses, token: TOKEN, connections: CONNECTIONS, warm_up: WARM_UP, time, servers };
    let before = cluster.work(url).await?;
    let began = Instant::now();
    let mut loaded = load::run(&load).await?;
    let (took, server) = (began.elapsed(), cluster.work(url).await?.cpu - before.cpu);
    ensure!(loaded.failures.is_empty(), "not everything was acknowledged: {:?}", loaded.failures);
    drop(running);
    let kept = kept(url).await?;
    ensure!(kept >= loaded.acknowledged, "{} were acknowledged, {kept} are kept", loaded.acknowledged);
    loaded.took.sort_unstable();
    let at = |percent: usize| f64::from(loaded.took[(loaded.took.len() * percent / 100).min(loaded.took.len() - 1)]);
    let work = Done { before, after: cluster.work(url).await?, requests: number(kept), took, server };
    let replicas = loaded.server_cpu.as_secs_f64() / time.as_secs_f64();
    let rate = number(loaded.counted) / time.as_secs_f64();
    Ok(Sample { p50: at(50) / 1000.0, p99: at(99) / 1000.0, replicas, ..work.sample(rate) })
}

async fn pgbench(
    cluster: &Cluster,
    url: &str,
    folder: &Path,
    stored: &Stored,
    clients: usize,
    rows: u64,
    time: Duration,
) -> anyhow::Result<Sample> {
    let before = cluster.work(url).await?;
    let began = Instant::now();
    let rate = stored.measure(url, folder, clients, rows, time + WARM_UP).await?;
    let (took, server) = (began.elapsed(), cluster.work(url).await?.cpu - before.cpu);
    let requests = number(kept(url).await?);
    Ok(Done { before, after: cluster.work(url).await?, requests, took, server }.sample(rate))
}

/// How many events there are, once nobody else is connected.
async fn kept(url: &str) -> anyhow::Result<u64> {
    let client = cluster::connect(url).await?;
    let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
                  AND backend_type = 'client backend'";
    let late = Instant::now() + COUNTED_WITHIN;
    while client.query_one(others, &[]).await?.get::<_, i64>(0) > 0 {
        ensure!(Instant::now() < late, "somebody is still connected");
        sleep(Duration::from_millis(20)).await;
    }
    Ok(client.query_one("SELECT count(*) FROM events", &[]).await?.get::<_, i64>(0).unsigned_abs())
}

/// What the server did for so many requests.
struct Done {
    before: Work,
    after: Work,
    requests: f64,
    took: Duration,
    server: Duration,
}

impl Done {
    fn sample(&self, rate: f64) -> Sample {
        let of = |count: fn(&Work) -> i64| number((count(&self.after) - count(&self.before)).unsigned_abs());
        Sample {
            rate,
            p50: 0.0,
            p99: 0.0,
            batch: self.requests / of(|work| work.commits),
            log_bytes: of(|work| work.log_bytes) / self.requests,
            bytes: of(|work| work.bytes) / self.requests,
            syncs: of(|work| work.syncs) / self.took.as_secs_f64(),
            server: self.server.as_secs_f64() / self.took.as_secs_f64(),
            replicas: 0.0,
        }
    }
}

fn written(samples: &[(Target, Sample)]) -> String {
    let mut table =
        "| | a second | of pgbench, one each | of pgbench, in batches | p50 | p99 | in a commit | log for each | \
                     on disk for each | syncs a second | cores: PostgreSQL | cores: workhook |\n\
                     |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n"
            .to_owned();
    for target in Target::ALL {
        let of = |value: fn(&Sample) -> f64| median(samples, target, value);
        let rate = |other: Target| median(samples, other, |sample| sample.rate);
        let (one_each, in_batches) = match target {
            Target::Replicas(count, _) => (Some(Target::OneEach), Some(Target::Batches(count))),
            Target::Batches(_) => (Some(Target::OneEach), None),
            Target::OneEach => (None, None),
        };
        let ratio = |other: Option<Target>| {
            other.map(|other| format!("{:.2}", of(|sample| sample.rate) / rate(other))).unwrap_or_default()
        };
        let millis = |value: f64| if value > 0.0 { format!("{value:.1} ms") } else { String::new() };
        let _ = writeln!(
            table,
            "| {} | {:.0} | {} | {} | {} | {} | {:.1} | {:.1} kB | {:.1} kB | {:.0} | {:.2} | {} |",
            target.name(),
            of(|sample| sample.rate),
            ratio(one_each),
            ratio(in_batches),
            millis(of(|sample| sample.p50)),
            millis(of(|sample| sample.p99)),
            of(|sample| sample.batch),
            of(|sample| sample.log_bytes) / 1000.0,
            of(|sample| sample.bytes) / 1000.0,
            of(|sample| sample.syncs),
            of(|sample| sample.server),
            matches!(target, Target::Replicas(..))
                .then(|| format!("{:.2}", of(|sample| sample.replicas)))
                .unwrap_or_default(),
        );
    }
    table
}

fn median(samples: &[(Target, Sample)], target: Target, value: fn(&Sample) -> f64) -> f64 {
    let mut values: Vec<f64> = samples.iter().filter(|(of, _)| *of == target).map(|(_, one)| value(one)).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "counts of seconds' worth")]
fn number(count: u64) -> f64 {
    count as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a few hundred at the most, and at least one"
)]
fn whole(number: f64) -> u64 {
    number.round().max(1.0) as u64
}
