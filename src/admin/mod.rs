//! The private door: what is kept, how it is going, and whether it is well.
//!
//! It knows no SQL. What always holds (promise 8): without a credential it speaks only to the machine that it runs on,
//! and not to a web page that a browser there was led to; only whether it is alive and ready is told to anyone.

pub mod api;
mod config;
mod guard;
mod in_force;
mod metrics;

pub use config::Config;
pub use in_force::{HandlerInfo, InForce, InForceNow};
pub use metrics::about;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

use crate::clock::Clock;
use crate::connections::{self, Limits, Meter};
use crate::health::Health;
use crate::store::Store;
use crate::telemetry::metrics::Registry;
use crate::wake::Wakes;

const LIMITS: Limits = Limits {
    connections: 256,
    idle: Duration::from_secs(75),
    head: Duration::from_secs(5),
    overload: b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
    half_close: false,
};
/// How long a request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// What the door needs of the house.
#[derive(Debug, Clone)]
pub struct Admin {
    store: Arc<dyn Store>,
    clock: Clock,
    health: Health,
    in_force: InForceNow,
    registry: Arc<Registry>,
    wakes: Wakes,
    waiting: Arc<Semaphore>,
}

impl Admin {
    /// A door that is not open yet.
    #[must_use]
    pub fn new(in_force: InForceNow, store: Arc<dyn Store>, clock: Clock, health: Health, wakes: Wakes) -> Admin {
        let waiting = Arc::new(Semaphore::new(api::WAITING_MAX));
        Admin { store, clock, health, in_force, registry: Arc::default(), wakes, waiting }
    }

    /// The same door, which tells these metrics.
    #[must_use]
    pub fn telling(self, registry: Registry) -> Admin {
        Admin { registry: Arc::new(registry), ..self }
    }

    /// The configuration that holds at the moment.
    fn in_force(&self) -> Arc<InForce> {
        Arc::clone(&self.in_force.borrow())
    }

    /// The routes of the door.
    pub fn router(&self) -> Router {
        let guarded = api::router()
            .route("/metrics", get(metrics::scrape))
            .fallback(nothing_here)
            .layer(from_fn_with_state(self.in_force.clone(), guard::guard));
        Router::new()
            .route("/healthz", get(alive))
            .route("/readyz", get(api::ready))
            .merge(guarded)
            .layer(CatchPanicLayer::new())
            .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, REQUEST_TIMEOUT))
            .with_state(self.clone())
    }

    /// Serves until it is told to stop.
    pub async fn run(self, listener: TcpListener, stop: CancellationToken) {
        connections::serve(listener, self.router(), LIMITS, Meter::default(), stop).await;
    }
}

async fn alive() -> Response {
    axum::Json(serde_json::json!({ "status": "alive" })).into_response()
}

async fn nothing_here() -> Response {
    api::Error::NotFound("nothing here; the API is under /api/v1".to_owned()).into_response()
}
