//! The whole run: rounds in which every target is loaded in turn, each time started anew with nothing stored.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use tokio::time::{Instant, sleep};
use workhook::admin::api::wire;

use super::load::{self, Load, Loaded};
use super::overload::{self, Overloaded};
use super::target::{Running, TOKEN, Target};
use super::{disk, process};

/// How often everything is measured; the table has the medians.
pub(crate) const ROUNDS: u32 = 3;
const WARM_UP: Duration = Duration::from_millis(300);
/// How long the disk is measured in each round.
const DISK_TIME: Duration = Duration::from_secs(1);
/// How long events that were not delivered when the load ended are waited for.
pub(crate) const DRAIN_MAX: Duration = Duration::from_secs(6);
const DRAIN_POLL: Duration = Duration::from_millis(50);

/// What is to be measured.
#[derive(Debug)]
pub(crate) struct Plan {
    /// For how long each row is loaded, all rounds together.
    pub(crate) seconds: Duration,
    /// How many connections there are.
    pub(crate) connections: Vec<usize>,
    /// The program.
    pub(crate) workhook: PathBuf,
    /// Where the stores are made.
    pub(crate) folder: PathBuf,
}

/// All that was measured.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    pub(crate) samples: Vec<Sample>,
    pub(crate) disk: Vec<Speed>,
    /// With twice what it can take.
    pub(crate) overloaded: Vec<Overloaded>,
    /// What went wrong, in sentences.
    pub(crate) failures: Vec<String>,
}

/// One target, loaded once.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) target: Target,
    pub(crate) connections: usize,
    pub(crate) speed: Speed,
    /// The server's time on the cores for each acknowledgement.
    pub(crate) cpu: Duration,
    pub(crate) lag: Lag,
    /// How many cores all other programs used meanwhile.
    pub(crate) others: f64,
    pub(crate) idle_memory_kib: u64,
    pub(crate) peak_memory_kib: u64,
}

/// How often something was done, and how long it took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Speed {
    pub(crate) a_second: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

/// What was not delivered when the load ended.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Lag {
    pub(crate) events: u64,
    /// How long they took; `None` where it was longer than is waited for.
    pub(crate) time: Option<Duration>,
}

impl Measured {
    /// How many cores all other programs used on average.
    pub(crate) fn others(&self) -> f64 {
        let runs = f64::from(u32::try_from(self.samples.len()).unwrap_or(u32::MAX));
        self.samples.iter().map(|sample| sample.others).sum::<f64>() / runs
    }
}

impl Speed {
    fn of(count: u64, time: Duration, mut took: Vec<u32>) -> Speed {
        took.sort_unstable();
        let percentile = |percent: usize| {
            let at = (took.len() * percent / 100).min(took.len().saturating_sub(1));
            Duration::from_micros(took.get(at).copied().unwrap_or(0).into())
        };
        #[expect(clippy::cast_precision_loss, reason = "a count of seconds' worth")]
        let a_second = count as f64 / time.as_secs_f64();
        Speed { a_second, p50: percentile(50), p99: percentile(99) }
    }
}

/// Measures everything. When it is dropped, its processes end and its files go.
pub(crate) async fn all(plan: &Plan) -> anyhow::Result<Measured> {
    let mut measured = Measured::default();
    for round in 0..ROUNDS {
        let took = disk::measure(&plan.folder, DISK_TIME)?;
        let disk = Speed::of(took.len() as u64, DISK_TIME, took);
        eprintln!("round {} of {ROUNDS}: the disk syncs {:.0} times a second", round + 1, disk.a_second);
        measured.disk.push(disk);
        for &connections in &plan.connections {
            let mut targets = Target::all();
            // No target always follows the same other one.
            let by = round as usize % targets.len();
            targets.rotate_left(by);
            for target in targets {
                let sample = measure(plan, target, connections, &mut measured.failures);
                let sample = sample.await.with_context(|| format!("{}, {connections} connections", target.name()))?;
                measured.samples.push(sample);
            }
        }
        let overloaded = overload::measure(&plan.workhook, &plan.folder).await?;
        eprintln!("  overloaded: {overloaded:?}");
        measured.overloaded.push(overloaded);
    }
    Ok(measured)
}

async fn measure(
    plan: &Plan,
    target: Target,
    connections: usize,
    failures: &mut Vec<String>,
) -> anyhow::Result<Sample> {
    // What is left to be written of the one before is not to be this one's burden.
    Command::new("sync").status()?;
    let running = Running::start(target, &plan.workhook, &plan.folder).await?;
    let server = running.pid();
    let idle_memory_kib = process::peak_memory_kib(server)?;
    let time = plan.seconds / ROUNDS;
    let (addresses, servers) = (vec![running.public()], vec![server]);
    let load = Load { addresses, token: TOKEN, connections, warm_up: WARM_UP, time, servers };
    let mut loaded = load::run(&load).await?;
    let (lag, wrong) = drain(target, &running, loaded.acknowledged).await?;
    let peak_memory_kib = process::peak_memory_kib(server)?;

    let what = format!("{}, {connections} connections", target.name());
    failures.extend(loaded.failures.iter().chain(&wrong).map(|failure| format!("{what}: {failure}")));
    let counted = loaded.counted;
    let speed = Speed::of(counted, time, std::mem::take(&mut loaded.took));
    say(&what, &speed, &loaded, time);
    let cpu = loaded.server_cpu / u32::try_from(counted.max(1))?;
    let others = loaded.other_cpu.as_secs_f64() / time.as_secs_f64();
    Ok(Sample { target, connections, speed, cpu, lag, others, idle_memory_kib, peak_memory_kib })
}

/// Waits until everything is delivered, and checks that all that was acknowledged is there.
async fn drain(target: Target, running: &Running, acknowledged: u64) -> anyhow::Result<(Lag, Option<String>)> {
    let ended = Instant::now();
    let Some(health) = running.health().await? else { return Ok((Lag::default(), None)) };
    if health.events < acknowledged {
        let wrong = format!("{acknowledged} were acknowledged, {} are kept", health.events);
        return Ok((Lag::default(), Some(wrong)));
    }
    if target != Target::Handling {
        return Ok((Lag::default(), None));
    }
    let events = health.events - delivered(&health);
    let mut left = events;
    while left > 0 {
        if ended.elapsed() > DRAIN_MAX {
            return Ok((Lag { events, time: None }, None));
        }
        sleep(DRAIN_POLL).await;
        let health = running.health().await?.context("it was there")?;
        left = health.events - delivered(&health);
    }
    Ok((Lag { events, time: Some(ended.elapsed()) }, None))
}

fn delivered(health: &wire::Health) -> u64 {
    health.deliveries.iter().filter(|count| count.state == "delivered").map(|count| count.count).sum()
}

fn say(what: &str, speed: &Speed, loaded: &Loaded, time: Duration) {
    let cores = |used: Duration| used.as_secs_f64() / time.as_secs_f64();
    eprintln!(
        "  {what}: {:.0} a second, p50 {:?}, p99 {:?}; cores: server {:.2}, load {:.2}, others {:.2}",
        speed.a_second,
        speed.p50,
        speed.p99,
        cores(loaded.server_cpu),
        cores(loaded.own_cpu),
        cores(loaded.other_cpu),
    );
}
