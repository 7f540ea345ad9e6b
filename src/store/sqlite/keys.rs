//! What repetitions are known by: a key for each occurrence and one for each body, for as long as each is remembered.
//!
//! Keys are hashes. In a table in their order each would be on a page of its own, which a commit would have to write.
//! So the newest lie as they came, and in memory, sorted, to be looked up. When they are many they become a generation:
//! a table's worth that is written once, in order, with a filter in memory that tells most keys that are not in it.
//!
//! What always holds: memory has what the tables have, of this transaction and those before it: what a transaction that
//! is undone remembered is undone here too. So it is the commit that decides whether there was a key, as ruling 7 asks.

mod copied;
mod filter;
mod tidy;

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};

pub(super) use self::copied::write_generation;
use self::filter::{Filter, Hash};
use self::tidy::Work;
use crate::contract::{Key, Lifetime};
use crate::model::Position;

/// What a key stands for, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) position: Position,
    /// In milliseconds since the epoch.
    pub(super) expires_at: i64,
}

/// All keys.
#[derive(Debug)]
pub(super) struct Keys {
    daily: Newest,
    lasting: Newest,
    /// The oldest first.
    generations: Vec<Generation>,
    work: Option<Work>,
    /// What to undo, the last first.
    undo: Vec<Undo>,
}

/// The newest keys of those that stand equally long.
#[derive(Debug)]
struct Newest {
    is_daily: bool,
    keys: BTreeMap<Hash, Known>,
    /// The number of the next row.
    next: i64,
    /// When the last of them is over.
    expires_at: i64,
}

/// Keys that are written once and not again.
#[derive(Debug)]
struct Generation {
    number: i64,
    /// Of which keys; `None`: of both.
    is_daily: Option<bool>,
    expires_at: i64,
    /// The number that the last of them had among the newest.
    through: i64,
    /// `None`: it has to be looked at.
    filter: Option<Filter>,
}

/// What a key stood for before it was remembered, and the number that its row took.
#[derive(Debug)]
struct Undo {
    is_daily: bool,
    hash: Hash,
    before: Option<Known>,
    number: i64,
}

/// A place to go back to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark(usize);

impl Mark {
    /// The beginning of the transaction.
    pub(super) const START: Mark = Mark(0);
}

impl Keys {
    /// What the tables have.
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Keys> {
        let generations = generations(connection)?;
        // What began to be moved is moved from the start again.
        let last = generations.iter().map(|generation| generation.number).max().unwrap_or(0);
        connection.prepare("DELETE FROM old_keys WHERE generation > ?1")?.execute([last])?;
        let (daily, clear_daily) = Newest::load(connection, true, &generations)?;
        let (lasting, clear_lasting) = Newest::load(connection, false, &generations)?;
        Ok(Keys { daily, lasting, generations, work: clear_daily.or(clear_lasting), undo: Vec::new() })
    }

    /// The event that a key stands for at this time, in milliseconds since the epoch.
    pub(super) fn find(
        &self,
        connection: &Connection,
        key: &Key,
        lifetime: Lifetime,
        now: i64,
    ) -> rusqlite::Result<Option<Position>> {
        let (hash, is_daily) = (key.as_bytes(), is_daily(lifetime));
        let moving = || self.work.as_ref().and_then(|work| work.moving(is_daily)).and_then(|keys| keys.get(hash));
        let known = match self.newest(is_daily).keys.get(hash).or_else(moving) {
            Some(known) => Some(*known),
            None => self.find_old(connection, hash, is_daily)?,
        };
        Ok(known.filter(|known| known.expires_at > now).map(|known| known.position))
    }

    fn find_old(&self, connection: &Connection, hash: &Hash, is_daily: bool) -> rusqlite::Result<Option<Known>> {
        for generation in self.generations.iter().rev() {
            let may_have = generation.is_daily.is_none_or(|of| of == is_daily)
                && generation.filter.as_ref().is_none_or(|filter| filter.may_have(hash));
            if !may_have {
                continue;
            }
            let known = connection
                .prepare_cached("SELECT position, expires_at FROM old_keys WHERE generation = ?1 AND hash = ?2")?
                .query_row(params![generation.number, hash], known)
                .optional()?;
            if known.is_some() {
                return Ok(known);
            }
        }
        Ok(None)
    }

