//! Whether this process is there for others: who is silent for long loses its claims to them, and may know nothing of it.
//!
//! What always holds: while it is said to be present, nobody has taken it for gone since the time began that the number
//! stands for. A process that was asleep learns of it before anything that it had claimed is attempted, because that
//! time is over by its own clock; and where its machine was asleep with its clock, as soon as the database says so.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::processes::SILENT_MAX;

/// How much earlier than others a process takes itself for gone: for what lies between the last look and the moment at
/// which a far end is asked.
const MARGIN: Duration = Duration::from_secs(2);

/// The time for which this process has been there without a break.
#[derive(Debug, Default)]
pub(super) struct Presence(Mutex<Time>);

#[derive(Debug, Default)]
struct Time {
    /// From 1.
    number: u64,
    /// When it last said what the database has heard.
    said: Option<Instant>,
}

impl Presence {
    /// The database has heard what this process said then, and has answered; whether it had been silent before, by the
    /// database's clock.
    pub(super) fn heard(&self, said: Instant, answered: Instant, was_silent: bool) {
        let mut time = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if was_silent || time.said.is_none_or(|before| answered.duration_since(before) >= SILENT_MAX) {
            time.number += 1;
        }
        time.said = Some(said);
    }

    /// The number of the time; `None` when others may soon take this process for gone, or have.
    pub(super) fn now(&self, now: Instant) -> Option<u64> {
        let time = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        time.said.filter(|said| now.duration_since(*said) < SILENT_MAX - MARGIN).map(|_| time.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_silent_for_too_long_is_there_in_another_time() {
        let (presence, began) = (Presence::default(), Instant::now());
        let at = |second| began + Duration::from_secs(second);
        assert_eq!(presence.now(at(0)), None, "the database has heard nothing yet");
        presence.heard(at(0), at(0), true);
        assert_eq!([0, 7, 8, 60].map(|second| presence.now(at(second))), [Some(1), Some(1), None, None]);
        presence.heard(at(9), at(9), false);
        assert_eq!(presence.now(at(9)), Some(1), "nobody can have noticed");
        presence.heard(at(18), at(19), false);
        assert_eq!(presence.now(at(19)), Some(2), "somebody may have, before the database heard it");
        presence.heard(at(20), at(20), true);
        assert_eq!(presence.now(at(20)), Some(3), "the clock of the database says so, though this one stood still");
    }
}
