//! Requests that may be known: each is judged in the order in which they came, with all their keys locked.
//!
//! What always holds: every key is locked before anything is read, so nobody else can come in between (ruling 7);
//! whatever the number of requests, the number of statements is the same; and events are counted last, when all is
//! locked, so whoever holds a counter waits for nobody.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Storing;
use super::columns::{COLUMNS, Columns};
use super::receipts::{self, Duplicate};
use crate::contract::{Accepted, Key, Lifetime};
use crate::model::{EventId, Position};
use crate::store::Appended;
use crate::store::postgres::failure::Failure;
use crate::store::postgres::pool::Transaction;
use crate::store::postgres::rows;
use crate::store::postgres::statement::Array;
use crate::store::waiting::Request;

type Hash = [u8; 16];

/// The event that a key stands for, or that a request is.
#[derive(Debug, Clone, Copy)]
enum Target {
    /// One that was there before.
    Old(Position),
    /// One of these requests, by its place among those that are new.
    New(usize),
}

/// What a request turned out to be.
#[derive(Debug, Clone, Copy)]
struct Judged {
    target: Target,
    is_new: bool,
    matched_by_body: bool,
}

/// What a key stands for.
#[derive(Debug, Clone, Copy)]
struct Known {
    target: Target,
    expires_at: i64,
    daily: bool,
    changed: bool,
}

/// Stores them, or recognises them.
pub(super) async fn store(storing: &Storing<'_>, requests: &[Request]) -> Result<Vec<Appended>, Failure> {
    let accepted: Vec<&Accepted> = requests.iter().map(|request| &request.accepted).collect();
    let transaction = storing.pool.begin_with_patience(storing.patience).await?;
    let mut keys = Keys { known: lock(&transaction, &accepted).await?, storing };
    let mut new: Vec<&Accepted> = Vec::new();
    let judged: Vec<Judged> = accepted.iter().map(|accepted| keys.judge(accepted, &mut new)).collect();
    let stored = insert(&transaction, &new).await?;
    let position = |target: Target| match target {
        Target::Old(position) => position,
        Target::New(place) => stored.get(place).map_or(Position(0), |(_, position)| *position),
    };
    let duplicates: Vec<Duplicate<'_>> = judged
        .iter()
        .zip(&accepted)
        .filter(|(judged, _)| !judged.is_new)
        .map(|(judged, accepted)| Duplicate {
            position: position(judged.target),
            accepted,
            matched_by_body: judged.matched_by_body,
        })
        .collect();
    let mut told = receipts::keep(&transaction, &duplicates).await?.into_iter();
    keys.keep(&transaction, position, rows::limit(stored.len())).await?;
    transaction.commit().await?;
    let appended = judged.iter().map(|judged| match judged.target {
        Target::New(place) if judged.is_new => {
            stored.get(place).map(|(id, position)| Appended::Stored { id: *id, position: *position })
        }
        _ => told.next(),
    });
    appended.collect::<Option<_>>().ok_or_else(|| Failure::Row("fewer answers than requests".to_owned()))
}

/// Locks every key of these requests, whether it is there or not; what those stand for that are.
async fn lock(transaction: &Transaction, accepted: &[&Accepted]) -> Result<HashMap<Hash, Known>, Failure> {
    let identities = accepted.iter().filter_map(|accepted| accepted.keys().identity);
    let identities: BTreeMap<Hash, bool> =
        identities.map(|(key, lifetime)| (*key.as_bytes(), lifetime == Lifetime::Day)).collect();
    let bodies: BTreeSet<Hash> = accepted.iter().map(|accepted| *accepted.keys().body.as_bytes()).collect();
    // In the order of everybody: first those that tell events apart, then those of bodies.
    let all = || identities.iter().map(|(hash, daily)| (*hash, *daily)).chain(bodies.iter().map(|hash| (*hash, true)));
    let hashes: Array<Hash> = all().map(|(hash, _)| hash).collect();
    let daily: Array<bool> = all().map(|(_, daily)| daily).collect();
    // A key that is not there is made for it, over from the start.
    let sql = "INSERT INTO keys AS k (hash, daily, position, expires_at)
               SELECT n.hash, n.daily, 0, 0 FROM unnest($1, $2) WITH ORDINALITY AS n (hash, daily, place) ORDER BY n.place
               ON CONFLICT (hash) DO UPDATE SET position = k.position
               RETURNING hash, position, expires_at, daily";
    let mut known = HashMap::new();
    for row in transaction.query(sql, &[&hashes, &daily]).await? {
        let hash: Vec<u8> = row.get(0)?;
        let hash = Hash::try_from(hash).map_err(|_| Failure::Row("a key of another length".to_owned()))?;
        let target = Target::Old(Position(row.get(1)?));
        known.insert(hash, Known { target, expires_at: row.get(2)?, daily: row.get(3)?, changed: false });
    }
    Ok(known)
}

