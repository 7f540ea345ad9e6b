//! Keeping what repetitions are known by in order: little by little, for as long as there is something to do.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Upkeep;
use super::pace::{Share, pause, timed, wait};

/// How often it is looked whether there is something to do.
const EVERY: Duration = Duration::from_secs(1);
/// How long to wait after the store failed.
const PAUSE: Duration = Duration::from_secs(60);

/// Keeps them in order until it is told to stop.
pub(super) async fn run(upkeep: &Upkeep, stop: &CancellationToken) {
    while upkeep.on_duty(stop).await {
        let (stepped, took) = timed(upkeep.store.tidy_keys(upkeep.clock.now())).await;
        let rest = match stepped {
            // In a hurry, because requests add as many while they come as fast as they can.
            Ok(true) => pause(took, Share::Half),
            Ok(false) => EVERY,
            Err(error) => {
                upkeep.failed(&error, "what repetitions are known by cannot be kept in order");
                PAUSE
            }
        };
        if !wait(rest, stop).await {
            return;
        }
    }
}
