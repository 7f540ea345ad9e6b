//! What outlives the processes of a run: the kept store, the judge, the far ends' moods, and the trace.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fastrand::Rng;
use jiff::Timestamp;
use workhook::model::HandlerName;

use crate::judge::Judge;
use crate::memory::Memory;
use crate::requests;
use crate::scene::Mood;
use crate::trace::Trace;

/// Everything that one run shares. Copies share it.
#[derive(Debug, Clone)]
pub(crate) struct World {
    /// What the store keeps.
    pub(crate) memory: Memory,
    inside: Arc<Mutex<Inside>>,
}

/// What is behind the lock.
#[derive(Debug)]
pub(crate) struct Inside {
    pub(crate) judge: Judge,
    pub(crate) trace: Trace,
    /// What the far ends do by chance.
    pub(crate) rng: Rng,
    pub(crate) moods: BTreeMap<HandlerName, Mood>,
    /// Whether a process runs; what ends with a process ends in no order.
    pub(crate) alive: bool,
    /// Until when the store fails, and until when it does nothing, in milliseconds.
    pub(crate) fails_until: i64,
    pub(crate) stalls_until: i64,
}

/// The millisecond of a time, counted from the beginning.
pub(crate) fn millis(time: Timestamp) -> i64 {
    time.as_millisecond() - requests::start().as_millisecond()
}

impl World {
    pub(crate) fn new(seed: u64, traced: bool) -> World {
        let inside = Inside {
            judge: Judge::default(),
            trace: Trace::new(traced),
            rng: Rng::with_seed(seed ^ 0x5eed),
            moods: BTreeMap::new(),
            alive: false,
            fails_until: 0,
            stalls_until: 0,
        };
        World { memory: Memory::default(), inside: Arc::new(Mutex::new(inside)) }
    }

    pub(crate) fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
