//! Removing what is old: by age, and by size where that is bounded; and giving the room back to the disk.

use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::pace::{Pace, Share, pause, timed};
use super::{Settings, Upkeep};
use crate::model::Position;
use crate::store::{PruneRequest, Pruned, Space, StoreError};

/// How often it is looked whether something is old enough.
const EVERY: Duration = Duration::from_secs(10);
/// How many events go at one time because of the size of the store: no more than has to.
const SIZE_STEP: usize = 16;
/// How many go at the least where room is needed, however long the writer lets a step wait.
const URGENT_STEP: usize = 64;
/// How much free room stays in the database for what comes in next.
const SLACK: u64 = 32 << 20;

/// Removes until it is told to stop.
pub(super) async fn run(upkeep: &Upkeep, stop: &CancellationToken) {
    let mut round = Round::new(upkeep, stop);
    let mut seen = upkeep.settings.changed.subscribe();
    while upkeep.on_duty(stop).await {
        let now = upkeep.clock.now();
        if let Err(error) = round.run(now).await {
            upkeep.failed(&error, "old events cannot be removed");
        }
        if !upkeep.settings.wait(&mut seen, EVERY, stop).await {
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

/// Why events go.
#[derive(Debug, Clone, Copy)]
enum Why {
    /// They are older than is wanted at this time.
    Age(Timestamp),
    /// The store is larger than is wanted.
    Size,
}

impl<'a> Round<'a> {
    fn new(upkeep: &'a Upkeep, stop: &'a CancellationToken) -> Round<'a> {
        Round { upkeep, stop, pace: Pace::new(), told_that_it_is_stuck: false }
    }

    async fn run(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.sweep(Why::Age(now)).await?.log("events went by their age");
        self.sweep(Why::Size).await?.log("events went by the size of the store");
        let max_size = self.upkeep.settings.now().await.max_size;
        self.tell_if_stuck(self.space().await?.used, max_size);
        while !self.stop.is_cancelled() {
            let (space, settings) = (self.space().await?, self.upkeep.settings.now().await.clone());
            if !gives_back(space, &settings) {
                break;
            }
            let (more, took) = timed(self.upkeep.store.give_back()).await;
            if !more? || !self.upkeep.rest(pause(took, share(is_urgent(space, &settings))), self.stop).await {
                break;
            }
        }
        Ok(())
    }

    /// Removes the oldest events for as long as there is a reason to.
    async fn sweep(&mut self, why: Why) -> Result<Gone, StoreError> {
        let (mut gone, mut after) = (Gone::default(), Position(0));
        while let Some((pruned, rest)) = self.step(why, after).await? {
            gone.add(pruned);
            let Some(through) = pruned.through else { break };
            after = through;
            if !self.upkeep.rest(rest, self.stop).await {
                break;
            }
        }
        Ok(gone)
    }

    /// Takes a step under the settings in force, which stay in force until it has ended; what went, and how long to rest
    /// then. `None` where there is no reason to remove anything.
    async fn step(&mut self, why: Why, after: Position) -> Result<Option<(Pruned, Duration)>, StoreError> {
        let settings = self.upkeep.settings.now().await;
        let space = self.space().await?;
        let Some(received_before) = received_before(why, &settings, space) else { return Ok(None) };
        let urgent = is_urgent(space, &settings);
        let limit = limit(self.pace.size(), why, urgent);
        let request = PruneRequest { received_before, after, limit, known_handlers: settings.handlers.clone() };
        let (pruned, took) = timed(self.upkeep.store.prune(request)).await;
        self.pace = self.pace.after(took);
        Ok(Some((pruned?, pause(took, share(urgent)))))
    }

    fn tell_if_stuck(&mut self, used: u64, max_size: Option<u64>) {
        let stuck = max_size.is_some_and(|max_size| used > max_size) && !self.stop.is_cancelled();
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

/// Before which time of receipt events go, where any do.
fn received_before(why: Why, settings: &Settings, space: Space) -> Option<Timestamp> {
    match why {
        Why::Age(now) => settings.retention.and_then(|retention| now.checked_sub(retention).ok()),
        Why::Size => settings.max_size.filter(|max_size| space.used > *max_size).map(|_| Timestamp::MAX),
    }
}

/// Which part of the writer's time removing has.
fn share(urgent: bool) -> Share {
    if urgent { Share::Half } else { Share::Tenth }
}

/// How many events go in one step.
fn limit(pace: usize, why: Why, urgent: bool) -> usize {
    match why {
        _ if urgent => pace.max(URGENT_STEP),
        Why::Age(_) => pace,
        Why::Size => pace.min(SIZE_STEP),
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
    use std::sync::Arc;

    use super::*;
    use crate::clock::Clock;
    use crate::contract::sample::accepted;
    use crate::health::Health;
    use crate::model::{HandlerName, NewDelivery, Plan};
    use crate::store::{EventQuery, SqliteSettings, SqliteStore, Store};
    use crate::wake::Wakes;

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

    #[test]
    fn where_room_is_needed_steps_do_not_shrink_with_the_time_that_they_wait() {
        let age = Why::Age(Timestamp::MAX);
        assert_eq!([limit(4, age, false), limit(4, Why::Size, false), limit(256, Why::Size, false)], [4, 4, 16]);
        assert_eq!([limit(4, age, true), limit(4, Why::Size, true), limit(256, Why::Size, true)], [64, 64, 256]);
    }

    /// Upkeep that keeps events for no time and knows no handler, over a store with so many that are pending for `crm`.
    async fn upkeep(events: usize, config: &SqliteSettings) -> Upkeep {
        let store = SqliteStore::open(config, &Wakes::default()).unwrap();
        for issue in 0..events {
            store.append(accepted(format!(r#"{{"data":{{"issue":{{"id":{issue}}}}}}}"#))).await.unwrap();
        }
        let to_crm = || NewDelivery { handler: crm(), lane: None, dead: None };
        let plan = |position| Plan { position, deliveries: vec![to_crm()], not_routed: Vec::new() };
        let unplanned = store.unplanned(events).await.unwrap();
        let plans = unplanned.iter().map(|event| plan(event.position)).collect();
        store.plan(plans, Timestamp::UNIX_EPOCH).await.unwrap();
        let settings = Settings { retention: Some(Duration::ZERO), ..Settings::default() };
        Upkeep::new(Arc::new(store), Clock::system(), Wakes::default(), Health::default(), settings)
    }

    fn config(folder: &tempfile::TempDir) -> SqliteSettings {
        SqliteSettings { path: folder.path().join("workhook.db"), ..SqliteSettings::default() }
    }

    fn crm() -> HandlerName {
        HandlerName::parse("crm").unwrap()
    }

    fn with_crm() -> Settings {
        Settings { retention: Some(Duration::ZERO), handlers: vec![crm()], ..Settings::default() }
    }

    #[tokio::test]
    async fn a_handler_that_comes_back_during_a_sweep_keeps_what_is_pending_from_the_next_step_on() {
        let folder = tempfile::tempdir().unwrap();
        let upkeep = upkeep(40, &config(&folder)).await;
        let stop = CancellationToken::new();
        let (mut round, why) = (Round::new(&upkeep, &stop), Why::Age(Timestamp::MAX));
        let (first, _) = round.step(why, Position(0)).await.unwrap().expect("something is old");
        assert_eq!(first.removed, 16);
        upkeep.settings().replace(with_crm()).await;
        assert_eq!(round.sweep(why).await.unwrap().removed, 0);
        assert_eq!(upkeep.store.counts().await.unwrap().events, 24);
    }

    #[tokio::test]
    async fn other_settings_are_in_force_when_the_step_under_way_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(&folder);
        let upkeep = upkeep(1, &config).await;
        let (settings, stop) = (upkeep.settings(), CancellationToken::new());
        let mut round = Round::new(&upkeep, &stop);
        let mut step = std::pin::pin!(round.step(Why::Age(Timestamp::MAX), Position(0)));
        let begun = tokio::time::timeout(Duration::ZERO, &mut step).await;
        assert!(begun.is_err(), "it waits for the store");
        let mut replaced = std::pin::pin!(settings.replace(with_crm()));
        assert!(tokio::time::timeout(Duration::from_millis(100), &mut replaced).await.is_err());
        assert_eq!(step.await.unwrap().expect("something is old").0.removed, 1);
        replaced.await;
    }

    #[tokio::test]
    async fn the_oldest_go_until_the_store_is_no_larger_than_its_bound() {
        let folder = tempfile::tempdir().unwrap();
        let upkeep = upkeep(0, &config(&folder)).await;
        for issue in 0..100 {
            let body = format!(r#"{{"data":{{"issue":{{"id":{issue}}}}},"filler":"{}"}}"#, "x".repeat(40_000));
            upkeep.store.append(accepted(body)).await.unwrap();
        }
        let plan = |position| Plan { position, deliveries: Vec::new(), not_routed: Vec::new() };
        let unplanned = upkeep.store.unplanned(100).await.unwrap();
        let plans = unplanned.iter().map(|event| plan(event.position)).collect();
        upkeep.store.plan(plans, Timestamp::UNIX_EPOCH).await.unwrap();
        let before = upkeep.store.space().await.unwrap().used;
        upkeep.settings().replace(Settings { max_size: Some(before / 2), ..Settings::default() }).await;
        let stop = CancellationToken::new();
        Round::new(&upkeep, &stop).run(Timestamp::UNIX_EPOCH).await.unwrap();
        let (used, events) = (upkeep.store.space().await.unwrap().used, upkeep.store.counts().await.unwrap().events);
        assert!(used <= before / 2 && (10..60).contains(&events), "{before} {used} {events}");
        let left = upkeep.store.events(EventQuery { limit: 100, ..EventQuery::default() }).await.unwrap().items;
        assert_eq!(left[0].event.position, Position(100), "the newest stays");
        assert_eq!(left.len() as u64, events);
    }
}
