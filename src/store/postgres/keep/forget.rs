//! Forgetting somebody or something: found first, then removed in one transaction.

use std::collections::BTreeSet;

use super::super::failure::Failure;
use super::super::pool::Transaction;
use super::super::statement::Array;
use super::super::{Database, rows, turned_away};
use super::remove;
use crate::model::{Entity, EventFilter, Mention, Position};
use crate::store::{ForgetAbout, ForgetStep, Forgotten};

/// How many bytes of bodies are searched in one step, and read at one time, beside the last one.
const BYTES_MAX: i64 = 8 << 20;
/// How many bodies are read at one time.
const AT_A_TIME: i64 = 500;

pub(in super::super) async fn forget(db: &Database, step: &ForgetStep) -> Result<Forgotten, Failure> {
    let transaction = db.pool.begin_reading().await?;
    let found = find(&transaction, step).await?;
    transaction.commit().await?;
    if step.dry_run || found.is_empty() {
        return Ok(found.counts());
    }
    let forgotten = remove_found(db, &found).await?;
    if !found.replays.is_empty() {
        tracing::info!(
            replays = found.replays.len(),
            "replays that asked for what is forgotten ended, and went with it"
        );
    }
    Ok(forgotten)
}

/// What a step is to remove.
#[derive(Debug, Default)]
struct Found {
    positions: BTreeSet<i64>,
    rejected: Vec<i64>,
    replays: Vec<i64>,
    /// Bodies of duplicates of events that stay: the event's position and the duplicate's number.
    bodies: Vec<(i64, i64)>,
    through: Option<Position>,
}

impl Found {
    fn is_empty(&self) -> bool {
        let nothing = self.positions.is_empty() && self.rejected.is_empty();
        nothing && self.bodies.is_empty() && self.replays.is_empty()
    }

    /// What it comes to.
    fn counts(&self) -> Forgotten {
        let (events, rejected) = (self.positions.len() as u64, self.rejected.len() as u64);
        Forgotten { events, rejected, bodies: self.bodies.len() as u64, through: self.through, left: None }
    }
}

enum Wanted<'a> {
    Entity(&'a str),
    Person(Mention),
}

/// Finds what a step is to remove. Events never change, so that it is right for as long as they are there.
async fn find(transaction: &Transaction, step: &ForgetStep) -> Result<Found, Failure> {
    let wanted = match &step.about {
        ForgetAbout::Entity(entity) => Wanted::Entity(entity.trim()),
        ForgetAbout::Person(person) => Wanted::Person(Mention::of(person)),
    };
    let mut found = Found::default();
    let looked_at = events(transaction, step, &wanted, &mut found).await?;
    duplicates(transaction, &looked_at, &wanted, &mut found).await?;
    if step.after.0 == 0 {
        found.rejected = rejected(transaction, &wanted).await?;
    }
    // Again in the last step: one may have been asked for meanwhile.
    if step.after.0 == 0 || found.through.is_none() {
        found.replays = replays(transaction, &wanted).await?;
    }
    Ok(found)
}

/// Finds events; those that were looked at.
async fn events(
    transaction: &Transaction,
    step: &ForgetStep,
    wanted: &Wanted<'_>,
    found: &mut Found,
) -> Result<Array<i64>, Failure> {
    let (mut positions, mut bytes) = (Array(Vec::new()), 0);
    let (after, limit) = (step.after.0, rows::limit(step.limit));
    let looked_at = match wanted {
        Wanted::Entity(_) => {
            let sql = "SELECT position, entity FROM events WHERE position > $1 ORDER BY position LIMIT $2";
            transaction.query(sql, &[&after, &limit]).await?
        }
        Wanted::Person(_) => {
            let sql = "SELECT e.position, e.body FROM (
                           SELECT position, sum(length(body)) OVER (ORDER BY position) - length(body) AS before
                           FROM events WHERE position > $1 ORDER BY position LIMIT $2
                       ) AS sizes JOIN events e ON e.position = sizes.position
                       WHERE sizes.before < $3 ORDER BY e.position";
            transaction.query(sql, &[&after, &limit, &BYTES_MAX]).await?
        }
    };
    for row in &looked_at {
        let position = row.get(0)?;
        positions.0.push(position);
        let is_about = match wanted {
            Wanted::Entity(asked) => {
                row.get::<Option<String>>(1)?.is_some_and(|entity| Entity::from_stored(entity).is_meant_by(asked))
            }
            Wanted::Person(mention) => {
                let body: Vec<u8> = row.get(1)?;
                bytes += rows::limit(body.len());
                mention.is_in(&body)
            }
        };
        if is_about {
            found.positions.insert(position);
        }
    }
    let more = looked_at.len() == step.limit || bytes >= BYTES_MAX;
    found.through = positions.0.last().filter(|_| more).map(|last| Position(*last));
    Ok(positions)
}

