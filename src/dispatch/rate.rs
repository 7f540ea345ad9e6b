//! How many may go now: a token bucket, a pure function of the rate, what was taken before and the time.

use std::time::Duration;

use jiff::Timestamp;

use super::Rate;
use crate::clock::{between, later};

/// How much of a second's worth is waited for at a time, so that a high rate does not ask for one after the other.
const SHARE: f64 = 0.05;

/// What may still be taken. It holds a second's worth, at least 1, and is full in the beginning.
#[derive(Debug, Clone, Default)]
pub(super) struct Bucket {
    /// How much there was at a time; `None` is full.
    level: Option<(f64, Timestamp)>,
}

impl Bucket {
    /// How many may be taken now.
    pub(super) fn room(&mut self, rate: Rate, now: Timestamp) -> usize {
        // Looking moves it to now, so that a clock that is set back stops nothing.
        self.take(rate, now, 0);
        self.level.map_or(0, |(level, _)| whole(level))
    }

    /// Takes so many, more than there are as well: what is missing is waited for.
    pub(super) fn take(&mut self, rate: Rate, now: Timestamp, count: usize) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.level = Some((self.level(rate, now) - f64::from(count), now));
    }

    /// When it is worth asking again, once it is empty.
    pub(super) fn next_at(&self, rate: Rate, now: Timestamp) -> Timestamp {
        let wanted = (per_second(rate) * SHARE).floor().max(1.0);
        let missing = (wanted - self.level(rate, now)).max(0.0);
        let wait = Duration::try_from_secs_f64(missing / per_second(rate)).unwrap_or(Duration::MAX);
        // Clocks are read in milliseconds; a wait that is cut off would end too early.
        later(now, wait.saturating_add(Duration::from_millis(1)))
    }

    fn level(&self, rate: Rate, now: Timestamp) -> f64 {
        let most = per_second(rate).max(1.0);
        match self.level {
            Some((level, at)) => (level + between(at, now).as_secs_f64() * per_second(rate)).min(most),
            None => most,
        }
    }
}

fn per_second(rate: Rate) -> f64 {
    f64::from(rate.count.max(1)) / rate.per.as_secs_f64().max(0.001)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is not negative, and as small as a rate"
)]
fn whole(level: f64) -> usize {
    // What sums of fractions lose must not cost a whole one.
    (level + 1e-9).floor().max(0.0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_700_000_000_000 + millis).unwrap()
    }

    fn rate(count: u32, seconds: u64) -> Rate {
        Rate { count, per: Duration::from_secs(seconds) }
    }

    /// How many are taken within a time by whoever takes what there is whenever it is worth asking.
    fn taken(rate: Rate, millis: i64) -> usize {
        let (mut bucket, mut now, mut taken) = (Bucket::default(), at(0), 0);
        while now < at(millis) {
            let room = bucket.room(rate, now);
            bucket.take(rate, now, room);
            taken += room;
            let next = bucket.next_at(rate, now);
            assert!(next > now);
            // A clock has milliseconds.
            now = Timestamp::from_millisecond(next.as_millisecond()).unwrap();
        }
        taken
    }

    #[test]
    fn a_second_s_worth_goes_at_once_and_then_as_many_as_the_rate_says() {
        let mut bucket = Bucket::default();
        assert_eq!(bucket.room(rate(10, 1), at(0)), 10);
        bucket.take(rate(10, 1), at(0), 10);
        let rooms = [0, 99, 100, 250, 990, 60_000].map(|millis| bucket.room(rate(10, 1), at(millis)));
        assert_eq!(rooms, [0, 0, 1, 2, 9, 10]);
        for (rate, millis, least, most) in [
            (rate(10, 1), 60_000, 590, 610),
            (rate(1000, 1), 10_000, 10_500, 11_000),
            (rate(100, 60), 600_000, 980, 1001),
            (rate(1, 3600), 86_400_000, 24, 25),
        ] {
            let taken = taken(rate, millis);
            assert!((least..=most).contains(&taken), "{rate:?} for {millis} ms: {taken}");
        }
    }

    #[test]
    fn less_than_one_a_second_is_one_at_a_time() {
        let mut bucket = Bucket::default();
        let slow = rate(6, 60);
        assert_eq!(bucket.room(slow, at(0)), 1);
        bucket.take(slow, at(0), 1);
        assert_eq!(bucket.next_at(slow, at(4_000)), at(10_001));
        assert_eq!([9_999, 10_000, 99_000].map(|millis| bucket.room(slow, at(millis))), [0, 1, 1]);
    }

    #[test]
    fn a_high_rate_is_waited_for_in_shares_and_a_clock_that_is_set_back_stops_nothing() {
        let mut bucket = Bucket::default();
        bucket.take(rate(1000, 1), at(0), 1000);
        assert_eq!(bucket.next_at(rate(1000, 1), at(0)), at(51));
        assert_eq!(bucket.room(rate(1000, 1), at(-3_600_000)), 0);
        assert_eq!(bucket.room(rate(1000, 1), at(-3_599_000)), 1000);
    }

    proptest! {
        #[test]
        fn never_more_than_the_rate_and_a_second_s_worth(count in 1_u32..2000, seconds in 1_u64..100, millis in 1_i64..100_000) {
            let rate = rate(count, seconds);
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let most = per_second(rate).max(1.0) + per_second(rate) * (millis as f64 / 1000.0);
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let taken = taken(rate, millis) as f64;
            prop_assert!(taken <= most + 0.001, "{taken} of {most}");
        }
    }
}
