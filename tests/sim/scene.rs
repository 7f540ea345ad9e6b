//! What a seed says: the handlers, and what happens when.

use std::time::Duration;

use fastrand::Rng;
use workhook::dispatch::{BreakerPolicy, Policy, Rate, RetryPolicy};
use workhook::routes::Route;

/// How many kinds of requests there are to choose from.
use crate::requests::KINDS;

/// The names of the handlers.
pub(crate) const NAMES: [&str; 3] = ["crm", "audit", "chat"];

/// A course of events.
#[derive(Debug)]
pub(crate) struct Scene {
    /// What is set about each handler, in the order of [`NAMES`].
    pub(crate) handlers: Vec<(Route, Policy)>,
    /// What happens, with the millisecond at which it does.
    pub(crate) script: Vec<(i64, Step)>,
    /// How each handler is in the end, when everything else is well.
    pub(crate) at_last: Vec<Mood>,
}

/// One thing that happens. A handler is told by its number, a wait is in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// A request of this kind comes in.
    Append(usize),
    /// A handler is like this from here on.
    Turn(usize, Mood),
    Pause(usize),
    Resume(usize),
    /// Somebody retries a delivery that has ended, chosen by this number.
    Retry(usize),
    /// Somebody cancels a pending one.
    Cancel(usize),
    /// Somebody has events handled again.
    Replay(usize),
    /// Somebody stops every replay, or lets them go on.
    HoldReplays,
    GoOn,
    /// For so long nothing can be stored or read.
    StoreFails(u64),
    /// For so long the store does nothing; then it does what was handed over.
    StoreStalls(u64),
    /// A handler gets so many places.
    Places(usize, usize),
    /// A handler is taken out of the configuration, and put back.
    Leave(usize),
    Return(usize),
    /// The process is killed, and begins again after so long.
    Crash {
        down: i64,
    },
    /// The process is told to stop, its attempts are cut short after so long, and it begins again.
    Stop {
        patience: u64,
        down: i64,
    },
}

/// How a handler is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// It takes nearly everything.
    Well,
    /// It does this and that.
    Erratic,
    /// It fails each time.
    Down,
    /// It does not answer.
    Silent,
    /// It asks to wait.
    Throttling,
    /// It refuses everything.
    Refusing,
}

impl Scene {
    /// The scene of a seed.
    pub(crate) fn of(seed: u64) -> Scene {
        let mut rng = Rng::with_seed(seed);
        // Most are of minutes, so that there can be many; some are of hours, a few of a day.
        let scale = match rng.u32(0..256) {
            0 => 200,
            1..8 => 20,
            _ => 1,
        };
        let count = rng.usize(1..=NAMES.len());
        let handlers: Vec<_> = (0..count).map(|_| (route(&mut rng), policy(&mut rng, scale))).collect();
        let span = scale * rng.i64(5_000..60_000);
        let mut script = script(&mut rng, count, span);
        script.sort_by_key(|(at, _)| *at);
        let at_last = (0..count).map(|_| at_last(&mut rng)).collect();
        Scene { handlers, script, at_last }
    }
}

fn route(rng: &mut Rng) -> Route {
    match rng.u32(0..8) {
        0 => Route::new(vec!["Issue.*".parse().unwrap()]),
        1 => Route::new(vec!["Comment.Create".parse().unwrap(), "Workhook.*".parse().unwrap()]),
        2 => Route::really_everything(),
        _ => Route::everything(),
    }
}

fn policy(rng: &mut Rng, scale: i64) -> Policy {
    let scale = u32::try_from(scale).unwrap();
    let mut wait = |range: std::ops::Range<u64>| Duration::from_millis(rng.u64(range)) * scale;
    let (first, max) = (wait(50..2_000), wait(2_000..20_000));
    let (probe_first, probe_max) = (wait(500..3_000), wait(3_000..20_000));
    let failures = if rng.bool() { rng.u32(1..5) } else { 0 };
    Policy {
        ordered: rng.u32(0..4) > 0,
        concurrency: rng.usize(1..=4),
        timeout: Duration::from_millis(rng.u64(500..8_000)),
        retry: RetryPolicy { attempts: rng.u32(1..=5), first, max },
        breaker: BreakerPolicy { failures, first: probe_first, max: probe_max },
        rate: (rng.u32(0..5) == 0).then(|| Rate { count: rng.u32(1..5), per: Duration::from_secs(1) }),
    }
}

fn script(rng: &mut Rng, handlers: usize, span: i64) -> Vec<(i64, Step)> {
    let mut script = Vec::new();
    let bursts = rng.usize(1..5);
    for _ in 0..bursts {
        let at = rng.i64(0..span);
        for _ in 0..rng.usize(1..6) {
            let late = if rng.bool() { 0 } else { rng.i64(0..3_000) };
            script.push((at + late, Step::Append(rng.usize(0..KINDS))));
        }
    }
    for _ in 0..rng.usize(0..10) {
        let (at, who) = (rng.i64(0..span), rng.usize(0..handlers));
        match rng.u32(0..16) {
            0..4 => script.push((at, Step::Turn(who, mood(rng)))),
            4 => script.extend([(at, Step::Pause(who)), (rng.i64(at..span), Step::Resume(who))]),
            5 => script.push((at, Step::Retry(rng.usize(..)))),
            6 => script.push((at, Step::Cancel(rng.usize(..)))),
            7 => script.push((at, Step::Replay(rng.usize(..)))),
            8 => script.extend([(at, Step::HoldReplays), (rng.i64(at..span), Step::GoOn)]),
            9 => script.push((at, Step::StoreFails(trouble(rng)))),
            10 => script.push((at, Step::StoreStalls(trouble(rng)))),
            11 => script.push((at, Step::Places(who, rng.usize(1..=4)))),
            12 => script.extend([(at, Step::Leave(who)), (rng.i64(at..span), Step::Return(who))]),
            13 => script.push((at, Step::Stop { patience: rng.u64(0..4_000), down: rng.i64(1..10_000) })),
            _ => script.push((at, Step::Crash { down: rng.i64(1..10_000) })),
        }
    }
    script
}

fn mood(rng: &mut Rng) -> Mood {
    let moods = [Mood::Well, Mood::Erratic, Mood::Erratic, Mood::Down, Mood::Silent, Mood::Throttling, Mood::Refusing];
    moods[rng.usize(0..moods.len())]
}

/// One that comes to an end with everything.
fn at_last(rng: &mut Rng) -> Mood {
    match rng.u32(0..16) {
        0 => Mood::Down,
        1 => Mood::Refusing,
        _ => Mood::Well,
    }
}

/// For how long the store is in trouble; now and then for longer than a lease.
fn trouble(rng: &mut Rng) -> u64 {
    if rng.u32(0..8) == 0 { rng.u64(30_000..80_000) } else { rng.u64(1..3_000) }
}
