//! Keeping the keys in order, a piece at a time: the newest become a generation when they are many, and what is over
//! goes.
//!
//! What always holds: memory follows a piece when that is committed; a piece that is written twice changes nothing, and
//! what a crash leaves half done is done again.

use std::collections::BTreeMap;
use std::ops::Bound;

use rusqlite::{Connection, params};

use super::filter::{Filter, Hash};
use super::{Generation, Keys, Known, Newest, table};

/// From how many keys on the newest become a generation.
const MANY: usize = 1 << 16;
/// How many keys are written or removed in one piece.
const PIECE: usize = 1000;
/// How many of the newest are removed in one piece beside those of its first row, which are up to 512.
const CLEARED: i64 = 500;

/// What is being done.
#[derive(Debug)]
pub(super) enum Work {
    /// The newest become a generation; they had rows up to this number.
    Moving { is_daily: bool, generation: i64, keys: BTreeMap<Hash, Known>, moved: Option<Hash>, through: i64 },
    /// Rows of the newest go, up to this number.
    Clearing { is_daily: bool, through: i64 },
    /// A generation goes.
    Dropping { generation: i64 },
}

impl Work {
    /// The keys that are moving, where they are of this kind.
    pub(super) fn moving(&self, daily: bool) -> Option<&BTreeMap<Hash, Known>> {
        match self {
            Work::Moving { is_daily, keys, .. } if *is_daily == daily => Some(keys),
            _ => None,
        }
    }
}

/// The next piece of what is being done.
#[derive(Debug)]
pub(in super::super) enum Piece {
    Move { generation: i64, keys: Vec<(Hash, Known)> },
    Found { generation: i64, is_daily: bool, expires_at: i64, through: i64, filter: Filter },
    Clear { is_daily: bool, through: i64 },
    Drop { generation: i64 },
}

impl Piece {
    /// Writes it; whether there is more of the same.
    pub(in super::super) fn write(&self, connection: &Connection) -> rusqlite::Result<bool> {
        match self {
            Piece::Move { generation, keys } => {
                let mut insert = connection.prepare_cached(
                    "INSERT OR REPLACE INTO old_keys (generation, hash, position, expires_at) VALUES (?1, ?2, ?3, ?4)",
                )?;
                for (hash, known) in keys {
                    insert.execute(params![generation, hash.to_be_bytes(), known.position.0, known.expires_at])?;
                }
                Ok(keys.len() == PIECE)
            }
            Piece::Found { generation, is_daily, expires_at, through, filter } => {
                connection
                    .prepare_cached(
                        "INSERT OR REPLACE INTO key_generations (number, daily, expires_at, through, filter)
                         VALUES (?1, ?2, ?3, ?4, ?5)",
                    )?
                    .execute(params![generation, is_daily, expires_at, through, filter.to_bytes()])?;
                Ok(false)
            }
            Piece::Clear { is_daily, through } => clear(connection, *is_daily, *through),
            Piece::Drop { generation } => drop_some(connection, *generation),
        }
    }
}

/// Removes the first rows of the newest up to a number; whether there are more. A row has all keys of a commit.
fn clear(connection: &Connection, is_daily: bool, through: i64) -> rusqlite::Result<bool> {
    let table = table(is_daily);
    connection
        .prepare_cached(&format!(
            "DELETE FROM {table} WHERE number <= min(?1, (SELECT min(number) FROM {table}) + ?2 - 1)"
        ))?
        .execute(params![through, CLEARED])?;
    connection
        .prepare_cached(&format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE number <= ?1)"))?
        .query_row([through], |row| row.get(0))
}

/// Removes some keys of a generation, and it when none is left; whether there are more.
fn drop_some(connection: &Connection, generation: i64) -> rusqlite::Result<bool> {
    let removed = connection
        .prepare_cached(
            "DELETE FROM old_keys WHERE generation = ?1 AND hash IN
                 (SELECT hash FROM old_keys WHERE generation = ?1 ORDER BY hash LIMIT ?2)",
        )?
        .execute(params![generation, i64::try_from(PIECE).unwrap_or(i64::MAX)])?;
    if removed < PIECE {
        connection.prepare_cached("DELETE FROM key_generations WHERE number = ?1")?.execute([generation])?;
    }
    Ok(removed == PIECE)
}

impl Keys {
    /// The next piece to be done at this time, in milliseconds since the epoch; `None` where all is in order.
    pub(in super::super) fn next_piece(&mut self, now: i64) -> Option<Piece> {
        if self.work.is_none() {
            self.work = self.next_work(now);
        }
        Some(match self.work.as_ref()? {
            Work::Moving { is_daily, generation, keys, moved, through } => {
                let after = moved.map_or(Bound::Unbounded, Bound::Excluded);
                let next: Vec<_> = keys.range((after, Bound::Unbounded)).take(PIECE).map(|(k, v)| (*k, *v)).collect();
                if next.is_empty() {
                    let expires_at = keys.values().map(|known| known.expires_at).max().unwrap_or(now);
                    let filter = Filter::of(keys.keys());
                    let (generation, is_daily, through) = (*generation, *is_daily, *through);
                    Piece::Found { generation, is_daily, expires_at, through, filter }
                } else {
                    Piece::Move { generation: *generation, keys: next }
                }
            }
            Work::Clearing { is_daily, through } => Piece::Clear { is_daily: *is_daily, through: *through },
            Work::Dropping { generation } => Piece::Drop { generation: *generation },
        })
    }

