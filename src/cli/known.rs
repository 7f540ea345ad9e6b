//! Whether there is what somebody named: a name that nobody knows finds nothing, and then it is said why.
//!
//! It is said on standard error, beside an answer that stays as it is.

use super::client::Client;
use super::output;
use crate::admin::api::wire;

/// Says that a handler is neither configured nor has deliveries, where that is so.
pub(super) async fn say_unknown_handler(client: &Client, name: Option<&str>) {
    let Some(name) = name else { return };
    let Ok(list) = client.get::<wire::Handlers>("/api/v1/handlers", &[]).await else { return };
    let names: Vec<_> = list.handlers.iter().map(|handler| handler.name.as_str()).collect();
    if !names.contains(&name) {
        say("handler", name, "is configured or has deliveries", &names);
    }
}

/// Says that a webhook is not configured, where that is so.
pub(super) async fn say_unknown_webhook(client: &Client, name: Option<&str>) {
    let Some(name) = name else { return };
    let Ok(list) = client.get::<wire::Webhooks>("/api/v1/webhooks", &[]).await else { return };
    let names: Vec<_> = list.webhooks.iter().map(|webhook| webhook.name.as_str()).collect();
    if !names.contains(&name) {
        say("webhook", name, "is configured", &names);
    }
}

fn say(what: &str, name: &str, known: &str, names: &[&str]) {
    let there_are =
        if names.is_empty() { "there is none".to_owned() } else { format!("there are: {}", names.join(", ")) };
    output::complaint(&format!("workhook: no {what} {name:?} {known}; {there_are}"));
}
