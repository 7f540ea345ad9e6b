//! Storing an event, or recognising it.

use rusqlite::{Connection, OptionalExtension, params};

use super::keys::{Keys, Known};
use crate::contract::{Accepted, Lifetime};
use crate::model::{Entity, EventId, Position};
use crate::store::Appended;
use crate::store::config::{DAY_MS, RECEIPTS_MAX};

/// Stores a request as an event, unless it is one already.
pub(super) fn append(
    connection: &Connection,
    known: &mut Keys,
    accepted: &Accepted,
    remember_ms: i64,
) -> rusqlite::Result<Appended> {
    let now = accepted.received_at().as_millisecond();
    let keys = accepted.keys();
    if let Some((key, lifetime)) = keys.identity
        && let Some(position) = known.find(connection, &key, lifetime, now)?
    {
        return duplicate(connection, position, accepted, false);
    }
    if keys.match_body
        && let Some(position) = known.find(connection, &keys.body, Lifetime::Day, now)?
    {
        remember_identity(known, accepted, position, remember_ms);
        return duplicate(connection, position, accepted, true);
    }
    let id = EventId::new(accepted.received_at());
    insert(connection, id, accepted)?;
    let position = Position(connection.last_insert_rowid());
    remember_identity(known, accepted, position, remember_ms);
    known.remember(&keys.body, Lifetime::Day, Known { position, expires_at: now + DAY_MS });
    Ok(Appended::Stored { id, position })
}

fn remember_identity(known: &mut Keys, accepted: &Accepted, position: Position, remember_ms: i64) {
    let Some((key, lifetime)) = accepted.keys().identity else { return };
    let lives_ms = match lifetime {
        Lifetime::Day => DAY_MS,
        Lifetime::Retention => remember_ms,
    };
    let expires_at = accepted.received_at().as_millisecond() + lives_ms;
    known.remember(&key, lifetime, Known { position, expires_at });
}

fn insert(connection: &Connection, id: EventId, accepted: &Accepted) -> rusqlite::Result<()> {
    let entity = Entity::of(accepted);
    let notes = (!accepted.notes().is_empty()).then(|| super::rows::to_json(&accepted.notes()));
    connection
        .prepare_cached(
            "INSERT INTO events (id, webhook, brand, claimed_webhook_id, name, original_name, occurrence_id, entity,
                                 received_at, retry_num, sent_at, peer, notes, headers, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        )?
        .execute(params![
            id.as_bytes(),
            accepted.webhook().as_str(),
            accepted.brand().slug(),
            accepted.claimed_webhook_id(),
            accepted.name().to_string(),
            accepted.original_name(),
            accepted.occurrence_id(),
            entity.as_ref().map(Entity::as_str),
            accepted.received_at().as_millisecond(),
            accepted.retry_num(),
            accepted.sent_at(),
            accepted.peer().map(|peer| peer.to_string()),
            notes,
            accepted.headers().as_bytes(),
            &accepted.body()[..],
        ])
        .map(drop)
}

fn duplicate(
    connection: &Connection,
    position: Position,
    accepted: &Accepted,
    matched_by_body: bool,
) -> rusqlite::Result<Appended> {
    let first: Option<([u8; 16], bool)> = connection
        .prepare_cached("SELECT id, body = ?2 FROM events WHERE position = ?1")?
        .query_row(params![position.0, &accepted.body()[..]], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((id, same_body)) = first else { return Ok(Appended::Duplicate { id: None, conflict: false }) };
    let count: i64 = connection
        .prepare_cached(
            "INSERT INTO duplicates (position, count) VALUES (?1, 1)
             ON CONFLICT (position) DO UPDATE SET count = count + 1 RETURNING count",
        )?
        .query_row([position.0], |row| row.get(0))?;
    if count <= RECEIPTS_MAX {
        connection
            .prepare_cached(
                "INSERT INTO receipts (position, number, received_at, retry_num, sent_at, peer, matched_by_body, other_body)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                position.0,
                count,
                accepted.received_at().as_millisecond(),
                accepted.retry_num(),
                accepted.sent_at(),
                accepted.peer().map(|peer| peer.to_string()),
                matched_by_body,
                (!same_body).then_some(&accepted.body()[..]),
            ])?;
    }
    Ok(Appended::Duplicate { id: Some(EventId::from_bytes(id)), conflict: !same_body })
}
