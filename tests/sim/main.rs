//! Dispatch in a simulation: the real planner, lanes, retries, breakers, rates and replays, on virtual time, with a
//! store in memory and far ends that do what a seed says. `docs/reliability.md` says what is held.
//!
//! `WORKHOOK_SIM_SEEDS=1000` runs so many seeds, `WORKHOOK_SIM_SEEDS=1000..2000` those from one to before the other;
//! `WORKHOOK_SIM_SEED=7` runs one and prints what happened. A seed is always the same run.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers of tests included")]

mod act;
mod far_end;
mod judge;
#[expect(dead_code, reason = "here one process at a time has it")]
#[path = "../memory/mod.rs"]
mod memory;
mod process;
mod requests;
mod scene;
mod trace;
mod watched;
mod world;

use std::ops::{AddAssign, Range};
use std::sync::atomic::{AtomicU64, Ordering};

use judge::Done;
use process::Course;
use scene::Scene;
use world::World;

/// How many seeds are run where nobody says how many.
const SEEDS: u64 = 10_000;
/// How many are run twice.
const TWICE: u64 = 200;
/// How many lines of a run that failed are printed.
const LINES: usize = 200;

/// One run.
struct Run {
    broken: Option<String>,
    done: Done,
    lines: Vec<String>,
    hash: u64,
}

fn run(seed: u64, traced: bool) -> Run {
    let world = World::new(seed, traced);
    Course::new(world.clone(), Scene::of(seed)).run(seed);
    let inside = world.inside();
    let (broken, done, hash) = (inside.judge.broken.clone(), inside.judge.done, inside.trace.hash());
    Run { broken, done, lines: inside.trace.lines().to_vec(), hash }
}

/// The seeds to run.
fn seeds() -> Range<u64> {
    let Ok(asked) = std::env::var("WORKHOOK_SIM_SEEDS") else { return 0..SEEDS };
    let number = |text: &str| text.parse::<u64>().unwrap_or_else(|_| panic!("WORKHOOK_SIM_SEEDS is {asked:?}"));
    match asked.split_once("..") {
        Some((from, to)) => number(from)..number(to),
        None => 0..number(&asked),
    }
}

impl AddAssign for Done {
    fn add_assign(&mut self, other: Done) {
        self.events += other.events;
        self.attempts += other.attempts;
        self.processes += other.processes;
        self.virtual_ms += other.virtual_ms;
        self.dead += other.dead;
        self.lost += other.lost;
        self.probes += other.probes;
        self.replays += other.replays;
    }
}

/// Runs seeds on every core; the first that failed, if any, and how much was done.
fn run_all(seeds: Range<u64>) -> (Option<u64>, Done) {
    let (next, failed) = (AtomicU64::new(seeds.start), AtomicU64::new(u64::MAX));
    let work = || {
        let mut done = Done::default();
        while failed.load(Ordering::Relaxed) == u64::MAX {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                break;
            }
            let run = run(seed, false);
            done += run.done;
            if run.broken.is_some() {
                failed.fetch_min(seed, Ordering::Relaxed);
            }
        }
        done
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut done = Done::default();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            done += worker.join().unwrap();
        }
    });
    let failed = failed.into_inner();
    ((failed != u64::MAX).then_some(failed), done)
}

#[test]
#[expect(clippy::print_stdout, reason = "whoever asks for one seed reads what happened")]
fn whatever_happens_every_promise_of_dispatch_is_kept() {
    if let Ok(seed) = std::env::var("WORKHOOK_SIM_SEED") {
        let run = run(seed.parse().unwrap(), true);
        println!("{:#?}\n{}", Scene::of(seed.parse().unwrap()), run.lines.join("\n"));
        assert_eq!(run.broken, None, "seed {seed}");
        return;
    }
    let seeds = seeds();
    let (failed, done) = run_all(seeds.clone());
    if let Some(seed) = failed {
        let run = run(seed, true);
        let (broken, from) = (run.broken.unwrap_or_default(), run.lines.len().saturating_sub(LINES));
        panic!("seed {seed}: {broken}\nWORKHOOK_SIM_SEED={seed} replays it\n{}", run.lines[from..].join("\n"));
    }
    println!("seeds {seeds:?}: {done:?}");
    if seeds.end - seeds.start >= 1000 {
        // A simulation in which nothing happens holds everything.
        for (what, count) in
            [("dead", done.dead), ("lost", done.lost), ("probes", done.probes), ("replays", done.replays)]
        {
            assert!(count > 0, "no {what} in {done:?}");
        }
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 0..TWICE {
        let (one, other) = (run(seed, true), run(seed, true));
        assert!(!one.lines.is_empty());
        let differ = one.lines.iter().zip(&other.lines).position(|(one, other)| one != other);
        assert_eq!(one.hash, other.hash, "seed {seed}, from line {differ:?}");
    }
}
