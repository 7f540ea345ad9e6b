//! What upkeep is told of the configuration.

use crate::config::ConfiguredWebhook;
use crate::dispatch::Consumer;
use crate::store;
use crate::upkeep::Settings;

/// Puts together what upkeep keeps to.
pub(super) fn settings(store: &store::Config, webhooks: &[ConfiguredWebhook], consumers: &[Consumer]) -> Settings {
    let silence = |configured: &ConfiguredWebhook| Some((configured.webhook.name.to_string(), configured.silence?));
    Settings {
        retention: store.retention,
        max_size: store.max_size,
        min_free: store.place.min_free(),
        handlers: consumers.iter().map(|consumer| consumer.name.clone()).collect(),
        silences: webhooks.iter().filter_map(silence).collect(),
    }
}
