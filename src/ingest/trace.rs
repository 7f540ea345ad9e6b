//! The span of a request whose token was good. The event is the trace, so that all that comes of it is found together.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use crate::contract::Accepted;
use crate::store::{Appended, StoreError};
use crate::telemetry::traces::{Fact, Side, Span};

/// What is known of a request before the store has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) request_id: Uuid,
    pub(super) received_at: Timestamp,
    pub(super) retry_num: u32,
}

impl Known {
    pub(super) fn of(request_id: Uuid, accepted: &Accepted) -> Known {
        Known { request_id, received_at: accepted.received_at(), retry_num: accepted.retry_num() }
    }

    /// The span of a request that the store was asked to keep; `None` where it did not answer in time.
    ///
    /// That of the request which became the event is what attempts are parts of. Every other one is a part of it too.
    pub(super) fn span(self, took: Duration, appended: Option<&Result<Appended, StoreError>>) -> Span {
        let (outcome, failed, event, first) = match appended {
            Some(Ok(Appended::Stored { id, .. })) => ("accepted", None, Some(*id), true),
            Some(Ok(Appended::Duplicate { id, conflict: false })) => ("duplicate", None, *id, false),
            Some(Ok(Appended::Duplicate { id, conflict: true })) => ("conflict", None, *id, false),
            Some(Err(_)) => ("unavailable", Some("the store could not do it"), None, false),
            None => ("unavailable", Some("the store did not answer in time"), None, false),
        };
        let own = *self.request_id.as_bytes();
        let id = event.filter(|_| first).map_or_else(|| last_half(own), |event| event.span());
        let mut facts = vec![
            ("workhook.outcome", Fact::Text(outcome.to_owned())),
            ("workhook.request_id", Fact::Text(self.request_id.to_string())),
            ("workhook.retry_num", Fact::Number(i64::from(self.retry_num))),
        ];
        facts.extend(event.map(|event| ("workhook.event_id", Fact::Text(event.to_string()))));
        Span {
            name: "request",
            trace: event.map_or(own, |event| *event.as_bytes()),
            id,
            parent: event.filter(|_| !first).map(|event| event.span()),
            side: Side::Asked,
            started_at: self.received_at,
            took,
            failed,
            facts,
        }
    }
}

fn last_half([.., a, b, c, d, e, f, g, h]: [u8; 16]) -> [u8; 8] {
    [a, b, c, d, e, f, g, h]
}
