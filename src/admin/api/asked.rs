//! What is asked for: the query and the body of a request, read into a shape or answered with what is wrong with it.

use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::{Json, extract};
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::{Error, LIMIT, LIMIT_MAX};

/// The query of a request.
#[derive(Debug)]
pub(super) struct Query<T>(pub(super) T);

/// The body of a request, JSON.
#[derive(Debug)]
pub(super) struct Body<T>(pub(super) T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Query<T>, Error> {
        let query = extract::Query::try_from_uri(&parts.uri);
        query.map(|extract::Query(asked)| Query(asked)).map_err(|rejection| Error::BadRequest(rejection.body_text()))
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Body<T>, Error> {
        let body: Result<Json<T>, JsonRejection> = Json::from_request(request, state).await;
        match body {
            Ok(Json(asked)) => Ok(Body(asked)),
            Err(rejection) if rejection.status() == http::StatusCode::PAYLOAD_TOO_LARGE => Err(Error::TooLarge),
            Err(rejection) => Err(Error::BadRequest(rejection.body_text())),
        }
    }
}

/// How many entries are asked for.
pub(super) fn limit(asked: Option<usize>) -> Result<usize, Error> {
    match asked.unwrap_or(LIMIT) {
        limit @ 1..=LIMIT_MAX => Ok(limit),
        other => Err(Error::BadRequest(format!("limit is {other}; it can be 1 to {LIMIT_MAX}"))),
    }
}
