//! Replays: events of the past, handled again.
//!
//! What always holds: a replay's place moves in the transaction that makes the deliveries of the events before it, so
//! it goes on after any end where it was, and makes nothing twice.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::failure::Failure;
use super::halving::{self, well_before};
use super::lanes::{self, NewRow};
use super::pool::Transaction;
use super::statement::{Array, Row};
use super::tallies::Tallies;
use super::{Database, duties, lists, rows};
use crate::model::{
    DeliveryState, EventFilter, EventId, HandlerName, NewReplay, Position, Replay, ReplayId, ReplayState, ReplayStep,
    ReplayTo, ReplayedEvents,
};
use crate::store::Duty;

/// The columns that [`replay`] reads.
const REPLAY: &str = "id, asked_at, event, filter, handler, rematch, undelivered, per_second, state, position, last,
    events, deliveries, done_at";

/// How many of the newest replays are kept when they are done; those that are not are kept in any case.
const DONE_MAX: i64 = 1000;

pub(super) async fn list(db: &Database, limit: usize) -> Result<Vec<Replay>, Failure> {
    let sql = format!("SELECT {REPLAY} FROM replays ORDER BY id DESC LIMIT $1");
    let found = db.pool.connection().await?.query(&sql, &[&rows::limit(limit)]).await?;
    found.iter().map(replay).collect()
}

pub(super) async fn running(db: &Database) -> Result<Vec<Replay>, Failure> {
    let sql = format!("SELECT {REPLAY} FROM replays WHERE state = $1 ORDER BY id");
    let found = db.pool.connection().await?.query(&sql, &[&ReplayState::Running.as_str()]).await?;
    found.iter().map(replay).collect()
}

pub(super) async fn find(db: &Database, id: ReplayId) -> Result<Option<Replay>, Failure> {
    let sql = format!("SELECT {REPLAY} FROM replays WHERE id = $1");
    db.pool.connection().await?.query_opt(&sql, &[&id.0]).await?.as_ref().map(replay).transpose()
}

fn replay(row: &Row) -> Result<Replay, Failure> {
    let events = match row.get::<Option<EventId>>(2)? {
        Some(id) => ReplayedEvents::One(id),
        None => ReplayedEvents::Filter(rows::from_json(&row.get::<String>(3)?)?),
    };
    let handler = row.get::<Option<String>>(4)?.map(|_| rows::handler_name(row, 4)).transpose()?;
    let to = match (handler, row.get(5)?) {
        (None, false) => ReplayTo::SameHandlers,
        (Some(handler), false) => ReplayTo::Handler(handler),
        (None, true) => ReplayTo::Rematch,
        (Some(handler), true) => ReplayTo::RematchHandler(handler),
    };
    let asked =
        NewReplay { events, to, undelivered: row.get(6)?, per_second: row.get(7)?, at: rows::time(row.get(1)?) };
    Ok(Replay {
        id: ReplayId(row.get(0)?),
        asked,
        state: rows::word(row, 8, ReplayState::parse)?,
        position: Position(row.get(9)?),
        last: Position(row.get(10)?),
        events: rows::count(row.get(11)?),
        deliveries: rows::count(row.get(12)?),
        done_at: row.get::<Option<i64>>(13)?.map(rows::time),
    })
}

/// One for which there is no event is done at once.
pub(super) async fn start(db: &Database, new: &NewReplay) -> Result<Option<Replay>, Failure> {
    let transaction = db.pool.begin().await?;
    let Some((event, filter, position, last)) = of_what(&transaction, &new.events).await? else { return Ok(None) };
    let (handler, rematch) = match &new.to {
        ReplayTo::SameHandlers => (None, false),
        ReplayTo::Handler(handler) => (Some(handler), false),
        ReplayTo::Rematch => (None, true),
        ReplayTo::RematchHandler(handler) => (Some(handler), true),
    };
    let is_done = position >= last;
    let state = if is_done { ReplayState::Done } else { ReplayState::Running };
    let at = new.at.as_millisecond();
    let sql = format!(
        "INSERT INTO replays (asked_at, event, filter, handler, rematch, undelivered, per_second, state, position, last,
             done_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING {REPLAY}"
    );
    let row = transaction
        .query_one(
            &sql,
            &[
                &at,
                &event,
                &filter,
                &handler,
                &rematch,
                &new.undelivered,
                &new.per_second,
                &state.as_str(),
                &position,
                &last,
                &is_done.then_some(at),
            ],
        )
        .await?;
    let started = replay(&row)?;
    let sql = "DELETE FROM replays WHERE state = $1 AND id <= $2";
    transaction.execute(sql, &[&ReplayState::Done.as_str(), &(started.id.0 - DONE_MAX)]).await?;
    transaction.commit().await?;
    Ok(Some(started))
}

/// The one event or the filter; the position behind which it begins, and the last.
type OfWhat = (Option<EventId>, Option<String>, i64, i64);

async fn of_what(transaction: &Transaction, events: &ReplayedEvents) -> Result<Option<OfWhat>, Failure> {
    match events {
        ReplayedEvents::One(id) => {
            let sql = "SELECT position FROM events WHERE id = $1";
            let Some(row) = transaction.query_opt(sql, &[id]).await? else { return Ok(None) };
            let position = row.get(0)?;
            Ok(Some((Some(*id), None, position - 1, position)))
        }
        ReplayedEvents::Filter(filter) => {
            let json = Some(to_json(filter)?);
            let Some((first, last)) = lists::ends(transaction).await? else { return Ok(Some((None, json, 0, 0))) };
            let first = match filter.since {
                None => 1,
                Some(since) => halving::EVENTS.first_at(transaction, (first, last), well_before(since)).await?,
            };
            Ok(Some((None, json, first - 1, last)))
        }
    }
}

