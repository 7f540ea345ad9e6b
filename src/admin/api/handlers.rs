//! Handlers: what is set about each and how it is going; pausing, going on, and trying one.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};

use super::told::state_count;
use super::{Admin, Body, Error, Route, wire};
use crate::admin::HandlerInfo;
use crate::clock::between;
use crate::model::{HandlerName, HandlerRecord};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/handlers", "Every handler that is configured or has deliveries, by name.", list)
            .answers::<wire::Handlers>(),
        Route::get("/api/v1/handlers/{name}", "A handler.", show).answers::<wire::Handler>(),
        Route::post("/api/v1/handlers/{name}/pause", "Pauses a handler, which gets nothing then.", pause)
            .takes::<Nothing>()
            .answers::<wire::Handler>(),
        Route::post("/api/v1/handlers/{name}/resume", "Lets a paused handler go on.", resume)
            .takes::<Nothing>()
            .answers::<wire::Handler>(),
    ]
}

/// An empty body.
#[derive(Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

async fn list(State(admin): State<Admin>) -> Result<Json<wire::Handlers>, Error> {
    Ok(Json(wire::Handlers { handlers: all(&admin).await?.into_values().collect() }))
}

async fn show(State(admin): State<Admin>, Path(name): Path<String>) -> Result<Json<wire::Handler>, Error> {
    Ok(Json(find(&admin, &name).await?.1))
}

async fn pause(
    State(admin): State<Admin>,
    Path(name): Path<String>,
    _: Body<Nothing>,
) -> Result<Json<wire::Handler>, Error> {
    set_paused(&admin, &name, true).await
}

async fn resume(
    State(admin): State<Admin>,
    Path(name): Path<String>,
    _: Body<Nothing>,
) -> Result<Json<wire::Handler>, Error> {
    set_paused(&admin, &name, false).await
}

async fn set_paused(admin: &Admin, name: &str, paused: bool) -> Result<Json<wire::Handler>, Error> {
    let (known, _) = find(admin, name).await?;
    admin.store.set_paused(known, paused, admin.clock.now()).await?;
    Ok(Json(find(admin, name).await?.1))
}

/// A handler by its name, where there is one.
pub(super) async fn find(admin: &Admin, name: &str) -> Result<(HandlerName, wire::Handler), Error> {
    let found = match HandlerName::parse(name) {
        Some(known) => all(admin).await?.remove_entry(&known),
        None => None,
    };
    found.ok_or_else(|| Error::NotFound(format!("there is no handler {name:?}; `handlers list` shows them")))
}

async fn all(admin: &Admin) -> Result<BTreeMap<HandlerName, wire::Handler>, Error> {
    let records = admin.store.handlers().await?;
    let mut records: BTreeMap<_, _> = records.into_iter().map(|record| (record.name.clone(), record)).collect();
    let in_force = admin.in_force();
    let mut handlers = BTreeMap::new();
    for info in &in_force.handlers {
        let told = handler(admin, &info.name, Some(info), records.remove(&info.name));
        handlers.insert(info.name.clone(), told);
    }
    // Ruling 20.
    for (name, record) in records {
        let told = handler(admin, &name, None, Some(record));
        handlers.insert(name, told);
    }
    Ok(handlers)
}

fn handler(
    admin: &Admin,
    name: &HandlerName,
    info: Option<&HandlerInfo>,
    record: Option<HandlerRecord>,
) -> wire::Handler {
    let (paused_at, breaker, deliveries, oldest) = match record {
        Some(record) => (record.paused_at, record.breaker, record.deliveries, record.oldest_pending),
        None => (None, None, Vec::new(), None),
    };
    wire::Handler {
        name: name.to_string(),
        orphaned: info.is_none(),
        settings: info.map(settings),
        paused_at,
        breaker: breaker.map(|breaker| wire::Breaker {
            since: breaker.since,
            next_probe_at: breaker.until,
            failures: breaker.failures,
            probes: breaker.probes,
            reason: breaker.reason,
        }),
        deliveries: deliveries.into_iter().map(|(state, count)| state_count(state, count)).collect(),
        oldest_pending_seconds: oldest.map(|planned_at| between(planned_at, admin.clock.now()).as_secs()),
    }
}

fn settings(info: &HandlerInfo) -> wire::HandlerSettings {
    let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    wire::HandlerSettings {
        kind: info.kind.to_owned(),
        events: info.route.patterns().iter().map(ToString::to_string).collect(),
        ordered: info.ordered,
        concurrency: info.concurrency,
        timeout_ms: millis(info.timeout),
        retry: wire::Retry {
            attempts: info.attempts,
            first_ms: millis(info.first_retry),
            max_ms: millis(info.max_retry),
        },
        breaker_failures: info.breaker_failures,
        rate: info.rate.map(|(count, per)| wire::Rate { count, per_ms: millis(per) }),
    }
}
