//! The public door: it checks a request, has it stored, and answers; nothing else is on this path.
//!
//! It knows no route, no handler and no template. What always holds: 200 leaves only after the store has said that
//! the event is durable; the token is checked before any of the body is read; and every request has its answer by its
//! own deadline, whatever the store does.
//!
//! When the peer leaves in the middle, hyper drops the request's future. Before the store has it, nothing is kept;
//! afterwards the event stands, and the sender's retry is a duplicate.

mod answer;
mod body;
mod config;
mod metrics;
mod peer;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod receive;
mod rules;
mod tally;
mod trace;
mod uses;

pub use config::Config;
pub use metrics::Metrics;
pub use rules::{Rules, RulesInForce};

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

use self::answer::Answer;
use self::body::Budget;
use self::tally::Tally;
use self::uses::Uses;
use crate::clock::Clock;
use crate::connections::{self, Limits};
use crate::contract::Webhooks;
use crate::health::Health;
use crate::store::Store;
use crate::telemetry::traces::Traces;

/// What the door needs of the house.
#[derive(Debug, Clone)]
pub struct Ingest {
    config: Arc<Config>,
    rules: RulesInForce,
    store: Arc<dyn Store>,
    clock: Clock,
    health: Health,
    budget: Budget,
    tally: Arc<Tally>,
    metrics: Metrics,
    traces: Traces,
    uses: Arc<Uses>,
}

impl Ingest {
    /// A door that is not open yet.
    #[must_use]
    pub fn new(config: Config, webhooks: Webhooks, store: Arc<dyn Store>, clock: Clock, health: Health) -> Ingest {
        let metrics = Metrics::default();
        let rules = RulesInForce::new(Rules::new(&config, webhooks));
        let (config, budget) = (Arc::new(config), Budget::new(metrics.in_flight()));
        let (tally, uses, traces) = (Arc::default(), Arc::default(), Traces::default());
        Ingest { config, rules, store, clock, health, budget, tally, metrics, traces, uses }
    }

    /// The same door, which counts, measures and tells what it does.
    #[must_use]
    pub fn observed(self, metrics: Metrics, traces: Traces) -> Ingest {
        Ingest { budget: Budget::new(metrics.in_flight()), metrics, traces, ..self }
    }

    /// What requests are judged by, to be changed while the door is open.
    #[must_use]
    pub fn rules(&self) -> RulesInForce {
        self.rules.clone()
    }

    /// The routes of the door.
    pub fn router(&self) -> Router {
        let path = &self.config.path;
        let metrics = self.metrics.clone();
        let panicked = move |panic| {
            metrics.turned_away("panic");
            answer::panicked(panic)
        };
        let receive = || post(receive::receive).fallback(answer::method_not_allowed);
        Router::new()
            .route(path, receive())
            .route(&format!("{path}/{{webhook}}"), receive())
            .route("/healthz", get(answer::alive).fallback(answer::method_not_allowed))
            .route("/readyz", get(answer::ready).fallback(answer::method_not_allowed))
            .fallback(answer::not_found)
            .layer(CatchPanicLayer::custom(panicked))
            .with_state(Arc::new(self.clone()))
    }

    /// Serves until it is told to stop, then answers what is in.
    pub async fn run(self, listener: TcpListener, stop: CancellationToken) {
        let limits = Limits {
            connections: self.config.max_connections,
            idle: self.config.idle_timeout,
            head: self.config.body_deadline,
            overload: answer::OVERLOAD,
            half_close: true,
        };
        let counting = CancellationToken::new();
        let count =
            tally::run(Arc::clone(&self.tally), Arc::clone(&self.uses), Arc::clone(&self.store), counting.clone());
        let serve = async {
            connections::serve(listener, self.router(), limits, self.metrics.meter(), stop).await;
            counting.cancel();
        };
        tokio::join!(serve, count);
    }
}
