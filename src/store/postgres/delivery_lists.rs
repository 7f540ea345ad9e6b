//! Lists of deliveries, and of handlers with what is counted of them.
//!
//! What always holds: a page looks at no more than so many deliveries.

use std::collections::BTreeMap;

use super::failure::Failure;
use super::halving::{self, well_after, well_before};
use super::lists::direction;
use super::pool::Transaction;
use super::statement::Array;
use super::{Database, rows};
use crate::contract::EventName;
use crate::model::{DeliveryFilter, DeliveryRecord, DeliveryState, HandlerName, HandlerRecord};
use crate::store::{DeliveryQuery, Page, Start};

/// How many deliveries are looked at for one page.
const LOOKED_AT: usize = 2000;
/// How many are read at one time.
const AT_A_TIME: usize = 500;

pub(super) async fn deliveries(db: &Database, query: &DeliveryQuery) -> Result<Page<DeliveryRecord>, Failure> {
    let transaction = db.pool.begin_reading().await?;
    let page = page(&transaction, query).await?;
    transaction.commit().await?;
    Ok(page)
}

async fn page(transaction: &Transaction, query: &DeliveryQuery) -> Result<Page<DeliveryRecord>, Failure> {
    let simple = DeliveryFilter {
        handler: query.filter.handler.clone(),
        state: query.filter.state,
        ..DeliveryFilter::default()
    };
    let most = if query.filter == simple { query.limit + 1 } else { LOOKED_AT };
    let ids = ids(transaction, query, most).await?;
    let more = if ids.len() < most { None } else { ids.last().copied() };
    let mut items: Vec<DeliveryRecord> = Vec::new();
    let mut looked_at = 0;
    for chunk in ids.chunks(AT_A_TIME.min(query.limit + 1)) {
        if items.len() >= query.limit {
            break;
        }
        looked_at += chunk.len();
        let mut read = read(transaction, chunk).await?;
        items
            .extend(chunk.iter().filter_map(|id| read.remove(id)).filter(|delivery| is_meant(&query.filter, delivery)));
    }
    let whole = looked_at == ids.len() && items.len() <= query.limit;
    items.truncate(query.limit);
    Ok(Page { next: if whole { more } else { items.last().map(|delivery| delivery.id.0) }, items })
}

async fn read(transaction: &Transaction, ids: &[i64]) -> Result<BTreeMap<i64, DeliveryRecord>, Failure> {
    let sql = format!(
        "SELECT {} FROM deliveries d JOIN events e ON e.position = d.position WHERE d.id = ANY ($1)",
        rows::DELIVERY
    );
    let found = transaction.query(&sql, &[&Array(ids.to_vec())]).await?;
    found.iter().map(|row| rows::delivery(row).map(|delivery| (delivery.id.0, delivery))).collect()
}

fn is_meant(filter: &DeliveryFilter, delivery: &DeliveryRecord) -> bool {
    let name = || EventName::parse(&delivery.event_name).ok();
    let has = |reason: &String| {
        let own = delivery.reason.as_ref();
        own.is_some_and(|own| own.to_lowercase().contains(&reason.to_lowercase()))
    };
    filter.handler.as_ref().is_none_or(|handler| *handler == delivery.handler)
        && filter.state.is_none_or(|state| state == delivery.state)
        && filter.event.is_none_or(|event| event == delivery.event)
        && filter.name.as_ref().is_none_or(|filter| name().is_some_and(|name| filter.matches(&name)))
        && filter.since.is_none_or(|since| delivery.planned_at >= since)
        && filter.until.is_none_or(|until| delivery.planned_at < until)
        && filter.reason.as_ref().is_none_or(has)
}

