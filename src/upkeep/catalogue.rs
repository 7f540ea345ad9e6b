//! Making events findable, a little after they were stored.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Upkeep;
use super::pace::{Share, pause, timed, wait};

/// How many events are made findable in one step: requests and deliveries wait behind it.
const STEP: usize = 16;
/// How many where many wait: a step of these costs each of them less of the writer's time.
const LARGE_STEP: usize = 64;
/// From how many steps in a row on that had as many as they asked for steps are large.
const MANY_STEPS: u32 = 256;
/// How long a step waits for more events, unless it is behind.
const GATHER: Duration = Duration::from_millis(100);
/// How often the store is asked though nobody said that there is something.
const POLL: Duration = Duration::from_secs(5);
/// How long to wait after the store failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Makes events findable until it is told to stop.
pub(super) async fn run(upkeep: &Upkeep, stop: &CancellationToken) {
    // Registered first: an event that comes while the store is asked is not missed.
    let mut sleeper = upkeep.wakes.events.sleeper();
    let mut full_steps = 0;
    while upkeep.on_duty(stop).await {
        let step = step(full_steps);
        let (made, took) = timed(upkeep.store.catalogue(step)).await;
        let idle = match &made {
            Ok(0) => true,
            Ok(_) => false,
            Err(error) => {
                upkeep.failed(error, "events cannot be made findable");
                false
            }
        };
        if idle {
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleeper.woken() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
        let rest = match made {
            Ok(made) => {
                let is_behind = made == step;
                full_steps = if is_behind { full_steps.saturating_add(1) } else { 0 };
                rest(is_behind, took, upkeep.store.is_pressed())
            }
            Err(_) => PAUSE,
        };
        if !wait(rest, stop).await {
            return;
        }
    }
}

/// How many events to make findable after so many steps in a row that had as many as they asked for.
fn step(full_steps: u32) -> usize {
    if full_steps < MANY_STEPS { STEP } else { LARGE_STEP }
}

/// How long to leave the store alone after a step.
fn rest(is_behind: bool, took: Duration, is_pressed: bool) -> Duration {
    if !is_behind {
        return pause(took, Share::Tenth).max(GATHER);
    }
    // How long a step takes is mostly how long it waits for the commit before its own, so a tenth of the time can be too
    // little ever to catch up; with half of it, deliveries that wait would be late. While requests wait, they come first.
    pause(took, if is_pressed { Share::Tenth } else { Share::Quarter })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_behind_is_made_up_for_sooner_unless_requests_wait() {
        let rest = |is_behind, is_pressed| rest(is_behind, Duration::from_millis(20), is_pressed).as_millis();
        assert_eq!([rest(true, false), rest(true, true)], [60, 180]);
        assert_eq!([rest(false, false), rest(false, true)], [180, 180], "what is not behind can wait");
    }

    #[test]
    fn steps_are_large_only_after_many_that_had_as_many_as_they_asked_for() {
        assert_eq!([0, MANY_STEPS - 1, MANY_STEPS, u32::MAX].map(step), [STEP, STEP, LARGE_STEP, LARGE_STEP]);
    }
}
