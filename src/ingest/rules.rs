//! What a request is judged by. It can be changed as a whole while the door is open.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use ipnet::IpNet;

use super::Config;
use crate::contract::Webhooks;

/// What a request is judged by.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Who may send.
    pub webhooks: Webhooks,
    /// The largest body, in bytes.
    pub max_body: usize,
    /// The most bytes of bodies that are held at one time.
    pub max_in_flight: usize,
    /// The proxies whose word on the sender's address is taken.
    pub trusted_proxies: Vec<IpNet>,
    /// How long the door still accepts after it was told to stop.
    pub drain_delay: Duration,
}

/// The rules in force. Copies share them.
#[derive(Debug, Clone)]
pub struct RulesInForce(Arc<RwLock<Arc<Rules>>>);

impl Rules {
    /// The rules of these settings.
    #[must_use]
    pub fn new(config: &Config, webhooks: Webhooks) -> Rules {
        let Config { max_body, max_in_flight, drain_delay, ref trusted_proxies, .. } = *config;
        Rules { webhooks, max_body, max_in_flight, trusted_proxies: trusted_proxies.clone(), drain_delay }
    }
}

impl RulesInForce {
    pub(super) fn new(rules: Rules) -> RulesInForce {
        RulesInForce(Arc::new(RwLock::new(Arc::new(rules))))
    }

    /// What holds now. A request looks once, and is judged by that to its end.
    #[must_use]
    pub fn now(&self) -> Arc<Rules> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Has requests that begin from here on judged by others.
    pub fn replace(&self, rules: Rules) {
        let rules = Arc::new(rules);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = rules;
    }
}
