//! Deliveries.

use axum::Json;
use axum::extract::{Path, State};
use schemars::JsonSchema;
use serde::Deserialize;

use super::told::delivery;
use super::{Admin, Error, Query, Route, limit, wire};
use crate::model::{DeliveryFilter, DeliveryId, DeliveryState, HandlerName};
use crate::store::{DeliveryQuery, Start};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/deliveries", "Deliveries, the newest first.", list)
            .query::<ListDeliveries>()
            .answers::<wire::Deliveries>(),
        Route::get("/api/v1/deliveries/{id}", "A delivery with its attempts.", show).answers::<wire::Delivery>(),
    ]
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListDeliveries {
    limit: Option<usize>,
    before: Option<i64>,
    handler: Option<String>,
    state: Option<String>,
}

async fn list(
    State(admin): State<Admin>,
    Query(asked): Query<ListDeliveries>,
) -> Result<Json<wire::Deliveries>, Error> {
    let limit = limit(asked.limit)?;
    let handler = asked.handler.map(|name| {
        HandlerName::parse(&name).ok_or_else(|| Error::BadRequest(format!("{name:?} cannot name a handler")))
    });
    let state = asked.state.map(|state| {
        let wrong =
            || format!("{state:?} is no state; they are {}", DeliveryState::ALL.map(DeliveryState::as_str).join(", "));
        DeliveryState::parse(&state).ok_or_else(|| Error::BadRequest(wrong()))
    });
    let filter =
        DeliveryFilter { handler: handler.transpose()?, state: state.transpose()?, ..DeliveryFilter::default() };
    let start = asked.before.map_or(Start::Newest, |before| Start::Before(DeliveryId(before)));
    let page = admin.store.deliveries(DeliveryQuery { limit, start, filter }).await?;
    let deliveries = page.items.iter().map(|record| delivery(&admin, record)).collect();
    Ok(Json(wire::Deliveries { deliveries, next: page.next }))
}

async fn show(State(admin): State<Admin>, Path(id): Path<String>) -> Result<Json<wire::Delivery>, Error> {
    let known =
        id.parse().map_err(|_| Error::BadRequest(format!("{id:?} is not the id of a delivery, which is a number")));
    let found = admin.store.delivery(DeliveryId(known?)).await?;
    let record = found.ok_or_else(|| Error::NotFound(format!("there is no delivery {id}")))?;
    Ok(Json(delivery(&admin, &record)))
}
