//! Answers: always JSON, success exactly status 200 with `errcode` 0 (contract, section 5).

use std::any::Any;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use super::Ingest;
use crate::contract::Refusal;

/// What a connection over the cap is told.
pub(super) const OVERLOAD: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n\
    retry-after: 2\r\nconnection: close\r\ncontent-length: 54\r\n\r\n\
    {\"errcode\":503,\"errmsg\":\"too many connections; retry\"}";

/// After how many seconds a request that was shed is welcome again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("2");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The answer to one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// The event is durable, or was before.
    Accepted,
    /// It was not let in.
    Refused(Refusal),
    /// It had a good token and cannot be read, for this reason.
    Rejected(String),
    /// The body is over the limit of so many bytes.
    TooLarge(usize),
    /// The body is encoded.
    Encoded,
    /// The body did not come in time.
    TooSlow,
    /// Nothing was promised; a retry is welcome.
    Unavailable(Shed),
}

/// Why a request was shed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shed {
    /// Too many requests wait for the store.
    Busy,
    /// Too many bytes of bodies are held.
    OverBudget,
    /// The store could not do it.
    Store,
    /// The store did not answer in time.
    Late,
    /// The disk is nearly full.
    DiskFull,
}

impl Shed {
    /// A short fixed word for counting.
    pub(super) fn code(self) -> &'static str {
        match self {
            Shed::Busy => "busy",
            Shed::OverBudget => "over-budget",
            Shed::Store => "store",
            Shed::Late => "late",
            Shed::DiskFull => "disk-full",
        }
    }

    fn errmsg(self) -> &'static str {
        match self {
            Shed::Busy => "too many requests are waiting; retry",
            Shed::OverBudget => "too many bytes are being received; retry",
            Shed::Store => "the store is not available; retry",
            Shed::Late => "the store did not answer in time; retry",
            Shed::DiskFull => "the disk is nearly full; retry later",
        }
    }
}

#[derive(Serialize)]
struct Wire<'a> {
    errcode: u16,
    errmsg: &'a str,
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        match self {
            Answer::Accepted => ([(header::CONTENT_TYPE, JSON)], r#"{"errcode":0}"#).into_response(),
            Answer::Refused(refusal) if refusal.is_malformed() => {
                failure(StatusCode::BAD_REQUEST, &refusal.to_string())
            }
            Answer::Refused(refusal) => failure(StatusCode::UNAUTHORIZED, &refusal.to_string()),
            Answer::Rejected(reason) => failure(StatusCode::BAD_REQUEST, &reason),
            Answer::TooLarge(max) => {
                failure(StatusCode::PAYLOAD_TOO_LARGE, &format!("the body is larger than {max} bytes"))
            }
            Answer::Encoded => {
                failure(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body has a Content-Encoding; plain JSON is expected")
            }
            Answer::TooSlow => failure(StatusCode::REQUEST_TIMEOUT, "the body did not come in time"),
            Answer::Unavailable(shed) => unavailable(shed.errmsg()),
        }
    }
}

fn failure(status: StatusCode, errmsg: &str) -> Response {
    let wire = Wire { errcode: status.as_u16(), errmsg };
    (status, axum::Json(wire)).into_response()
}

fn unavailable(why: &str) -> Response {
    let mut response = failure(StatusCode::SERVICE_UNAVAILABLE, why);
    response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    response
}

pub(super) async fn method_not_allowed(method: http::Method, uri: http::Uri) -> Response {
    let allowed = if uri.path() == "/healthz" || uri.path() == "/readyz" { "GET" } else { "POST" };
    let mut response =
        failure(StatusCode::METHOD_NOT_ALLOWED, &format!("{method} is not understood here; {allowed} is"));
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

pub(super) async fn not_found() -> Response {
    failure(StatusCode::NOT_FOUND, "there is no webhook at this path")
}

/// A fault of ours is never the sender's: it may try again.
#[expect(clippy::needless_pass_by_value, reason = "what the layer takes")]
pub(super) fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let what = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = what.unwrap_or("of no known kind"), "a request ended in a panic");
    unavailable("a fault of the receiver; retry")
}

/// Alive: it answers.
pub(super) async fn alive() -> Response {
    axum::Json(serde_json::json!({ "status": "alive" })).into_response()
}

/// Ready, or why not in one word.
pub(super) async fn ready(State(ingest): State<Arc<Ingest>>) -> Response {
    match ingest.health.ready() {
        Ok(()) => axum::Json(serde_json::json!({ "status": "ready" })).into_response(),
        Err(why) => {
            let body = serde_json::json!({ "status": "not ready", "because": why });
            (StatusCode::SERVICE_UNAVAILABLE, axum::Json(body)).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_over_the_cap_is_a_whole_response() {
        let text = std::str::from_utf8(OVERLOAD).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        assert_eq!(length.parse::<usize>().unwrap(), body.len());
        assert_eq!(serde_json::from_str::<serde_json::Value>(body).unwrap()["errcode"], 503);
    }
}
