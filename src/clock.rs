//! The only door to the clock.
//!
//! Rooms take a [`Clock`] or a time; none asks the system. A test moves its clock by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// Tells the time of day.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    System,
    Manual(Arc<AtomicI64>),
    Runtime { start: Timestamp, since: Instant },
}

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Clock {
        Clock(Source::System)
    }

    /// A clock that stands still until it is moved; its copies move with it.
    #[must_use]
    pub fn manual(start: Timestamp) -> Clock {
        Clock(Source::Manual(Arc::new(AtomicI64::new(start.as_millisecond()))))
    }

    /// A clock that shows `start` now, and from here on goes with tokio's time, which a test can pause: then it goes as
    /// the timers do.
    #[must_use]
    pub fn of_runtime(start: Timestamp) -> Clock {
        Clock(Source::Runtime { start, since: Instant::now() })
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            #[expect(clippy::disallowed_methods, reason = "this is the door")]
            Source::System => Timestamp::now(),
            Source::Manual(millis) => Timestamp::from_millisecond(millis.load(Ordering::SeqCst)).unwrap_or_default(),
            Source::Runtime { start, since } => later(*start, since.elapsed()),
        }
    }

    /// Moves a manual clock; the others are not moved.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(millis) = &self.0 {
            millis.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }
}

/// A time so much later; the last time there is where it would be later than that.
#[must_use]
pub fn later(time: Timestamp, by: Duration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// How long from one time to a later one; zero where it is not later.
#[must_use]
pub fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_by_hand_and_its_copies_with_it() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let copy = clock.clone();
        clock.advance(Duration::from_secs(90));
        assert_eq!(copy.now(), Timestamp::from_second(90).unwrap());
        assert_eq!(between(Timestamp::UNIX_EPOCH, copy.now()), Duration::from_secs(90));
        assert_eq!(between(copy.now(), Timestamp::UNIX_EPOCH), Duration::ZERO);
        assert_eq!(later(copy.now(), Duration::MAX), Timestamp::MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_of_the_runtime_goes_as_its_timers_do() {
        let start = Timestamp::from_second(1_700_000_000).unwrap();
        let clock = Clock::of_runtime(start);
        assert_eq!(clock.now(), start);
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(clock.now(), later(start, Duration::from_secs(3600)));
    }
}
