//! What somebody decides about deliveries and handlers.

use jiff::Timestamp;
use rusqlite::Connection;

use crate::model::{DeliveryId, HandlerName, OpenBreaker};

pub(super) fn retry(_connection: &Connection, _ids: &[DeliveryId], _now: Timestamp) -> rusqlite::Result<u64> {
    Err(rusqlite::Error::InvalidQuery)
}

pub(super) fn cancel(
    _connection: &Connection,
    _ids: &[DeliveryId],
    _reason: &str,
    _now: Timestamp,
) -> rusqlite::Result<u64> {
    Err(rusqlite::Error::InvalidQuery)
}

pub(super) fn set_paused(
    _connection: &Connection,
    _handler: &HandlerName,
    _paused: bool,
    _now: Timestamp,
) -> rusqlite::Result<()> {
    Err(rusqlite::Error::InvalidQuery)
}

pub(super) fn keep_breaker(
    _connection: &Connection,
    _handler: &HandlerName,
    _breaker: Option<&OpenBreaker>,
) -> rusqlite::Result<()> {
    Err(rusqlite::Error::InvalidQuery)
}
