//! The table: medians of the rounds.

use std::fmt::Write;
use std::time::Duration;

use super::aims::Aim;
use super::overload::{self, Overloaded};
use super::run::{DRAIN_MAX, Measured, Plan, Sample, Speed};
use super::target::Target;

const HEAD: &str = "\
| | connections | a second | of bare axum | p50 | p99 | server's CPU | not delivered at the end | until they are | memory, at most |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|
";

/// With how many connections numbers are aimed at.
const AIMED_AT: usize = 64;

/// Everything, as a Markdown table.
pub(crate) fn table(plan: &Plan, measured: &Measured) -> String {
    let mut table = HEAD.to_owned();
    for &connections in &plan.connections {
        let bare = Row::of(measured, Target::Bare, connections);
        let here = |target: &Target| measured.samples.iter().any(|sample| sample.target == *target);
        for target in Target::all().into_iter().filter(here) {
            let row = Row::of(measured, target, connections);
            row.write(&mut table, target, connections, row.speed.a_second / bare.speed.a_second);
        }
    }
    let idle = idle(measured);
    let disk = speed(measured.disk.iter());
    let _ = writeln!(table, "| workhook, idle | | | | | | | | | {} |", memory(idle));
    let (a_second, p50, p99) = (count(disk.a_second), time(disk.p50), time(disk.p99));
    let _ = writeln!(table, "| the disk: write 4 KiB, `fdatasync` | | {a_second} | | {p50} | {p99} | | | | |");
    let overloaded = OverloadRow::of(measured);
    let _ = writeln!(
        table,
        "\n| twice what it can take, {} connections | takes a second | answered | of them stored | 503 | of what it takes | slowest answer | memory, at most |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|\n| {} | {} | {} | {} | {} | {:.2} | {} | {} |",
        overload::CONNECTIONS,
        Target::OnOneCore.name(),
        count(overloaded.capacity),
        count(overloaded.answered),
        count(overloaded.accepted),
        count(overloaded.refused),
        overloaded.of_capacity,
        time(overloaded.slowest),
        memory(overloaded.memory_kib),
    );
    table
}

/// What is aimed at, as far as it was measured.
pub(crate) fn aims(measured: &Measured) -> Vec<Aim> {
    let speed = |target: Target| {
        let was = measured.samples.iter().any(|sample| sample.target == target && sample.connections == AIMED_AT);
        was.then(|| Row::of(measured, target, AIMED_AT).speed.a_second)
    };
    let mut aims = Vec::new();
    let mut of = |what: &str, least: f64, target: Target, other: Target| {
        if let (Some(one), Some(other)) = (speed(target), speed(other)) {
            let what = format!("acknowledgements, {AIMED_AT} connections, {what}");
            aims.push(Aim::at_least(what, least, one / other));
        }
    };
    of("of bare axum", 0.4, Target::Acknowledging, Target::Bare);
    of("of adnanh/webhook", 5.0, Target::Acknowledging, Target::Webhook);
    of("of bare axum, while a handler takes all", 0.3, Target::Handling, Target::Bare);
    let overloaded = OverloadRow::of(measured);
    let workhooks = measured.samples.iter().filter(|sample| sample.target.is_workhook());
    let most = workhooks.map(|sample| sample.peak_memory_kib).chain([overloaded.memory_kib]).max().unwrap_or_default();
    aims.extend([
        Aim::within("twice what it can take: slowest answer", Duration::from_millis(2200), overloaded.slowest),
        Aim::at_least("twice what it can take: stored a second, of what it takes", 0.9, overloaded.of_capacity),
        Aim::fits("memory, idle", 20, idle(measured)),
        Aim::fits("memory under each of these loads", 150, most),
    ]);
    aims
}

fn idle(measured: &Measured) -> u64 {
    let workhooks = measured.samples.iter().filter(|sample| sample.target.is_workhook());
    median(workhooks.map(|sample| sample.idle_memory_kib))
}

/// Medians of the rounds under more than there is room for, and the worst of what must not happen once.
struct OverloadRow {
    capacity: f64,
    answered: f64,
    accepted: f64,
    refused: f64,
    of_capacity: f64,
    slowest: Duration,
    memory_kib: u64,
}

impl OverloadRow {
    fn of(measured: &Measured) -> OverloadRow {
        let median = |of: fn(&Overloaded) -> f64| {
            let mut values: Vec<f64> = measured.overloaded.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or_default()
        };
        OverloadRow {
            capacity: median(|one| one.capacity),
            answered: median(|one| one.answered),
            accepted: median(|one| one.accepted),
            refused: median(|one| one.refused),
            of_capacity: median(|one| one.accepted / one.capacity),
            slowest: measured.overloaded.iter().map(|one| one.slowest).max().unwrap_or_default(),
            memory_kib: measured.overloaded.iter().map(|one| one.peak_memory_kib).max().unwrap_or_default(),
        }
    }
}

struct Row {
    speed: Speed,
    cpu: Duration,
    lag: u64,
    drained: Option<Duration>,
    memory_kib: u64,
}

impl Row {
    fn of(measured: &Measured, target: Target, connections: usize) -> Row {
        let here = |sample: &&Sample| sample.target == target && sample.connections == connections;
        let samples: Vec<&Sample> = measured.samples.iter().filter(here).collect();
        let drained: Option<Vec<Duration>> = samples.iter().map(|sample| sample.lag.time).collect();
        Row {
            speed: speed(samples.iter().map(|sample| &sample.speed)),
            cpu: median(samples.iter().map(|sample| sample.cpu)),
            lag: median(samples.iter().map(|sample| sample.lag.events)),
            drained: drained.map(|times| median(times.into_iter())),
            memory_kib: samples.iter().map(|sample| sample.peak_memory_kib).max().unwrap_or(0),
        }
    }

    fn write(&self, table: &mut String, target: Target, connections: usize, of_bare: f64) {
        let (a_second, p50, p99) = (count(self.speed.a_second), time(self.speed.p50), time(self.speed.p99));
        let (lag, drained) = match (target, self.drained) {
            (Target::Handling, Some(time)) => (self.lag.to_string(), format!("{:.1} s", time.as_secs_f64())),
            (Target::Handling, None) => (self.lag.to_string(), format!("over {} s", DRAIN_MAX.as_secs())),
            _ => (String::new(), String::new()),
        };
        let _ = writeln!(
            table,
            "| {} | {connections} | {a_second} | {of_bare:.2} | {p50} | {p99} | {} | {lag} | {drained} | {} |",
            target.name(),
            time(self.cpu),
            memory(self.memory_kib),
        );
    }
}

fn speed<'a>(speeds: impl Iterator<Item = &'a Speed> + Clone) -> Speed {
    let mut rates: Vec<f64> = speeds.clone().map(|speed| speed.a_second).collect();
    rates.sort_by(f64::total_cmp);
    Speed {
        a_second: rates.get(rates.len() / 2).copied().unwrap_or(0.0),
        p50: median(speeds.clone().map(|speed| speed.p50)),
        p99: median(speeds.map(|speed| speed.p99)),
    }
}

fn median<T: Ord + Copy + Default>(values: impl Iterator<Item = T>) -> T {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn count(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn time(time: Duration) -> String {
    match time.as_micros() {
        micros @ 0..1000 => format!("{micros} µs"),
        _ => format!("{:.1} ms", time.as_secs_f64() * 1000.0),
    }
}

fn memory(kib: u64) -> String {
    format!("{} MiB", kib.div_ceil(1024))
}
