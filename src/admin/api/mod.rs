//! The API of the private door, version 1: JSON over HTTP, described by OpenAPI.
//!
//! Each file has the routes of one kind of thing as `routes()`; the list of all makes the router and the document.
//! What always holds: a request that changes something has passed `guard::changes`, and its body is bounded.

mod asked;
mod budget;
mod change;
mod deliveries;
mod events;
mod filters;
mod forget;
mod handlers;
mod health;
mod openapi;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod rejected;
mod replays;
mod route;
mod settings;
mod test;
mod told;
mod wait;
mod waiting;
mod webhooks;
pub mod wire;

pub(super) use health::ready;
pub(super) use wait::WAITING_MAX;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use self::asked::{Body, Query, limit};
use self::budget::Budget;
use self::route::Route;
use super::{Admin, guard};
use crate::store::StoreError;
use crate::telemetry::with_causes;

/// The most entries of one answer.
const LIMIT_MAX: usize = 200;
/// How many there are where nobody said.
const LIMIT: usize = 50;

/// The most bytes of the body of a request.
const BODY_MAX: usize = 64 << 10;

pub(super) fn router() -> Router<Admin> {
    let router = routes().into_iter().map(Route::into_router);
    let router = router.fold(Router::new(), |router, (path, answered_by)| router.route(path, answered_by));
    router.layer(DefaultBodyLimit::max(BODY_MAX)).layer(from_fn(guard::changes))
}

/// Every route of the API.
fn routes() -> Vec<Route> {
    let document = Route::get("/api/v1/openapi.json", "This description.", openapi::openapi);
    let document = vec![document.answers::<serde_json::Value>()];
    [
        document,
        health::routes(),
        events::routes(),
        deliveries::routes(),
        rejected::routes(),
        webhooks::routes(),
        forget::routes(),
        change::routes(),
        replays::routes(),
        handlers::routes(),
        test::routes(),
        settings::routes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Why a request of the API failed.
#[derive(Debug)]
pub(super) enum Error {
    /// The credential is missing or wrong.
    Unauthorized,
    /// Without a credential, the door is for this machine.
    WrongHost,
    /// It would change something, and it is not known that it comes from nobody but the one who sends it.
    NotOfOurOwn(&'static str),
    /// There is no such thing.
    NotFound(String),
    /// A parameter is wrong.
    BadRequest(String),
    /// The body is too large.
    TooLarge,
    /// It can be understood, and cannot be done.
    CannotBeDone(String),
    /// Too many wait already.
    TooMany,
    /// The service is about to stop.
    Stopping,
    /// The store did not answer.
    Unavailable(StoreError),
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Error {
        Error::Unavailable(error)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, error) = match self {
            Error::Unauthorized => {
                (StatusCode::UNAUTHORIZED, "send the credential as `Authorization: Bearer …`".to_owned())
            }
            Error::WrongHost => (
                StatusCode::FORBIDDEN,
                "this door has no credential, so it is for localhost; set admin.token".to_owned(),
            ),
            Error::NotOfOurOwn(why) => (StatusCode::FORBIDDEN, why.to_owned()),
            Error::NotFound(what) => (StatusCode::NOT_FOUND, what),
            Error::BadRequest(what) => (StatusCode::BAD_REQUEST, what),
            Error::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {BODY_MAX} bytes")),
            Error::TooMany => (StatusCode::TOO_MANY_REQUESTS, "too many wait already; ask without `wait`".to_owned()),
            Error::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "workhook is about to stop".to_owned()),
            Error::CannotBeDone(why) => (StatusCode::UNPROCESSABLE_ENTITY, why),
            Error::Unavailable(error) => {
                tracing::warn!(error = with_causes(&error), "the API could not reach the store");
                (StatusCode::SERVICE_UNAVAILABLE, "the store is not available".to_owned())
            }
        };
        (status, axum::Json(wire::Failure { error })).into_response()
    }
}
