//! What is kept of requests that did not become events; both kinds are bounded.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{deliveries, rows};
use crate::contract::{KeptHeaders, Rejected};
use crate::model::{EventId, RejectedId};
use crate::store::{Page, RefusalCount, RejectedQuery, RejectedRow, Start, TokenUse};

/// The most rejected requests that are kept.
const REJECTED_MAX: i64 = 10_000;
/// The most bytes of their bodies.
const REJECTED_BYTES_MAX: i64 = 64 << 20;
/// The most counts of those who were not let in.
const REFUSALS_MAX: i64 = 10_000;

pub(super) fn reject(connection: &Connection, rejected: &Rejected) -> rusqlite::Result<RejectedId> {
    connection
        .prepare_cached(
            "INSERT INTO rejected (received_at, webhook, brand, claimed_webhook_id, peer, reason, headers, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            rejected.received_at().as_millisecond(),
            rejected.webhook().as_str(),
            rejected.brand().slug(),
            rejected.claimed_webhook_id(),
            rejected.peer().map(|peer| peer.to_string()),
            rejected.reason(),
            rejected.headers().as_bytes(),
            &rejected.body()[..],
        ])?;
    let id = connection.last_insert_rowid();
    prune(connection, id, deliveries::mark(connection, "rejected_bytes")? + size(rejected))?;
    Ok(RejectedId(id))
}

fn size(rejected: &Rejected) -> i64 {
    i64::try_from(rejected.body().len() + rejected.headers().as_bytes().len()).unwrap_or(i64::MAX)
}

/// Removes the oldest, by number and by bytes; the newest always stays.
fn prune(connection: &Connection, newest: i64, mut bytes: i64) -> rusqlite::Result<()> {
    loop {
        let oldest: (i64, i64) = connection
            .prepare_cached("SELECT id, length(body) + length(headers) FROM rejected ORDER BY id LIMIT 1")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if oldest.0 == newest || (oldest.0 > newest - REJECTED_MAX && bytes <= REJECTED_BYTES_MAX) {
            return deliveries::set_mark(connection, "rejected_bytes", bytes);
        }
        connection.prepare_cached("DELETE FROM rejected WHERE id = ?1")?.execute([oldest.0])?;
        bytes -= oldest.1;
    }
}

pub(super) fn count_refusals(connection: &Connection, counts: &[RefusalCount]) -> rusqlite::Result<()> {
    for refusal in counts {
        connection
            .prepare_cached(
                "INSERT INTO refusals (code, peer, claimed_webhook_id, count, last_at) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (code, peer, claimed_webhook_id)
                 DO UPDATE SET count = count + excluded.count, last_at = max(last_at, excluded.last_at)",
            )?
            .execute(params![
                refusal.code,
                refusal.peer,
                refusal.claimed_webhook_id,
                i64::try_from(refusal.count).unwrap_or(i64::MAX),
                refusal.last_at.as_millisecond(),
            ])?;
    }
    connection
        .prepare_cached(
            "DELETE FROM refusals WHERE (code, peer, claimed_webhook_id) IN (
                 SELECT code, peer, claimed_webhook_id FROM refusals ORDER BY last_at DESC LIMIT -1 OFFSET ?1)",
        )?
        .execute([REFUSALS_MAX])
        .map(drop)
}

/// The columns that [`row`] reads, but for the body.
const REJECTED: &str = "id, received_at, webhook, brand, peer, reason, headers, length(body), became, became_at";

pub(super) fn rejected(connection: &Connection, query: &RejectedQuery) -> rusqlite::Result<Page<RejectedRow>> {
    let (first, last) = rows::bounds(query.start, |id| id.0);
    let webhook = if query.webhook.is_some() { "webhook = ?4 AND" } else { "?4 IS NULL AND" };
    let direction = rows::direction(matches!(query.start, Start::After(_)));
    let sql = format!(
        "SELECT {REJECTED}, x'' FROM rejected WHERE {webhook} id BETWEEN ?1 AND ?2 ORDER BY id {direction} LIMIT ?3"
    );
    let mut items: Vec<RejectedRow> = connection
        .prepare_cached(&sql)?
        .query_map(params![first, last, rows::limit(query.limit + 1), query.webhook], row)?
        .collect::<rusqlite::Result<_>>()?;
    let more = items.len() > query.limit;
    items.truncate(query.limit);
    Ok(Page { next: items.last().filter(|_| more).map(|row| row.id.0), items })
}

pub(super) fn rejected_request(connection: &Connection, id: RejectedId) -> rusqlite::Result<Option<RejectedRow>> {
    let sql = format!("SELECT {REJECTED}, body FROM rejected WHERE id = ?1");
    connection.prepare_cached(&sql)?.query_row([id.0], row).optional()
}

fn row(row: &Row<'_>) -> rusqlite::Result<RejectedRow> {
    let became: Option<[u8; 16]> = row.get(8)?;
    let became_at: Option<i64> = row.get(9)?;
    Ok(RejectedRow {
        id: RejectedId(row.get(0)?),
        received_at: rows::time(row.get(1)?),
        webhook: row.get(2)?,
        brand: row.get(3)?,
        peer: rows::peer(row, 4)?,
        reason: row.get(5)?,
        headers: KeptHeaders::from_bytes(row.get(6)?),
        body_bytes: rows::count(row.get(7)?),
        body: row.get::<_, Vec<u8>>(10)?.into(),
        became: became.map(EventId::from_bytes).zip(became_at.map(rows::time)),
    })
}

pub(super) fn became(connection: &Connection, id: RejectedId, event: EventId, now: Timestamp) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE rejected SET became = ?2, became_at = ?3 WHERE id = ?1")?
        .execute(params![id.0, event.as_bytes(), now.as_millisecond()])
        .map(drop)
}

pub(super) fn refusals(connection: &Connection, limit: usize) -> rusqlite::Result<Vec<RefusalCount>> {
    connection
        .prepare_cached(
            "SELECT code, peer, claimed_webhook_id, count, last_at FROM refusals ORDER BY last_at DESC LIMIT ?1",
        )?
        .query_map([rows::limit(limit)], |row| {
            Ok(RefusalCount {
                code: row.get(0)?,
                peer: row.get(1)?,
                claimed_webhook_id: row.get(2)?,
                count: rows::count(row.get(3)?),
                last_at: rows::time(row.get(4)?),
            })
        })?
        .collect()
}

pub(super) fn count_uses(connection: &Connection, uses: &[TokenUse]) -> rusqlite::Result<()> {
    for of in uses {
        connection
            .prepare_cached(
                "INSERT INTO token_uses (webhook, token, count, last_at) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (webhook, token)
                 DO UPDATE SET count = count + excluded.count, last_at = max(last_at, excluded.last_at)",
            )?
            .execute(params![
                of.webhook,
                of.token,
                i64::try_from(of.count).unwrap_or(i64::MAX),
                of.last_at.as_millisecond()
            ])?;
    }
    Ok(())
}

pub(super) fn token_uses(connection: &Connection) -> rusqlite::Result<Vec<TokenUse>> {
    connection
        .prepare_cached("SELECT webhook, token, count, last_at FROM token_uses ORDER BY webhook, last_at DESC")?
        .query_map([], |row| {
            Ok(TokenUse {
                webhook: row.get(0)?,
                token: row.get(1)?,
                count: rows::count(row.get(2)?),
                last_at: rows::time(row.get(3)?),
            })
        })?
        .collect()
}
