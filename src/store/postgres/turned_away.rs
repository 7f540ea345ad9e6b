//! What is kept of requests that did not become events; both kinds are bounded.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::failure::Failure;
use super::lists::direction;
use super::pool::Transaction;
use super::statement::{Array, Row};
use super::{Database, rows};
use crate::contract::{KeptHeaders, Rejected};
use crate::model::{EventId, RejectedId};
use crate::store::{Page, RefusalCount, RejectedQuery, RejectedRow, Start, TokenUse};

/// The most rejected requests that are kept.
const REJECTED_MAX: i64 = 10_000;
/// The most bytes of their bodies.
const REJECTED_BYTES_MAX: i64 = 64 << 20;
/// The most counts of those who were not let in.
const REFUSALS_MAX: i64 = 10_000;

pub(super) async fn reject(db: &Database, rejected: &Rejected) -> Result<RejectedId, Failure> {
    let transaction = db.pool.begin().await?;
    // First of all, so that one after the other is kept, and none is removed twice.
    let bytes = lock_bytes(&transaction).await?;
    let sql = "INSERT INTO rejected (received_at, webhook, brand, claimed_webhook_id, peer, reason, headers, body)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id";
    let row = transaction
        .query_one(
            sql,
            &[
                &rejected.received_at().as_millisecond(),
                &rejected.webhook().as_str(),
                &rejected.brand().slug(),
                &rejected.claimed_webhook_id(),
                &rejected.peer().map(|peer| peer.to_string()),
                &rejected.reason(),
                &rejected.headers().as_bytes(),
                rejected.body(),
            ],
        )
        .await?;
    let id = row.get(0)?;
    let size = i64::try_from(rejected.body().len() + rejected.headers().as_bytes().len()).unwrap_or(i64::MAX);
    make_room(&transaction, id, bytes.saturating_add(size)).await?;
    transaction.commit().await?;
    Ok(RejectedId(id))
}

/// The bytes of all rejected requests; nobody else changes them until the end of the transaction.
pub(super) async fn lock_bytes(transaction: &Transaction) -> Result<i64, Failure> {
    let sql = "SELECT value FROM marks WHERE name = 'rejected_bytes' FOR UPDATE";
    transaction.query_one(sql, &[]).await?.get(0)
}

pub(super) async fn set_bytes(transaction: &Transaction, bytes: i64) -> Result<(), Failure> {
    let sql = "UPDATE marks SET value = $1 WHERE name = 'rejected_bytes'";
    transaction.execute(sql, &[&bytes]).await.map(drop)
}

/// Removes the oldest, by number and by bytes; the newest always stays.
async fn make_room(transaction: &Transaction, newest: i64, bytes: i64) -> Result<(), Failure> {
    let mut left = bytes;
    if bytes > REJECTED_BYTES_MAX {
        // The oldest before which there is room enough, with all that is older.
        let sql = "WITH sizes AS (
                       SELECT id, sum(length(body) + length(headers)) OVER (ORDER BY id)::bigint AS through
                       FROM rejected WHERE id < $1
                   ), last AS (SELECT id FROM sizes WHERE $2 - through <= $3 ORDER BY id LIMIT 1)
                   DELETE FROM rejected WHERE id < $1 AND id <= coalesce((SELECT id FROM last), $1)
                   RETURNING (length(body) + length(headers))::bigint";
        left -= sum(&transaction.query(sql, &[&newest, &bytes, &REJECTED_BYTES_MAX]).await?)?;
    }
    let sql = "DELETE FROM rejected WHERE id <= $1 RETURNING (length(body) + length(headers))::bigint";
    left -= sum(&transaction.query(sql, &[&(newest - REJECTED_MAX)]).await?)?;
    set_bytes(transaction, left).await
}

/// Adds up what is in the first column.
pub(super) fn sum(rows: &[Row]) -> Result<i64, Failure> {
    rows.iter().map(|row| row.get::<i64>(0)).sum()
}

pub(super) async fn count_refusals(db: &Database, counts: &[RefusalCount]) -> Result<(), Failure> {
    // One row of each, and in one order, so that nobody waits in a ring.
    let mut added: BTreeMap<[&str; 3], (u64, Timestamp)> = BTreeMap::new();
    for of in counts {
        let sum = added.entry([&of.code, &of.peer, &of.claimed_webhook_id]).or_insert((0, of.last_at));
        *sum = (sum.0.saturating_add(of.count), sum.1.max(of.last_at));
    }
    let part = |index: usize| added.keys().map(move |key| key[index]).collect::<Array<_>>();
    let sql = "INSERT INTO refusals AS r (code, peer, claimed_webhook_id, count, last_at)
               SELECT * FROM unnest($1, $2, $3, $4, $5)
               ON CONFLICT (code, peer, claimed_webhook_id)
               DO UPDATE SET count = r.count + EXCLUDED.count, last_at = greatest(r.last_at, EXCLUDED.last_at)";
    let transaction = db.pool.begin().await?;
    transaction
        .execute(
            sql,
            &[
                &part(0),
                &part(1),
                &part(2),
                &added.values().map(|(count, _)| as_count(*count)).collect::<Array<_>>(),
                &added.values().map(|(_, last_at)| last_at.as_millisecond()).collect::<Array<_>>(),
            ],
        )
        .await?;
    let sql = "DELETE FROM refusals WHERE (code, peer, claimed_webhook_id) IN (
                   SELECT code, peer, claimed_webhook_id FROM refusals ORDER BY last_at DESC OFFSET $1 FOR UPDATE)";
    transaction.execute(sql, &[&REFUSALS_MAX]).await?;
    transaction.commit().await
}

