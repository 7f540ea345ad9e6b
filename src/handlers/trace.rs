//! The W3C trace context of an attempt.

use crate::model::Claimed;

/// The `traceparent`: the event is the trace, so that all that comes of it is found together; an attempt is a span.
pub(super) fn parent(delivery: &Claimed) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("00-{}-{}-01", hex(delivery.event.id.as_bytes()), hex(&delivery.span()))
}
