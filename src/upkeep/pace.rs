//! How fast: small steps, and a pause after each.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// How long a step should take: requests wait behind it.
const STEP: Duration = Duration::from_millis(2);
/// The smallest step and the largest.
const SIZES: std::ops::RangeInclusive<usize> = 4..=256;
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// The size of the steps of some work, which follows how long they take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    size: usize,
}

impl Pace {
    /// A careful beginning.
    pub(super) fn new() -> Pace {
        Pace { size: 16 }
    }

    /// How large the next step is.
    pub(super) fn size(self) -> usize {
        self.size
    }

    /// How large the next step is after one that took so long.
    #[must_use]
    pub(super) fn after(self, took: Duration) -> Pace {
        let size = if took > STEP * 2 {
            self.size / 2
        } else if took < STEP {
            self.size * 2
        } else {
            self.size
        };
        Pace { size: size.clamp(*SIZES.start(), *SIZES.end()) }
    }
}

/// Which part of the writer's time some work has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    /// What can wait.
    Tenth,
    /// What is behind.
    Quarter,
    /// What is needed soon.
    Half,
}

/// How long to leave the writer alone after a step, so that the work has its share of the time.
pub(super) fn pause(took: Duration, share: Share) -> Duration {
    let times = match share {
        Share::Tenth => 9,
        Share::Quarter => 3,
        Share::Half => 1,
    };
    (took * times).min(PAUSE_MAX)
}

/// Does a step and tells how long it took.
pub(super) async fn timed<T>(step: impl Future<Output = T>) -> (T, Duration) {
    let began = Instant::now();
    let done = step.await;
    (done, began.elapsed())
}

/// Waits, unless it is told to stop; whether to go on.
pub(super) async fn wait(time: Duration, stop: &CancellationToken) -> bool {
    tokio::select! {
        () = stop.cancelled() => false,
        () = sleep(time) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_shrink_while_they_are_slow_and_grow_while_they_are_quick_within_bounds() {
        let after = |size, millis| Pace { size }.after(Duration::from_millis(millis)).size();
        assert_eq!([after(16, 1), after(16, 3), after(16, 7)], [32, 16, 8]);
        assert_eq!([after(256, 0), after(4, 1000)], [256, 4]);
    }

    #[test]
    fn the_pause_is_in_proportion_to_the_step_and_bounded() {
        let millis = Duration::from_millis;
        let after_five = [Share::Tenth, Share::Quarter, Share::Half].map(|share| pause(millis(5), share));
        assert_eq!(after_five, [45, 15, 5].map(millis));
        assert_eq!(pause(Duration::from_secs(60), Share::Tenth), PAUSE_MAX);
    }
}