    /// What there is to do: what is over goes first.
    fn next_work(&mut self, now: i64) -> Option<Work> {
        if let Some(over) = self.generations.iter().position(|generation| generation.expires_at <= now) {
            return Some(Work::Dropping { generation: self.generations.remove(over).number });
        }
        for newest in [&mut self.daily, &mut self.lasting] {
            if !newest.keys.is_empty() && newest.expires_at <= now {
                let (through, is_daily) = (newest.next - 1, newest.is_daily);
                newest.take();
                return Some(Work::Clearing { is_daily, through });
            }
        }
        let generation = self.generations.last().map_or(1, |last| last.number + 1);
        let newest = [&mut self.daily, &mut self.lasting].into_iter().find(|newest| newest.keys.len() >= MANY)?;
        let (through, is_daily) = (newest.next - 1, newest.is_daily);
        Some(Work::Moving { is_daily, generation, keys: newest.take(), moved: None, through })
    }

    /// Follows a piece that is committed; `more` is what writing it said.
    pub(in super::super) fn wrote(&mut self, piece: &Piece, more: bool) {
        match (piece, &mut self.work) {
            (Piece::Move { keys, .. }, Some(Work::Moving { moved, .. })) => *moved = keys.last().map(|(hash, _)| *hash),
            (Piece::Found { generation, is_daily, expires_at, through, filter }, Some(Work::Moving { .. })) => {
                self.generations.push(Generation {
                    number: *generation,
                    is_daily: Some(*is_daily),
                    expires_at: *expires_at,
                    through: *through,
                    filter: Some(filter.clone()),
                });
                self.work = Some(Work::Clearing { is_daily: *is_daily, through: *through });
            }
            _ if more => {}
            _ => self.work = None,
        }
    }
}