fn as_count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The columns that [`row`] reads, but for the body.
const REJECTED: &str =
    "id, received_at, webhook, brand, peer, reason, headers, length(body)::bigint, became, became_at";

pub(super) async fn rejected(db: &Database, query: &RejectedQuery) -> Result<Page<RejectedRow>, Failure> {
    let (first, last) = match query.start {
        Start::Newest => (0, i64::MAX),
        Start::Before(id) => (0, id.0.saturating_sub(1)),
        Start::After(id) => (id.0.saturating_add(1), i64::MAX),
    };
    let webhook = if query.webhook.is_some() { "webhook = $4 AND" } else { "$4 IS NULL AND" };
    let direction = direction(matches!(query.start, Start::After(_)));
    let sql = format!(
        "SELECT {REJECTED}, ''::bytea FROM rejected WHERE {webhook} id BETWEEN $1 AND $2
         ORDER BY id {direction} LIMIT $3"
    );
    let connection = db.pool.connection().await?;
    let found = connection.query(&sql, &[&first, &last, &rows::limit(query.limit + 1), &query.webhook]).await?;
    let mut items: Vec<RejectedRow> = found.iter().map(row).collect::<Result<_, Failure>>()?;
    let more = items.len() > query.limit;
    items.truncate(query.limit);
    Ok(Page { next: items.last().filter(|_| more).map(|row| row.id.0), items })
}

pub(super) async fn rejected_request(db: &Database, id: RejectedId) -> Result<Option<RejectedRow>, Failure> {
    let sql = format!("SELECT {REJECTED}, body FROM rejected WHERE id = $1");
    db.pool.connection().await?.query_opt(&sql, &[&id.0]).await?.as_ref().map(row).transpose()
}

fn row(row: &Row) -> Result<RejectedRow, Failure> {
    let (became, became_at): (Option<EventId>, Option<i64>) = (row.get(8)?, row.get(9)?);
    Ok(RejectedRow {
        id: RejectedId(row.get(0)?),
        received_at: rows::time(row.get(1)?),
        webhook: row.get(2)?,
        brand: row.get(3)?,
        peer: rows::peer(row, 4)?,
        reason: row.get(5)?,
        headers: KeptHeaders::from_bytes(row.get(6)?),
        body_bytes: rows::count(row.get(7)?),
        body: row.get(10)?,
        became: became.zip(became_at.map(rows::time)),
    })
}

pub(super) async fn became(db: &Database, id: RejectedId, event: EventId, now: Timestamp) -> Result<(), Failure> {
    let sql = "UPDATE rejected SET became = $2, became_at = $3 WHERE id = $1";
    db.pool.connection().await?.execute(sql, &[&id.0, &event, &now.as_millisecond()]).await.map(drop)
}

pub(super) async fn refusals(db: &Database, limit: usize) -> Result<Vec<RefusalCount>, Failure> {
    let sql = "SELECT code, peer, claimed_webhook_id, count, last_at FROM refusals ORDER BY last_at DESC LIMIT $1";
    let found = db.pool.connection().await?.query(sql, &[&rows::limit(limit)]).await?;
    let refusal = |row: &Row| {
        Ok(RefusalCount {
            code: row.get(0)?,
            peer: row.get(1)?,
            claimed_webhook_id: row.get(2)?,
            count: rows::count(row.get(3)?),
            last_at: rows::time(row.get(4)?),
        })
    };
    found.iter().map(refusal).collect()
}

pub(super) async fn count_uses(db: &Database, uses: &[TokenUse]) -> Result<(), Failure> {
    let mut added: BTreeMap<(&str, &str), (u64, Timestamp)> = BTreeMap::new();
    for of in uses {
        let sum = added.entry((&of.webhook, &of.token)).or_insert((0, of.last_at));
        *sum = (sum.0.saturating_add(of.count), sum.1.max(of.last_at));
    }
    let sql = "INSERT INTO token_uses AS u (webhook, token, count, last_at) SELECT * FROM unnest($1, $2, $3, $4)
               ON CONFLICT (webhook, token)
               DO UPDATE SET count = u.count + EXCLUDED.count, last_at = greatest(u.last_at, EXCLUDED.last_at)";
    let connection = db.pool.connection().await?;
    connection
        .execute(
            sql,
            &[
                &added.keys().map(|(webhook, _)| *webhook).collect::<Array<_>>(),
                &added.keys().map(|(_, token)| *token).collect::<Array<_>>(),
                &added.values().map(|(count, _)| as_count(*count)).collect::<Array<_>>(),
                &added.values().map(|(_, last_at)| last_at.as_millisecond()).collect::<Array<_>>(),
            ],
        )
        .await
        .map(drop)
}

pub(super) async fn token_uses(db: &Database) -> Result<Vec<TokenUse>, Failure> {
    let sql = "SELECT webhook, token, count, last_at FROM token_uses ORDER BY webhook, last_at DESC";
    let found = db.pool.connection().await?.query(sql, &[]).await?;
    let used = |row: &Row| {
        Ok(TokenUse {
            webhook: row.get(0)?,
            token: row.get(1)?,
            count: rows::count(row.get(2)?),
            last_at: rows::time(row.get(3)?),
        })
    };
    found.iter().map(used).collect()
}
