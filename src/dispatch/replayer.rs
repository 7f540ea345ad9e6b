//! The replayer: makes the deliveries of the replays that run, step by step and in turn (ruling 16).
//!
//! It decides who may get an event again; the store decides who of them does, makes the deliveries and moves the
//! replay behind the events, all in one transaction. What always holds: it goes on from what is stored, so nothing is
//! replayed twice; and a replay that was stopped makes nothing more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::rate::Bucket;
use super::{Consumers, House, Rate};
use crate::clock::between;
use crate::contract::EventName;
use crate::model::{Candidate, EventFilter, Position, Replay, ReplayId, ReplayStep, ReplayTo, ReplayedEvents};
use crate::routes::candidates;
use crate::store::{Duty, EventQuery, Page, Start, StoreError, Tenure};
use crate::telemetry::with_causes;

/// How many events are replayed in one transaction.
const STEP: usize = 200;
/// How often the store is asked whether replays began, though nobody said so.
const POLL: Duration = Duration::from_secs(5);
/// The same while some run: somebody may have stopped them.
const POLL_RUNNING: Duration = Duration::from_millis(500);
/// How long to wait after the store failed.
const PAUSE: Duration = Duration::from_millis(500);

/// Replays until it is told to stop, while this process has the duty. When the future is dropped, the step under way is
/// done or not as a whole.
pub(super) async fn run(house: House, consumers: Consumers, stop: CancellationToken) {
    let duty = Tenure::new(Arc::clone(&house.store), Duty::Replaying, house.health.clone());
    let replayer = Replayer { house, consumers, buckets: BTreeMap::new() };
    duty.during(replayer.run(&duty, stop)).await;
}

struct Replayer {
    house: House,
    consumers: Consumers,
    /// How far the rates of those that run are used up.
    buckets: BTreeMap<ReplayId, Bucket>,
}

impl Replayer {
    async fn run(mut self, duty: &Tenure, stop: CancellationToken) {
        let (mut sleeper, mut seen) = (self.house.wakes.replays.sleeper(), duty.seen());
        while !stop.is_cancelled() {
            let wait = if duty.is_here() { self.turn(duty).await } else { Duration::MAX };
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = sleeper.woken() => {}
                () = seen.changed() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Takes a step; how long to wait for the next.
    async fn turn(&mut self, duty: &Tenure) -> Duration {
        match self.step().await {
            Ok(wait) => wait,
            Err(error) if duty.is_lost_by(&error) => {
                // Whoever has it now says what becomes of them.
                self.buckets.clear();
                PAUSE
            }
            Err(error) => {
                tracing::warn!(error = with_causes(&error), "replays stand still until the store is available");
                PAUSE
            }
        }
    }

    /// Takes one step of each replay that runs; how long to wait for the next.
    async fn step(&mut self) -> Result<Duration, StoreError> {
        // The oldest first, so that they come in the order in which they were asked for.
        let running = self.house.store.running_replays().await?;
        self.forget_all_but(&running).await?;
        let mut wait = if running.is_empty() { POLL } else { POLL_RUNNING };
        for replay in &running {
            let now = self.house.clock.now();
            let bucket = self.buckets.entry(replay.id).or_default();
            let (limit, again) = pace(bucket, replay.asked.per_second, now);
            if limit == 0 {
                wait = wait.min(again);
                continue;
            }
            let taken = self.take(replay, limit).await?;
            if let (Some(rate), Some(bucket)) = (rate(replay.asked.per_second), self.buckets.get_mut(&replay.id)) {
                bucket.take(rate, now, taken);
            }
            wait = Duration::ZERO;
        }
        Ok(wait)
    }

    /// Forgets those that do not run any more.
    async fn forget_all_but(&mut self, running: &[Replay]) -> Result<(), StoreError> {
        let runs = |id: &ReplayId| running.iter().any(|replay| replay.id == *id);
        let ended: Vec<ReplayId> = self.buckets.keys().copied().filter(|id| !runs(id)).collect();
        for id in ended {
            if let Some(Replay { state, events, deliveries, .. }) = self.house.store.replay(id).await? {
                tracing::info!(replay = %id, state = state.as_str(), events, deliveries, "a replay does not run any more");
            }
            self.buckets.remove(&id);
        }
        Ok(())
    }

    /// Replays the next events, at most so many; how many they were.
    async fn take(&self, replay: &Replay, limit: usize) -> Result<usize, StoreError> {
        let filter = match &replay.asked.events {
            ReplayedEvents::One(_) => EventFilter::default(),
            ReplayedEvents::Filter(filter) => filter.clone(),
        };
        let Page { items, next } =
            self.house.store.events(EventQuery { limit, start: Start::After(replay.position), filter }).await?;
        let listed = items.len();
        let consumers = Arc::clone(&self.consumers.borrow());
        let may_get = |name: &EventName| {
            let handlers = consumers.iter().map(|consumer| (&consumer.name, &consumer.route, consumer.policy.ordered));
            candidates(&replay.asked, name, handlers)
        };
        let events: Vec<(Position, Vec<Candidate>)> = items
            .iter()
            .map(|row| &row.event)
            .take_while(|event| event.position <= replay.last)
            .map(|event| (event.position, may_get(&event.name)))
            .collect();
        let taken = events.len();
        let through = match next {
            Some(next) if taken == listed => Position(next).min(replay.last),
            _ => replay.last,
        };
        let asked_before = replay.asked.to == ReplayTo::SameHandlers;
        let step = ReplayStep { events, asked_before, undelivered: replay.asked.undelivered };
        self.house.store.step_replay(replay.id, step, through, self.house.clock.now()).await?;
        Ok(taken)
    }
}

/// How many events may be replayed now, and else how long to wait.
fn pace(bucket: &mut Bucket, per_second: Option<u32>, now: Timestamp) -> (usize, Duration) {
    match rate(per_second) {
        None => (STEP, Duration::ZERO),
        Some(rate) => (bucket.room(rate, now).min(STEP), between(now, bucket.next_at(rate, now))),
    }
}

fn rate(per_second: Option<u32>) -> Option<Rate> {
    per_second.map(|count| Rate { count, per: Duration::from_secs(1) })
}

#[cfg(test)]
mod tests;