    /// Has a key stand for an event from now on.
    pub(super) fn remember(
        &mut self,
        connection: &Connection,
        key: &Key,
        lifetime: Lifetime,
        known: Known,
    ) -> rusqlite::Result<()> {
        let is_daily = is_daily(lifetime);
        let newest = if is_daily { &mut self.daily } else { &mut self.lasting };
        let (hash, number) = (*key.as_bytes(), newest.next);
        connection
            .prepare_cached(
                "INSERT INTO new_keys (daily, number, hash, position, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![is_daily, number, hash, known.position.0, known.expires_at])?;
        newest.next += 1;
        let before = newest.put(hash, known);
        self.undo.push(Undo { is_daily, hash, before, number });
        Ok(())
    }

    /// What is remembered from here on can be undone.
    pub(super) fn mark(&self) -> Mark {
        Mark(self.undo.len())
    }

    /// Undoes what was remembered since, as the transaction is.
    pub(super) fn undo(&mut self, mark: Mark) {
        for Undo { is_daily, hash, before, number } in self.undo.drain(mark.0..).rev() {
            let newest = if is_daily { &mut self.daily } else { &mut self.lasting };
            newest.next = number;
            match before {
                Some(known) => newest.keys.insert(hash, known),
                None => newest.keys.remove(&hash),
            };
        }
    }

    /// What was remembered is committed.
    pub(super) fn committed(&mut self) {
        self.undo.clear();
    }

    fn newest(&self, is_daily: bool) -> &Newest {
        if is_daily { &self.daily } else { &self.lasting }
    }
}

impl Newest {
    /// Those that are in no generation yet, and the work of removing the rows of those that are.
    fn load(
        connection: &Connection,
        is_daily: bool,
        generations: &[Generation],
    ) -> rusqlite::Result<(Newest, Option<Work>)> {
        let same = generations.iter().filter(|generation| generation.is_daily == Some(is_daily));
        let through = same.map(|generation| generation.through).max().unwrap_or(0);
        let mut newest = Newest { is_daily, keys: BTreeMap::new(), next: through + 1, expires_at: i64::MIN };
        let mut rows = connection.prepare(
            "SELECT position, expires_at, hash, number FROM new_keys WHERE daily = ?1 AND number > ?2 ORDER BY number",
        )?;
        let mut rows = rows.query(params![is_daily, through])?;
        while let Some(row) = rows.next()? {
            newest.put(row.get(2)?, known(row)?);
            newest.next = row.get::<_, i64>(3)? + 1;
        }
        let left: bool = connection
            .prepare("SELECT EXISTS (SELECT 1 FROM new_keys WHERE daily = ?1 AND number <= ?2)")?
            .query_row(params![is_daily, through], |row| row.get(0))?;
        Ok((newest, left.then_some(Work::Clearing { is_daily, through })))
    }

    /// What the key stood for before.
    fn put(&mut self, hash: Hash, known: Known) -> Option<Known> {
        self.expires_at = self.expires_at.max(known.expires_at);
        self.keys.insert(hash, known)
    }
}

fn is_daily(lifetime: Lifetime) -> bool {
    lifetime == Lifetime::Day
}

fn known(row: &rusqlite::Row<'_>) -> rusqlite::Result<Known> {
    Ok(Known { position: Position(row.get(0)?), expires_at: row.get(1)? })
}

fn generations(connection: &Connection) -> rusqlite::Result<Vec<Generation>> {
    connection
        .prepare("SELECT number, daily, expires_at, filter, through FROM key_generations ORDER BY number")?
        .query_map([], |row| {
            let filter: Option<Vec<u8>> = row.get(3)?;
            Ok(Generation {
                number: row.get(0)?,
                is_daily: row.get(1)?,
                expires_at: row.get(2)?,
                filter: filter.as_deref().and_then(Filter::from_bytes),
                through: row.get(4)?,
            })
        })?
        .collect()
}
