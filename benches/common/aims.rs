//! What is aimed at beside what was measured: a line of a table for each, into the file that [`FILE`] names.
//! `benches/run` makes one table of all of them.

use std::fs::OpenOptions;
use std::io::Write;
use std::time::Duration;
use std::{env, fmt};

use anyhow::Context;

/// The variable that names the file. Without it nothing is written.
const FILE: &str = "WORKHOOK_BENCH_AIMS";

/// One number, what is asked of it, and whether it holds.
#[derive(Debug)]
pub(crate) struct Aim {
    what: String,
    asked: String,
    measured: String,
    holds: bool,
}

impl Aim {
    /// How many times something else it is, at the least.
    pub(crate) fn at_least(what: impl Into<String>, least: f64, times: f64) -> Aim {
        Aim {
            what: what.into(),
            asked: format!("at least {least:.2} ×"),
            measured: format!("{times:.2} ×"),
            holds: times >= least,
        }
    }

    /// How many times something else it is, at the most.
    pub(crate) fn at_most(what: impl Into<String>, most: f64, times: f64) -> Aim {
        Aim {
            what: what.into(),
            asked: format!("at most {most:.2} ×"),
            measured: format!("{times:.2} ×"),
            holds: times <= most,
        }
    }

    /// How long it takes, at the most.
    pub(crate) fn within(what: impl Into<String>, most: Duration, took: Duration) -> Aim {
        let ms = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1000.0);
        Aim { what: what.into(), asked: format!("at most {}", ms(most)), measured: ms(took), holds: took <= most }
    }

    /// How much memory it has, at the most.
    pub(crate) fn fits(what: impl Into<String>, most_mib: u64, kib: u64) -> Aim {
        let mib = kib.div_ceil(1024);
        Aim {
            what: what.into(),
            asked: format!("at most {most_mib} MiB"),
            measured: format!("{mib} MiB"),
            holds: mib <= most_mib,
        }
    }
}

impl fmt::Display for Aim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Aim { what, asked, measured, holds } = self;
        write!(f, "| {what} | {asked} | {measured} | {} |", if *holds { "yes" } else { "**no**" })
    }
}

/// Writes them down, where somebody wants them.
pub(crate) fn tell(aims: &[Aim]) -> anyhow::Result<()> {
    let Some(path) = env::var_os(FILE) else { return Ok(()) };
    let mut file =
        OpenOptions::new().append(true).create(true).open(&path).with_context(|| format!("{FILE}, {path:?}"))?;
    for aim in aims {
        writeln!(file, "{aim}")?;
    }
    Ok(())
}
