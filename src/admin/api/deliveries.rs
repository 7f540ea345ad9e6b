//! Deliveries: lists, and one with its attempts.

use axum::Json;
use axum::extract::{Path, State};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

use super::told::delivery;
use super::waiting::Waiting;
use super::{Admin, Error, Query, Route, filters, limit, wire};
use crate::model::DeliveryId;
use crate::store::{DeliveryQuery, Start};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/deliveries", "Deliveries, the newest first; with `after`, the oldest first.", list)
            .query::<ListDeliveries>()
            .answers::<wire::Deliveries>(),
        Route::get("/api/v1/deliveries/{id}", "A delivery with its attempts.", show).answers::<wire::Delivery>(),
    ]
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListDeliveries {
    /// How many at the most: 1 to 200, else 50.
    limit: Option<usize>,
    /// Only those before this one, the newest first.
    before: Option<i64>,
    /// Only those after this one, the oldest first.
    after: Option<i64>,
    /// Only those of this handler.
    handler: Option<String>,
    /// Only those in this state: `pending`, `delivered`, `dead` or `cancelled`.
    state: Option<String>,
    /// Only those of this event, by its id.
    event: Option<String>,
    /// Only those of events of this name, or of any name of an object: `Issue.Update`, `Issue.*`.
    name: Option<String>,
    /// Only those planned at this time or later.
    since: Option<Timestamp>,
    /// Only those planned before this time.
    until: Option<Timestamp>,
    /// Only those whose reason has this text in it; case does not matter.
    reason: Option<String>,
}

impl ListDeliveries {
    pub(super) fn query(self) -> Result<DeliveryQuery, Error> {
        let start = match (self.before, self.after) {
            (None, None) => Start::Newest,
            (Some(before), None) => Start::Before(DeliveryId(before)),
            (None, Some(after)) => Start::After(DeliveryId(after)),
            (Some(_), Some(_)) => return Err(Error::BadRequest("give before or after, not both".to_owned())),
        };
        let limit = limit(self.limit)?;
        let ListDeliveries { handler, state, event, name, since, until, reason, .. } = self;
        let filter = wire::DeliveryFilter { handler, state, event, name, since, until, reason };
        Ok(DeliveryQuery { limit, start, filter: filters::deliveries(filter)? })
    }
}

async fn list(
    State(admin): State<Admin>,
    Query(asked): Query<ListDeliveries>,
) -> Result<Json<wire::Deliveries>, Error> {
    let page = admin.store.deliveries(asked.query()?).await?;
    let waiting = Waiting::now(&admin).await?;
    let deliveries = page.items.iter().map(|record| delivery(&waiting, record)).collect();
    Ok(Json(wire::Deliveries { deliveries, next: page.next }))
}

async fn show(State(admin): State<Admin>, Path(id): Path<String>) -> Result<Json<wire::Delivery>, Error> {
    let known =
        id.parse().map_err(|_| Error::BadRequest(format!("{id:?} is not the id of a delivery, which is a number")));
    let found = admin.store.delivery(DeliveryId(known?)).await?;
    let record = found.ok_or_else(|| Error::NotFound(format!("there is no delivery {id}")))?;
    Ok(Json(delivery(&Waiting::now(&admin).await?, &record)))
}
