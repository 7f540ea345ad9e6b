//! Replays: events of the past, handled again.

use jiff::Timestamp;
use rusqlite::Connection;

use crate::model::{NewReplay, Position, Replay, ReplayId, ReplayState, ReplayStep};

pub(super) fn list(_connection: &Connection, _limit: usize) -> rusqlite::Result<Vec<Replay>> {
    Err(rusqlite::Error::InvalidQuery)
}

pub(super) fn start(_connection: &Connection, _new: &NewReplay) -> rusqlite::Result<Option<Replay>> {
    Err(rusqlite::Error::InvalidQuery)
}

pub(super) fn step(
    _connection: &Connection,
    _id: ReplayId,
    _step: &ReplayStep,
    _through: Position,
    _now: Timestamp,
) -> rusqlite::Result<()> {
    Err(rusqlite::Error::InvalidQuery)
}

pub(super) fn preview(_connection: &Connection, _step: &ReplayStep) -> rusqlite::Result<u64> {
    Err(rusqlite::Error::InvalidQuery)
}

pub(super) fn set(
    _connection: &Connection,
    _id: ReplayId,
    _state: ReplayState,
    _now: Timestamp,
) -> rusqlite::Result<bool> {
    Err(rusqlite::Error::InvalidQuery)
}
