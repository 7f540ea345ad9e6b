//! Forgetting the keys whose time is over: a pass through all of them, a few times a day.
//!
//! What always holds: a pass goes on to the end, so that no more keys are kept than came within their time and the
//! time between two passes, however many that are.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Upkeep;
use super::pace::{pause, timed, wait};
use crate::telemetry::with_causes;

/// How long after a pass the next one begins.
const EVERY: Duration = Duration::from_secs(4 * 3600);
/// How long to wait after the store failed.
const PAUSE: Duration = Duration::from_secs(60);

/// Forgets keys until it is told to stop.
pub(super) async fn run(upkeep: &Upkeep, stop: &CancellationToken) {
    let mut after = None;
    loop {
        let (next, took) = timed(upkeep.store.prune_keys(after.clone(), upkeep.clock.now())).await;
        let rest = match next {
            Ok(next) => {
                after = next;
                if after.is_some() { pause(took, false) } else { EVERY }
            }
            Err(error) => {
                tracing::warn!(error = with_causes(&error), "old keys cannot be removed until the store is available");
                PAUSE
            }
        };
        if !wait(rest, stop).await {
            return;
        }
    }
}
