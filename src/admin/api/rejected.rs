//! Rejected requests: looking at them, and judging them again (ruling 11).

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use schemars::JsonSchema;
use serde::Deserialize;

use super::events::download;
use super::{Admin, Body, Error, Query, Route, limit, wire};
use crate::contract::{Brand, KeptRequest, check_again};
use crate::model::RejectedId;
use crate::store::{Appended, RejectedQuery, RejectedRow, Start};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/rejected", "Rejected requests, the newest first.", list)
            .query::<ListRejected>()
            .answers::<wire::RejectedList>(),
        Route::get("/api/v1/rejected/{id}", "All that is known of a rejected request, but for its body.", show)
            .answers::<wire::Rejected>(),
        Route::get("/api/v1/rejected/{id}/body", "The body of a rejected request as it came.", body),
        Route::post("/api/v1/rejected/{id}/retry", "Judges a rejected request again, with corrections.", retry)
            .takes::<wire::RetryRejected>()
            .answers::<wire::Retried>(),
    ]
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListRejected {
    /// How many at the most: 1 to 200, else 50.
    limit: Option<usize>,
    /// Only those before this one.
    before: Option<i64>,
    /// Only those of this configured webhook.
    webhook: Option<String>,
}

async fn list(
    State(admin): State<Admin>,
    Query(asked): Query<ListRejected>,
) -> Result<Json<wire::RejectedList>, Error> {
    let start = asked.before.map_or(Start::Newest, |before| Start::Before(RejectedId(before)));
    let query = RejectedQuery { limit: limit(asked.limit)?, start, webhook: asked.webhook };
    let page = admin.store.rejected(query).await?;
    let rejected = page.items.iter().map(|row| wire::Rejected { headers: Vec::new(), ..told(row) }).collect();
    Ok(Json(wire::RejectedList { rejected, next: page.next }))
}

async fn show(State(admin): State<Admin>, Path(id): Path<String>) -> Result<Json<wire::Rejected>, Error> {
    Ok(Json(told(&find(&admin, &id).await?)))
}

async fn body(State(admin): State<Admin>, Path(id): Path<String>) -> Result<Response, Error> {
    Ok(download(find(&admin, &id).await?.body))
}

/// Where the peer leaves half-way, the event is stored or not; asked again, it is a duplicate then.
async fn retry(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    Body(asked): Body<wire::RetryRejected>,
) -> Result<Json<wire::Retried>, Error> {
    let row = find(&admin, &id).await?;
    if let Some((event, _)) = row.became {
        return Ok(Json(retried("duplicate", Some(event.to_string()))));
    }
    let unknown = || Error::CannotBeDone(format!("brand {:?} is not known to this version", row.brand));
    let brand = Brand::from_slug(&row.brand).ok_or_else(unknown)?;
    let (webhook, headers) = (row.webhook.as_str(), &row.headers);
    let kept = KeptRequest { webhook, brand, headers, body: row.body.clone(), peer: row.peer };
    let corrections: Vec<_> = asked.set.into_iter().collect();
    let accepted = check_again(kept, &corrections, admin.clock.now(), &admin.in_force().webhooks)
        .map_err(|still| Error::CannotBeDone(format!("still rejected: {still}")))?;
    let (outcome, event) = match admin.store.append(accepted).await? {
        Appended::Stored { id, .. } => ("stored", Some(id)),
        Appended::Duplicate { id, .. } => ("duplicate", id),
    };
    if let Some(event) = event {
        admin.store.rejected_became(row.id, event, admin.clock.now()).await?;
    }
    Ok(Json(retried(outcome, event.map(|event| event.to_string()))))
}

fn retried(outcome: &str, event: Option<String>) -> wire::Retried {
    wire::Retried { outcome: outcome.to_owned(), event }
}

async fn find(admin: &Admin, id: &str) -> Result<RejectedRow, Error> {
    let wrong = || Error::BadRequest(format!("{id:?} is not the id of a rejected request, which is a number"));
    let found = admin.store.rejected_request(RejectedId(id.parse().map_err(|_| wrong())?)).await?;
    found.ok_or_else(|| Error::NotFound(format!("there is no rejected request {id}")))
}

fn told(row: &RejectedRow) -> wire::Rejected {
    let text = |(name, value): (&str, &[u8])| (name.to_owned(), String::from_utf8_lossy(value).into_owned());
    wire::Rejected {
        id: row.id.0,
        received_at: row.received_at,
        webhook: row.webhook.clone(),
        brand: row.brand.clone(),
        peer: row.peer.map(|peer| peer.to_string()),
        reason: row.reason.clone(),
        body_bytes: row.body_bytes,
        headers: row.headers.iter().map(text).collect(),
        became: row.became.map(|(event, at)| wire::Became { event: event.to_string(), at }),
    }
}
