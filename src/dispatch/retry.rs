//! When a delivery is tried again: a pure function of the policy, the attempt, the time and chance (ruling 18).

use std::time::Duration;

use jiff::Timestamp;

use super::RetryPolicy;
use crate::clock::later;
use crate::handlers::FailureKind;
use crate::model::NextStep;

/// What follows a failed attempt.
///
/// The wait before attempt n + 1 is a random part of `first` doubled n - 1 times, up to `max` (exponential with full
/// jitter), but not less than the far end asked for, as far as that is not over `max`. `chance` is from 0 to 1.
pub(super) fn after(
    policy: &RetryPolicy,
    attempt: u32,
    failure: FailureKind,
    message: &str,
    now: Timestamp,
    chance: f64,
) -> NextStep {
    let wait = |asked: Option<Duration>| {
        let jittered = ceiling(policy, attempt).mul_f64(chance.clamp(0.0, 1.0));
        later(now, jittered.max(asked.unwrap_or_default().min(policy.max)))
    };
    match failure {
        FailureKind::Permanent => NextStep::Dead(message.to_owned()),
        // Without a word on how long, being asked to wait is not answered by asking again at once.
        FailureKind::Throttled { retry_after } => NextStep::WaitUntil(wait(retry_after.or(Some(policy.first)))),
        FailureKind::Transient { .. } if attempt >= policy.attempts => {
            NextStep::Dead(format!("all {attempt} attempts failed; the last: {message}"))
        }
        FailureKind::Transient { retry_after } => NextStep::RetryAt(wait(retry_after)),
    }
}

fn ceiling(policy: &RetryPolicy, attempt: u32) -> Duration {
    let doublings = attempt.saturating_sub(1).min(31);
    policy.first.saturating_mul(1 << doublings).min(policy.max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POLICY: RetryPolicy = RetryPolicy { attempts: 5, first: Duration::from_secs(1), max: Duration::from_secs(6) };
    const TRANSIENT: FailureKind = FailureKind::Transient { retry_after: None };

    fn wait(attempt: u32, failure: FailureKind, chance: f64) -> Option<f64> {
        match after(&POLICY, attempt, failure, "no", Timestamp::UNIX_EPOCH, chance) {
            NextStep::RetryAt(time) | NextStep::WaitUntil(time) => Some(time.as_duration().as_secs_f64()),
            _ => None,
        }
    }

    #[test]
    fn the_wait_doubles_up_to_its_ceiling_and_then_the_attempts_are_used_up() {
        assert_eq!(
            [1, 2, 3, 4, 5].map(|attempt| wait(attempt, TRANSIENT, 1.0)),
            [Some(1.0), Some(2.0), Some(4.0), Some(6.0), None]
        );
        assert_eq!(wait(3, TRANSIENT, 0.25), Some(1.0));
        let dead = after(&POLICY, 5, TRANSIENT, "503", Timestamp::UNIX_EPOCH, 1.0);
        assert_eq!(dead, NextStep::Dead("all 5 attempts failed; the last: 503".to_owned()));
    }

    #[test]
    fn the_far_end_s_word_is_a_floor_up_to_the_longest_wait() {
        let asked = |seconds| FailureKind::Transient { retry_after: Some(Duration::from_secs(seconds)) };
        assert_eq!(wait(1, asked(4), 0.0), Some(4.0));
        assert_eq!(wait(3, asked(1), 1.0), Some(4.0));
        assert_eq!(wait(1, asked(99_999_999), 0.0), Some(6.0));
    }

    #[test]
    fn ruling_17_being_asked_to_wait_is_no_attempt_and_a_permanent_failure_is_the_last() {
        let throttled =
            |retry_after| after(&POLICY, 5, FailureKind::Throttled { retry_after }, "429", Timestamp::UNIX_EPOCH, 0.0);
        assert!(matches!(throttled(Some(Duration::from_secs(3))), NextStep::WaitUntil(time) if time.as_second() == 3));
        assert!(matches!(throttled(None), NextStep::WaitUntil(time) if time.as_second() == 1));
        let dead = after(&POLICY, 1, FailureKind::Permanent, "gone", Timestamp::UNIX_EPOCH, 0.0);
        assert_eq!(dead, NextStep::Dead("gone".to_owned()));
    }

    proptest! {
        #[test]
        fn no_policy_and_no_answer_makes_a_wait_beyond_the_longest(
            attempt in any::<u32>(), first in any::<u32>(), max in any::<u32>(), asked in proptest::option::of(any::<u64>()), chance in any::<f64>()
        ) {
            let max = Duration::from_millis(u64::from(max));
            let policy = RetryPolicy { attempts: u32::MAX, first: Duration::from_millis(u64::from(first)).min(max), max };
            let failure = FailureKind::Transient { retry_after: asked.map(Duration::from_secs) };
            if let NextStep::RetryAt(time) = after(&policy, attempt, failure, "", Timestamp::UNIX_EPOCH, chance) {
                prop_assert!(time <= later(Timestamp::UNIX_EPOCH, max));
            }
        }
    }
}
