//! Keeping within bounds: what is old goes, in small steps.

use jiff::Timestamp;
use rusqlite::Connection;

use crate::store::{ForgetStep, Forgotten, PruneRequest, Pruned, Space};

pub(super) fn prune(_connection: &Connection, _request: &PruneRequest) -> rusqlite::Result<Pruned> {
    Err(rusqlite::Error::InvalidQuery)
}

pub(super) fn prune_keys(
    _connection: &Connection,
    _after: Option<&[u8]>,
    _now: Timestamp,
) -> rusqlite::Result<Option<Vec<u8>>> {
    Err(rusqlite::Error::InvalidQuery)
}

pub(super) fn forget(_connection: &Connection, _step: &ForgetStep) -> rusqlite::Result<Forgotten> {
    Err(rusqlite::Error::InvalidQuery)
}

pub(super) fn space(_connection: &Connection) -> rusqlite::Result<Space> {
    Err(rusqlite::Error::InvalidQuery)
}

pub(super) fn give_back(_connection: &Connection) -> rusqlite::Result<bool> {
    Err(rusqlite::Error::InvalidQuery)
}
