//! The configuration as the private door tells it.

use std::sync::Arc;

use jiff::Timestamp;

use crate::admin::api::wire;
use crate::admin::{HandlerInfo, InForce};
use crate::config::{Config, Setting};
use crate::contract::Webhooks;
use crate::dispatch::Consumer;
use crate::secret::{Fingerprint, Secret};

/// What holds from this time on.
pub(super) fn in_force(
    consumers: &[Consumer],
    webhooks: &Webhooks,
    token: Option<&Secret>,
    config: &Config,
    read_at: Timestamp,
) -> InForce {
    let file = config.source.as_ref().map(|path| path.display().to_string());
    InForce {
        handlers: consumers.iter().map(handler).collect(),
        webhooks: webhooks.clone(),
        token: token.map(|token| Arc::new(Fingerprint::of(token.expose().as_bytes()))),
        settings: wire::Settings { read_at, file, settings: settings(&config.settings) },
    }
}

/// Settings in the shape of the API.
#[must_use]
pub fn settings(settings: &[Setting]) -> Vec<wire::Setting> {
    let shape = |setting: &Setting| wire::Setting {
        key: setting.key.clone(),
        value: setting.value.clone(),
        origin: setting.origin.as_ref().map_or_else(|| "default".to_owned(), ToString::to_string),
    };
    settings.iter().map(shape).collect()
}

fn handler(consumer: &Consumer) -> HandlerInfo {
    let policy = &consumer.policy;
    HandlerInfo {
        name: consumer.name.clone(),
        kind: consumer.handler.kind(),
        route: consumer.route.clone(),
        ordered: policy.ordered,
        concurrency: policy.concurrency,
        timeout: policy.timeout,
        attempts: policy.retry.attempts,
        first_retry: policy.retry.first,
        max_retry: policy.retry.max,
        breaker_failures: policy.breaker.failures,
        rate: policy.rate.map(|rate| (rate.count, rate.per)),
    }
}
