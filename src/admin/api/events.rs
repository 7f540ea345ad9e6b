//! Events: lists, and the whole story of one.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, header};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

use super::told::{detail, summary_of_row};
use super::wait::{self, WAIT_MAX_SECONDS};
use super::waiting::Waiting;
use super::{Admin, Error, Query, Route, limit, wire};
use crate::model::{EventFilter, EventId, EventOutcome, EventRecord, NameFilter, Position};
use crate::store::{EventQuery, Start};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/events", "Events, the newest first; with `after`, the oldest first.", list)
            .query::<ListEvents>()
            .answers::<wire::Events>(),
        Route::get("/api/v1/events/{id}", "All that is known of an event, but for its body.", show)
            .answers::<wire::EventDetail>(),
        Route::get("/api/v1/events/{id}/body", "The body as it came.", body),
        Route::get(
            "/api/v1/events/{id}/duplicates/{number}/body",
            "The body of a duplicate that came with another than the event's, by its number from 1.",
            other_body,
        ),
    ]
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListEvents {
    /// How many at the most: 1 to 200, else 50.
    limit: Option<usize>,
    /// Only those before this position, the newest first.
    before: Option<i64>,
    /// Only those after this position, the oldest first.
    after: Option<i64>,
    /// With `after`: for how many seconds to wait for one that comes, at most 25.
    wait: Option<u64>,
    /// Only those of this name, or of any name of an object: `Issue.Update`, `Issue.*`.
    #[schemars(with = "Option<String>")]
    name: Option<NameFilter>,
    /// Only those of this configured webhook.
    webhook: Option<String>,
    /// Only those about this entity: `leiga/tenant:1/issue/100`, or `issue/100` in whatever brand and tenant.
    entity: Option<String>,
    /// Only those in which this person appears, by id, e-mail address or whole name.
    person: Option<String>,
    /// Only those in which every one of these words appears, in what people read of them.
    text: Option<String>,
    /// Only those received at this time or later.
    since: Option<Timestamp>,
    /// Only those received before this time.
    until: Option<Timestamp>,
    /// Only those that came to this: `pending`, `delivered`, `dead`, `cancelled`, `not-routed` or `unplanned`.
    #[schemars(with = "Option<String>")]
    outcome: Option<EventOutcome>,
}

impl ListEvents {
    pub(super) fn wait(&self) -> Result<Option<Duration>, Error> {
        match (self.wait, self.after) {
            (None, _) => Ok(None),
            (Some(seconds @ ..=WAIT_MAX_SECONDS), Some(_)) => Ok(Some(Duration::from_secs(seconds))),
            (Some(_), None) => Err(Error::BadRequest("wait goes with after".to_owned())),
            (Some(seconds), _) => {
                Err(Error::BadRequest(format!("wait is {seconds}; it can be 0 to {WAIT_MAX_SECONDS} seconds")))
            }
        }
    }

    pub(super) fn query(self) -> Result<EventQuery, Error> {
        let start = match (self.before, self.after) {
            (None, None) => Start::Newest,
            (Some(before), None) => Start::Before(Position(before)),
            (None, Some(after)) => Start::After(Position(after)),
            (Some(_), Some(_)) => return Err(Error::BadRequest("give before or after, not both".to_owned())),
        };
        let limit = limit(self.limit)?;
        let ListEvents { name, webhook, entity, person, text, since, until, outcome, .. } = self;
        let filter = EventFilter { name, webhook, entity, person, text, since, until, outcome };
        Ok(EventQuery { limit, start, filter })
    }
}

async fn list(State(admin): State<Admin>, Query(asked): Query<ListEvents>) -> Result<Json<wire::Events>, Error> {
    let wait = asked.wait()?;
    let query = asked.query()?;
    let page = match wait {
        Some(wait) => wait::for_events(&admin, query, wait).await?,
        None => admin.store.events(query).await?,
    };
    Ok(Json(wire::Events { events: page.items.iter().map(summary_of_row).collect(), next: page.next }))
}

async fn show(State(admin): State<Admin>, Path(id): Path<String>) -> Result<Json<wire::EventDetail>, Error> {
    let record = find(&admin, &id).await?;
    Ok(Json(detail(&Waiting::now(&admin).await?, &record)))
}

async fn body(State(admin): State<Admin>, Path(id): Path<String>) -> Result<Response, Error> {
    Ok(download(find(&admin, &id).await?.event.body))
}

async fn other_body(State(admin): State<Admin>, Path((id, number)): Path<(String, u64)>) -> Result<Response, Error> {
    let body = admin.store.other_body(parse_id(&id)?, number).await?;
    let none = || Error::NotFound(format!("duplicate {number} of event {id} has no body of its own"));
    Ok(download(body.ok_or_else(none)?))
}

/// A body as it came: to be saved, never to be looked at by a browser.
pub(super) fn download(body: Bytes) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"body.json\"")),
    ];
    (headers, body).into_response()
}

async fn find(admin: &Admin, id: &str) -> Result<EventRecord, Error> {
    let found = admin.store.event(parse_id(id)?).await?;
    found.ok_or_else(|| Error::NotFound(format!("there is no event {id}")))
}

fn parse_id(id: &str) -> Result<EventId, Error> {
    id.parse().map_err(|_| Error::BadRequest(format!("{id:?} is not the id of an event; `events list` shows them")))
}
