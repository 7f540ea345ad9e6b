//! Lists of events: which ones a filter means, a page at a time.
//!
//! What always holds: a page looks at no more than so many events, whatever the filter and however many there are, and
//! says where to go on.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::{catalogue, deliveries, rows};
use crate::model::{DeliveryState, EventFilter, EventOutcome, Position, StoredEvent, asked_terms, terms};
use crate::store::{EventQuery, EventRow, Page, Start};

/// How many events are looked at for one page, where an index says which.
const LOOKED_AT: usize = 1000;
/// How many of those that cannot be found by their terms yet, and have to be read.
const READ: usize = 500;

pub(super) fn events(connection: &Connection, query: &EventQuery) -> rusqlite::Result<Page<EventRow>> {
    let List { positions, more } = List::of(connection, query)?;
    let planned = deliveries::mark(connection, "planned")?;
    let mut items = Vec::new();
    for position in positions {
        if items.len() == query.limit {
            let next = items.last().map(|row: &EventRow| row.event.position.0);
            return Ok(Page { items, next });
        }
        // Most are left out by their outcome, which an index tells without the event.
        if let Some(outcome) = query.filter.outcome
            && !came_to(connection, outcome, position, planned)?
        {
            continue;
        }
        let Some(event) = event_in_list(connection, position)? else { continue };
        let in_time = query.filter.since.is_none_or(|since| event.first.received_at >= since)
            && query.filter.until.is_none_or(|until| event.first.received_at < until);
        if !in_time {
            continue;
        }
        let (receipts, deliveries) = (receipts(connection, event.position)?, by_state(connection, event.position)?);
        items.push(EventRow { receipts, planned: position <= planned, deliveries, event });
    }
    Ok(Page { items, next: more })
}

fn event_in_list(connection: &Connection, position: i64) -> rusqlite::Result<Option<StoredEvent>> {
    connection
        .prepare_cached(&format!("SELECT {} FROM events WHERE position = ?1", rows::EVENT_IN_LIST))?
        .query_row([position], rows::event)
        .optional()
}

/// Whether an event came to this; `planned` is the last one that is planned.
fn came_to(connection: &Connection, outcome: EventOutcome, position: i64, planned: i64) -> rusqlite::Result<bool> {
    let state = match outcome {
        EventOutcome::Unplanned => return Ok(position > planned),
        EventOutcome::NotRouted => {
            let any = "SELECT EXISTS (SELECT 1 FROM deliveries WHERE position = ?1)";
            let routed: bool = connection.prepare_cached(any)?.query_row([position], |row| row.get(0))?;
            return Ok(position <= planned && !routed);
        }
        EventOutcome::Has(state) => state,
    };
    // What few stay in has an index of its own.
    let unfinished = if state == DeliveryState::Delivered { "" } else { "AND state <> 'delivered'" };
    let has =
        format!("SELECT EXISTS (SELECT 1 FROM deliveries WHERE position = ?1 AND state = '{state}' {unfinished})");
    connection.prepare_cached(&has)?.query_row([position], |row| row.get(0))
}

/// The positions to look at for a page, in its direction.
pub(super) struct List {
    pub(super) positions: Vec<i64>,
    /// Where to go on after all of them; `None` at the end.
    pub(super) more: Option<i64>,
}

impl List {
    fn of(connection: &Connection, query: &EventQuery) -> rusqlite::Result<List> {
        let Some(range) = range(connection, query)? else { return Ok(List { positions: Vec::new(), more: None }) };
        let forward = matches!(query.start, Start::After(_));
        let asked = asked_terms(&query.filter);
        if asked.is_empty() {
            // Without a filter every one is taken; one more tells whether there are more.
            let most = if query.filter == EventFilter::default() { query.limit + 1 } else { LOOKED_AT };
            return match query.filter.outcome {
                Some(EventOutcome::Has(state)) if state != DeliveryState::Delivered => {
                    Ok(List::cut(with_unfinished(connection, state, &range, forward)?, LOOKED_AT))
                }
                _ => Ok(List::cut(all(connection, &range, forward, most)?, most)),
            };
        }
        let catalogued = deliveries::mark(connection, "catalogued")?;
        let (found, read) =
            (*range.start()..=catalogued.min(*range.end()), catalogued.max(range.start() - 1) + 1..=*range.end());
        let find = || catalogue::find(connection, &asked, &found, forward, LOOKED_AT);
        let read = || List::read(connection, &asked, read.clone(), forward);
        // What is not in the catalogue yet is the newest.
        let first = if forward { find()? } else { read()? };
        if first.more.is_some() {
            return Ok(first);
        }
        let second = if forward { read()? } else { find()? };
        Ok(List { positions: [first.positions, second.positions].concat(), more: second.more })
    }

    /// Takes as many as were asked for as a sign that there are more.
    pub(super) fn cut(positions: Vec<i64>, most: usize) -> List {
        let more = if positions.len() < most { None } else { positions.last().copied() };
        List { positions, more }
    }

