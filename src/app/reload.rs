//! Changing the configuration while it runs: all of it or nothing.
//!
//! What always holds: everything new is built before anything of it is put in force, and putting it in force cannot
//! fail; one reload goes on at a time, and reads its configuration when it is its turn, so that the last one asked for
//! wins; whatever a reload says, no secret is in it.

use std::sync::Arc;

use thiserror::Error;
use tokio::sync::{Mutex, watch};
use tokio::task::spawn_blocking;

use super::changes::Changes;
use super::{BuildError, consumers, generated, in_force, webhooks};
use crate::admin::InForce;
use crate::clock::Clock;
use crate::config::{Config, ConfigErrors, Mistake};
use crate::dispatch::Consumer;
use crate::handlers::rust::Registered;
use crate::health::{Health, LastReload};
use crate::ingest::{self, Rules, RulesInForce};
use crate::telemetry::{LogLevel, with_causes};
use crate::upkeep::{self, SettingsInForce};

/// Changes the configuration of a running app. Copies change the same one.
#[derive(Debug, Clone)]
pub struct Reload {
    house: Arc<Changeable>,
    log: Option<LogLevel>,
}

/// What can be changed, and what is in force.
#[derive(Debug)]
pub(super) struct Changeable {
    /// The configuration in force. Whoever holds it is the one who changes it.
    pub(super) config: Mutex<Config>,
    pub(super) functions: Vec<Registered>,
    pub(super) consumers: watch::Sender<Arc<Vec<Consumer>>>,
    pub(super) rules: RulesInForce,
    pub(super) door: ingest::Metrics,
    pub(super) upkeep: SettingsInForce,
    pub(super) in_force: watch::Sender<Arc<InForce>>,
    pub(super) health: Health,
    pub(super) clock: Clock,
}

/// Why the configuration in force stays.
#[derive(Debug, Error)]
pub enum ReloadError {
    /// Something is wrong with the new one, each with its place.
    #[error("{0}")]
    Mistakes(ConfigErrors),
    /// The service is about to stop.
    #[error("the service is stopping")]
    Stopping,
}

/// Everything of a configuration that can be put in force.
struct Built {
    consumers: Vec<Consumer>,
    rules: Rules,
    upkeep: upkeep::Settings,
    in_force: InForce,
}

impl Reload {
    pub(super) fn new(house: Arc<Changeable>) -> Reload {
        Reload { house, log: None }
    }

    /// Changes the level of the log as well.
    #[must_use]
    pub fn with_log(self, log: LogLevel) -> Reload {
        Reload { log: Some(log), ..self }
    }

    /// Puts a configuration in force.
    ///
    /// # Errors
    /// With everything that is wrong with it, as far as that can be known at once; nothing is changed then.
    pub async fn apply(&self, config: Config) -> Result<Changes, ReloadError> {
        self.read(move || Ok(config)).await
    }

    /// Reads a configuration, when it is its turn to, and puts it in force. What came of it is logged, and told by the
    /// private door. When the future is dropped, everything is changed or nothing.
    ///
    /// # Errors
    /// With everything that is wrong with it, as far as that can be known at once; nothing is changed then.
    pub async fn read(
        &self,
        load: impl FnOnce() -> Result<Config, ConfigErrors> + Send + 'static,
    ) -> Result<Changes, ReloadError> {
        let mut config = self.house.config.lock().await;
        if self.house.health.is_draining() {
            tracing::warn!("the configuration is not read again, since the service is stopping");
            return Err(ReloadError::Stopping);
        }
        let (house, before) = (Arc::clone(&self.house), config.clone());
        // Files are read, and clients are made.
        let built = spawn_blocking(move || {
            let new = load()?;
            let built = house.build(&before, &new)?;
            Ok((new, built))
        });
        let at = self.house.clock.now();
        match built.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic())) {
            Ok((new, built)) => {
                let changes = Changes::between(&config, &new);
                self.put_in_force(built, &new).await;
                *config = new;
                tracing::info!(%changes, "the configuration was read again, and is in force");
                self.house.health.set_reload(LastReload { at, mistakes: Vec::new() });
                Ok(changes)
            }
            Err(errors) => {
                let errors: ConfigErrors = errors;
                let mistakes: Vec<String> = errors.mistakes().iter().map(ToString::to_string).collect();
                for mistake in &mistakes {
                    tracing::error!(
                        mistake,
                        "the configuration was read again and is wrong; the old one stays in force"
                    );
                }
                self.house.health.set_reload(LastReload { at, mistakes });
                Err(ReloadError::Mistakes(errors))
            }
        }
    }

    /// Upkeep first, which removes what is pending for handlers that it does not know; then handlers: what a new webhook
    /// lets in is then for them as well. It waits only before anything is changed.
    async fn put_in_force(&self, built: Built, config: &Config) {
        self.house.upkeep.replace(built.upkeep).await;
        self.house.consumers.send_replace(Arc::new(built.consumers));
        let names: Vec<_> = built.rules.webhooks.iter().map(|webhook| webhook.name.clone()).collect();
        self.house.door.follow(&names, self.house.clock.now());
        self.house.rules.replace(built.rules);
        self.house.in_force.send_replace(Arc::new(built.in_force));
        if let Some(log) = &self.log {
            log.set(&config.log.level);
        }
    }
}

impl Changeable {
    /// Builds what is new, without touching what is in force.
    fn build(&self, before: &Config, new: &Config) -> Result<Built, ConfigErrors> {
        let mut mistakes = before.needs_restart(new);
        let consumers = consumers::build(&new.handlers, &self.functions).unwrap_or_else(|errors| {
            mistakes.extend(errors.iter().map(|error| mistake(new, error)));
            Vec::new()
        });
        if !mistakes.is_empty() {
            return Err(mistakes.into());
        }
        // Last, since a secret may be made for them.
        let secrets = webhooks::build(new).and_then(|(webhooks, _)| Ok((webhooks, generated::admin_token(new)?.0)));
        let (webhooks, token) = secrets.map_err(|error| ConfigErrors::from(mistake(new, &error)))?;
        let in_force = in_force::in_force(&consumers, &webhooks, token.as_ref(), new, self.clock.now());
        let upkeep = super::upkeep::settings(&new.store, &new.webhooks, &consumers);
        Ok(Built { consumers, rules: Rules::new(&new.ingest, webhooks), upkeep, in_force })
    }
}

fn mistake(config: &Config, error: &BuildError) -> Mistake {
    let message = with_causes(error);
    match error {
        BuildError::NoFunction(name) | BuildError::NameTaken(name) => {
            config.mistake(&format!("handler.{name}.kind"), message)
        }
        BuildError::Client { name, .. } => config.mistake(&format!("handler.{name}.name"), message),
        _ => config.mistake("", message),
    }
}
