//! Claiming and settling.

use super::failure::Failure;
use super::{Database, not_yet};
use crate::model::{DeliveryId, Settlement};
use crate::store::{ClaimRequest, Claims, LongestWaits, Settled};

pub(super) async fn claim(db: &Database, request: &ClaimRequest) -> Result<Claims, Failure> {
    not_yet((db, request))
}

pub(super) async fn shorten_waits(db: &Database, longest: &LongestWaits) -> Result<usize, Failure> {
    not_yet((db, longest))
}

pub(super) async fn settle(db: &Database, settlement: &Settlement) -> Result<Settled, Failure> {
    not_yet((db, settlement))
}

pub(super) async fn release(db: &Database, claims: &[(DeliveryId, i64)]) -> Result<(), Failure> {
    not_yet((db, claims))
}
