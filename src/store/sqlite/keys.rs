//! What repetitions are known by: a key for each occurrence and one for each body, for as long as each is remembered.
//!
//! Keys are hashes. In a table in their order each would be on a page of its own, which a commit would have to write.
//! So the newest lie as they came, those of one commit in one row, and in memory, sorted, to be looked up. When they are many they become a generation:
//! a table's worth that is written once, in order, with a filter in memory that tells most keys that are not in it.
//!
//! What always holds: memory has what the tables have, of this transaction and those before it: what a transaction that
//! is undone remembered is undone here too, and what is remembered is written before the transaction ends. So it is the commit that decides whether there was a key, as ruling 7 asks.

mod copied;
mod filter;
mod tidy;

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};

pub(super) use self::copied::{HASHES, NewKey, newest, write_generation};
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
    /// The number of the next key.
    next: i64,
    /// Those that are not written yet, as a row has them.
    unwritten: Vec<u8>,
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

/// What a key stood for before it was remembered, and the number that it took.
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
        let (hash, is_daily) = (Hash::from_be_bytes(*key.as_bytes()), is_daily(lifetime));
        let moving = || self.work.as_ref().and_then(|work| work.moving(is_daily)).and_then(|keys| keys.get(&hash));
        let known = match self.newest(is_daily).keys.get(&hash).or_else(moving) {
            Some(known) => Some(*known),
            None => self.find_old(connection, hash, is_daily)?,
        };
        Ok(known.filter(|known| known.expires_at > now).map(|known| known.position))
    }

    fn find_old(&self, connection: &Connection, hash: Hash, is_daily: bool) -> rusqlite::Result<Option<Known>> {
        for generation in self.generations.iter().rev() {
            let may_have = generation.is_daily.is_none_or(|of| of == is_daily)
                && generation.filter.as_ref().is_none_or(|filter| filter.may_have(hash));
            if !may_have {
                continue;
            }
            let known = connection
                .prepare_cached("SELECT position, expires_at FROM old_keys WHERE generation = ?1 AND hash = ?2")?
                .query_row(params![generation.number, hash.to_be_bytes()], known)
                .optional()?;
            if known.is_some() {
                return Ok(known);
            }
        }
        Ok(None)
    }

    /// Has a key stand for an event from now on.
    pub(super) fn remember(&mut self, key: &Key, lifetime: Lifetime, known: Known) {
        let is_daily = is_daily(lifetime);
        let newest = if is_daily { &mut self.daily } else { &mut self.lasting };
        let (hash, number) = (Hash::from_be_bytes(*key.as_bytes()), newest.next);
        newest.next += 1;
        newest.unwritten.extend(to_bytes(hash, known));
        let before = newest.put(hash, known);
        self.undo.push(Undo { is_daily, hash, before, number });
    }

    /// Writes what this transaction remembered.
    pub(super) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        for newest in [&self.daily, &self.lasting] {
            if !newest.unwritten.is_empty() {
                let insert = match newest.is_daily {
                    true => "INSERT INTO daily_keys (number, keys) VALUES (?1, ?2)",
                    false => "INSERT INTO lasting_keys (number, keys) VALUES (?1, ?2)",
                };
                connection.prepare_cached(insert)?.execute(params![newest.next - 1, newest.unwritten])?;
            }
        }
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
            newest.unwritten.truncate(newest.unwritten.len() - KEY_BYTES);
            match before {
                Some(known) => newest.keys.insert(hash, known),
                None => newest.keys.remove(&hash),
            };
        }
    }

    /// What was remembered is committed.
    pub(super) fn committed(&mut self) {
        self.undo.clear();
        self.daily.unwritten.clear();
        self.lasting.unwritten.clear();
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
        let next = through + 1;
        let mut newest = Newest { is_daily, keys: BTreeMap::new(), next, unwritten: Vec::new(), expires_at: i64::MIN };
        let table = table(is_daily);
        let mut rows =
            connection.prepare(&format!("SELECT keys, number FROM {table} WHERE number > ?1 ORDER BY number"))?;
        let mut rows = rows.query([through])?;
        while let Some(row) = rows.next()? {
            for (hash, known) in row.get_ref(0)?.as_blob()?.chunks_exact(KEY_BYTES).filter_map(from_bytes) {
                newest.put(hash, known);
            }
            newest.next = row.get::<_, i64>(1)? + 1;
        }
        let left: bool = connection
            .prepare(&format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE number <= ?1)"))?
            .query_row([through], |row| row.get(0))?;
        Ok((newest, left.then_some(Work::Clearing { is_daily, through })))
    }

    /// What the key stood for before.
    fn put(&mut self, hash: Hash, known: Known) -> Option<Known> {
        self.expires_at = self.expires_at.max(known.expires_at);
        self.keys.insert(hash, known)
    }
}

/// Where the newest lie.
fn table(is_daily: bool) -> &'static str {
    if is_daily { "daily_keys" } else { "lasting_keys" }
}

/// How many bytes a key has in a row.
const KEY_BYTES: usize = 32;

/// A key with what it stands for, as a row has it.
fn to_bytes(hash: Hash, known: Known) -> impl Iterator<Item = u8> {
    let (position, expires_at) = (known.position.0.to_be_bytes(), known.expires_at.to_be_bytes());
    hash.to_be_bytes().into_iter().chain(position).chain(expires_at)
}

fn from_bytes(bytes: &[u8]) -> Option<(Hash, Known)> {
    let (hash, known) = bytes.split_first_chunk()?;
    let (position, expires_at) = known.split_first_chunk()?;
    let expires_at = i64::from_be_bytes(*expires_at.first_chunk()?);
    let known = Known { position: Position(i64::from_be_bytes(*position)), expires_at };
    Some((Hash::from_be_bytes(*hash), known))
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
