//! Dispatch: stored events become deliveries, and deliveries are attempted until they are settled.
//!
//! It knows no HTTP and no SQL. What always holds: everything that it does goes on from what is stored, so it may be
//! ended at any moment; and no handler can hold up the planner or the sender, nor another, as long as it does not block
//! the threads that all of them share.

mod attempt;
#[cfg(test)]
mod bench;
mod breaker;
mod gate;
mod lanes;
mod loops;
mod metrics;
mod notices;
mod places;
mod planner;
mod policy;
mod rate;
mod replayer;
mod retry;
mod stock;
mod trace;
mod waits;

pub use crate::model::Rate;
pub use metrics::Metrics;
pub use policy::{BreakerPolicy, Policy, RetryPolicy};

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::gate::Gates;
use self::lanes::Ends;
use crate::chance::Chance;
use crate::clock::Clock;
use crate::handlers::Handler;
use crate::health::Health;
use crate::model::HandlerName;
use crate::routes::Route;
use crate::store::Store;
use crate::telemetry::traces::Traces;
use crate::telemetry::with_causes;
use crate::wake::Wakes;

/// How long to wait after the store failed.
const PAUSE: Duration = Duration::from_millis(500);

/// A handler with everything that is set about it.
#[derive(Debug, Clone)]
pub struct Consumer {
    /// Its name.
    pub name: HandlerName,
    /// Which events it takes.
    pub route: Route,
    /// How it is asked.
    pub policy: Policy,
    /// What it does.
    pub handler: Arc<dyn Handler>,
}

impl Consumer {
    /// How long an attempt may take in all.
    fn attempt_within(&self) -> Duration {
        self.policy.timeout + self.handler.ending()
    }
}

/// The handlers in force. Whoever reads the configuration changes them, all at once.
pub type Consumers = watch::Receiver<Arc<Vec<Consumer>>>;

/// What dispatch needs of the house.
#[derive(Debug, Clone)]
pub struct House {
    /// Where everything is kept.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Clock,
    /// What happens by chance: how long waits are.
    pub chance: Chance,
    /// The hints that there is something to do.
    pub wakes: Wakes,
    /// Where it is said whether planning goes on.
    pub health: Health,
    /// The threads that handlers run on. They are not those of the doors: whatever a handler does to its thread, the
    /// sender is answered.
    pub handlers: Handle,
    /// What is counted and measured.
    pub metrics: Metrics,
    /// Where it is told what was done.
    pub traces: Traces,
}

/// Plans and attempts until `stop`; attempts under way then go on until they end or `cut` ends them.
pub async fn run(house: House, consumers: Consumers, stop: CancellationToken, cut: CancellationToken) {
    let mut tasks = JoinSet::new();
    let gates = gates(&house, &stop).await;
    let (notices, told) = notices::open(Arc::clone(&house.store), cut.clone());
    tasks.spawn(told);
    if house.store.is_shared() {
        tasks.spawn(gate::shared::follow(house.clone(), gates.clone(), stop.clone()));
    }
    tasks.spawn(replayer::run(house.clone(), consumers.clone(), stop.clone()));
    // A handler that ends the process must not look like an event that does: lanes begin when planning has.
    let planned = CancellationToken::new();
    let ends = Ends { stop: stop.clone(), cut };
    tasks.spawn(loops::run(house.clone(), consumers.clone(), gates, notices.clone(), planned.clone(), ends));
    tasks.spawn(planner::run(house, consumers, notices, planned, stop));
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            // Nothing in these loops panics by design; if one does, the process must not go on without it.
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

/// The gates as they were kept. A start that forgot them would storm a far end that is down.
async fn gates(house: &House, stop: &CancellationToken) -> Gates {
    loop {
        match house.store.handlers().await {
            Ok(records) => return Gates::restored(records, house.store.is_shared()),
            Err(_) if stop.is_cancelled() => return Gates::default(),
            Err(error) => {
                tracing::warn!(error = with_causes(&error), "deliveries stand still until the store is available");
            }
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}
