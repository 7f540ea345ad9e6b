//! Planning.

use jiff::Timestamp;

use super::failure::Failure;
use super::{Database, not_yet};
use crate::model::{Plan, StoredEvent};
use crate::store::PlanStart;

pub(super) async fn start(db: &Database) -> Result<PlanStart, Failure> {
    not_yet(db)
}

pub(super) async fn end(db: &Database) -> Result<(), Failure> {
    not_yet(db)
}

pub(super) async fn unplanned(db: &Database, limit: usize) -> Result<Vec<StoredEvent>, Failure> {
    not_yet((db, limit))
}

pub(super) async fn plan(db: &Database, plans: &[Plan], now: Timestamp) -> Result<(), Failure> {
    not_yet((db, plans, now))
}
