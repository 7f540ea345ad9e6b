//! Lists of events: which ones a filter means, a page at a time.
//!
//! What always holds: a page looks at no more than so many events, whatever the filter and however many there are, and
//! says where to go on; and a page towards the newest waits for what is being stored at a position that is before its
//! last, so that whoever goes on behind it misses nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use jiff::Timestamp;

use super::failure::Failure;
use super::halving::{self, well_after, well_before};
use super::pool::Transaction;
use super::rows;
use super::statement::Array;
use super::{Database, catalogue, holes};
use crate::model::{DeliveryState, EventFilter, EventOutcome, StoredEvent, asked_terms, terms};
use crate::store::{EventQuery, EventRow, Page, Start};

/// How many events are looked at for one page, where an index says which.
const LOOKED_AT: usize = 1000;
/// How many of those that cannot be found by their terms yet, and have to be read.
const READ: usize = 500;
/// How many events are read at one time: the bodies in a list are up to 64 KiB each.
const AT_A_TIME: usize = 100;
pub(super) async fn events(db: &Database, query: &EventQuery) -> Result<Page<EventRow>, Failure> {
    let transaction = db.pool.begin_reading().await?;
    if let Start::After(position) = query.start
        && let Some(last) = holes::last_if_any(&transaction, position).await?
    {
        transaction.commit().await?;
        holes::wait(db).await?;
        let transaction = db.pool.begin_reading().await?;
        let page = page(&transaction, query, last).await?;
        transaction.commit().await?;
        return Ok(page);
    }
    let page = page(&transaction, query, i64::MAX).await?;
    transaction.commit().await?;
    Ok(page)
}

/// A page of what there is up to a position.
async fn page(transaction: &Transaction, query: &EventQuery, through: i64) -> Result<Page<EventRow>, Failure> {
    let List { positions, more } = List::of(transaction, query, through).await?;
    let coming = match query.filter.outcome {
        Some(outcome) => having_come_to(transaction, outcome, positions).await?,
        None => positions,
    };
    let mut found: Vec<StoredEvent> = Vec::new();
    let mut looked_at = 0;
    for chunk in coming.chunks(AT_A_TIME.min(query.limit + 1)) {
        if found.len() >= query.limit {
            break;
        }
        looked_at += chunk.len();
        let mut events = in_list(transaction, chunk).await?;
        let of_chunk = chunk.iter().filter_map(|position| events.remove(position));
        found.extend(of_chunk.filter(|event| is_in_time(&query.filter, event.first.received_at)));
    }
    let whole = looked_at == coming.len() && found.len() <= query.limit;
    found.truncate(query.limit);
    let next = if whole { more } else { found.last().map(|event| event.position.0) };
    Ok(Page { items: with_counts(transaction, found).await?, next })
}

fn is_in_time(filter: &EventFilter, received_at: Timestamp) -> bool {
    filter.since.is_none_or(|since| received_at >= since) && filter.until.is_none_or(|until| received_at < until)
}

/// The events of some positions, as they stand in a list.
pub(super) async fn in_list(
    transaction: &Transaction,
    positions: &[i64],
) -> Result<BTreeMap<i64, StoredEvent>, Failure> {
    let sql = format!("SELECT {} FROM events e WHERE e.position = ANY ($1)", rows::EVENT_IN_LIST);
    let found = transaction.query(&sql, &[&Array(positions.to_vec())]).await?;
    found.iter().map(|row| rows::event(row, 0).map(|event| (event.position.0, event))).collect()
}

