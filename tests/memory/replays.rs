//! Replays: started, stepped, stopped.

use std::collections::BTreeMap;

use jiff::Timestamp;
use workhook::model::{
    Candidate, DeliveryState, HandlerName, NewDelivery, NewReplay, Position, Replay, ReplayId, ReplayState, ReplayStep,
    ReplayedEvents,
};

use super::deliveries::Delivery;
use super::{Kept, kept};

/// How many of the newest replays are kept when they are done.
const DONE_MAX: i64 = 1000;

impl Kept {
    pub(super) fn start_replay(&mut self, new: NewReplay) -> Option<Replay> {
        let (first, last) = match &new.events {
            ReplayedEvents::One(id) => {
                let position = self.find(*id)?.stored.position.0;
                (position, position)
            }
            ReplayedEvents::Filter(filter) => {
                let in_time = |received_at| filter.since.is_none_or(|since| received_at >= since);
                let mut events = self.events.values().map(|event| &event.stored);
                let first = events.find(|event| in_time(event.first.received_at));
                (first.map_or(self.last_position() + 1, |event| event.position.0), self.last_position())
            }
        };
        self.last_replay += 1;
        let (id, is_done) = (ReplayId(self.last_replay), first > last);
        let replay = Replay {
            id,
            state: if is_done { ReplayState::Done } else { ReplayState::Running },
            position: Position(first - 1),
            last: Position(last),
            events: 0,
            deliveries: 0,
            done_at: is_done.then_some(kept(new.at)),
            asked: NewReplay { at: kept(new.at), ..new },
        };
        self.replays.insert(id, replay.clone());
        self.replays.retain(|old, replay| replay.state != ReplayState::Done || old.0 > id.0 - DONE_MAX);
        Some(replay)
    }

    pub(super) fn step_replay(&mut self, id: ReplayId, step: &ReplayStep, through: Position, now: Timestamp) {
        let Some(replay) = self.replays.get(&id) else { return };
        if replay.state != ReplayState::Running || through <= replay.position {
            return;
        }
        let (from, through) = (replay.position, through.min(replay.last));
        let mut takers = self.takers(step);
        takers.retain(|position, _| *position > from && *position <= through);
        let (events, mut deliveries) = (takers.len() as u64, 0);
        for (position, takers) in takers {
            for (candidate, number) in takers {
                self.again(id, position, candidate, number, kept(now));
                deliveries += 1;
            }
        }
        let replay = self.replays.get_mut(&id).unwrap();
        replay.position = through;
        replay.events += events;
        replay.deliveries += deliveries;
        if through >= replay.last {
            (replay.state, replay.done_at) = (ReplayState::Done, Some(kept(now)));
        }
    }

    fn again(&mut self, replay: ReplayId, position: Position, to: Candidate, number: u32, now: Timestamp) {
        let entity = self.events[&position].stored.entity.as_ref().filter(|_| to.ordered);
        let new = NewDelivery { handler: to.handler, lane: entity.map(ToString::to_string), dead: None };
        self.make(Delivery { number, replay: Some(replay), ..Delivery::planned(position, new, now) });
    }

    /// The events of a step that are there, each with those of the candidates that get it, and under which number.
    pub(super) fn takers(&self, step: &ReplayStep) -> BTreeMap<Position, Vec<(Candidate, u32)>> {
        let mut takers = BTreeMap::new();
        for (position, candidates) in step.events.iter().filter(|(position, _)| self.events.contains_key(position)) {
            let mut once: BTreeMap<&HandlerName, &Candidate> = BTreeMap::new();
            once.extend(candidates.iter().map(|candidate| (&candidate.handler, candidate)));
            let number = |candidate: &Candidate| Some((candidate.clone(), self.number(step, *position, candidate)?));
            takers.insert(*position, once.into_values().filter_map(number).collect());
        }
        takers
    }

    /// The number of a handler's next delivery of an event; `None` where the step leaves the handler out.
    fn number(&self, step: &ReplayStep, position: Position, candidate: &Candidate) -> Option<u32> {
        let own = |delivery: &&Delivery| delivery.position == position && delivery.handler == candidate.handler;
        let had: Vec<&Delivery> = self.deliveries.values().filter(own).collect();
        let has = |delivery: &&Delivery| matches!(delivery.state, DeliveryState::Delivered | DeliveryState::Pending);
        let left_out = (step.asked_before && had.is_empty()) || (step.undelivered && had.iter().any(has));
        (!left_out).then(|| had.iter().map(|delivery| delivery.number).max().unwrap_or(0) + 1)
    }

    pub(super) fn set_replay(&mut self, id: ReplayId, state: ReplayState, now: Timestamp) -> bool {
        let can = |replay: &&mut Replay| replay.state != state && replay.state != ReplayState::Done;
        let Some(replay) = self.replays.get_mut(&id).filter(can) else { return false };
        (replay.state, replay.done_at) = (state, (state == ReplayState::Done).then_some(kept(now)));
        true
    }
}
