//! What somebody outside does in a run, and what makes everything well in the end.

use workhook::model::{DeliveryId, DeliveryState, EventFilter, NewReplay, ReplayState, ReplayTo, ReplayedEvents};
use workhook::store::{DeliveryQuery, EventQuery, Store};

use crate::process::{ALL, Course, Process, name};
use crate::requests::of_kind;
use crate::scene::Step;

impl Course {
    /// Does one thing of the script, that of ending the process apart.
    pub(crate) async fn act(&mut self, process: &Process, step: Step) {
        let (at, now) = (process.now(), process.clock.now());
        match step {
            Step::Append(kind) => {
                let appended = process.store.append(of_kind(kind)).await.unwrap();
                self.world.inside().judge.appended(&appended);
            }
            Step::Turn(handler, mood) => drop(self.world.inside().moods.insert(name(handler), mood)),
            Step::Pause(handler) | Step::Resume(handler) => {
                let paused = matches!(step, Step::Pause(_));
                process.store.set_paused(name(handler), paused, now).await.unwrap();
                self.world.inside().judge.set_paused(&name(handler), paused);
            }
            Step::Retry(chosen) => {
                let ended = |state| matches!(state, DeliveryState::Dead | DeliveryState::Cancelled);
                if let Some(id) = self.choose(process, chosen, ended).await
                    && process.store.retry(vec![id], now).await.unwrap() > 0
                {
                    self.world.inside().judge.retried(id);
                }
            }
            Step::Cancel(chosen) => {
                if let Some(id) = self.choose(process, chosen, |state| state == DeliveryState::Pending).await
                    && process.store.cancel(vec![id], "not wanted".to_owned(), now).await.unwrap() > 0
                {
                    self.world.inside().judge.cancelled(id);
                }
            }
            Step::Replay(chosen) => self.replay(process, chosen).await,
            Step::HoldReplays => self.set_replays(process, ReplayState::Stopped).await,
            Step::GoOn => self.set_replays(process, ReplayState::Running).await,
            Step::StoreFails(millis) => self.world.inside().fails_until = at + i64::try_from(millis).unwrap(),
            Step::StoreStalls(millis) => self.world.inside().stalls_until = at + i64::try_from(millis).unwrap(),
            Step::Places(handler, places) => {
                self.set_places(handler, places);
                self.put_in_force(process);
            }
            Step::Leave(handler) | Step::Return(handler) => {
                self.set_in_force(handler, matches!(step, Step::Return(_)));
                self.put_in_force(process);
            }
            Step::Crash { .. } | Step::Stop { .. } => {}
        }
    }

    /// The delivery of this number, of those in such a state.
    async fn choose(
        &self,
        process: &Process,
        chosen: usize,
        state: impl Fn(DeliveryState) -> bool,
    ) -> Option<DeliveryId> {
        let query = DeliveryQuery { limit: ALL, ..DeliveryQuery::default() };
        let mut found = process.store.deliveries(query).await.unwrap().items;
        found.retain(|delivery| state(delivery.state));
        (!found.is_empty()).then(|| found[chosen % found.len()].id)
    }

    /// Has events handled again; which ones and by whom is told by the number.
    async fn replay(&self, process: &Process, chosen: usize) {
        let handler = name(chosen % self.scene.handlers.len());
        let events = process.store.events(EventQuery { limit: ALL, ..EventQuery::default() }).await.unwrap().items;
        let one = events.get(chosen % (events.len() * 2).max(1)).map(|row| ReplayedEvents::One(row.event.id));
        let to = match chosen / 7 % 4 {
            0 => ReplayTo::Handler(handler),
            1 => ReplayTo::Rematch,
            2 => ReplayTo::RematchHandler(handler),
            _ => ReplayTo::SameHandlers,
        };
        let new = NewReplay {
            events: one.unwrap_or_else(|| ReplayedEvents::Filter(EventFilter::default())),
            to,
            undelivered: (chosen / 28).is_multiple_of(2),
            per_second: (chosen / 56).is_multiple_of(2).then(|| u32::try_from(chosen / 112 % 10).unwrap() + 1),
            at: process.clock.now(),
        };
        process.store.start_replay(new).await.unwrap();
    }

    async fn set_replays(&self, process: &Process, state: ReplayState) {
        for replay in process.store.replays(ALL).await.unwrap() {
            process.store.set_replay(replay.id, state, process.clock.now()).await.unwrap();
        }
    }

    /// Whatever was taken away comes back, and each handler is from here on as it is in the end.
    pub(crate) async fn make_well(&mut self, process: &Process) {
        for handler in 0..self.scene.handlers.len() {
            self.act(process, Step::Resume(handler)).await;
            self.set_in_force(handler, true);
            self.act(process, Step::Turn(handler, self.scene.at_last[handler])).await;
        }
        self.put_in_force(process);
        self.set_replays(process, ReplayState::Running).await;
        let mut inside = self.world.inside();
        (inside.fails_until, inside.stalls_until) = (0, 0);
    }

    /// Whether nothing is left to do.
    pub(crate) async fn has_rested(&self, process: &Process) -> bool {
        let counts = process.store.counts().await.unwrap();
        let pending = counts.deliveries.iter().any(|(state, _)| *state == DeliveryState::Pending);
        let replaying = !process.store.running_replays().await.unwrap().is_empty();
        counts.unplanned == 0 && !pending && !replaying
    }
}