/// Tells of each event how it came and what became of it.
async fn with_counts(transaction: &Transaction, events: Vec<StoredEvent>) -> Result<Vec<EventRow>, Failure> {
    let positions: Array<i64> = events.iter().map(|event| event.position.0).collect();
    let duplicates = transaction
        .query("SELECT position, count FROM duplicates WHERE position = ANY ($1)", &[&positions])
        .await?
        .iter()
        .map(|row| Ok((row.get::<i64>(0)?, rows::count(row.get(1)?))))
        .collect::<Result<BTreeMap<_, _>, Failure>>()?;
    let unplanned = unplanned_of(transaction, &positions).await?;
    let sql = "SELECT state, count(*), position FROM deliveries WHERE position = ANY ($1)
               GROUP BY position, state ORDER BY position, state";
    let mut states: BTreeMap<i64, Vec<(DeliveryState, u64)>> = BTreeMap::new();
    for row in transaction.query(sql, &[&positions]).await? {
        states.entry(row.get(2)?).or_default().push(rows::state_count(&row)?);
    }
    let row = |event: StoredEvent| {
        let position = event.position.0;
        EventRow {
            receipts: 1 + duplicates.get(&position).copied().unwrap_or(0),
            planned: !unplanned.contains(&position),
            deliveries: states.remove(&position).unwrap_or_default(),
            event,
        }
    };
    Ok(events.into_iter().map(row).collect())
}

async fn unplanned_of(transaction: &Transaction, positions: &Array<i64>) -> Result<BTreeSet<i64>, Failure> {
    let sql = "SELECT position FROM unplanned WHERE position = ANY ($1)";
    transaction.query(sql, &[positions]).await?.iter().map(|row| row.get(0)).collect()
}

/// Those of the positions whose events came to this.
async fn having_come_to(
    transaction: &Transaction,
    outcome: EventOutcome,
    positions: Vec<i64>,
) -> Result<Vec<i64>, Failure> {
    let asked = Array(positions.clone());
    let unplanned = unplanned_of(transaction, &asked).await?;
    let routed = |state: &str| format!("SELECT DISTINCT position FROM deliveries WHERE position = ANY ($1) {state}");
    let sql = match outcome {
        EventOutcome::Unplanned => {
            return Ok(positions.into_iter().filter(|position| unplanned.contains(position)).collect());
        }
        EventOutcome::NotRouted => routed(""),
        // What few stay in has an index of its own.
        EventOutcome::Has(DeliveryState::Delivered) => routed("AND state = 'delivered'"),
        EventOutcome::Has(state) => routed(&format!("AND state = '{state}' AND state <> 'delivered'")),
    };
    let having = transaction.query(&sql, &[&asked]).await?;
    let having: BTreeSet<i64> = having.iter().map(|row| row.get(0)).collect::<Result<_, Failure>>()?;
    let came = |position: &i64| match outcome {
        EventOutcome::NotRouted => !having.contains(position) && !unplanned.contains(position),
        _ => having.contains(position),
    };
    Ok(positions.into_iter().filter(came).collect())
}

/// The positions to look at for a page, in its direction.
pub(super) struct List {
    pub(super) positions: Vec<i64>,
    /// Where to go on after all of them; `None` at the end.
    pub(super) more: Option<i64>,
}

impl List {
    async fn of(transaction: &Transaction, query: &EventQuery, through: i64) -> Result<List, Failure> {
        let forward = matches!(query.start, Start::After(_));
        let Some(range) = range(transaction, query, through).await? else {
            return Ok(List { positions: Vec::new(), more: None });
        };
        let asked = asked_terms(&query.filter);
        if asked.is_empty() {
            // Without a filter every one is taken; one more tells whether there are more.
            let most = if query.filter == EventFilter::default() { query.limit + 1 } else { LOOKED_AT };
            return Ok(List::cut(candidates(transaction, query, &range, forward, most).await?, most));
        }
        let catalogued = catalogue::through(transaction).await?;
        let (found, read) =
            (*range.start()..=catalogued.min(*range.end()), catalogued.max(range.start() - 1) + 1..=*range.end());
        // What is not in the catalogue yet is the newest.
        let first = if forward {
            catalogue::find(transaction, &asked, &found, forward, LOOKED_AT).await?
        } else {
            List::read(transaction, &asked, &read, forward).await?
        };
        if first.more.is_some() {
            return Ok(first);
        }
        let second = if forward {
            List::read(transaction, &asked, &read, forward).await?
        } else {
            catalogue::find(transaction, &asked, &found, forward, LOOKED_AT).await?
        };
        Ok(List { positions: [first.positions, second.positions].concat(), more: second.more })
    }