impl Newest {
    fn take(&mut self) -> BTreeMap<Hash, Known> {
        self.expires_at = i64::MIN;
        std::mem::take(&mut self.keys)
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;
    use sha2::{Digest, Sha256};

    use super::super::super::open;
    use super::*;
    use crate::contract::{Key, Lifetime};
    use crate::model::Position;
    use crate::store::SqliteSettings;

    const DAY: Lifetime = Lifetime::Day;
    const LONG: Lifetime = Lifetime::Retention;
    /// How many keys are remembered in one commit.
    const COMMIT: usize = 50;

    struct Bench {
        _folder: tempfile::TempDir,
        _lock: open::Lock,
        connection: Connection,
        keys: Keys,
    }

    fn key(n: usize) -> Key {
        Key::from_bytes(Sha256::digest(n.to_le_bytes())[..16].try_into().unwrap())
    }

    impl Bench {
        fn new() -> Bench {
            let folder = tempfile::tempdir().unwrap();
            let config = SqliteSettings { path: folder.path().join("workhook.db"), ..SqliteSettings::default() };
            let (lock, connection) = open::open(&config).unwrap();
            let keys = Keys::load(&connection).unwrap();
            Bench { _folder: folder, _lock: lock, connection, keys }
        }

        /// Has keys stand for events, each for that of its own number and as many more, until then.
        fn remember(&mut self, range: std::ops::Range<usize>, lifetime: Lifetime, more: usize, expires_at: i64) {
            let all: Vec<usize> = range.collect();
            for commit in all.chunks(COMMIT) {
                for n in commit {
                    let known = Known { position: Position(i64::try_from(n + more).unwrap()), expires_at };
                    self.keys.remember(&key(*n), lifetime, known);
                }
                self.keys.write(&self.connection).unwrap();
                self.keys.committed();
            }
        }

        fn find(&self, n: usize, lifetime: Lifetime, now: i64) -> Option<i64> {
            let found = self.keys.find(&self.connection, &key(n), lifetime, now).unwrap();
            found.map(|position| position.0)
        }

        /// Does so many pieces at a time, at most; how many there were.
        fn tidy(&mut self, most: usize, now: i64) -> usize {
            for done in 0..most {
                let Some(piece) = self.keys.next_piece(now) else { return done };
                self.connection.execute_batch("BEGIN").unwrap();
                let more = piece.write(&self.connection).unwrap();
                self.connection.execute_batch("COMMIT").unwrap();
                self.keys.wrote(&piece, more);
            }
            most
        }

        /// What is left after a crash.
        fn restart(&mut self) {
            self.keys = Keys::load(&self.connection).unwrap();
        }

        fn rows(&self) -> [i64; 3] {
            let newest =
                "SELECT (SELECT total(length(keys)) FROM daily_keys) + (SELECT total(length(keys)) FROM lasting_keys)";
            let count = |query: String| self.connection.query_row(&query, [], |row| row.get(0)).unwrap();
            [
                format!("SELECT CAST(bytes / 32 AS INTEGER) FROM (SELECT ({newest}) AS bytes)"),
                "SELECT count(*) FROM old_keys".to_owned(),
                "SELECT count(*) FROM key_generations".to_owned(),
            ]
            .map(count)
        }
    }

    #[test]
    fn the_newest_become_a_generation_when_they_are_many_and_are_found_all_the_while() {
        let mut bench = Bench::new();
        bench.remember(0..MANY - 1, LONG, 0, 1000);
        assert_eq!(bench.tidy(usize::MAX, 0), 0, "one less than many stay where they are");
        bench.remember(MANY - 1..MANY + 10, LONG, 0, 1000);
        loop {
            for n in [0, 1, 777, MANY - 1, MANY + 9] {
                assert_eq!(bench.find(n, LONG, 999), i64::try_from(n).ok());
                assert_eq!(bench.find(n, LONG, 1000), None, "it is over");
                assert_eq!(bench.find(n, DAY, 999), None, "it is of another kind");
            }
            assert_eq!(bench.find(MANY + 10, LONG, 999), None);
            if bench.tidy(20, 0) < 20 {
                break;
            }
        }
        let many = i64::try_from(MANY + 10).unwrap();
        assert_eq!(bench.rows(), [0, many, 1]);
        assert!(bench.keys.lasting.keys.is_empty(), "memory is free of them");
        bench.restart();
        assert!((0..MANY + 10).step_by(997).all(|n| bench.find(n, LONG, 999) == i64::try_from(n).ok()));
    }

    #[test]
    fn the_newest_event_that_a_key_stands_for_is_the_one() {
        let mut bench = Bench::new();
        bench.remember(0..MANY, DAY, 0, 1000);
        bench.tidy(5, 0);
        bench.remember(7..8, DAY, 100, 1000);
        assert_eq!(bench.find(7, DAY, 0), Some(107), "while the others move");
        bench.tidy(usize::MAX, 0);
        assert_eq!((bench.find(7, DAY, 0), bench.find(8, DAY, 0)), (Some(107), Some(8)));
        bench.remember(0..MANY, DAY, 200, 1000);
        bench.tidy(usize::MAX, 0);
        assert_eq!((bench.keys.generations.len(), bench.find(8, DAY, 0)), (2, Some(208)), "in the newer generation");
    }

    #[test]
    fn what_a_crash_leaves_half_done_is_done_again() {
        // Wherever it happens: while they move, before their generation is there, while their rows go.
        let (moving, clearing) = (MANY / PIECE, MANY / 500);
        for pieces in [1, moving / 2, moving + 1, moving + 2, moving + 2 + clearing / 2, moving + 2 + clearing] {
            let mut bench = Bench::new();
            bench.remember(0..MANY, LONG, 0, 1000);
            bench.tidy(pieces, 0);
            bench.restart();
            bench.remember(MANY..MANY + 1, LONG, 0, 1000);
            bench.tidy(usize::MAX, 0);
            for n in [0, 1, MANY / 2, MANY - 1, MANY] {
                assert_eq!(bench.find(n, LONG, 0), i64::try_from(n).ok(), "after {pieces} pieces");
            }
            assert_eq!(bench.rows()[2], 1, "after {pieces} pieces");
        }
    }

    #[test]
    fn what_is_over_goes_whether_it_is_new_or_old() {
        let mut bench = Bench::new();
        bench.remember(0..MANY, DAY, 0, 1000);
        bench.tidy(usize::MAX, 0);
        bench.remember(0..10, LONG, 0, 2000);
        bench.remember(MANY..MANY + 10, DAY, 0, 1500);
        bench.tidy(usize::MAX, 999);
        assert_eq!(bench.rows(), [20, i64::try_from(MANY).unwrap(), 1], "nothing is over");
        bench.tidy(usize::MAX, 1000);
        assert_eq!((bench.rows(), bench.find(3, LONG, 0)), ([20, 0, 0], Some(3)));
        bench.tidy(usize::MAX, 1500);
        assert_eq!((bench.rows(), bench.find(MANY, DAY, 0)), ([10, 0, 0], None));
        bench.restart();
        bench.tidy(usize::MAX, 2000);
        assert_eq!(bench.rows(), [0, 0, 0]);
    }

    #[test]
    fn what_is_undone_was_never_remembered() {
        let mut bench = Bench::new();
        bench.remember(0..3, LONG, 0, 1000);
        let known = Known { position: Position(99), expires_at: 1000 };
        bench.keys.remember(&key(3), LONG, known);
        let mark = bench.keys.mark();
        for n in [3, 1, 4] {
            let known = Known { position: Position(100), expires_at: 1000 };
            bench.keys.remember(&key(n), LONG, known);
        }
        bench.keys.undo(mark);
        bench.keys.write(&bench.connection).unwrap();
        bench.keys.committed();
        for _ in 0..2 {
            let found = [0, 1, 2, 3, 4].map(|n| bench.find(n, LONG, 0));
            assert_eq!(found, [Some(0), Some(1), Some(2), Some(99), None]);
            bench.restart();
        }
    }
}