/// The ids to look at for a page, in its direction.
async fn ids(transaction: &Transaction, query: &DeliveryQuery, most: usize) -> Result<Vec<i64>, Failure> {
    let Some((first, last)) = range(transaction, query).await? else { return Ok(Vec::new()) };
    let forward = matches!(query.start, Start::After(_));
    let (direction, limit) = (direction(forward), rows::limit(most));
    let bounds = format!("AND id BETWEEN $1 AND $2 ORDER BY id {direction} LIMIT $3");
    let found = if let Some(event) = query.filter.event {
        let of_event = "position = (SELECT position FROM events WHERE events.id = $4)";
        let sql = format!("SELECT id FROM deliveries WHERE {of_event} {bounds}");
        transaction.query(&sql, &[&first, &last, &limit, &event]).await?
    } else if query.filter.handler.is_none() && query.filter.state.is_none() {
        transaction.query(&format!("SELECT id FROM deliveries WHERE true {bounds}"), &[&first, &last, &limit]).await?
    } else {
        let (handlers, states) = kinds(transaction, &query.filter).await?;
        // Compared as a whole, so that the index goes by all three: by the id alone all others would be looked at.
        let sql = format!(
            "SELECT d.id FROM unnest($4, $5) AS kind (handler, state) CROSS JOIN LATERAL (
                 SELECT id FROM deliveries
                 WHERE (handler, state, id) >= (kind.handler, kind.state, $1)
                     AND (handler, state, id) <= (kind.handler, kind.state, $2)
                 ORDER BY handler {direction}, state {direction}, id {direction} LIMIT $3
             ) AS d ORDER BY d.id {direction} LIMIT $3"
        );
        transaction.query(&sql, &[&first, &last, &limit, &handlers, &states]).await?
    };
    found.iter().map(|row| row.get(0)).collect()
}

/// The ids that a query can mean, by its beginning and by time; `None` where there are none.
async fn range(transaction: &Transaction, query: &DeliveryQuery) -> Result<Option<(i64, i64)>, Failure> {
    let row = transaction.query_one("SELECT min(id), max(id) FROM deliveries", &[]).await?;
    let Some(whole) = row.get::<Option<i64>>(0)?.zip(row.get::<Option<i64>>(1)?) else { return Ok(None) };
    let (mut first, mut last) = whole;
    match query.start {
        Start::Newest => {}
        Start::Before(id) => last = last.min(id.0.saturating_sub(1)),
        Start::After(id) => first = first.max(id.0.saturating_add(1)),
    }
    if let Some(since) = query.filter.since {
        first = first.max(halving::DELIVERIES.first_at(transaction, whole, well_before(since)).await?);
    }
    if let Some(until) = query.filter.until {
        last = last.min(halving::DELIVERIES.first_at(transaction, whole, well_after(until)).await?);
    }
    Ok((first <= last).then_some((first, last)))
}

/// The handlers and states that there are deliveries of, as far as a filter means them.
async fn kinds(transaction: &Transaction, filter: &DeliveryFilter) -> Result<(Array<String>, Array<String>), Failure> {
    let sql = "SELECT handler, state FROM tallies
               WHERE ($1 IS NULL OR handler = $1) AND ($2 IS NULL OR state = $2)
               GROUP BY handler, state HAVING sum(count) > 0";
    let state = filter.state.map(DeliveryState::as_str);
    let (mut handlers, mut states) = (Array(Vec::new()), Array(Vec::new()));
    for row in transaction.query(sql, &[&filter.handler, &state]).await? {
        handlers.0.push(row.get(0)?);
        states.0.push(row.get(1)?);
    }
    Ok((handlers, states))
}

pub(super) async fn handlers(db: &Database) -> Result<Vec<HandlerRecord>, Failure> {
    let transaction = db.pool.begin_reading().await?;
    let handlers = all_handlers(&transaction).await?;
    transaction.commit().await?;
    Ok(handlers)
}

/// Every handler that had a delivery or was paused, by name.
pub(super) async fn all_handlers(transaction: &Transaction) -> Result<Vec<HandlerRecord>, Failure> {
    let sql = "SELECT names.name, paused_at, breaker_since, breaker_until, breaker_failures, breaker_probes,
                   breaker_reason, (
                       SELECT planned_at FROM deliveries WHERE handler = names.name AND state = 'pending'
                       ORDER BY id LIMIT 1
                   )
               FROM (SELECT name FROM handlers UNION SELECT handler FROM tallies) AS names
               LEFT JOIN handlers USING (name) ORDER BY names.name";
    let mut handlers: BTreeMap<HandlerName, HandlerRecord> = BTreeMap::new();
    for row in transaction.query(sql, &[]).await? {
        let oldest_pending = row.get::<Option<i64>>(7)?.map(rows::time);
        let handler = HandlerRecord { oldest_pending, ..rows::handler(&row)? };
        handlers.insert(handler.name.clone(), handler);
    }
    let sql = "SELECT state, sum(count)::bigint, handler FROM tallies GROUP BY handler, state HAVING sum(count) > 0
               ORDER BY handler, state";
    for row in transaction.query(sql, &[]).await? {
        if let Some(handler) = handlers.get_mut(&rows::handler_name(&row, 2)?) {
            handler.deliveries.push(rows::state_count(&row)?);
        }
    }
    Ok(handlers.into_values().collect())
}
