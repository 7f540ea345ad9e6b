//! Storing events.

use super::{Database, not_yet};
use crate::contract::Accepted;
use crate::store::{Appended, StoreError};

/// Takes requests.
#[derive(Debug)]
pub(super) struct Ingest;

impl Ingest {
    pub(super) async fn append(&self, db: &Database, accepted: Accepted) -> Result<Appended, StoreError> {
        not_yet((db, accepted)).map_err(StoreError::from)
    }
}
