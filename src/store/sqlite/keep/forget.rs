//! Forgetting somebody or something: found on a connection that reads, removed on the one that writes.
//!
//! What always holds: what was removed is overwritten where it stood, and a mark says that cleaning is due.

use rusqlite::{Connection, params};

use super::super::{deliveries, rows};
use super::clean::{is_due, overwriting};
use super::remove;
use crate::model::{Entity, EventFilter, Mention, Position};
use crate::store::{ForgetAbout, ForgetStep, Forgotten};

/// How many bytes of bodies are searched in one step, beside the last one.
const BYTES_MAX: usize = 8 << 20;

/// What a step is to remove.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Found {
    positions: Vec<i64>,
    rejected: Vec<i64>,
    replays: Vec<i64>,
    /// Bodies of duplicates of events that stay: the event's position and the duplicate's number.
    bodies: Vec<(i64, i64)>,
    last: i64,
    through: Option<Position>,
}

impl Found {
    /// Whether there is nothing to remove.
    pub(in super::super) fn is_empty(&self) -> bool {
        let nothing = self.positions.is_empty() && self.rejected.is_empty();
        nothing && self.bodies.is_empty() && self.replays.is_empty()
    }

    /// How many replays asked for it.
    pub(in super::super) fn replays(&self) -> usize {
        self.replays.len()
    }

    /// What it comes to.
    pub(in super::super) fn counts(&self) -> Forgotten {
        let (events, rejected) = (self.positions.len() as u64, self.rejected.len() as u64);
        Forgotten { events, rejected, bodies: self.bodies.len() as u64, through: self.through, left: None }
    }

    /// The last event that was looked at.
    pub(in super::super) fn last(&self) -> Position {
        Position(self.last)
    }
}

/// Finds what a step is to remove. Events never change, so that it is right for as long as they are there.
pub(in super::super) fn find(connection: &Connection, step: &ForgetStep) -> rusqlite::Result<Found> {
    let wanted = Wanted::of(&step.about);
    let mut found = Found { last: step.after.0, ..Found::default() };
    let mut statement = connection
        .prepare_cached("SELECT position, entity, body FROM events WHERE position > ?1 ORDER BY position LIMIT ?2")?;
    let mut events = statement.query(params![step.after.0, rows::limit(step.limit)])?;
    let (mut looked_at, mut bytes) = (0, 0);
    while let Some(row) = events.next()? {
        let (position, entity): (i64, Option<String>) = (row.get(0)?, row.get(1)?);
        let is_about = match &wanted {
            Wanted::Entity(asked) => entity.is_some_and(|entity| Entity::from_stored(entity).is_meant_by(asked)),
            Wanted::Person(mention) => {
                let body = row.get_ref(2)?.as_blob()?;
                bytes += body.len();
                mention.is_in(body) || is_in_a_duplicate(connection, position, mention)?
            }
        };
        if is_about {
            found.positions.push(position);
        } else if let Wanted::Entity(asked) = &wanted {
            found.bodies.extend(duplicates_about(connection, position, asked)?);
        }
        looked_at += 1;
        found.last = position;
        if looked_at == step.limit || bytes >= BYTES_MAX {
            found.through = Some(Position(position));
            break;
        }
    }
    if step.after.0 == 0 {
        found.rejected = rejected(connection, &wanted)?;
    }
    // Again in the last step: one may have been asked for meanwhile.
    if step.after.0 == 0 || found.through.is_none() {
        found.replays = replays(connection, &wanted)?;
    }
    Ok(found)
}

enum Wanted<'a> {
    Entity(&'a str),
    Person(Mention),
}

