//! What a store on PostgreSQL takes and gives, on a server of its own on this machine: acknowledgements a second beside
//! the same rows by pgbench, claims, and how soon one process hears of what another stored. Prints Markdown tables.
//!
//! `cargo bench --bench postgres` has the rows of the promises; `docs/scaling.md` says what they are. It needs Debian's
//! package `postgresql`, and a folder that the user `postgres` gets to.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the tables and the progress are what it is for")]

mod acknowledgements;
#[path = "../common/answer.rs"]
#[expect(dead_code, reason = "whether a refusal ends the connection is asked elsewhere")]
mod answer;
#[path = "../delivery/bare.rs"]
mod bare;
mod cluster;
mod delivery;
#[path = "../common/load.rs"]
#[expect(dead_code, reason = "what the load itself takes is told elsewhere")]
mod load;
#[path = "../common/number.rs"]
mod number;
#[path = "../common/open_loop.rs"]
#[expect(dead_code, reason = "how long acknowledgements take is measured elsewhere")]
mod open_loop;
mod pgbench;
#[path = "../common/process.rs"]
#[expect(dead_code, reason = "memory is measured elsewhere")]
mod process;
#[path = "../common/program.rs"]
#[expect(dead_code, reason = "how it starts, and on a file, is measured elsewhere")]
mod program;
#[path = "../delivery/receiver.rs"]
mod receiver;
#[path = "../common/request.rs"]
mod request;
#[path = "../claims/row.rs"]
mod row;
#[path = "../seed/mod.rs"]
#[expect(dead_code, reason = "what settles them is not asked for here")]
mod seed;
mod wake;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, ValueEnum};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use workhook::store::Duty;

use self::cluster::Cluster;

/// Longer than anything takes here.
const FOR_ALL_TIME: Duration = Duration::from_secs(3600);

/// What there is to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Acknowledgements,
    Claims,
    Wake,
    Delivery,
}

/// Measures a store on PostgreSQL.
#[derive(Debug, Parser)]
struct Arguments {
    /// What is measured.
    #[arg(long, value_name = "PART,…", value_delimiter = ',', value_enum,
        default_values_t = [Part::Acknowledgements, Part::Claims, Part::Wake, Part::Delivery])]
    parts: Vec<Part>,
    /// For how many seconds each row of acknowledgements is loaded, three times over.
    #[arg(long, value_name = "N", default_value_t = 5)]
    seconds: u64,
    /// How many deliveries are pending.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pending: u64,
    /// How many requests arrive each second, where it is measured how soon they are heard of.
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [5, 50])]
    rates: Vec<u64>,
    /// For how many seconds they do.
    #[arg(long, value_name = "N", default_value_t = 30)]
    listen: u64,
    /// How many events are delivered.
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    events: u64,
    /// Where the server's files are; best on the disk that is to be measured.
    #[arg(long, value_name = "FOLDER", default_value = env!("CARGO_TARGET_TMPDIR"))]
    folder: PathBuf,
    /// What `cargo bench` passes; `cargo test --all-targets` does not, and wants nothing measured.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if !arguments.bench {
        eprintln!("nothing is measured; use cargo bench --bench postgres");
        return Ok(());
    }
    let folder = tempfile::tempdir_in(&arguments.folder)?;
    open_to_all(folder.path())?;
    let cluster = Cluster::start(folder.path())?;
    // One thread is the load generator and everything else: the cores are the servers'.
    let single = Builder::new_current_thread().enable_all().build()?;
    for part in &arguments.parts {
        match part {
            Part::Claims => Runtime::new()?.block_on(unless_stopped(claims(&cluster, arguments.pending)))?,
            _ => println!("{}", single.block_on(unless_stopped(table(*part, &cluster, &arguments, folder.path())))?),
        }
    }
    Ok(())
}

async fn table(part: Part, cluster: &Cluster, arguments: &Arguments, folder: &Path) -> anyhow::Result<String> {
    match part {
        Part::Acknowledgements => acknowledgements::table(cluster, folder, arguments.seconds).await,
        Part::Wake => wake::table(cluster, folder, &arguments.rates, arguments.listen).await,
        Part::Delivery => delivery::table(cluster, folder, arguments.events).await,
        Part::Claims => anyhow::bail!("it prints each row when it has it"),
    }
}

/// What is measured goes, with its processes and the server, when the program is told to stop.
async fn unless_stopped<T>(measured: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        measured = measured => measured,
        _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted"),
        _ = terminate.recv() => anyhow::bail!("terminated"),
    }
}

async fn claims(cluster: &Cluster, pending: u64) -> anyhow::Result<()> {
    println!("{}", row::HEAD);
    for (pending, lanes) in row::all(pending) {
        let store = cluster::open(&cluster.database("claims").await?).await?;
        anyhow::ensure!(store.hold(Duty::Planning, FOR_ALL_TIME).await?, "nobody else plans");
        println!("{}", row::measure(&store, pending, lanes).await?);
        store.close().await;
        cluster.remove("claims").await?;
    }
    Ok(())
}

/// Lets the user that the server runs as into a temporary folder.
fn open_to_all(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))
}