    /// Takes as many as were asked for as a sign that there are more.
    pub(super) fn cut(positions: Vec<i64>, most: usize) -> List {
        let more = if positions.len() < most { None } else { positions.last().copied() };
        List { positions, more }
    }

    /// Those that have the terms, by reading them.
    async fn read(
        transaction: &Transaction,
        asked: &BTreeSet<String>,
        range: &RangeInclusive<i64>,
        forward: bool,
    ) -> Result<List, Failure> {
        let List { positions, more } = List::cut(all(transaction, range, forward, READ).await?, READ);
        let mut having = Vec::new();
        for chunk in positions.chunks(AT_A_TIME) {
            let events = in_list(transaction, chunk).await?;
            let has = |position: &&i64| events.get(position).is_some_and(|event| asked.is_subset(&terms(event)));
            having.extend(chunk.iter().filter(has));
        }
        Ok(List { positions: having, more })
    }
}

/// The events of a range that a filter without terms can mean.
async fn candidates(
    transaction: &Transaction,
    query: &EventQuery,
    range: &RangeInclusive<i64>,
    forward: bool,
    most: usize,
) -> Result<Vec<i64>, Failure> {
    match query.filter.outcome {
        Some(EventOutcome::Unplanned) => positions(transaction, "unplanned", range, forward, most).await,
        Some(EventOutcome::Has(state)) if state != DeliveryState::Delivered => {
            let unfinished = format!(
                "(SELECT DISTINCT position FROM deliveries WHERE state = '{state}' AND state <> 'delivered'
                  AND position BETWEEN $1 AND $2 ORDER BY position {}) AS unfinished",
                direction(forward)
            );
            positions(transaction, &unfinished, range, forward, most).await
        }
        _ => all(transaction, range, forward, most).await,
    }
}

/// The events of a range, which may have gaps.
async fn all(
    transaction: &Transaction,
    range: &RangeInclusive<i64>,
    forward: bool,
    most: usize,
) -> Result<Vec<i64>, Failure> {
    positions(transaction, "events", range, forward, most).await
}

async fn positions(
    transaction: &Transaction,
    from: &str,
    range: &RangeInclusive<i64>,
    forward: bool,
    most: usize,
) -> Result<Vec<i64>, Failure> {
    let sql = format!(
        "SELECT position FROM {from} WHERE position BETWEEN $1 AND $2 ORDER BY position {} LIMIT $3",
        direction(forward)
    );
    let found = transaction.query(&sql, &[range.start(), range.end(), &rows::limit(most)]).await?;
    found.iter().map(|row| row.get(0)).collect()
}

/// The direction of a list as PostgreSQL takes it.
pub(super) fn direction(forward: bool) -> &'static str {
    if forward { "ASC" } else { "DESC" }
}

/// The positions that a query can mean, by its beginning and by time; `None` where there are none.
async fn range(
    transaction: &Transaction,
    query: &EventQuery,
    through: i64,
) -> Result<Option<RangeInclusive<i64>>, Failure> {
    let Some((mut first, mut last)) = ends(transaction).await? else { return Ok(None) };
    let whole = (first, last);
    match query.start {
        Start::Newest => {}
        Start::Before(position) => last = last.min(position.0.saturating_sub(1)),
        Start::After(position) => first = first.max(position.0.saturating_add(1)),
    }
    last = last.min(through);
    if let Some(since) = query.filter.since {
        first = first.max(halving::EVENTS.first_at(transaction, whole, well_before(since)).await?);
    }
    if let Some(until) = query.filter.until {
        last = last.min(halving::EVENTS.first_at(transaction, whole, well_after(until)).await?);
    }
    Ok((first <= last).then_some(first..=last))
}

/// The first position of an event, and the last; `None` where there is none.
pub(super) async fn ends(transaction: &Transaction) -> Result<Option<(i64, i64)>, Failure> {
    let row = transaction.query_one("SELECT min(position), max(position) FROM events", &[]).await?;
    Ok(row.get::<Option<i64>>(0)?.zip(row.get::<Option<i64>>(1)?))
}
