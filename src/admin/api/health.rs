//! Whether it is well.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::told::state_count;
use super::{Admin, Error, Route, webhooks, wire};
use crate::clock::between;
use crate::health::Holder;
use crate::store::Replica;

/// How many of those who were turned away are told.
const TURNED_AWAY: usize = 20;

pub(super) fn routes() -> Vec<Route> {
    vec![Route::get("/api/v1/health", "How it is going.", health).answers::<wire::Health>()]
}

/// Ready, or why not in one word; told to anyone.
pub(in crate::admin) async fn ready(State(admin): State<Admin>) -> Response {
    match admin.health.ready() {
        Ok(()) => Json(serde_json::json!({ "status": "ready" })).into_response(),
        Err(why) => {
            let body = serde_json::json!({ "status": "not ready", "because": why });
            (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
        }
    }
}

async fn health(State(admin): State<Admin>) -> Result<Json<wire::Health>, Error> {
    let counts = admin.store.counts().await?;
    let replicas = admin.store.replicas().await?;
    let turned_away = admin.store.refusals(TURNED_AWAY).await?;
    let because = admin.health.ready().err();
    let now = admin.clock.now();
    Ok(Json(wire::Health {
        ready: because.is_none(),
        because: because.map(str::to_owned),
        events: counts.events,
        unplanned: counts.unplanned,
        deliveries: counts.deliveries.into_iter().map(|(state, count)| state_count(state, count)).collect(),
        oldest_pending_seconds: counts.oldest_pending.map(|planned_at| between(planned_at, now).as_secs()),
        rejected: counts.rejected,
        turned_away: turned_away
            .into_iter()
            .map(|refusal| wire::TurnedAway {
                code: refusal.code,
                peer: refusal.peer,
                claimed_webhook_id: refusal.claimed_webhook_id,
                count: refusal.count,
                last_at: refusal.last_at,
            })
            .collect(),
        webhooks: webhooks::told(&admin).await?,
        replicas: replicas.into_iter().map(replica).collect(),
        duties: admin.health.duties().into_iter().map(duty).collect(),
        reload: admin.health.reload().map(|last| wire::Reload {
            at: last.at,
            ok: last.mistakes.is_empty(),
            mistakes: last.mistakes,
        }),
    }))
}

fn replica(replica: Replica) -> wire::Replica {
    let duties = replica.duties.into_iter().map(|duty| duty.as_str().to_owned()).collect();
    wire::Replica { name: replica.name, this: replica.is_this, duties }
}

fn duty((name, holder): (&'static str, Holder)) -> wire::Duty {
    wire::Duty { name: name.to_owned(), holder: holder.as_str().to_owned() }
}
