//! Events: stored, recognised, planned.

use std::sync::Arc;

use bytes::Bytes;
use workhook::contract::{Accepted, Key, Lifetime};
use workhook::model::{Entity, EventId, EventRecord, NotRouted, Plan, Position, Receipt, StoredEvent};
use workhook::store::{Appended, PlanStart};

use super::deliveries::Delivery;
use super::{Kept, kept};
use jiff::Timestamp;

/// For how long a body stands for its event (rulings 4 and 5).
const DAY_MS: i64 = 24 * 3600 * 1000;
/// How many duplicates of an event are kept; the rest is counted (ruling 8).
const RECEIPTS_MAX: usize = 100;
/// How many bytes of bodies are given out for planning at one time, beside the last one.
const UNPLANNED_BYTES_MAX: usize = 4 << 20;

/// An event with all that is known of it but its deliveries.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) stored: Arc<StoredEvent>,
    /// How many requests it came by.
    pub(super) receipts: u64,
    duplicates: Vec<(Receipt, Bytes)>,
    /// When it was planned, and to whom it did not go.
    planned: Option<(Timestamp, Vec<NotRouted>)>,
}

/// An id of version 7 that is told by the time and the place alone.
fn id_of(at: Timestamp, position: Position) -> EventId {
    let time = at.as_millisecond().to_be_bytes();
    let [_, _, a, b, c, d, e, f] = time;
    let [.., w, x, y, z] = position.0.to_be_bytes();
    EventId::from_bytes([a, b, c, d, e, f, 0x70, 0, 0x80, 0, 0, 0, w, x, y, z])
}

fn receipt(accepted: &Accepted, matched_by_body: bool, other_body: bool) -> Receipt {
    Receipt {
        received_at: kept(accepted.received_at()),
        retry_num: accepted.retry_num(),
        sent_at: accepted.sent_at(),
        peer: accepted.peer(),
        matched_by_body,
        other_body_bytes: other_body.then_some(accepted.body().len() as u64),
    }
}

impl Kept {
    pub(super) fn append(&mut self, accepted: &Accepted, remember_ms: i64) -> Appended {
        let now = accepted.received_at().as_millisecond();
        let keys = accepted.keys();
        let known = |kept: &Kept, key: &Key| {
            kept.keys.get(key).filter(|(_, until)| *until > now).map(|(position, _)| *position)
        };
        let identity = keys.identity.as_ref().map(|(key, lifetime)| {
            let lives = if *lifetime == Lifetime::Day { DAY_MS } else { remember_ms };
            (*key, now + lives)
        });
        if let Some(position) = identity.and_then(|(key, _)| known(self, &key)) {
            return self.duplicate(position, accepted, false);
        }
        let same_body = known(self, &keys.body).filter(|_| keys.match_body);
        let position = same_body.unwrap_or_else(|| self.insert(accepted));
        self.keys.extend(identity.map(|(key, until)| (key, (position, until))));
        if same_body.is_some() {
            return self.duplicate(position, accepted, true);
        }
        self.keys.insert(keys.body, (position, now + DAY_MS));
        Appended::Stored { id: self.events[&position].stored.id, position }
    }

    fn insert(&mut self, accepted: &Accepted) -> Position {
        let position = Position(self.last_position() + 1);
        let stored = StoredEvent {
            position,
            id: id_of(accepted.received_at(), position),
            webhook: accepted.webhook().as_str().to_owned(),
            brand: accepted.brand(),
            claimed_webhook_id: accepted.claimed_webhook_id().to_owned(),
            name: accepted.name().clone(),
            original_name: accepted.original_name().map(str::to_owned),
            occurrence_id: accepted.occurrence_id().map(str::to_owned),
            first: receipt(accepted, false, false),
            entity: Entity::of(accepted),
            notes: accepted.notes().to_vec(),
            headers: accepted.headers().clone(),
            body: accepted.body().clone(),
        };
        let event = Event { stored: Arc::new(stored), receipts: 1, duplicates: Vec::new(), planned: None };
        self.events.insert(position, event);
        position
    }

    fn duplicate(&mut self, position: Position, accepted: &Accepted, matched_by_body: bool) -> Appended {
        let Some(event) = self.events.get_mut(&position) else {
            return Appended::Duplicate { id: None, conflict: false };
        };
        let conflict = event.stored.body != accepted.body();
        event.receipts += 1;
        if event.duplicates.len() < RECEIPTS_MAX {
            let other = if conflict { accepted.body().clone() } else { Bytes::new() };
            event.duplicates.push((receipt(accepted, matched_by_body, conflict), other));
        }
        Appended::Duplicate { id: Some(event.stored.id), conflict }
    }

    pub(super) fn last_position(&self) -> i64 {
        self.events.last_key_value().map_or(0, |(position, _)| position.0)
    }

    pub(super) fn find(&self, id: EventId) -> Option<&Event> {
        self.events.values().find(|event| event.stored.id == id)
    }

    pub(super) fn other_body(&self, id: EventId, number: u64) -> Option<Bytes> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        let (receipt, body) = self.find(id)?.duplicates.get(index)?;
        receipt.other_body_bytes.map(|_| body.clone())
    }

    pub(super) fn record(&self, id: EventId) -> Option<EventRecord> {
        let event = self.find(id)?;
        let of_event = self.deliveries.iter().filter(|(_, delivery)| delivery.position == event.stored.position);
        Some(EventRecord {
            event: (*event.stored).clone(),
            receipts: event.receipts,
            duplicates: event.duplicates.iter().map(|(receipt, _)| receipt.clone()).collect(),
            planned_at: event.planned.as_ref().map(|(at, _)| *at),
            not_routed: event.planned.as_ref().map(|(_, not_routed)| not_routed.clone()).unwrap_or_default(),
            deliveries: of_event.filter_map(|(id, _)| self.delivery(*id)).collect(),
        })
    }

    pub(super) fn behind(&self, mark: i64) -> impl Iterator<Item = &Event> {
        self.events.range(Position(mark + 1)..).map(|(_, event)| event)
    }

    pub(super) fn unplanned(&self, limit: usize) -> Vec<StoredEvent> {
        let mut bytes = 0;
        let bounded = |event: &&Event| {
            let before = bytes;
            bytes += event.stored.body.len();
            before < UNPLANNED_BYTES_MAX
        };
        self.behind(self.planned).take(limit).take_while(bounded).map(|event| (*event.stored).clone()).collect()
    }

    pub(super) fn start_planning(&mut self) -> PlanStart {
        let waits = self.behind(self.planned).next().is_some();
        let stalled = if waits && self.stalled.0 == self.planned { self.stalled.1 } else { 0 };
        self.stalled = (self.planned, if waits { stalled + 1 } else { 0 });
        PlanStart { stalled }
    }

    pub(super) fn plan(&mut self, plans: Vec<Plan>, now: Timestamp) {
        for plan in plans {
            if plan.position.0 <= self.planned {
                continue;
            }
            for new in plan.deliveries {
                self.make(Delivery::planned(plan.position, new, kept(now)));
            }
            self.planned = plan.position.0;
            if let Some(event) = self.events.get_mut(&plan.position) {
                event.planned = Some((kept(now), plan.not_routed));
            }
        }
    }

    /// Makes the next events findable: what is looked for is read anyway, so they are only counted.
    pub(super) fn catalogue(&mut self, limit: usize) -> usize {
        let next: Vec<i64> = self.behind(self.catalogued).take(limit).map(|event| event.stored.position.0).collect();
        self.catalogued = next.last().copied().unwrap_or(self.catalogued);
        next.len()
    }
}
