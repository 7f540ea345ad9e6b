//! Deliveries that are retried or cancelled: some, or all that are meant by a filter.
//!
//! What always holds: one request does a bounded amount of work and says where to go on, and it ends though what it
//! retries fails again: it looks at nothing that is newer than its first request.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;

use super::{Admin, Body, Budget, Error, Route, filters, wire};
use crate::model::{DeliveryFilter, DeliveryId, DeliveryState};
use crate::store::{DeliveryQuery, Start, StoreError};

/// The most ids of one request, and the most deliveries that are changed in one transaction.
const IDS_MAX: usize = 500;
/// The longest reason for a cancellation, in bytes.
const REASON_MAX: usize = 500;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::post(
            "/api/v1/deliveries/retry",
            "Has dead letters, or cancelled deliveries, tried again, out of order; some of them for each request.",
            retry,
        )
        .takes::<wire::ChangeDeliveries>()
        .answers::<wire::ChangedDeliveries>(),
        Route::post(
            "/api/v1/deliveries/cancel",
            "Cancels pending deliveries; an attempt under way is not taken back. Some of them for each request.",
            cancel,
        )
        .takes::<wire::ChangeDeliveries>()
        .answers::<wire::ChangedDeliveries>(),
    ]
}

enum Change {
    Retry,
    Cancel(String),
}

type Asked = Body<wire::ChangeDeliveries>;
type Answer = Result<Json<wire::ChangedDeliveries>, Error>;

async fn retry(State(admin): State<Admin>, Body(asked): Asked) -> Answer {
    if asked.reason.is_some() {
        return Err(Error::BadRequest("a retry has no reason; only a cancellation has".to_owned()));
    }
    change(&admin, asked, &Change::Retry).await.map(Json)
}

async fn cancel(State(admin): State<Admin>, Body(asked): Asked) -> Answer {
    let reason = asked.reason.clone().unwrap_or_else(|| "cancelled by hand".to_owned());
    if reason.len() > REASON_MAX {
        return Err(Error::BadRequest(format!("the reason is longer than {REASON_MAX} bytes")));
    }
    change(&admin, asked, &Change::Cancel(reason)).await.map(Json)
}

async fn change(
    admin: &Admin,
    asked: wire::ChangeDeliveries,
    change: &Change,
) -> Result<wire::ChangedDeliveries, Error> {
    let wire::ChangeDeliveries { ids, filter, dry_run, after, through, .. } = asked;
    match filter {
        Some(filter) if ids.is_empty() => {
            let filter = change.among(filters::deliveries(filter)?)?;
            let change = (!dry_run).then_some(change);
            by_filter(admin, filter, change, after.unwrap_or(0), through).await
        }
        None if ids.is_empty() => Err(Error::BadRequest("give ids or a filter".to_owned())),
        Some(_) => Err(Error::BadRequest("give ids or a filter, not both".to_owned())),
        None if ids.len() > IDS_MAX => Err(Error::BadRequest(format!("these are more than {IDS_MAX} ids"))),
        None => {
            let ids = ids.into_iter().map(DeliveryId).collect();
            let done = if dry_run { count(admin, ids, change).await? } else { change.make(admin, ids).await? };
            Ok(wire::ChangedDeliveries { done, next: None, through: None })
        }
    }
}

/// How many of these are in a state that allows it.
async fn count(admin: &Admin, mut ids: Vec<DeliveryId>, change: &Change) -> Result<u64, Error> {
    ids.sort_unstable();
    ids.dedup();
    let mut count = 0;
    for id in ids {
        let found = admin.store.delivery(id).await?;
        count += u64::from(found.is_some_and(|record| change.allowed().contains(&record.state)));
    }
    Ok(count)
}

/// Goes through what is meant, from the oldest to the newest; `None` only counts.
async fn by_filter(
    admin: &Admin,
    filter: DeliveryFilter,
    change: Option<&Change>,
    after: i64,
    through: Option<i64>,
) -> Result<wire::ChangedDeliveries, Error> {
    let through = match through {
        Some(through) => through,
        None => newest(admin).await?,
    };
    let (mut budget, mut done, mut next) = (Budget::new(), 0, Some(after));
    while let Some(cursor) = next.filter(|cursor| *cursor < through && !budget.is_spent()) {
        let start = Start::After(DeliveryId(cursor));
        let page = admin.store.deliveries(DeliveryQuery { limit: IDS_MAX, start, filter: filter.clone() }).await?;
        let ids: Vec<_> = page.items.iter().map(|record| record.id).filter(|id| id.0 <= through).collect();
        budget.spend(ids.len());
        done += match change {
            Some(change) if !ids.is_empty() => change.make(admin, ids).await?,
            Some(_) | None => ids.len() as u64,
        };
        next = page.next;
    }
    Ok(wire::ChangedDeliveries { done, next: next.filter(|next| *next < through), through: Some(through) })
}

/// The newest delivery that there is.
async fn newest(admin: &Admin) -> Result<i64, StoreError> {
    let page = admin.store.deliveries(DeliveryQuery { limit: 1, ..DeliveryQuery::default() }).await?;
    Ok(page.items.first().map_or(0, |record| record.id.0))
}

impl Change {
    /// The states that allow it, first the one that is meant where nobody says.
    fn allowed(&self) -> &'static [DeliveryState] {
        match self {
            Change::Retry => &[DeliveryState::Dead, DeliveryState::Cancelled],
            Change::Cancel(_) => &[DeliveryState::Pending],
        }
    }

    /// A filter for nothing but what it can be done to.
    fn among(&self, mut filter: DeliveryFilter) -> Result<DeliveryFilter, Error> {
        let allowed = self.allowed();
        let state = filter.state.or(allowed.first().copied());
        if !state.is_some_and(|state| allowed.contains(&state)) {
            let allowed: Vec<_> = allowed.iter().map(|state| state.as_str()).collect();
            return Err(Error::BadRequest(format!("only those can be meant that are {}", allowed.join(" or "))));
        }
        filter.state = state;
        Ok(filter)
    }

    async fn make(&self, admin: &Admin, ids: Vec<DeliveryId>) -> Result<u64, StoreError> {
        let now: Timestamp = admin.clock.now();
        match self {
            Change::Retry => admin.store.retry(ids, now).await,
            Change::Cancel(reason) => admin.store.cancel(ids, reason.clone(), now).await,
        }
    }
}
