//! Claiming, giving back, and how long what is claimed may wait.
//!
//! While a delivery is claimed `ready_at` is the end of the lease, so a lease that ran out is claimed again by itself.
//! No transaction is open between a claim and its result: what a result has to match is the claim's epoch.

use tokio::time::Instant;
use uuid::Uuid;

use super::failure::Failure;
use super::statement::{Array, Param, Row};
use super::{Database, rows};
use crate::clock::later;
use crate::model::{Claimed, DeliveryId};
use crate::store::config::LOST;
use crate::store::{ClaimRequest, Claims, LongestWaits};

const CLAIM: &str = "
WITH due AS MATERIALIZED (
    SELECT id, claimed, ready_at FROM deliveries
    WHERE handler = $1 AND ready_at IS NOT NULL AND ready_at <= $2
        AND NOT EXISTS (SELECT 1 FROM handlers WHERE name = $1 AND paused_at IS NOT NULL)
    ORDER BY ready_at, id LIMIT $3 FOR UPDATE SKIP LOCKED
), held AS (
    UPDATE deliveries d SET claimed = true, claimed_by = $4, epoch = d.epoch + 1, attempts = d.attempts + 1, ready_at = $5
    FROM due WHERE d.id = due.id
    RETURNING d.id, d.position, d.number, d.epoch, d.attempts, d.before_retry, due.claimed AS was_claimed,
        due.ready_at AS was_due
), lost AS (
    INSERT INTO attempts (delivery, number, epoch, ended, started_at, took_ms, message, response)
    SELECT id, attempts - 1, epoch - 1, 'lost', $2, 0, $6, ''::bytea FROM held WHERE was_claimed
    ON CONFLICT (delivery, number) DO UPDATE SET epoch = EXCLUDED.epoch, ended = EXCLUDED.ended,
        started_at = EXCLUDED.started_at, took_ms = EXCLUDED.took_ms, status = NULL, message = EXCLUDED.message,
        response = EXCLUDED.response
)
SELECT n.next_at, h.id, h.number, h.epoch, h.attempts, h.before_retry, h.was_due, EVENT
FROM (
    SELECT (SELECT min(ready_at) FROM deliveries WHERE handler = $1 AND ready_at > $2
        AND NOT EXISTS (SELECT 1 FROM handlers WHERE name = $1 AND paused_at IS NOT NULL)) AS next_at
) n LEFT JOIN (held h JOIN events e ON e.position = h.position) ON true
ORDER BY h.was_due, h.id";

/// How many columns there are before those of the event.
const BEFORE_EVENT: usize = 7;

/// Takes what is due, whoever else takes at the same time; an attempt that was under way before is lost (ruling 17).
pub(super) async fn claim(db: &Database, request: &ClaimRequest) -> Result<Claims, Failure> {
    let claiming = Claiming::new(db, request);
    let rows = db.pool.connection().await?.query(&claiming.sql, &claiming.params()).await?;
    claiming.read(&rows)
}

/// The statement by which a handler claims.
struct Claiming<'a> {
    request: &'a ClaimRequest,
    sql: String,
    now: i64,
    limit: i64,
    process: Uuid,
    lease_until: i64,
    /// Of a process that may have been taken for gone, in none: others may claim it at once.
    presence: u64,
}

impl Claiming<'_> {
    fn new<'a>(db: &Database, request: &'a ClaimRequest) -> Claiming<'a> {
        Claiming {
            request,
            sql: CLAIM.replace("EVENT", rows::EVENT),
            now: request.now.as_millisecond(),
            limit: rows::limit(request.limit),
            process: db.process,
            lease_until: later(request.now, request.lease).as_millisecond(),
            presence: db.presence.now(Instant::now()).unwrap_or_default(),
        }
    }

    fn params(&self) -> [&dyn Param; 6] {
        [&self.request.handler, &self.now, &self.limit, &self.process, &self.lease_until, &LOST]
    }

    fn read(&self, found: &[Row]) -> Result<Claims, Failure> {
        let (mut claims, mut next_at) = (Claims::default(), None);
        let lease_until = rows::time(self.lease_until);
        for row in found {
            next_at = row.get::<Option<i64>>(0)?.map(rows::time);
            let Some(id) = row.get::<Option<i64>>(1)?.map(DeliveryId) else { continue };
            let (attempt, before_retry): (u32, u32) = (row.get(4)?, row.get(5)?);
            claims.claimed.push(Claimed {
                id,
                epoch: row.get(3)?,
                attempt,
                allowed_attempt: attempt.saturating_sub(before_retry),
                handler: self.request.handler.clone(),
                number: row.get(2)?,
                lease_until,
                presence: self.presence,
                event: rows::event(row, BEFORE_EVENT)?.into(),
            });
        }
        if claims.claimed.len() < self.request.limit {
            // The statement saw what it claimed as it was before.
            let of_claimed = (!claims.claimed.is_empty() && self.lease_until > self.now).then_some(lease_until);
            claims.next_at = next_at.into_iter().chain(of_claimed).min();
        }
        Ok(claims)
    }
}

/// Brings nearer what is due later than anything should be, which is what a clock that was set back leaves behind.
pub(super) async fn shorten_waits(db: &Database, longest: &LongestWaits) -> Result<usize, Failure> {
    let (retry_at, lease_until) = (later(longest.now, longest.retry), later(longest.now, longest.lease));
    let sql = "UPDATE deliveries SET ready_at = CASE WHEN claimed THEN $4 WHEN epoch = 0 THEN $2 ELSE $3 END
               WHERE handler = $1 AND ready_at > $2
                   AND ready_at > CASE WHEN claimed THEN $4 WHEN epoch = 0 THEN $2 ELSE $3 END";
    let shortened = db
        .pool
        .connection()
        .await?
        .execute(
            sql,
            &[
                &longest.handler,
                &longest.now.as_millisecond(),
                &retry_at.as_millisecond(),
                &lease_until.as_millisecond(),
            ],
        )
        .await?;
    Ok(usize::try_from(shortened).unwrap_or(usize::MAX))
}

/// Gives claims back that were not attempted.
pub(super) async fn release(db: &Database, claims: &[(DeliveryId, i64)]) -> Result<(), Failure> {
    let sql =
        "UPDATE deliveries d SET claimed = false, claimed_by = NULL, ready_at = planned_at, attempts = attempts - 1
               FROM unnest($1, $2) AS r (id, epoch) WHERE d.id = r.id AND d.epoch = r.epoch AND d.claimed";
    let ids: Array<i64> = claims.iter().map(|(id, _)| id.0).collect();
    let epochs: Array<i64> = claims.iter().map(|(_, epoch)| *epoch).collect();
    db.pool.connection().await?.execute(sql, &[&ids, &epochs]).await.map(drop)
}
