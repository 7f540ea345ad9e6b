//! What is configured, as the door tells it. Who reads the configuration says so, again whenever it changes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::api::wire;
use crate::contract::Webhooks;
use crate::model::HandlerName;
use crate::routes::Route;
use crate::secret::Fingerprint;

/// The configuration that holds.
#[derive(Debug, Clone)]
pub struct InForce {
    /// Every handler that gets events now.
    pub handlers: Vec<HandlerInfo>,
    /// Who may send.
    pub webhooks: Webhooks,
    /// The credential of this door, where it has one.
    pub token: Option<Arc<Fingerprint>>,
    /// Each key with what it is set to.
    pub settings: wire::Settings,
}

/// A configured handler.
#[derive(Debug, Clone)]
pub struct HandlerInfo {
    /// Its name.
    pub name: HandlerName,
    /// Its kind, as the configuration names it.
    pub kind: &'static str,
    /// Which events it takes.
    pub route: Route,
    /// Whether the events of one entity are handled one after the other.
    pub ordered: bool,
    /// How many deliveries are attempted at one time.
    pub concurrency: usize,
    /// How long an attempt may take.
    pub timeout: Duration,
    /// How many attempts there are in all.
    pub attempts: u32,
    /// The longest wait before the second attempt.
    pub first_retry: Duration,
    /// The longest wait before any.
    pub max_retry: Duration,
    /// How many attempts fail in a row before its breaker opens; 0 is never.
    pub breaker_failures: u32,
    /// How often it is asked at the most: so many in such a time.
    pub rate: Option<(u32, Duration)>,
}

/// Where the door looks what holds at the moment.
pub type InForceNow = watch::Receiver<Arc<InForce>>;

impl InForce {
    /// The handler of this name, where it is configured.
    #[must_use]
    pub fn handler(&self, name: &HandlerName) -> Option<&HandlerInfo> {
        self.handlers.iter().find(|handler| handler.name == *name)
    }
}
