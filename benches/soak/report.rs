//! The rows, and whether they are flat.

use std::fmt;
use std::time::Duration;

use anyhow::ensure;

use super::far_end::Answers;
use super::sample::Sample;

pub(crate) const HEAD: &str = "| after | acknowledged | p50 | p99 | p99.9 | slowest | taken | failed | pending, at most | lanes, at most | not findable, at most | \
     memory | descriptors | log, at most | database |\n|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|";

/// One part of the time.
#[derive(Debug)]
pub(crate) struct Row {
    after: Duration,
    /// How long each acknowledgement took, from the shortest on.
    took: Vec<Duration>,
    answers: Answers,
    /// The most of each that was seen.
    most: Sample,
}

impl Row {
    pub(crate) fn new(after: Duration, mut took: Vec<Duration>, answers: Answers, samples: &[Sample]) -> Row {
        took.sort_unstable();
        let most = |of: fn(&Sample) -> u64| samples.iter().map(of).max().unwrap_or(0);
        let most = Sample {
            memory_kib: most(|sample| sample.memory_kib),
            descriptors: most(|sample| sample.descriptors),
            lanes: most(|sample| sample.lanes),
            pending: most(|sample| sample.pending),
            uncatalogued: most(|sample| sample.uncatalogued),
            log: most(|sample| sample.log),
            database: most(|sample| sample.database),
        };
        Row { after, took, answers, most }
    }

    /// The time that so many of a thousand acknowledgements do not exceed.
    fn per_mille(&self, per_mille: usize) -> Duration {
        let at = (self.took.len() * per_mille / 1000).min(self.took.len().saturating_sub(1));
        self.took.get(at).copied().unwrap_or_default()
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "| {} s | {} ", self.after.as_secs(), self.took.len())?;
        for per_mille in [500, 990, 999, 1000] {
            write!(f, "| {:.2} ms ", self.per_mille(per_mille).as_secs_f64() * 1000.0)?;
        }
        let Row { answers, most, .. } = self;
        write!(f, "| {} | {} ", answers.taken + answers.refused, answers.failed)?;
        write!(f, "| {} | {} | {} | {} MiB ", most.pending, most.lanes, most.uncatalogued, most.memory_kib >> 10)?;
        write!(f, "| {} | {} MiB | {} MiB |", most.descriptors, most.log >> 20, most.database >> 20)
    }
}

/// What has to stay as it is: its name, how it is told, by how much the last third of the time may exceed the second, and
/// what is too little to be told from nothing.
type Bound = (&'static str, fn(&Row) -> f64, f64, f64);

#[expect(clippy::cast_precision_loss, reason = "sizes and counts far below what a float holds")]
const BOUNDS: [Bound; 9] = [
    ("memory, KiB", |row| row.most.memory_kib as f64, 1.25, 1.0),
    ("descriptors", |row| row.most.descriptors as f64, 1.25, 1.0),
    ("pending deliveries", |row| row.most.pending as f64, 1.5, 1000.0),
    ("lanes", |row| row.most.lanes as f64, 1.25, 100.0),
    ("events that cannot be found yet", |row| row.most.uncatalogued as f64, 1.5, 5000.0),
    ("the write-ahead log, MiB", |row| (row.most.log >> 20) as f64, 1.5, 16.0),
    ("the database, MiB", |row| (row.most.database >> 20) as f64, 1.25, 16.0),
    ("p50, ms", |row| row.per_mille(500).as_secs_f64() * 1000.0, 1.5, 0.1),
    ("p99, ms", |row| row.per_mille(990).as_secs_f64() * 1000.0, 1.5, 1.0),
];

/// Compares the second and the last third of the time; the first has what comes of a beginning.
pub(crate) fn flat(rows: &[Row]) -> anyhow::Result<()> {
    let third = rows.len() / 3;
    let (second, last) = (&rows[third..2 * third], &rows[rows.len() - third..]);
    let mut grew = Vec::new();
    println!("\n| | second third | last third | ratio | at most |\n|---|--:|--:|--:|--:|");
    for (name, of, at_most, least) in BOUNDS {
        let (before, after) = (mean(second, of), mean(last, of));
        let ratio = after / before.max(least);
        println!("| {name} | {before:.2} | {after:.2} | {ratio:.2} | {at_most} |");
        if ratio > at_most {
            grew.push(name);
        }
    }
    ensure!(grew.is_empty(), "grew: {}", grew.join(", "));
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a few dozen rows")]
fn mean(rows: &[Row], of: fn(&Row) -> f64) -> f64 {
    rows.iter().map(of).sum::<f64>() / rows.len() as f64
}
