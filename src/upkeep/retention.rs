//! Removing what is old: by age, and by size where that is bounded; and giving the room back to the disk.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch::Receiver;
use tokio_util::sync::CancellationToken;

use super::pace::{Pace, pause, timed, wait};
use super::{Settings, Upkeep};
use crate::model::Position;
use crate::store::{PruneRequest, Pruned, Space, StoreError};
use crate::telemetry::with_causes;

/// How often it is looked whether something is old enough.
const EVERY: Duration = Duration::from_secs(60);
/// How much free room stays in the database for what comes in next.
const SLACK: u64 = 32 << 20;

/// Removes until it is told to stop.
pub(super) async fn run(upkeep: &Upkeep, mut settings: Receiver<Settings>, stop: &CancellationToken) {
    let mut round = Round { upkeep, stop, pace: Pace::new(), told_that_it_is_stuck: false };
    loop {
        let now = upkeep.clock.now();
        let current = settings.borrow_and_update().clone();
        if let Err(error) = round.run(&current, now).await {
            tracing::warn!(error = with_causes(&error), "old events cannot be removed until the store is available");
        }
        if !wait(EVERY, stop).await {
            return;
        }
    }
}

struct Round<'a> {
    upkeep: &'a Upkeep,
    stop: &'a CancellationToken,
    pace: Pace,
    told_that_it_is_stuck: bool,
}

impl Round<'_> {
    async fn run(&mut self, settings: &Settings, now: Timestamp) -> Result<(), StoreError> {
        if let Some(before) = settings.retention.and_then(|retention| now.checked_sub(retention).ok()) {
            let gone = self.sweep(settings, before, |_| true).await?;
            gone.log("events went by their age");
        }
        if let Some(max_size) = settings.max_size
            && self.space().await?.used > max_size
        {
            let gone = self.sweep(settings, Timestamp::MAX, |space| space.used > max_size).await?;
            gone.log("events went by the size of the store");
            self.tell_if_stuck(self.space().await?.used, max_size);
        }
        while !self.stop.is_cancelled() {
            let space = self.space().await?;
            if !gives_back(space, settings) {
                break;
            }
            let (more, took) = timed(self.upkeep.store.give_back()).await;
            if !more? || !wait(pause(took, is_urgent(space, settings)), self.stop).await {
                break;
            }
        }
        Ok(())
    }

    /// Removes what was received before a time, the oldest first, for as long as it is wanted.
    async fn sweep(
        &mut self,
        settings: &Settings,
        received_before: Timestamp,
        wanted: impl Fn(Space) -> bool,
    ) -> Result<Gone, StoreError> {
        let (mut gone, mut after) = (Gone::default(), Position(0));
        loop {
            let request = PruneRequest {
                received_before,
                after,
                limit: self.pace.size(),
                known_handlers: settings.handlers.clone(),
            };
            let (pruned, took) = timed(self.upkeep.store.prune(request)).await;
            let pruned = pruned?;
            gone.add(pruned);
            self.pace = self.pace.after(took);
            let Some(through) = pruned.through else { return Ok(gone) };
            after = through;
            let space = self.space().await?;
            if !wanted(space) || !wait(pause(took, is_urgent(space, settings)), self.stop).await {
                return Ok(gone);
            }
        }
    }

    fn tell_if_stuck(&mut self, used: u64, max_size: u64) {
        let stuck = used > max_size && !self.stop.is_cancelled();
        if stuck && !self.told_that_it_is_stuck {
            tracing::warn!(used, max_size, "the store is larger than its bound, and nothing more in it can be removed");
        }
        self.told_that_it_is_stuck = stuck;
    }

    async fn space(&self) -> Result<Space, StoreError> {
        self.upkeep.store.space().await
    }
}

/// What went in all.
#[derive(Debug, Default)]
struct Gone {
    removed: u64,
    orphans: u64,
}

impl Gone {
    fn add(&mut self, pruned: Pruned) {
        self.removed += pruned.removed;
        self.orphans += pruned.orphans;
    }

    fn log(&self, why: &'static str) {
        if self.removed > 0 {
            tracing::info!(events = self.removed, "{why}");
        }
        if self.orphans > 0 {
            tracing::warn!(
                deliveries = self.orphans,
                "deliveries that were pending for handlers that are not configured went with their events"
            );
        }
    }
}

/// Whether the database has more free room within than what comes in next needs, or any while the disk has little.
fn gives_back(space: Space, settings: &Settings) -> bool {
    let slack = if is_scarce(space, settings) { 0 } else { SLACK.max(space.used / 10) };
    space.free > slack
}

/// Whether the disk has little left.
fn is_scarce(space: Space, settings: &Settings) -> bool {
    space.disk_free.is_some_and(|free| free < settings.min_free.saturating_mul(2))
}

/// Whether room is needed sooner than the sender would like.
fn is_urgent(space: Space, settings: &Settings) -> bool {
    let over = settings.max_size.is_some_and(|max_size| space.used > max_size + max_size / 10);
    over || is_scarce(space, settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn room_is_given_back_beyond_some_slack_and_all_of_it_while_the_disk_has_little() {
        let settings = Settings { min_free: 256 * MIB, ..Settings::default() };
        let check = |free, used, disk_free: Option<u64>, expected| {
            // However large the log is.
            let disk_free = disk_free.map(|free| free * MIB);
            let space = Space { files: 9000 * MIB, used: used * MIB, free: free * MIB, disk_free };
            assert_eq!(gives_back(space, &settings), expected, "{free} {used} {disk_free:?}");
        };
        check(0, 100, None, false);
        check(32, 100, None, false);
        check(33, 100, None, true);
        check(100, 1000, Some(512), false);
        check(101, 1000, Some(512), true);
        check(1, 1000, Some(511), true);
        check(0, 1000, Some(511), false);
    }

    #[test]
    fn it_is_urgent_when_the_disk_is_nearly_full_or_the_bound_is_far_exceeded() {
        let settings = Settings { max_size: Some(1000 * MIB), min_free: 256 * MIB, ..Settings::default() };
        let check = |used, free: Option<u64>, expected| {
            let space = Space { used: used * MIB, disk_free: free.map(|free| free * MIB), ..Space::default() };
            assert_eq!(is_urgent(space, &settings), expected, "{used} {free:?}");
        };
        check(1050, None, false);
        check(1101, None, true);
        check(10, Some(512), false);
        check(10, Some(511), true);
    }
}