fn to_json(filter: &EventFilter) -> Result<String, Failure> {
    serde_json::to_string(filter).map_err(|error| Failure::Row(format!("a filter cannot be written: {error}")))
}

pub(super) async fn step(
    db: &Database,
    id: ReplayId,
    step: &ReplayStep,
    through: Position,
    now: Timestamp,
) -> Result<(), Failure> {
    let transaction = db.pool.begin().await?;
    duties::check(db, &transaction, Duty::Replaying).await?;
    // Whoever stops it, or takes another step, waits.
    let sql = format!("SELECT {REPLAY} FROM replays WHERE id = $1 FOR UPDATE");
    let Some(row) = transaction.query_opt(&sql, &[&id.0]).await? else { return Ok(()) };
    let replay = replay(&row)?;
    if replay.state != ReplayState::Running || through <= replay.position {
        return Ok(());
    }
    let through = through.min(replay.last);
    let mut again = again(&transaction, step, true).await?;
    again.retain(|again| again.position > replay.position && again.position <= through);
    let mut new = Vec::new();
    let mut tallies = Tallies::default();
    for again in &again {
        for (handler, number, ordered) in &again.takers {
            let lane = again.entity.as_deref().filter(|_| *ordered);
            let (handler, number) = (*handler, *number);
            new.push(NewRow { position: again.position, handler, number, lane, dead: None, replay: Some(id) });
            tallies.add(handler.as_str(), DeliveryState::Pending, 1);
        }
    }
    lanes::insert(db, &transaction, &new, now).await?;
    let sql = "UPDATE replays SET position = $2, events = events + $3, deliveries = deliveries + $4,
                   state = CASE WHEN last <= $2 THEN 'done' ELSE state END,
                   done_at = CASE WHEN last <= $2 THEN $5 END
               WHERE id = $1";
    let (events, made) = (rows::limit(again.len()), rows::limit(new.len()));
    transaction.execute(sql, &[&id.0, &through.0, &events, &made, &now.as_millisecond()]).await?;
    tallies.write(&transaction, db.shard).await?;
    transaction.commit().await
}

pub(super) async fn preview(db: &Database, step: &ReplayStep) -> Result<u64, Failure> {
    let transaction = db.pool.begin_reading().await?;
    let takers: usize = again(&transaction, step, false).await?.iter().map(|again| again.takers.len()).sum();
    transaction.commit().await?;
    Ok(u64::try_from(takers).unwrap_or(u64::MAX))
}

/// An event that is handled again.
struct Again<'a> {
    position: Position,
    entity: Option<String>,
    /// Who gets it, under which number, and whether in order.
    takers: Vec<(&'a HandlerName, u32, bool)>,
}

/// What deliveries of an event a handler has.
struct Had {
    /// Whether one is delivered or pending.
    is_served: bool,
    /// The number of the last.
    number: u32,
}

/// The events of a step that are there still, in their order, with those of the candidates that get them. Events that
/// are locked are not removed before their deliveries are made.
async fn again<'a>(transaction: &Transaction, step: &'a ReplayStep, lock: bool) -> Result<Vec<Again<'a>>, Failure> {
    let mut candidates: BTreeMap<i64, BTreeMap<&HandlerName, bool>> = BTreeMap::new();
    for (position, of_event) in &step.events {
        let of_event = of_event.iter().map(|candidate| (&candidate.handler, candidate.ordered));
        candidates.entry(position.0).or_default().extend(of_event);
    }
    let positions: Array<i64> = candidates.keys().copied().collect();
    let lock = if lock { "FOR KEY SHARE" } else { "" };
    let sql = format!("SELECT position, entity FROM events WHERE position = ANY ($1) ORDER BY position {lock}");
    let there = transaction.query(&sql, &[&positions]).await?;
    let had = had(transaction, &positions).await?;
    let mut events = Vec::new();
    for row in there {
        let (position, entity) = (row.get(0)?, row.get(1)?);
        let of_event = candidates.remove(&position).unwrap_or_default();
        let takers = of_event.into_iter().filter_map(|(handler, ordered)| {
            let had = had.get(&(position, handler.as_str().to_owned()));
            number(step, had).map(|number| (handler, number, ordered))
        });
        events.push(Again { takers: takers.collect(), position: Position(position), entity });
    }
    Ok(events)
}

async fn had(transaction: &Transaction, positions: &Array<i64>) -> Result<BTreeMap<(i64, String), Had>, Failure> {
    let sql = "SELECT position, handler, bool_or(state IN ('delivered', 'pending')), max(number) FROM deliveries
               WHERE position = ANY ($1) GROUP BY position, handler";
    let found = transaction.query(sql, &[positions]).await?;
    let had = |row: &Row| Ok(((row.get(0)?, row.get(1)?), Had { is_served: row.get(2)?, number: row.get(3)? }));
    found.iter().map(had).collect()
}

/// The number of a handler's next delivery of an event; `None` where the step leaves the handler out.
fn number(step: &ReplayStep, had: Option<&Had>) -> Option<u32> {
    match had {
        // The number 0 is the first delivery's, even where there is none yet.
        None => (!step.asked_before).then_some(1),
        Some(had) => (!(had.is_served && step.undelivered)).then_some(had.number + 1),
    }
}

pub(super) async fn set(db: &Database, id: ReplayId, state: ReplayState, now: Timestamp) -> Result<bool, Failure> {
    let done_at = (state == ReplayState::Done).then_some(now.as_millisecond());
    let sql = "UPDATE replays SET state = $2, done_at = $3 WHERE id = $1 AND state <> $2 AND state <> 'done'";
    Ok(db.pool.connection().await?.execute(sql, &[&id.0, &state.as_str(), &done_at]).await? > 0)
}