impl<'a> Wanted<'a> {
    fn of(about: &'a ForgetAbout) -> Wanted<'a> {
        match about {
            ForgetAbout::Entity(entity) => Wanted::Entity(entity.trim()),
            ForgetAbout::Person(person) => Wanted::Person(Mention::of(person)),
        }
    }
}

fn is_in_a_duplicate(connection: &Connection, position: i64, mention: &Mention) -> rusqlite::Result<bool> {
    let mut statement =
        connection.prepare_cached("SELECT other_body FROM receipts WHERE position = ?1 AND other_body IS NOT NULL")?;
    let mut bodies = statement.query([position])?;
    while let Some(row) = bodies.next()? {
        if mention.is_in(row.get_ref(0)?.as_blob()?) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The duplicates with a body of their own that is about another entity than their event is: the one asked for.
fn duplicates_about(connection: &Connection, position: i64, asked: &str) -> rusqlite::Result<Vec<(i64, i64)>> {
    let mut statement = connection.prepare_cached(
        "SELECT number, brand, webhook, other_body FROM receipts JOIN events USING (position)
         WHERE position = ?1 AND other_body IS NOT NULL",
    )?;
    let mut duplicates = statement.query([position])?;
    let mut found = Vec::new();
    while let Some(row) = duplicates.next()? {
        if is_about(asked, row.get_ref(3)?.as_blob()?, row.get_ref(1)?.as_str()?, row.get_ref(2)?.as_str()?) {
            found.push((position, row.get(0)?));
        }
    }
    Ok(found)
}

/// Whether a body of which the name of its event is not known could be about an entity.
fn is_about(asked: &str, body: &[u8], brand: &str, webhook: &str) -> bool {
    Entity::all_in(body, brand, webhook).iter().any(|entity| entity.is_meant_by(asked))
}

fn rejected(connection: &Connection, wanted: &Wanted<'_>) -> rusqlite::Result<Vec<i64>> {
    let mut statement = connection.prepare_cached("SELECT id, brand, webhook, body FROM rejected ORDER BY id")?;
    let mut requests = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = requests.next()? {
        let body = row.get_ref(3)?.as_blob()?;
        let is_about = match wanted {
            Wanted::Person(mention) => mention.is_in(body),
            Wanted::Entity(asked) => is_about(asked, body, row.get_ref(1)?.as_str()?, row.get_ref(2)?.as_str()?),
        };
        if is_about {
            found.push(row.get(0)?);
        }
    }
    Ok(found)
}

/// The replays whose filter names them, whatever state they are in.
fn replays(connection: &Connection, wanted: &Wanted<'_>) -> rusqlite::Result<Vec<i64>> {
    let mut statement = connection.prepare_cached("SELECT id, filter FROM replays WHERE filter IS NOT NULL")?;
    let mut replays = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = replays.next()? {
        let filter: EventFilter = rows::from_json(row.get_ref(1)?.as_str()?)?;
        let is_about = match wanted {
            Wanted::Person(mention) => mention.is_asked_for(&filter),
            Wanted::Entity(asked) => filter.names_entity(asked),
        };
        if is_about {
            found.push(row.get(0)?);
        }
    }
    Ok(found)
}

/// Removes what was found, so that nothing of it stays in the pages that it was on.
pub(in super::super) fn remove_found(connection: &Connection, found: &Found) -> rusqlite::Result<Forgotten> {
    overwriting(connection, || {
        blank(connection, found)?;
        let mut forgotten = Forgotten { through: found.through, ..Forgotten::default() };
        for position in &found.positions {
            forgotten.events += u64::from(remove::event(connection, *position)?.event);
        }
        remove::trim_plans(connection, &found.positions)?;
        let mut empty = connection.prepare_cached(
            "UPDATE receipts SET other_body = x'' WHERE position = ?1 AND number = ?2 AND other_body IS NOT NULL",
        )?;
        for (position, number) in &found.bodies {
            forgotten.bodies += empty.execute([position, number])? as u64;
        }
        let mut bytes = deliveries::mark(connection, "rejected_bytes")?;
        for id in &found.rejected {
            let mut delete = connection
                .prepare_cached("DELETE FROM rejected WHERE id = ?1 RETURNING length(body) + length(headers)")?;
            for size in delete.query_map([id], |row| row.get::<_, i64>(0))? {
                bytes -= size?;
                forgotten.rejected += 1;
            }
        }
        deliveries::set_mark(connection, "rejected_bytes", bytes)?;
        for id in &found.replays {
            connection.prepare_cached("DELETE FROM replays WHERE id = ?1")?.execute([id])?;
        }
        is_due(connection)?;
        Ok(forgotten)
    })
}

/// Overwrites what people wrote where it stands, before anything is removed: when rows go, SQLite moves their
/// neighbours to other pages, and may leave a copy of those behind that are still to go.
fn blank(connection: &Connection, found: &Found) -> rusqlite::Result<()> {
    let mut event = connection.prepare_cached(
        "UPDATE events SET headers = zeroblob(length(headers)), body = zeroblob(length(body)) WHERE position = ?1",
    )?;
    let mut receipt = connection
        .prepare_cached("UPDATE receipts SET other_body = zeroblob(length(other_body)) WHERE position = ?1")?;
    for position in &found.positions {
        event.execute([position])?;
        receipt.execute([position])?;
    }
    let mut body = connection.prepare_cached(
        "UPDATE receipts SET other_body = zeroblob(length(other_body)) WHERE position = ?1 AND number = ?2",
    )?;
    for (position, number) in &found.bodies {
        body.execute([position, number])?;
    }
    let mut rejected = connection.prepare_cached(
        "UPDATE rejected SET headers = zeroblob(length(headers)), body = zeroblob(length(body)) WHERE id = ?1",
    )?;
    for id in &found.rejected {
        rejected.execute([id])?;
    }
    let mut replay = connection
        .prepare_cached("UPDATE replays SET filter = zeroblob(length(CAST(filter AS BLOB))) WHERE id = ?1")?;
    for id in &found.replays {
        replay.execute([id])?;
    }
    Ok(())
}
