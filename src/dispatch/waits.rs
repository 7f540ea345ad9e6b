//! Whether waits have to be looked at, because the clock was set back: a pure function of the times that were seen.
//!
//! A delivery is due at a time of day. After the clock was set back that time is far away, for as long as the clock was
//! ahead. What a process before this one saw is not known, so the first look always counts.

use std::time::Duration;

use jiff::Timestamp;

use crate::clock::later;

/// How long after the clock was set back waits are looked at once more: times that had been asked for before may have been
/// kept only then.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The times that were seen.
#[derive(Debug, Default)]
pub(super) struct Watch {
    seen: Option<Timestamp>,
    again_at: Option<Timestamp>,
}

impl Watch {
    /// Whether waits have to be looked at now.
    pub(super) fn look(&mut self, now: Timestamp) -> bool {
        let set_back = self.seen.is_none_or(|seen| now < seen);
        self.seen = Some(now);
        if set_back {
            self.again_at = Some(later(now, AGAIN_AFTER));
            return true;
        }
        self.again_at.take_if(|again_at| *again_at <= now).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_time_to_look_at_first_and_when_the_clock_was_set_back_and_once_more_after_that() {
        let mut watch = Watch::default();
        let mut looks = |millis: i64| watch.look(Timestamp::from_millisecond(millis).unwrap());
        assert_eq!([90_000, 90_000, 90_999, 91_000, 91_001].map(&mut looks), [true, false, false, true, false]);
        assert_eq!([5000, 5999, 6000, 7000].map(&mut looks), [true, false, true, false]);
        assert_eq!([6999, 6998, 7998].map(&mut looks), [true, true, true], "each time anew");
    }
}
