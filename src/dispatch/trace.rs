//! The spans of dispatch: the planning of a batch, and an attempt.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use crate::model::{Claimed, Ended, Outcome};
use crate::telemetry::traces::{Fact, Side, Span};

/// The planning of so many events, in a trace of its own.
pub(super) fn planning(events: usize, started_at: Timestamp, took: Duration) -> Span {
    let id = Uuid::now_v7().into_bytes();
    let [.., a, b, c, d, e, f, g, h] = id;
    Span {
        name: "planning",
        trace: id,
        id: [a, b, c, d, e, f, g, h],
        parent: None,
        side: Side::Within,
        started_at,
        took,
        failed: None,
        facts: vec![("workhook.events", Fact::Number(i64::try_from(events).unwrap_or(i64::MAX)))],
    }
}

/// An attempt, in its event's trace. Its id is the one that the far end is told as its caller's.
pub(super) fn attempt(claimed: &Claimed, outcome: &Outcome) -> Span {
    let failed = match outcome.ended {
        Ended::Delivered => None,
        Ended::Failed => Some("failed"),
        Ended::Refused => Some("refused"),
        Ended::Throttled => Some("throttled"),
        Ended::Lost => Some("lost"),
    };
    let mut facts = vec![
        ("workhook.handler", Fact::Text(claimed.handler.to_string())),
        ("workhook.event_id", Fact::Text(claimed.event.id.to_string())),
        ("workhook.delivery_id", Fact::Number(claimed.id.0)),
        ("workhook.attempt", Fact::Number(i64::from(claimed.attempt))),
        ("workhook.outcome", Fact::Text(outcome.ended.as_str().to_owned())),
    ];
    facts.extend(outcome.status.map(|status| ("workhook.status", Fact::Number(i64::from(status)))));
    Span {
        name: "attempt",
        trace: *claimed.event.id.as_bytes(),
        id: claimed.span(),
        parent: Some(claimed.event.id.span()),
        side: Side::Asking,
        started_at: outcome.started_at,
        took: outcome.took,
        failed,
        facts,
    }
}
