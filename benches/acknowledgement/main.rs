//! How many requests a second are acknowledged and how late, beside what a bare handler on the same machine reaches.
//!
//! `benches/run` builds and runs it; `docs/performance.md` says what each row of its table is.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the table and the progress are what it is for")]

#[path = "../common/aims.rs"]
#[expect(dead_code, reason = "numbers of other kinds are aimed at elsewhere")]
mod aims;
#[path = "../common/answer.rs"]
mod answer;
mod bare;
#[path = "../common/disk.rs"]
mod disk;
#[path = "../common/load.rs"]
mod load;
mod overload;
#[path = "../common/process.rs"]
#[expect(dead_code, reason = "what it has at a moment is looked at elsewhere")]
mod process;
mod report;
#[path = "../common/request.rs"]
mod request;
mod run;
mod target;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use self::run::Plan;

/// How many cores others may use before it is said that they disturb.
const OTHERS_MAX: f64 = 0.1;

/// Measures acknowledgements a second; prints a Markdown table.
#[derive(Debug, Parser)]
#[command(name = "benches/run acknowledgement")]
struct Arguments {
    /// For how many seconds each row is loaded, all rounds together.
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// How many connections there are, one list of rows each.
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [1, 64, 256])]
    connections: Vec<usize>,
    /// The program to measure.
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_workhook"))]
    workhook: PathBuf,
    /// Where the stores are made, in folders of their own; best on the disk that is to be measured.
    #[arg(long, value_name = "FOLDER", default_value = env!("CARGO_TARGET_TMPDIR"))]
    folder: PathBuf,
    /// Be the bare handler instead of measuring.
    #[arg(long, hide = true)]
    serve_bare: bool,
    /// What `cargo bench` passes; `cargo test --all-targets` does not, and wants nothing measured.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    if arguments.serve_bare {
        bare::serve()?;
        return Ok(ExitCode::SUCCESS);
    }
    if !arguments.bench {
        eprintln!("nothing is measured; use benches/run");
        return Ok(ExitCode::SUCCESS);
    }
    let Arguments { seconds, connections, workhook, folder, .. } = arguments;
    let plan = Plan { seconds: Duration::from_secs(seconds), connections, workhook, folder };
    // One thread is the load generator and everything else: the cores are the servers'.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let measured = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        // When it is told to stop, the run is dropped, and with it its processes and files.
        tokio::select! {
            measured = run::all(&plan) => measured,
            _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted"),
            _ = terminate.recv() => anyhow::bail!("terminated"),
        }
    })?;
    print!("{}", report::table(&plan, &measured));
    aims::tell(&report::aims(&measured))?;
    let others = measured.others();
    if others > OTHERS_MAX {
        eprintln!("\nOther programs used {others:.2} cores meanwhile; measure again when it is quiet.");
    }
    if measured.failures.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("\nTHESE NUMBERS ARE WORTH NOTHING: not everything was acknowledged and kept.");
    for failure in &measured.failures {
        eprintln!("  {failure}");
    }
    Ok(ExitCode::FAILURE)
}
