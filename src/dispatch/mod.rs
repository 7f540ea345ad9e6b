//! Dispatch: stored events become deliveries, and deliveries are attempted until they are settled.
//!
//! It knows no HTTP and no SQL. What always holds: everything that it does goes on from what is stored, so it may be
//! ended at any moment; and no handler can hold up the planner or the sender, nor another, as long as it does not block
//! the threads that all of them share.

mod attempt;
mod lanes;
mod loops;
mod planner;
mod policy;
mod retry;

pub use policy::{Policy, RetryPolicy};

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::lanes::Ends;
use crate::clock::Clock;
use crate::handlers::Handler;
use crate::health::Health;
use crate::model::HandlerName;
use crate::routes::Route;
use crate::store::Store;
use crate::wake::Wakes;

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

/// The handlers in force. Whoever reads the configuration changes them, all at once.
pub type Consumers = watch::Receiver<Arc<Vec<Consumer>>>;

/// What dispatch needs of the house.
#[derive(Debug, Clone)]
pub struct House {
    /// Where everything is kept.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Clock,
    /// The hints that there is something to do.
    pub wakes: Wakes,
    /// Where it is said whether planning goes on.
    pub health: Health,
    /// The threads that handlers run on. They are not those of the doors: whatever a handler does to its thread, the
    /// sender is answered.
    pub handlers: Handle,
}

/// Plans and attempts until `stop`; attempts under way then go on until they end or `cut` ends them.
pub async fn run(house: House, consumers: Consumers, stop: CancellationToken, cut: CancellationToken) {
    let mut tasks = JoinSet::new();
    // A handler that ends the process must not look like an event that does: lanes begin when planning has.
    let planned = CancellationToken::new();
    let ends = Ends { stop: stop.clone(), cut };
    tasks.spawn(loops::run(house.clone(), consumers.clone(), planned.clone(), ends));
    tasks.spawn(planner::run(house, consumers, planned, stop));
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            // Nothing in these loops panics by design; if one does, the process must not go on without it.
            std::panic::resume_unwind(error.into_panic());
        }
    }
}
