//! The command line: arguments in, exit codes out; one file a subcommand.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong use or configuration.

mod ask;
mod change;
mod check;
mod client;
mod deliveries;
mod demo;
mod events;
mod filter;
mod handlers;
mod health;
mod known;
mod output;
mod progress;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod rejected;
mod replay;
mod send;
mod serve;
mod store;
mod table;
mod which;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::config::{Config, ConfigErrors, Env};
use crate::handlers::rust::Registry;
use crate::secret;

/// Receives the webhooks of Leiga and WorkZappy: keeps every event before it says so, then hands it to your handlers.
#[derive(Debug, Parser)]
#[command(name = "workhook", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// What every subcommand takes.
#[derive(Debug, Args)]
struct Common {
    /// The configuration file; without it, the one that `WORKHOOK_CONFIG` names, else workhook.toml in the
    /// working folder, if there is one.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// In which form it is printed.
#[derive(Debug, Clone, Copy, Args)]
struct Form {
    /// Print JSON, for programs.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Receive webhooks and handle them, until told to stop.
    Serve(serve::Serve),
    /// Check the configuration, and say all that is wrong with it.
    Check(check::Check),
    /// Stand in for the sender: send an event, or many, or a faulty one.
    Send(send::Send),
    /// Look at the events that are kept, take copies, or forget.
    #[command(subcommand)]
    Events(events::Events),
    /// Look at what became of events at their handlers; retry and cancel.
    #[command(subcommand)]
    Deliveries(deliveries::Deliveries),
    /// Look at requests with a good token that could not be events, and judge them again.
    #[command(subcommand)]
    Rejected(rejected::Rejected),
    Replay(replay::Replay),
    /// Look at the handlers; pause them, let them go on, try one.
    #[command(subcommand)]
    Handlers(handlers::Handlers),
    /// Move everything that is kept from one store to another.
    #[command(subcommand)]
    Store(store::Store),
    /// Ask a running workhook whether it is ready; exit code 1 if not.
    Health(health::Health),
    /// Print a completion script for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// Why a subcommand did not do what it was asked for.
#[derive(Debug)]
enum Failed {
    /// Exit code 1.
    Work(anyhow::Error),
    /// Exit code 1, and everything has been said.
    Said,
    /// Exit code 2.
    Use(anyhow::Error),
    /// Exit code 2, with everything that is wrong with the configuration.
    Config(ConfigErrors),
}

impl From<anyhow::Error> for Failed {
    fn from(error: anyhow::Error) -> Failed {
        Failed::Work(error)
    }
}

impl From<ConfigErrors> for Failed {
    fn from(errors: ConfigErrors) -> Failed {
        Failed::Config(errors)
    }
}

type Done = Result<(), Failed>;

/// What is said of a failure after which some of what was asked for is done.
fn half_way(done: &str) -> String {
    format!("it failed half-way, with {done} (the same command does the rest)")
}

/// The whole program: the one that is shipped, and any that adds functions of its own.
///
/// ```no_run
/// use workhook::{Context, Event, IssueUpdate};
///
/// fn main() -> std::process::ExitCode {
///     workhook::main(|app| {
///         app.on("reindex", |event: Event<IssueUpdate>, _: Context| async move {
///             println!("{:?} changed", event.data.issue.summary);
///             Ok(())
///         })
///     })
/// }
/// ```
pub fn main(register: impl FnOnce(Registry) -> Registry) -> ExitCode {
    // Before anything secret is read.
    secret::leave_no_core();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    match run(cli, register(Registry::default())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed::Said) => ExitCode::from(1),
        Err(Failed::Work(error)) => {
            output::error(&error);
            ExitCode::from(1)
        }
        Err(Failed::Use(error)) => {
            output::error(&error);
            ExitCode::from(2)
        }
        Err(Failed::Config(errors)) => {
            // Each begins with its place, as compilers write it, so that editors find it.
            output::complaint(&errors.to_string());
            ExitCode::from(2)
        }
    }
}

fn run(cli: Cli, registry: Registry) -> Done {
    let Cli { common, command } = cli;
    let load = || Config::load(common.config.as_deref(), &Env::of_process());
    let readable = |quiet| readable(common.config.as_deref(), quiet);
    match command {
        Command::Completions { shell } => {
            // In memory first: it panics where nobody reads what it writes.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "workhook", &mut script);
            output::line(String::from_utf8_lossy(&script).trim_end());
            Ok(())
        }
        Command::Check(check) => check.run(load()),
        Command::Serve(serve) => serve.run(load()?, registry),
        Command::Send(send) => runtime()?.block_on(send.run(&load()?)),
        Command::Events(events) => runtime()?.block_on(events.run(&readable(false)?)),
        Command::Deliveries(deliveries) => runtime()?.block_on(deliveries.run(&readable(false)?)),
        Command::Rejected(rejected) => runtime()?.block_on(rejected.run(&readable(false)?)),
        Command::Replay(replay) => runtime()?.block_on(replay.run(&readable(false)?)),
        Command::Handlers(handlers) => runtime()?.block_on(handlers.run(&readable(false)?)),
        Command::Store(store) => runtime()?.block_on(store.run()),
        Command::Health(health) => runtime()?.block_on(health.run(&readable(health.quiet)?)),
    }
}

/// The configuration of who only asks a running workhook, which is not kept from it by a mistake in the file.
fn readable(path: Option<&Path>, quiet: bool) -> Result<Config, ConfigErrors> {
    let (config, wrong) = Config::load_readable(path, &Env::of_process())?;
    if let Some(errors) = wrong.filter(|_| !quiet) {
        output::complaint(&errors.to_string());
        output::complaint("workhook: the configuration is wrong; going on with what can be read of it");
    }
    Ok(config)
}

fn runtime() -> Result<tokio::runtime::Runtime, Failed> {
    use anyhow::Context as _;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    Ok(runtime.context("the runtime could not be started")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_well_defined() {
        Cli::command().debug_assert();
    }
}
