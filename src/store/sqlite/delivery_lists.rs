//! Lists of deliveries, and what is counted of them as they go.
//!
//! What always holds: a page looks at no more than so many deliveries; and the tallies are changed in the transaction
//! that changes the deliveries.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::rows;
use crate::contract::EventName;
use crate::model::{DeliveryFilter, DeliveryId, DeliveryRecord, DeliveryState, HandlerName, HandlerRecord};
use crate::store::{DeliveryQuery, Page, Start};

/// How many deliveries are looked at for one page.
const LOOKED_AT: usize = 2000;

pub(super) fn deliveries(connection: &Connection, query: &DeliveryQuery) -> rusqlite::Result<Page<DeliveryRecord>> {
    let simple = DeliveryFilter {
        handler: query.filter.handler.clone(),
        state: query.filter.state,
        ..DeliveryFilter::default()
    };
    let most = if query.filter == simple { query.limit + 1 } else { LOOKED_AT };
    let ids = ids(connection, query, most)?;
    let more = if ids.len() < most { None } else { ids.last().copied() };
    let mut items: Vec<DeliveryRecord> = Vec::new();
    for id in ids {
        if items.len() == query.limit {
            let next = items.last().map(|delivery| delivery.id.0);
            return Ok(Page { items, next });
        }
        // Most are left out by their reason, which is there without the event.
        if let Some(reason) = &query.filter.reason
            && !has_reason(connection, id, reason)?
        {
            continue;
        }
        let delivery = rows::delivery_at(connection, DeliveryId(id))?;
        items.extend(delivery.filter(|delivery| is_meant(&query.filter, delivery)));
    }
    Ok(Page { items, next: more })
}

fn has_reason(connection: &Connection, id: i64, reason: &str) -> rusqlite::Result<bool> {
    let own: Option<String> = connection
        .prepare_cached("SELECT reason FROM deliveries WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?
        .flatten();
    Ok(own.is_some_and(|own| own.to_lowercase().contains(&reason.to_lowercase())))
}

fn is_meant(filter: &DeliveryFilter, delivery: &DeliveryRecord) -> bool {
    let name = || EventName::parse(&delivery.event_name).ok();
    filter.handler.as_ref().is_none_or(|handler| *handler == delivery.handler)
        && filter.state.is_none_or(|state| state == delivery.state)
        && filter.event.is_none_or(|event| event == delivery.event)
        && filter.name.as_ref().is_none_or(|filter| name().is_some_and(|name| filter.matches(&name)))
        && filter.since.is_none_or(|since| delivery.planned_at >= since)
        && filter.until.is_none_or(|until| delivery.planned_at < until)
}

/// The ids to look at for a page, in its direction.
fn ids(connection: &Connection, query: &DeliveryQuery, most: usize) -> rusqlite::Result<Vec<i64>> {
    let (mut first, mut last) = rows::bounds(query.start, |id| id.0);
    if let Some(since) = query.filter.since {
        first = first.max(id_at(connection, rows::well_before(since))?);
    }
    if let Some(until) = query.filter.until {
        last = last.min(id_at(connection, rows::well_after(until))?);
    }
    let forward = matches!(query.start, Start::After(_));
    let direction = rows::direction(forward);
    let limit = rows::limit(most);
    if let Some(event) = query.filter.event {
        let sql = format!(
            "SELECT id FROM deliveries WHERE position = (SELECT position FROM events WHERE id = ?1)
             AND id BETWEEN ?2 AND ?3 ORDER BY id {direction} LIMIT ?4"
        );
        return connection
            .prepare_cached(&sql)?
            .query_map(params![event.as_bytes(), first, last, limit], |row| row.get(0))?
            .collect();
    }
    if query.filter.handler.is_none() && query.filter.state.is_none() {
        let sql = format!("SELECT id FROM deliveries WHERE id BETWEEN ?1 AND ?2 ORDER BY id {direction} LIMIT ?3");
        return connection.prepare_cached(&sql)?.query_map(params![first, last, limit], |row| row.get(0))?.collect();
    }
    let sql = format!(
        "SELECT id FROM deliveries WHERE handler = ?1 AND state = ?2 AND id BETWEEN ?3 AND ?4
         ORDER BY id {direction} LIMIT ?5"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut ids: Vec<i64> = Vec::new();
    for (handler, state) in kinds(connection, &query.filter)? {
        let of_kind = statement.query_map(params![handler, state, first, last, limit], |row| row.get(0))?;
        ids.extend(of_kind.collect::<rusqlite::Result<Vec<i64>>>()?);
    }
    ids.sort_unstable();
    if !forward {
        ids.reverse();
    }
    ids.truncate(most);
    Ok(ids)
}

/// The handlers and states that there are deliveries of, as far as a filter means them.
fn kinds(connection: &Connection, filter: &DeliveryFilter) -> rusqlite::Result<Vec<(String, String)>> {
    connection
        .prepare_cached(
            "SELECT handler, state FROM tallies
             WHERE count > 0 AND (?1 IS NULL OR handler = ?1) AND (?2 IS NULL OR state = ?2)",
        )?
        .query_map(
            params![filter.handler.as_ref().map(HandlerName::as_str), filter.state.map(DeliveryState::as_str)],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?
        .collect()
}

/// The first delivery that was planned at a time or later, or the one after the last.
fn id_at(connection: &Connection, time: Timestamp) -> rusqlite::Result<i64> {
    let time = time.as_millisecond();
    let last: i64 =
        connection.prepare_cached("SELECT ifnull(max(id), 0) FROM deliveries")?.query_row([], |row| row.get(0))?;
    let mut at =
        connection.prepare_cached("SELECT id, planned_at FROM deliveries WHERE id >= ?1 ORDER BY id LIMIT 1")?;
    rows::halve(1, last + 1, |middle| {
        let found = at.query_row([middle], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? < time))).optional()?;
        Ok(found.filter(|(_, before)| *before).map(|(id, _)| id))
    })
}

/// Counts deliveries of a handler that came into a state, or left it where the number is negative.
pub(super) fn tally(connection: &Connection, handler: &str, state: DeliveryState, by: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO tallies (handler, state, count) VALUES (?1, ?2, ?3)
             ON CONFLICT (handler, state) DO UPDATE SET count = count + excluded.count",
        )?
        .execute(params![handler, state.as_str(), by])
        .map(drop)
}

/// Every handler that had a delivery or was paused.
pub(super) fn handlers(connection: &Connection) -> rusqlite::Result<Vec<HandlerRecord>> {
    let mut handlers: Vec<HandlerRecord> = connection
        .prepare_cached(
            "SELECT names.name, paused_at, breaker_since, breaker_until, breaker_failures, breaker_probes, breaker_reason
             FROM (SELECT name FROM handlers UNION SELECT handler FROM tallies) AS names LEFT JOIN handlers USING (name)
             ORDER BY names.name",
        )?
        .query_map([], rows::handler)?
        .collect::<rusqlite::Result<_>>()?;
    for handler in &mut handlers {
        handler.deliveries = connection
            .prepare_cached("SELECT state, count FROM tallies WHERE handler = ?1 AND count > 0")?
            .query_map([handler.name.as_str()], rows::state_count)?
            .collect::<rusqlite::Result<_>>()?;
        handler.oldest_pending = connection
            .prepare_cached(
                "SELECT planned_at FROM deliveries WHERE handler = ?1 AND state = 'pending' ORDER BY id LIMIT 1",
            )?
            .query_row([handler.name.as_str()], |row| row.get(0).map(rows::time))
            .optional()?;
    }
    Ok(handlers)
}
