//! Making events findable, a little after they were stored.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Upkeep;
use super::pace::{Share, pause, timed, wait};

/// How many events are made findable in one step: requests wait behind it.
const BATCH: usize = 64;
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
    while upkeep.on_duty(stop).await {
        let (made, took) = timed(upkeep.store.catalogue(BATCH)).await;
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
            Ok(made) => rest(made, took, upkeep.store.is_pressed()),
            Err(_) => PAUSE,
        };
        if !wait(rest, stop).await {
            return;
        }
    }
}

/// How long to leave the store alone after a step that made so many findable.
fn rest(made: usize, took: Duration, is_pressed: bool) -> Duration {
    if made < BATCH {
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
        let rest = |made, is_pressed| rest(made, Duration::from_millis(20), is_pressed).as_millis();
        assert_eq!([rest(BATCH, false), rest(BATCH, true)], [60, 180]);
        assert_eq!([rest(BATCH - 1, false), rest(BATCH - 1, true)], [180, 180], "what is not behind can wait");
    }
}
