//! Whether the program stays as it is for half an hour: requests at a steady rate, some of them twice, some refused, to a
//! handler whose far end fails again and again. Prints a row for each part of the time, and fails where something was
//! lost, or where memory, descriptors, lanes, the write-ahead log or latency grew.
//!
//! `cargo bench --bench soak -- --seconds 1800 --rate 2000` is what `docs/reliability.md` speaks of. It has to be run by
//! root, who alone may count the descriptors of workhook.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the table and the progress are what it is for")]

#[path = "../common/answer.rs"]
#[expect(dead_code, reason = "here an answer may be a refusal")]
mod answer;
mod far_end;
#[path = "../common/number.rs"]
mod number;
#[path = "../common/process.rs"]
#[expect(dead_code, reason = "time on the cores is measured elsewhere")]
mod process;
#[path = "../common/program.rs"]
#[expect(dead_code, reason = "how it starts is measured elsewhere")]
mod program;
mod report;
#[path = "../common/request.rs"]
mod request;
mod sample;
mod senders;

use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use clap::Parser;
use tokio::time::{Instant, sleep, sleep_until};

use self::far_end::FarEnd;
use self::program::Running;
use self::report::Row;
use self::sample::{Private, Sample};
use self::senders::Senders;

/// The token of the requests.
const TOKEN: &str = "a-token-for-the-load";
/// How often it is looked at what the program has.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long it may take at the end until nothing is pending.
const PATIENCE: Duration = Duration::from_secs(60);
/// From which size on the oldest events go, so that the store stays as large as it is.
const MAX_SIZE: &str = "256MiB";

/// Loads the program for long.
#[derive(Debug, Parser)]
struct Arguments {
    /// For how many seconds. It takes a minute until the store has its size.
    #[arg(long, value_name = "N", default_value_t = 600)]
    seconds: u64,
    /// How many requests arrive each second.
    #[arg(long, value_name = "N", default_value_t = 2000)]
    rate: u64,
    /// In how many parts the time is looked at.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(6..))]
    parts: u32,
    /// What `cargo bench` passes; `cargo test --all-targets` does not, and wants nothing measured.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if !arguments.bench {
        eprintln!("nothing is measured; use cargo bench --bench soak");
        return Ok(());
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure(&arguments))
}

async fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let time = Duration::from_secs(arguments.seconds);
    let far_end = FarEnd::start(time).await?;
    let running = start(folder.path(), &far_end)?;
    let private = Private::new(running.private()?)?;
    let senders = Senders::start(running.public()?, TOKEN, arguments.rate, time)?;

    println!("{}", report::HEAD);
    let (start, part) = (Instant::now(), time / arguments.parts);
    let mut rows = Vec::new();
    for number in 1..=arguments.parts {
        let end = start + part * number;
        let mut samples = Vec::new();
        while Instant::now() < end {
            samples.push(Sample::take(&running, folder.path(), &private).await?);
            sleep_until(end.min(Instant::now() + LOOK_EVERY)).await;
        }
        let row = Row::new(start.elapsed(), senders.take(), far_end.take(), &samples);
        println!("{row}");
        rows.push(row);
    }
    let sent = senders.join().await?;
    ensure!(sent.odd.is_empty(), "answers that are none: {:?}", sent.odd);

    let late = Instant::now() + PATIENCE;
    while let pending @ 1.. = private.pending().await? {
        ensure!(Instant::now() < late, "{pending} deliveries are still pending {PATIENCE:?} after the last request");
        sleep(LOOK_EVERY).await;
    }
    let missing = sent.acknowledged.iter().filter(|number| !far_end.has_ended(**number)).count();
    println!(
        "\n{} requests: {} events acknowledged, {} of them twice, {} requests refused, {} answered 503; {missing} events \
         acknowledged and neither taken nor refused by the far end.",
        sent.requests,
        sent.acknowledged.len(),
        sent.twice,
        sent.refused,
        sent.unavailable
    );
    ensure!(missing == 0, "{missing} events were lost");
    report::flat(&rows)
}

fn start(folder: &Path, far_end: &FarEnd) -> anyhow::Result<Running> {
    let more = format!(
        "max_size = \"{MAX_SIZE}\"\n[[handler]]\nname = \"crm\"\nkind = \"http\"\nurl = \"http://{}/\"\nevents = [\"*\"]\n\
         concurrency = 64\ntimeout = \"1s\"\nretry = {{ attempts = 30, first = \"200ms\", max = \"2s\" }}\n\
         [[handler]]\nname = \"log\"\nkind = \"log\"\nevents = [\"Issue.*\"]\n",
        far_end.address
    );
    Running::start(folder, TOKEN, &more)
}
