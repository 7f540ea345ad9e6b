//! Checkpoints: moving what is in the write-ahead log into the database, beside the writer.
//!
//! A thread of its own does the bulk with a connection of its own, so that no commit waits for it. Under steady
//! writes it never quite catches up; when the log has grown, the writer does the short rest between two commits, and
//! the log begins anew. The same thread looks how much room the disk has.
//! A disk that fails it is the end, as it is for a commit.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use rusqlite::Connection;

use super::commit::is_untrustworthy;
use super::disk::Disk;
use super::open::{BUSY_TIMEOUT, PAGE_SIZE};
use super::writer::Writer;

/// How often the log is looked at.
const EVERY: Duration = Duration::from_millis(200);
/// Every how many of these looks the disk is looked at as well: each second.
const DISK_ROUNDS: u32 = 5;
/// From how many pages on they are moved: 4 MiB.
const MOVE_FROM: i64 = (4 << 20) / PAGE_SIZE;
/// From how many pages on the writer is asked for the rest: 16 MiB.
const FINISH_FROM: i64 = (16 << 20) / PAGE_SIZE;

/// The thread's work, until the other end of `stop` is gone.
pub(super) fn run(connection: &Connection, writer: &Writer, disk: &Disk, stop: &Receiver<()>) {
    let (mut seen, mut rounds) = (0, 0_u32);
    while stop.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
        rounds = (rounds + 1) % DISK_ROUNDS;
        if rounds == 0 {
            disk.look();
        }
        let commits = writer.commits();
        if commits == seen || writer.has_failed() {
            continue;
        }
        seen = commits;
        if let Err(Untrustworthy) = look(connection, writer) {
            writer.fail();
        }
    }
}

/// Looks how long the log is, and moves what there is or asks the writer to.
fn look(connection: &Connection, writer: &Writer) -> Result<(), Untrustworthy> {
    // NOOP only tells how much there is.
    let Some((log, moved)) = checkpoint(connection, "NOOP")? else { return Ok(()) };
    if log - moved >= MOVE_FROM {
        passive(connection)?;
    }
    if log >= FINISH_FROM {
        writer.finish_checkpoint();
    }
    Ok(())
}

/// The disk failed, and it is not known what it holds.
#[derive(Debug)]
pub(super) struct Untrustworthy;

/// Moves what can be moved without waiting for anyone.
pub(super) fn passive(connection: &Connection) -> Result<(), Untrustworthy> {
    checkpoint(connection, "PASSIVE").map(drop)
}

/// Moves everything and empties the log, at the end.
pub(super) fn truncate(connection: &Connection) {
    // What could not be moved is still in the log.
    let _ = checkpoint(connection, "TRUNCATE");
}

/// Moves everything and empties the log, at the start. The process before this one may have ended because a sync failed:
/// what it could not write is read from memory then, and no later sync of the log would write it. Nothing is added to
/// such a log.
pub(super) fn settle(connection: &Connection) -> rusqlite::Result<()> {
    let busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0))?;
    if busy {
        tracing::warn!("another program reads the database; the log of the process before this one is kept");
    }
    Ok(())
}

/// Moves everything and empties the log without waiting for those who read; whether it is empty.
pub(super) fn empty(connection: &Connection) -> Result<bool, Untrustworthy> {
    passive(connection)?;
    let without_waiting = connection.busy_timeout(Duration::ZERO);
    let busy = without_waiting
        .and_then(|()| connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0)));
    let waiting = connection.busy_timeout(BUSY_TIMEOUT);
    match busy {
        Ok(busy) => Ok(!busy && waiting.is_ok()),
        Err(error) => told("TRUNCATE", &error).map(|()| false),
    }
}

/// Pages in the log, and how many of them are moved; `None` where it could not be done now.
fn checkpoint(connection: &Connection, mode: &str) -> Result<Option<(i64, i64)>, Untrustworthy> {
    let result =
        connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| Ok((row.get(1)?, row.get(2)?)));
    match result {
        Ok(pages) => Ok(Some(pages)),
        Err(error) => told(mode, &error).map(|()| None),
    }
}

/// Tells that one failed, and whether that is the end.
fn told(mode: &str, error: &rusqlite::Error) -> Result<(), Untrustworthy> {
    if is_untrustworthy(error) {
        tracing::error!(error = %error, mode, "a checkpoint failed");
        return Err(Untrustworthy);
    }
    tracing::warn!(error = %error, mode, "a checkpoint failed");
    Ok(())
}