/// Finds duplicates with a body of their own of some events.
async fn duplicates(
    transaction: &Transaction,
    of: &Array<i64>,
    wanted: &Wanted<'_>,
    found: &mut Found,
) -> Result<(), Failure> {
    let sql = "SELECT r.position, r.number, e.brand, e.webhook, r.other_body FROM (
                   SELECT position, number,
                       sum(length(other_body)) OVER (ORDER BY position, number) - length(other_body) AS before
                   FROM receipts WHERE position = ANY ($3) AND (position, number) > ($1, $2) AND other_body IS NOT NULL
                   ORDER BY position, number LIMIT $4
               ) AS sizes JOIN receipts r ON r.position = sizes.position AND r.number = sizes.number
               JOIN events e ON e.position = sizes.position
               WHERE sizes.before < $5 ORDER BY r.position, r.number";
    let mut behind = (0, 0);
    loop {
        let looked_at = transaction.query(sql, &[&behind.0, &behind.1, of, &AT_A_TIME, &BYTES_MAX]).await?;
        for row in &looked_at {
            behind = (row.get(0)?, row.get(1)?);
            let (position, body): (i64, Vec<u8>) = (behind.0, row.get(4)?);
            match wanted {
                Wanted::Person(mention) if mention.is_in(&body) => {
                    found.positions.insert(position);
                }
                Wanted::Entity(asked)
                    if !found.positions.contains(&position)
                        && is_about(asked, &body, &row.get::<String>(2)?, &row.get::<String>(3)?) =>
                {
                    found.bodies.push(behind);
                }
                _ => {}
            }
        }
        if looked_at.is_empty() {
            return Ok(());
        }
    }
}

/// Whether a body of which the name of its event is not known could be about an entity.
fn is_about(asked: &str, body: &[u8], brand: &str, webhook: &str) -> bool {
    Entity::all_in(body, brand, webhook).iter().any(|entity| entity.is_meant_by(asked))
}

async fn rejected(transaction: &Transaction, wanted: &Wanted<'_>) -> Result<Vec<i64>, Failure> {
    let sql = "SELECT r.id, r.brand, r.webhook, r.body FROM (
                   SELECT id, sum(length(body)) OVER (ORDER BY id) - length(body) AS before
                   FROM rejected WHERE id > $1 ORDER BY id LIMIT $2
               ) AS sizes JOIN rejected r ON r.id = sizes.id WHERE sizes.before < $3 ORDER BY r.id";
    let (mut found, mut behind) = (Vec::new(), 0);
    loop {
        let looked_at = transaction.query(sql, &[&behind, &AT_A_TIME, &BYTES_MAX]).await?;
        for row in &looked_at {
            behind = row.get(0)?;
            let body: Vec<u8> = row.get(3)?;
            let is_about = match wanted {
                Wanted::Person(mention) => mention.is_in(&body),
                Wanted::Entity(asked) => is_about(asked, &body, &row.get::<String>(1)?, &row.get::<String>(2)?),
            };
            if is_about {
                found.push(behind);
            }
        }
        if looked_at.is_empty() {
            return Ok(found);
        }
    }
}

/// The replays whose filter names them, whatever state they are in.
async fn replays(transaction: &Transaction, wanted: &Wanted<'_>) -> Result<Vec<i64>, Failure> {
    let mut found = Vec::new();
    for row in transaction.query("SELECT id, filter FROM replays WHERE filter IS NOT NULL", &[]).await? {
        let filter: EventFilter = rows::from_json(&row.get::<String>(1)?)?;
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

async fn remove_found(db: &Database, found: &Found) -> Result<Forgotten, Failure> {
    let transaction = db.pool.begin().await?;
    let positions: Vec<i64> = found.positions.iter().copied().collect();
    let removed = remove::events(db, &transaction, &positions, None).await?;
    let sql = "UPDATE receipts SET other_body = ''::bytea FROM unnest($1, $2) AS body (position, number)
               WHERE receipts.position = body.position AND receipts.number = body.number AND other_body IS NOT NULL";
    let (of, numbers): (Vec<i64>, Vec<i64>) = found.bodies.iter().copied().unzip();
    let bodies = transaction.execute(sql, &[&Array(of), &Array(numbers)]).await?;
    let rejected = remove_rejected(&transaction, &found.rejected).await?;
    transaction.execute("DELETE FROM replays WHERE id = ANY ($1)", &[&Array(found.replays.clone())]).await?;
    removed.tallies.write(&transaction, db.shard).await?;
    transaction.commit().await?;
    Ok(Forgotten { events: removed.events, rejected, bodies, through: found.through, left: None })
}

async fn remove_rejected(transaction: &Transaction, ids: &[i64]) -> Result<u64, Failure> {
    if ids.is_empty() {
        return Ok(0);
    }
    let bytes = turned_away::lock_bytes(transaction).await?;
    let sql = "DELETE FROM rejected WHERE id = ANY ($1) RETURNING (length(body) + length(headers))::bigint";
    let removed = transaction.query(sql, &[&Array(ids.to_vec())]).await?;
    let count = removed.len() as u64;
    turned_away::set_bytes(transaction, bytes - turned_away::sum(&removed)?).await?;
    Ok(count)
}
