//! Lists, and what is counted: everything is looked at, each time.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use workhook::model::{
    DeliveryFilter, DeliveryRecord, DeliveryState, EventFilter, EventOutcome, HandlerName, HandlerRecord, Position,
    StoredEvent, asked_terms, terms,
};
use workhook::store::{Counts, DeliveryQuery, EventQuery, EventRow, Page, Start};

use super::Kept;
use super::deliveries::Delivery;
use super::events::Event;

/// The largest body in a list.
const BODY_MAX: usize = 64 << 10;

/// A page of what is meant, given from the oldest to the newest.
fn page<'k, K: Copy + Ord + 'k, V: 'k, T>(
    all: impl DoubleEndedIterator<Item = (&'k K, &'k V)>,
    start: Start<K>,
    limit: usize,
    number: fn(K) -> i64,
    meant: impl Fn(&K, &'k V) -> Option<T>,
) -> Page<T> {
    let found = |(key, value): (&'k K, &'k V)| meant(key, value).map(|item| (*key, item));
    let mut items: Vec<(K, T)> = match start {
        Start::Newest => all.rev().filter_map(found).take(limit + 1).collect(),
        Start::Before(id) => all.rev().filter(|(key, _)| **key < id).filter_map(found).take(limit + 1).collect(),
        Start::After(id) => all.filter(|(key, _)| **key > id).filter_map(found).take(limit + 1).collect(),
    };
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(|(key, _)| number(*key));
    Page { items: items.into_iter().map(|(_, item)| item).collect(), next }
}

fn by_state<'k>(deliveries: impl Iterator<Item = &'k Delivery>) -> Vec<(DeliveryState, u64)> {
    let mut counts: BTreeMap<DeliveryState, u64> = BTreeMap::new();
    for delivery in deliveries {
        *counts.entry(delivery.state).or_default() += 1;
    }
    counts.into_iter().collect()
}

impl Kept {
    pub(super) fn list_events(&self, query: &EventQuery) -> Page<EventRow> {
        let asked = asked_terms(&query.filter);
        let meant = |_: &Position, event: &Event| self.is_meant(&query.filter, &asked, event).then(|| self.row(event));
        page(self.events.iter(), query.start, query.limit, |position| position.0, meant)
    }

    fn is_meant(&self, filter: &EventFilter, asked: &BTreeSet<String>, event: &Event) -> bool {
        let (stored, received_at) = (&event.stored, event.stored.first.received_at);
        let mut states = self.of_event(stored.position).map(|delivery| delivery.state);
        let planned = stored.position.0 <= self.planned;
        let came_to = match filter.outcome {
            None => true,
            Some(EventOutcome::Unplanned) => !planned,
            Some(EventOutcome::NotRouted) => planned && states.next().is_none(),
            Some(EventOutcome::Has(state)) => states.any(|own| own == state),
        };
        came_to
            && filter.since.is_none_or(|since| received_at >= since)
            && filter.until.is_none_or(|until| received_at < until)
            && (asked.is_empty() || asked.is_subset(&terms(stored)))
    }

    fn of_event(&self, position: Position) -> impl Iterator<Item = &Delivery> {
        self.deliveries.values().filter(move |delivery| delivery.position == position)
    }

    fn row(&self, event: &Event) -> EventRow {
        let stored = StoredEvent::clone(&event.stored);
        let body = if stored.body.len() > BODY_MAX { Bytes::new() } else { stored.body.clone() };
        EventRow {
            receipts: event.receipts,
            planned: stored.position.0 <= self.planned,
            deliveries: by_state(self.of_event(stored.position)),
            event: StoredEvent { body, ..stored },
        }
    }

    pub(super) fn list_deliveries(&self, query: &DeliveryQuery) -> Page<DeliveryRecord> {
        page(
            self.deliveries.iter(),
            query.start,
            query.limit,
            |id| id.0,
            |id, kept| {
                let record = self.in_list(*id, kept);
                self.is_delivery_meant(&query.filter, &record).then_some(record)
            },
        )
    }

    fn is_delivery_meant(&self, filter: &DeliveryFilter, delivery: &DeliveryRecord) -> bool {
        let name = &self.events[&delivery.position].stored.name;
        let has = |reason: &String| {
            delivery.reason.as_ref().is_some_and(|own| own.to_lowercase().contains(&reason.to_lowercase()))
        };
        filter.handler.as_ref().is_none_or(|handler| *handler == delivery.handler)
            && filter.state.is_none_or(|state| state == delivery.state)
            && filter.event.is_none_or(|event| event == delivery.event)
            && filter.name.as_ref().is_none_or(|filter| filter.matches(name))
            && filter.since.is_none_or(|since| delivery.planned_at >= since)
            && filter.until.is_none_or(|until| delivery.planned_at < until)
            && filter.reason.as_ref().is_none_or(has)
    }

    pub(super) fn handlers(&self) -> Vec<HandlerRecord> {
        let names: BTreeSet<&HandlerName> =
            self.had.iter().chain(self.paused.keys()).chain(self.breakers.keys()).collect();
        let record = |name: &HandlerName| {
            let own = || self.deliveries.values().filter(|delivery| delivery.handler == *name);
            HandlerRecord {
                name: name.clone(),
                paused_at: self.paused.get(name).copied(),
                breaker: self.breakers.get(name).cloned(),
                deliveries: by_state(own()),
                oldest_pending: own().find(|delivery| delivery.is_pending()).map(|delivery| delivery.planned_at),
            }
        };
        names.into_iter().map(record).collect()
    }

    pub(super) fn counts(&self) -> Counts {
        let pending = self.deliveries.values().filter(|delivery| delivery.is_pending());
        let lanes = self.had.iter().map(|handler| (handler.clone(), self.heads(handler).count() as u64));
        Counts {
            events: self.events.len() as u64,
            unplanned: self.behind(self.planned).count() as u64,
            oldest_unplanned: self.behind(self.planned).next().map(|event| event.stored.first.received_at),
            uncatalogued: self.behind(self.catalogued).count() as u64,
            deliveries: by_state(self.deliveries.values()),
            rejected: self.rejected.unsigned_abs(),
            oldest_pending: pending.map(|delivery| delivery.planned_at).min(),
            lanes: lanes.filter(|(_, count)| *count > 0).collect(),
        }
    }
}