    /// Those that have the terms, by reading them.
    fn read(
        connection: &Connection,
        asked: &BTreeSet<String>,
        range: RangeInclusive<i64>,
        forward: bool,
    ) -> rusqlite::Result<List> {
        let List { positions, more } = List::cut(all(connection, &range, forward, READ)?, READ);
        let mut having = Vec::new();
        for position in positions {
            if let Some(event) = event_in_list(connection, position)?
                && asked.is_subset(&terms(&event))
            {
                having.push(position);
            }
        }
        Ok(List { positions: having, more })
    }
}

/// The events of a range, which may have gaps where some were removed.
fn all(connection: &Connection, range: &RangeInclusive<i64>, forward: bool, most: usize) -> rusqlite::Result<Vec<i64>> {
    let sql = format!(
        "SELECT position FROM events WHERE position BETWEEN ?1 AND ?2 ORDER BY position {} LIMIT ?3",
        rows::direction(forward)
    );
    connection
        .prepare_cached(&sql)?
        .query_map(params![range.start(), range.end(), rows::limit(most)], |row| row.get(0))?
        .collect()
}

/// The events with a delivery in a state that few stay in.
fn with_unfinished(
    connection: &Connection,
    state: DeliveryState,
    range: &RangeInclusive<i64>,
    forward: bool,
) -> rusqlite::Result<Vec<i64>> {
    let sql = format!(
        "SELECT DISTINCT position FROM deliveries WHERE state = '{state}' AND state <> 'delivered'
         AND position BETWEEN ?1 AND ?2 ORDER BY position {} LIMIT ?3",
        rows::direction(forward)
    );
    connection
        .prepare_cached(&sql)?
        .query_map(params![range.start(), range.end(), rows::limit(LOOKED_AT)], |row| row.get(0))?
        .collect()
}

/// The positions that a query can mean, by its beginning and by time; `None` where there are none.
fn range(connection: &Connection, query: &EventQuery) -> rusqlite::Result<Option<RangeInclusive<i64>>> {
    let first: Option<i64> =
        connection.prepare_cached("SELECT min(position) FROM events")?.query_row([], |row| row.get(0))?;
    let Some(mut first) = first else { return Ok(None) };
    let mut last = last_position(connection)?;
    match query.start {
        Start::Newest => {}
        Start::Before(position) => last = last.min(position.0.saturating_sub(1)),
        Start::After(position) => first = first.max(position.0.saturating_add(1)),
    }
    if let Some(since) = query.filter.since {
        first = first.max(first_since(connection, since)?);
    }
    if let Some(until) = query.filter.until {
        last = last.min(position_at(connection, rows::well_after(until))?);
    }
    if query.filter.outcome == Some(EventOutcome::Unplanned) {
        first = first.max(deliveries::mark(connection, "planned")? + 1);
    }
    Ok((first <= last).then_some(first..=last))
}

/// The last position that was given to an event.
pub(super) fn last_position(connection: &Connection) -> rusqlite::Result<i64> {
    connection
        .prepare_cached("SELECT ifnull(max(seq), 0) FROM sqlite_sequence WHERE name = 'events'")?
        .query_row([], |row| row.get(0))
}

/// The first position of an event that a filter can mean by its time, or the one after the last.
pub(super) fn first_since(connection: &Connection, since: Timestamp) -> rusqlite::Result<i64> {
    position_at(connection, rows::well_before(since))
}

/// How many events there are behind a position up to which all are planned, or catalogued.
pub(super) fn behind(connection: &Connection, mark: i64) -> rusqlite::Result<i64> {
    let gone: i64 = connection
        .prepare_cached("SELECT count(*) FROM gaps WHERE position > ?1")?
        .query_row([mark], |row| row.get(0))?;
    Ok((last_position(connection)? - mark - gone).max(0))
}

/// The first position of an event that was received at a time or later, or the one after the last: events are stored
/// nearly in the order of their receipt, so halving finds it.
fn position_at(connection: &Connection, time: Timestamp) -> rusqlite::Result<i64> {
    let time = time.as_millisecond();
    let mut at = connection
        .prepare_cached("SELECT position, received_at FROM events WHERE position >= ?1 ORDER BY position LIMIT 1")?;
    rows::halve(1, last_position(connection)? + 1, |middle| {
        let found = at.query_row([middle], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? < time))).optional()?;
        Ok(found.filter(|(_, before)| *before).map(|(position, _)| position))
    })
}

pub(super) fn receipts(connection: &Connection, position: Position) -> rusqlite::Result<u64> {
    let duplicates: Option<i64> = connection
        .prepare_cached("SELECT count FROM duplicates WHERE position = ?1")?
        .query_row([position.0], |row| row.get(0))
        .optional()?;
    Ok(1 + rows::count(duplicates.unwrap_or(0)))
}

fn by_state(connection: &Connection, position: Position) -> rusqlite::Result<Vec<(DeliveryState, u64)>> {
    connection
        .prepare_cached("SELECT state, count(*) FROM deliveries WHERE position = ?1 GROUP BY state")?
        .query_map([position.0], rows::state_count)?
        .collect()
}
