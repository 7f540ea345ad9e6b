//! Taking what was forgotten out of the files, a piece at a time: out of the catalogue, then out of the free pages; the
//! write-ahead log is emptied last, by whoever calls.
//!
//! What always holds: a mark says what comes next, and is moved in the same transaction as the piece that it is about.

use rusqlite::Connection;

use super::super::{catalogue, deliveries};
use super::space::give_back;
use crate::store::Left;

/// Says what comes next.
const MARK: &str = "cleaning";

/// Where something that was removed may still be.
pub(in super::super) fn left(connection: &Connection) -> rusqlite::Result<Option<Left>> {
    Ok(match deliveries::mark(connection, MARK)? {
        0 => None,
        2 => Some(Left::FreePages),
        3 => Some(Left::Log),
        _ => Some(Left::Catalogue),
    })
}

/// Says that something was removed.
pub(super) fn is_due(connection: &Connection) -> rusqlite::Result<()> {
    catalogue::clean_stale(connection)?;
    set_left(connection, Some(Left::Catalogue))
}

/// Does the next piece, except for emptying the log; what is left afterwards.
pub(in super::super) fn clean(connection: &Connection) -> rusqlite::Result<Option<Left>> {
    let (next, more) = match left(connection)? {
        Some(Left::Catalogue) => (Left::FreePages, overwriting(connection, || catalogue::clean(connection))?),
        Some(Left::FreePages) => (Left::Log, give_back(connection)?),
        left => return Ok(left),
    };
    if !more {
        set_left(connection, Some(next))?;
    }
    left(connection)
}

/// Says that the log was emptied, which is the end unless something was removed meanwhile; what is left.
pub(in super::super) fn log_was_emptied(connection: &Connection) -> rusqlite::Result<Option<Left>> {
    if left(connection)? == Some(Left::Log) {
        set_left(connection, None)?;
    }
    left(connection)
}

fn set_left(connection: &Connection, left: Option<Left>) -> rusqlite::Result<()> {
    let value = match left {
        None => 0,
        Some(Left::Catalogue) => 1,
        Some(Left::FreePages) => 2,
        Some(Left::Log) => 3,
    };
    deliveries::set_mark(connection, MARK, value)
}

/// Has pages overwritten that are given up, while something is done.
pub(super) fn overwriting<T>(
    connection: &Connection,
    work: impl FnOnce() -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    secure_delete(connection, "ON")?;
    let done = work();
    secure_delete(connection, "FAST")?;
    done
}

fn secure_delete(connection: &Connection, mode: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(&format!("PRAGMA secure_delete = {mode}"))?.query([])?.next().map(drop)
}
