//! What is aimed at beside what was measured: a line of a table for each, into the file that [`FILE`] names.
//! `benches/run` makes one table of all of them.

use std::fs::OpenOptions;
use std::io::Write;
use std::{env, fmt};

use anyhow::Context;

/// The variable that names the file. Without it nothing is written.
const FILE: &str = "WORKHOOK_BENCH_AIMS";

/// What a number counts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Unit {
    /// How many times something else.
    Times,
    Milliseconds,
    Mebibytes,
}

/// One number, and what is asked of it.
#[derive(Debug)]
pub(crate) struct Aim {
    what: String,
    unit: Unit,
    asked: Asked,
    measured: f64,
}

#[derive(Debug, Clone, Copy)]
enum Asked {
    AtLeast(f64),
    AtMost(f64),
}

impl Aim {
    pub(crate) fn at_least(what: impl Into<String>, unit: Unit, least: f64, measured: f64) -> Aim {
        Aim { what: what.into(), unit, asked: Asked::AtLeast(least), measured }
    }

    pub(crate) fn at_most(what: impl Into<String>, unit: Unit, most: f64, measured: f64) -> Aim {
        Aim { what: what.into(), unit, asked: Asked::AtMost(most), measured }
    }

    fn holds(&self) -> bool {
        match self.asked {
            Asked::AtLeast(least) => self.measured >= least,
            Asked::AtMost(most) => self.measured <= most,
        }
    }
}

impl Unit {
    fn of(self, number: f64) -> String {
        match self {
            Unit::Times => format!("{number:.2} ×"),
            Unit::Milliseconds => format!("{number:.2} ms"),
            Unit::Mebibytes => format!("{number:.0} MiB"),
        }
    }
}

impl fmt::Display for Aim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asked = match self.asked {
            Asked::AtLeast(least) => format!("at least {}", self.unit.of(least)),
            Asked::AtMost(most) => format!("at most {}", self.unit.of(most)),
        };
        let (measured, holds) = (self.unit.of(self.measured), if self.holds() { "yes" } else { "**no**" });
        write!(f, "| {} | {asked} | {measured} | {holds} |", self.what)
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
