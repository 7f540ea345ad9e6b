//! Upkeep: what runs by itself beside taking and handling events. It makes events findable, removes what is old, and
//! says when something needs somebody.
//!
//! It knows no HTTP and no SQL. What always holds: it works in small steps, each followed by a pause in proportion to
//! how long the step took, so that it never has more than a part of the writer; and what it decides is decided by pure
//! functions, its loops only wait.

mod catalogue;
mod keys;
mod pace;
mod refusals;
mod retention;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch::{Receiver, Sender};
use tokio::sync::{RwLock, RwLockReadGuard};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::health::Health;
use crate::model::HandlerName;
use crate::store::{Duty, Store, StoreError, Tenure};
use crate::telemetry::with_causes;
use crate::wake::Wakes;

/// What can be set about upkeep.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// How long an event is kept; `None` for ever.
    pub retention: Option<Duration>,
    /// From how many bytes on the oldest events go; `None` is no bound.
    pub max_size: Option<u64>,
    /// Below how many free bytes of the disk nothing is taken any more.
    pub min_free: u64,
    /// The handlers that there are: what is pending for one of them is never removed.
    pub handlers: Vec<HandlerName>,
    /// The webhooks of which a silence is to be told, each with how long that is.
    pub silences: Vec<(String, Duration)>,
}

/// The settings in force. Copies share them.
#[derive(Debug, Clone)]
pub struct SettingsInForce {
    settings: Arc<RwLock<Settings>>,
    changed: Sender<()>,
}

impl SettingsInForce {
    /// What holds now, and for as long as this is held.
    async fn now(&self) -> RwLockReadGuard<'_, Settings> {
        self.settings.read().await
    }

    /// Waits for a time, or until others were put in force since this was seen last; whether to go on.
    async fn wait(&self, seen: &mut Receiver<()>, time: Duration, stop: &CancellationToken) -> bool {
        tokio::select! {
            go_on = pace::wait(time, stop) => go_on,
            Ok(()) = seen.changed() => true,
        }
    }

    /// Puts others in force, as soon as the step under way has ended. When the future is dropped before, nothing changes.
    pub async fn replace(&self, settings: Settings) {
        *self.settings.write().await = settings;
        self.changed.send_replace(());
    }
}

/// What upkeep needs of the house.
#[derive(Debug, Clone)]
pub struct Upkeep {
    store: Arc<dyn Store>,
    clock: Clock,
    wakes: Wakes,
    settings: SettingsInForce,
    duty: Tenure,
}

impl Upkeep {
    /// Upkeep that does not run yet.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Clock, wakes: Wakes, health: Health, settings: Settings) -> Upkeep {
        let duty = Tenure::new(Arc::clone(&store), Duty::Upkeep, health);
        let settings = SettingsInForce { settings: Arc::new(RwLock::new(settings)), changed: Sender::new(()) };
        Upkeep { store, clock, wakes, settings, duty }
    }

    /// Where other settings are put in while it runs.
    #[must_use]
    pub fn settings(&self) -> SettingsInForce {
        self.settings.clone()
    }

    /// Runs until it is told to stop, while this process has the duty. A step that is under way is finished by the store.
    pub async fn run(self, stop: CancellationToken) {
        let work = async {
            tokio::join!(
                catalogue::run(&self, &stop),
                keys::run(&self, &stop),
                retention::run(&self, &stop),
                watch::run(&self, &stop),
            );
        };
        self.duty.during(work).await;
    }

    /// Waits until this process has the duty, unless it is told to stop; whether to go on.
    async fn on_duty(&self, stop: &CancellationToken) -> bool {
        tokio::select! {
            biased;
            () = stop.cancelled() => false,
            () = self.duty.wait() => true,
        }
    }

    /// Rests in the middle of some work, unless it is told to stop; whether this process is to go on with it.
    async fn rest(&self, time: Duration, stop: &CancellationToken) -> bool {
        pace::wait(time, stop).await && self.duty.is_here()
    }

    /// Says why something could not be done, unless another process does it now.
    fn failed(&self, error: &StoreError, what: &'static str) {
        if !self.duty.is_lost_by(error) {
            tracing::warn!(error = with_causes(error), "{what} until the store is available");
        }
    }
}
