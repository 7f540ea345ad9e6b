//! What is kept of requests that did not become events; both kinds are bounded.

use rusqlite::{Connection, params};

use super::deliveries;
use crate::contract::Rejected;
use crate::model::RejectedId;
use crate::store::RefusalCount;

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
