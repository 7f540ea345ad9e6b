//! The API of the private door, version 1: JSON over GET.

mod events;
mod health;
pub mod wire;

pub(super) use health::ready;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;

use super::Admin;
use crate::store::StoreError;
use crate::telemetry::with_causes;

/// The most entries of one answer.
const LIMIT_MAX: usize = 200;
/// How many there are where nobody said.
const LIMIT: usize = 50;

pub(super) fn router() -> Router<Admin> {
    Router::new()
        .route("/api/v1/health", get(health::health))
        .route("/api/v1/events", get(events::list))
        .route("/api/v1/events/{id}", get(events::show))
        .route("/api/v1/events/{id}/body", get(events::body))
        .route("/api/v1/events/{id}/duplicates/{number}/body", get(events::other_body))
        .route("/api/v1/deliveries", get(events::deliveries))
}

/// Why a request of the API failed.
#[derive(Debug)]
pub(super) enum Error {
    /// The credential is missing or wrong.
    Unauthorized,
    /// Without a credential, the door is for this machine.
    WrongHost,
    /// There is no such thing.
    NotFound(String),
    /// A parameter is wrong.
    BadRequest(String),
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
            Error::NotFound(what) => (StatusCode::NOT_FOUND, what),
            Error::BadRequest(what) => (StatusCode::BAD_REQUEST, what),
            Error::Unavailable(error) => {
                tracing::warn!(error = with_causes(&error), "the API could not reach the store");
                (StatusCode::SERVICE_UNAVAILABLE, "the store is not available".to_owned())
            }
        };
        (status, axum::Json(wire::Failure { error })).into_response()
    }
}

fn limit(asked: Option<usize>) -> Result<usize, Error> {
    match asked.unwrap_or(LIMIT) {
        limit @ 1..=LIMIT_MAX => Ok(limit),
        other => Err(Error::BadRequest(format!("limit is {other}; it can be 1 to {LIMIT_MAX}"))),
    }
}
