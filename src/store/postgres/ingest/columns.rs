//! Requests as the columns of `events`, but for the position.

use bytes::Bytes;

use crate::contract::Accepted;
use crate::model::{Entity, EventId};
use crate::store::postgres::rows;
use crate::store::postgres::statement::{Array, Param};

/// The columns that [`Columns::params`] has, in their order.
pub(super) const COLUMNS: &str = "id, webhook, brand, claimed_webhook_id, name, original_name, occurrence_id, entity,
    received_at, retry_num, sent_at, peer, notes, headers, body";

pub(super) struct Columns<'a> {
    pub(super) ids: Array<EventId>,
    webhook: Array<&'a str>,
    brand: Array<&'a str>,
    claimed_webhook_id: Array<&'a str>,
    name: Array<String>,
    original_name: Array<Option<&'a str>>,
    occurrence_id: Array<Option<&'a str>>,
    entity: Array<Option<String>>,
    received_at: Array<i64>,
    retry_num: Array<u32>,
    sent_at: Array<Option<i64>>,
    peer: Array<Option<String>>,
    notes: Array<Option<String>>,
    headers: Array<&'a [u8]>,
    body: Array<&'a Bytes>,
}

impl<'a> Columns<'a> {
    /// Each becomes an event with an id of its own.
    pub(super) fn of(accepted: &[&'a Accepted]) -> Columns<'a> {
        let all = || accepted.iter().copied();
        let notes = |accepted: &Accepted| (!accepted.notes().is_empty()).then(|| rows::to_json(&accepted.notes()));
        Columns {
            ids: all().map(|accepted| EventId::new(accepted.received_at())).collect(),
            webhook: all().map(|accepted| accepted.webhook().as_str()).collect(),
            brand: all().map(|accepted| accepted.brand().slug()).collect(),
            claimed_webhook_id: all().map(Accepted::claimed_webhook_id).collect(),
            name: all().map(|accepted| accepted.name().to_string()).collect(),
            original_name: all().map(Accepted::original_name).collect(),
            occurrence_id: all().map(Accepted::occurrence_id).collect(),
            entity: all().map(|accepted| Entity::of(accepted).map(|entity| entity.as_str().to_owned())).collect(),
            received_at: all().map(|accepted| accepted.received_at().as_millisecond()).collect(),
            retry_num: all().map(Accepted::retry_num).collect(),
            sent_at: all().map(Accepted::sent_at).collect(),
            peer: all().map(|accepted| accepted.peer().map(|peer| peer.to_string())).collect(),
            notes: all().map(notes).collect(),
            headers: all().map(|accepted| accepted.headers().as_bytes()).collect(),
            body: all().map(Accepted::body).collect(),
        }
    }

    pub(super) fn params(&self) -> Vec<&dyn Param> {
        vec![
            &self.ids,
            &self.webhook,
            &self.brand,
            &self.claimed_webhook_id,
            &self.name,
            &self.original_name,
            &self.occurrence_id,
            &self.entity,
            &self.received_at,
            &self.retry_num,
            &self.sent_at,
            &self.peer,
            &self.notes,
            &self.headers,
            &self.body,
        ]
    }
}
