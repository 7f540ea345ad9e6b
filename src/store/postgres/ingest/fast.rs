//! Most requests: one statement for many, which is a transaction of its own and one way to the server and back.
//!
//! What always holds: a key that somebody else is about to commit is waited for, so who is told that it is no new event
//! is told after that commit (ruling 7). Keys come in one order, so processes never wait in a ring: those that tell
//! events apart before those of bodies, each sorted; and events are counted after both. Where somebody else holds one of
//! these for too long, nothing is stored.

use std::collections::HashSet;

use super::Storing;
use super::columns::Columns;
use crate::contract::Lifetime;
use crate::model::{EventId, Position};
use crate::store::Appended;
use crate::store::postgres::failure::Failure;
use crate::store::postgres::statement::{Array, Param};
use crate::store::waiting::Request;

const STORE: &str = "
WITH numbered AS MATERIALIZED (
    SELECT i.*, nextval('events_position_seq') AS position FROM (
        SELECT u.* FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
            WITH ORDINALITY AS u (id, webhook, brand, claimed_webhook_id, name, original_name, occurrence_id, entity,
                received_at, retry_num, sent_at, peer, notes, headers, body,
                identity, daily, identity_expires, body_key, body_expires, place),
            set_config('lock_timeout', $22, true)
        ORDER BY place) i
), known AS (
    INSERT INTO keys (hash, daily, position, expires_at)
    SELECT identity, daily, position, identity_expires FROM numbered WHERE identity IS NOT NULL ORDER BY identity
    ON CONFLICT (hash) DO NOTHING RETURNING hash
), fresh AS MATERIALIZED (
    SELECT n.* FROM numbered n LEFT JOIN known k ON k.hash = n.identity WHERE n.identity IS NULL OR k.hash IS NOT NULL
), stored AS (
    INSERT INTO events (position, id, webhook, brand, claimed_webhook_id, name, original_name, occurrence_id, entity,
        received_at, retry_num, sent_at, peer, notes, headers, body)
    SELECT position, id, webhook, brand, claimed_webhook_id, name, original_name, occurrence_id, entity,
        received_at, retry_num, sent_at, peer, notes, headers, body FROM fresh ORDER BY position
), to_plan AS (
    INSERT INTO unplanned (position) SELECT position FROM fresh ORDER BY position
), to_catalogue AS (
    INSERT INTO uncatalogued (position) SELECT position FROM fresh ORDER BY position
), bodies AS (
    INSERT INTO keys (hash, daily, position, expires_at)
    SELECT DISTINCT ON (body_key) body_key, true, position, body_expires FROM fresh ORDER BY body_key, position DESC
    ON CONFLICT (hash) DO UPDATE SET position = EXCLUDED.position, expires_at = EXCLUDED.expires_at
    RETURNING hash
), counted AS (
    INSERT INTO totals AS t (name, shard, count) SELECT 'events', $21, count(*) FROM fresh
    HAVING count(*) > 0 AND (SELECT count(*) FROM bodies) > 0
    ON CONFLICT (name, shard) DO UPDATE SET count = t.count + EXCLUDED.count
)
SELECT place, position FROM fresh";

/// Those that need no look first, and the rest.
pub(super) fn split(requests: Vec<Request>) -> (Vec<Request>, Vec<Request>) {
    let mut seen = HashSet::new();
    let is_simple = |request: &Request| {
        let keys = request.accepted.keys();
        !keys.match_body && keys.identity.is_none_or(|(key, _)| seen.insert(*key.as_bytes()))
    };
    requests.into_iter().partition(is_simple)
}

/// Stores them; `None` for each that is known, or may be.
pub(super) async fn store(storing: &Storing<'_>, requests: &[Request]) -> Result<Vec<Option<Appended>>, Failure> {
    let accepted: Vec<_> = requests.iter().map(|request| &request.accepted).collect();
    let columns = Columns::of(&accepted);
    let identities = || accepted.iter().map(|accepted| accepted.keys().identity);
    let expires = accepted.iter().map(|accepted| {
        let (_, lifetime) = accepted.keys().identity?;
        Some(storing.expires_at(accepted.received_at(), lifetime))
    });
    let expires: Array<Option<i64>> = expires.collect();
    let body_expires: Array<i64> =
        accepted.iter().map(|accepted| storing.expires_at(accepted.received_at(), Lifetime::Day)).collect();
    let mut params = columns.params();
    let identity: Array<Option<[u8; 16]>> = identities().map(|key| key.map(|(key, _)| *key.as_bytes())).collect();
    let daily: Array<Option<bool>> = identities().map(|key| key.map(|(_, life)| life == Lifetime::Day)).collect();
    let bodies: Array<[u8; 16]> = accepted.iter().map(|accepted| *accepted.keys().body.as_bytes()).collect();
    let patience = format!("{}ms", storing.patience.as_millis());
    let more: [&dyn Param; 7] = [&identity, &daily, &expires, &bodies, &body_expires, &storing.shard, &patience];
    params.extend(more);
    let rows = storing.pool.connection().await?.query(STORE, &params).await?;
    let ids: &[EventId] = &columns.ids.0;
    let mut stored: Vec<Option<Appended>> = vec![None; requests.len()];
    for row in rows {
        let place = usize::try_from(row.get::<i64>(0)? - 1).unwrap_or(usize::MAX);
        if let (Some(slot), Some(id)) = (stored.get_mut(place), ids.get(place)) {
            *slot = Some(Appended::Stored { id: *id, position: Position(row.get(1)?) });
        }
    }
    Ok(stored)
}
