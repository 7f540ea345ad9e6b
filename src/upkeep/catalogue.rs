//! Making events findable, a little after they were stored.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Upkeep;
use super::pace::{pause, timed, wait};

/// How many events are made findable in one step: requests wait behind it. Under a steady load a step waits for the
/// writer for longer than it takes, and so does the pause after it; with a quarter of this it would never catch up.
const BATCH: usize = 256;
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
            Ok(made) if made >= BATCH => pause(took, false),
            Ok(_) => pause(took, false).max(GATHER),
            Err(_) => PAUSE,
        };
        if !wait(rest, stop).await {
            return;
        }
    }
}
