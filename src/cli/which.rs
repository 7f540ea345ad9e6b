//! Which deliveries: the arguments that lists and bulks share.

use clap::Args;
use jiff::Timestamp;

use super::filter::{name, time};
use crate::admin::api::wire;

/// Which deliveries; all that is said must hold.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Which deliveries")]
pub(super) struct WhichDeliveries {
    /// Those of this handler.
    #[arg(long, value_name = "NAME")]
    handler: Option<String>,
    /// Those of this event, by its id.
    #[arg(long, value_name = "ID")]
    event: Option<String>,
    /// Those of events of this name, such as Issue.Update, or Issue.* for all of an object.
    #[arg(long, value_name = "EVENT", value_parser = name)]
    name: Option<String>,
    /// Those planned at this time or later: 2h (ago), 2026-11-30, or 2026-11-30T08:00, on this
    /// machine's clock unless it says its zone.
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Those planned before this time.
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
    /// Those whose reason has this text in it; case does not matter.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

impl WhichDeliveries {
    /// The handler, where one was named.
    pub(super) fn handler(&self) -> Option<&str> {
        self.handler.as_deref()
    }

    /// In the shape of the API, with a state.
    pub(super) fn filter(&self, state: Option<&String>) -> wire::DeliveryFilter {
        let WhichDeliveries { handler, event, name, since, until, reason } = self.clone();
        wire::DeliveryFilter { handler, state: state.cloned(), event, name, since, until, reason }
    }
}

/// The fields of a shape that are set, as the parameters of a query.
pub(super) fn query(shape: &impl serde::Serialize) -> Vec<(String, String)> {
    // What is asked for here are flat shapes of texts and times.
    let shape = serde_json::to_value(shape).unwrap_or_default();
    let fields = shape.as_object().cloned().unwrap_or_default().into_iter();
    fields.map(|(key, value)| (key, value.as_str().map_or_else(|| value.to_string(), str::to_owned))).collect()
}