/// The keys of these requests while they are judged.
struct Keys<'a> {
    known: HashMap<Hash, Known>,
    storing: &'a Storing<'a>,
}

impl Keys<'_> {
    /// What a request is (rulings 3 to 5).
    fn judge<'a>(&mut self, accepted: &'a Accepted, new: &mut Vec<&'a Accepted>) -> Judged {
        let (keys, now) = (accepted.keys(), accepted.received_at().as_millisecond());
        if let Some((key, _)) = keys.identity
            && let Some(target) = self.find(&key, now)
        {
            return Judged { target, is_new: false, matched_by_body: false };
        }
        if keys.match_body
            && let Some(target) = self.find(&keys.body, now)
        {
            self.remember_identity(accepted, target);
            return Judged { target, is_new: false, matched_by_body: true };
        }
        let target = Target::New(new.len());
        new.push(accepted);
        self.remember_identity(accepted, target);
        self.remember(accepted, &keys.body, Lifetime::Day, target);
        Judged { target, is_new: true, matched_by_body: false }
    }

    fn find(&self, key: &Key, now: i64) -> Option<Target> {
        self.known.get(key.as_bytes()).filter(|known| known.expires_at > now).map(|known| known.target)
    }

    fn remember_identity(&mut self, accepted: &Accepted, target: Target) {
        if let Some((key, lifetime)) = accepted.keys().identity {
            self.remember(accepted, &key, lifetime, target);
        }
    }

    fn remember(&mut self, accepted: &Accepted, key: &Key, lifetime: Lifetime, target: Target) {
        let expires_at = self.storing.expires_at(accepted.received_at(), lifetime);
        let known = Known { target, expires_at, daily: lifetime == Lifetime::Day, changed: true };
        self.known.insert(*key.as_bytes(), known);
    }

    /// Keeps what changed, takes back what was made only to be locked, and counts so many events.
    async fn keep(
        &self,
        transaction: &Transaction,
        position: impl Fn(Target) -> Position,
        events: i64,
    ) -> Result<(), Failure> {
        let changed = || self.known.iter().filter(|(_, known)| known.changed);
        let hashes: Array<Hash> = changed().map(|(hash, _)| *hash).collect();
        let positions: Array<i64> = changed().map(|(_, known)| position(known.target).0).collect();
        let expire: Array<i64> = changed().map(|(_, known)| known.expires_at).collect();
        let daily: Array<bool> = changed().map(|(_, known)| known.daily).collect();
        let sql = "WITH counted AS (
                       INSERT INTO totals AS t (name, shard, count) SELECT 'events', $5, $6 WHERE $6 > 0
                       ON CONFLICT (name, shard) DO UPDATE SET count = t.count + EXCLUDED.count
                   )
                   UPDATE keys k SET position = n.position, expires_at = n.expires_at, daily = n.daily
                   FROM unnest($1, $2, $3, $4) AS n (hash, position, expires_at, daily) WHERE k.hash = n.hash";
        transaction.execute(sql, &[&hashes, &positions, &expire, &daily, &self.storing.shard, &events]).await?;
        let empty = self.known.iter().filter(|(_, known)| !known.changed && known.expires_at == 0);
        let empty: Array<Hash> = empty.map(|(hash, _)| *hash).collect();
        if !empty.0.is_empty() {
            transaction.execute("DELETE FROM keys WHERE hash = ANY($1) AND expires_at = 0", &[&empty]).await?;
        }
        Ok(())
    }
}

/// Inserts new events in their order; the id and the position of each.
async fn insert(transaction: &Transaction, new: &[&Accepted]) -> Result<Vec<(EventId, Position)>, Failure> {
    if new.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "WITH stored AS (
            INSERT INTO events ({COLUMNS})
            SELECT {COLUMNS} FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
                WITH ORDINALITY AS n ({COLUMNS}, place) ORDER BY place
            RETURNING id, position
        ), to_plan AS (INSERT INTO unplanned (position) SELECT position FROM stored
        ), to_catalogue AS (INSERT INTO uncatalogued (position) SELECT position FROM stored
        )
        SELECT id, position FROM stored"
    );
    let columns = Columns::of(new);
    let mut positions: HashMap<EventId, Position> = HashMap::new();
    for row in transaction.query(&sql, &columns.params()).await? {
        positions.insert(row.get(0)?, Position(row.get(1)?));
    }
    let stored = columns.ids.0.iter().map(|id| Some((*id, *positions.get(id)?)));
    stored.collect::<Option<_>>().ok_or_else(|| Failure::Row("an event was not stored".to_owned()))
}
