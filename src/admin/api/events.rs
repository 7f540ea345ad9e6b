//! Events and their deliveries.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, header};
use serde::Deserialize;

use super::{Admin, Error, limit, wire};
use crate::contract::{Envelope, missing_parts};
use crate::handlers::log::title;
use crate::model::{
    Attempt, DeliveryFilter, DeliveryId, DeliveryRecord, DeliveryState, EventFilter, EventId, EventRecord, HandlerName,
    IdempotencyKey, NameFilterError, Position, Receipt, StoredEvent,
};
use crate::store::{DeliveryQuery, EventQuery, EventRow, Start};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListEvents {
    limit: Option<usize>,
    before: Option<i64>,
    name: Option<String>,
    webhook: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListDeliveries {
    limit: Option<usize>,
    before: Option<i64>,
    handler: Option<String>,
    state: Option<String>,
}

type Asked<T> = Result<Query<T>, QueryRejection>;

fn asked<T>(query: Asked<T>) -> Result<T, Error> {
    query.map(|Query(asked)| asked).map_err(|rejection| Error::BadRequest(rejection.body_text()))
}

pub(super) async fn list(State(admin): State<Admin>, query: Asked<ListEvents>) -> Result<Json<wire::Events>, Error> {
    let asked = asked(query)?;
    let limit = limit(asked.limit)?;
    let name =
        asked.name.map(|name| name.parse().map_err(|error: NameFilterError| Error::BadRequest(error.to_string())));
    let filter = EventFilter { name: name.transpose()?, webhook: asked.webhook, ..EventFilter::default() };
    let start = asked.before.map_or(Start::Newest, |before| Start::Before(Position(before)));
    let page = admin.store.events(EventQuery { limit, start, filter }).await?;
    Ok(Json(wire::Events { events: page.items.iter().map(summary_of_row).collect(), next: page.next }))
}

pub(super) async fn show(State(admin): State<Admin>, Path(id): Path<String>) -> Result<Json<wire::EventDetail>, Error> {
    let record = find(&admin, &id).await?;
    Ok(Json(detail(&admin, &record)))
}

/// The body as it came: to be saved, never to be looked at by a browser.
pub(super) async fn body(State(admin): State<Admin>, Path(id): Path<String>) -> Result<Response, Error> {
    Ok(download(find(&admin, &id).await?.event.body))
}

/// The body of a duplicate that came with another than the event's.
pub(super) async fn other_body(
    State(admin): State<Admin>,
    Path((id, number)): Path<(String, u64)>,
) -> Result<Response, Error> {
    let body = admin.store.other_body(parse_id(&id)?, number).await?;
    let none = || Error::NotFound(format!("duplicate {number} of event {id} has no body of its own"));
    Ok(download(body.ok_or_else(none)?))
}

fn download(body: Bytes) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"body.json\"")),
    ];
    (headers, body).into_response()
}

pub(super) async fn deliveries(
    State(admin): State<Admin>,
    query: Asked<ListDeliveries>,
) -> Result<Json<wire::Deliveries>, Error> {
    let asked = asked(query)?;
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

async fn find(admin: &Admin, id: &str) -> Result<EventRecord, Error> {
    let found = admin.store.event(parse_id(id)?).await?;
    found.ok_or_else(|| Error::NotFound(format!("there is no event {id}")))
}

fn parse_id(id: &str) -> Result<EventId, Error> {
    id.parse().map_err(|_| Error::BadRequest(format!("{id:?} is not the id of an event; `events list` shows them")))
}

fn summary_of_row(row: &EventRow) -> wire::EventSummary {
    let deliveries = row.deliveries.iter().map(|(state, count)| state_count(*state, *count)).collect();
    summary(&row.event, row.receipts, row.planned, deliveries)
}

fn summary(event: &StoredEvent, receipts: u64, planned: bool, deliveries: Vec<wire::StateCount>) -> wire::EventSummary {
    let data = Envelope::parse(&event.body).ok().and_then(|(_, envelope, _)| envelope.data);
    wire::EventSummary {
        id: event.id.to_string(),
        position: event.position.0,
        received_at: event.first.received_at,
        name: event.name.to_string(),
        brand: event.brand.slug().to_owned(),
        webhook: event.webhook.clone(),
        occurrence_id: event.occurrence_id.clone(),
        entity: event.entity.as_ref().map(ToString::to_string),
        title: data.as_ref().and_then(title),
        receipts,
        planned,
        deliveries,
        notes: event.notes.iter().map(|note| note.code.to_string()).collect(),
    }
}

pub(super) fn state_count(state: DeliveryState, count: u64) -> wire::StateCount {
    wire::StateCount { state: state.to_string(), count }
}

fn detail(admin: &Admin, record: &EventRecord) -> wire::EventDetail {
    let event = &record.event;
    let mut counts: Vec<wire::StateCount> = Vec::new();
    for delivery in &record.deliveries {
        match counts.iter_mut().find(|count| count.state == delivery.state.as_str()) {
            Some(count) => count.count += 1,
            None => counts.push(state_count(delivery.state, 1)),
        }
    }
    let text = |(name, value): (&str, &[u8])| (name.to_owned(), String::from_utf8_lossy(value).into_owned());
    wire::EventDetail {
        summary: summary(event, record.receipts, record.planned_at.is_some(), counts),
        original_name: event.original_name.clone(),
        claimed_webhook_id: event.claimed_webhook_id.clone(),
        oddities: event.notes.iter().map(|note| note.text.clone()).collect(),
        misfits: misfits(event),
        body_bytes: event.body.len(),
        headers: event.headers.iter().map(text).collect(),
        history: std::iter::once(&event.first).chain(&record.duplicates).map(receipt).collect(),
        planned_at: record.planned_at,
        not_routed: record
            .not_routed
            .iter()
            .map(|not| wire::NotRouted { handler: not.handler.clone(), clause: not.clause.clone() })
            .collect(),
        handlers: record.deliveries.iter().map(|record| delivery(admin, record)).collect(),
    }
}

fn misfits(event: &StoredEvent) -> Vec<String> {
    match Envelope::parse(&event.body) {
        Ok((_, envelope, misfits)) => {
            let missing = missing_parts(&event.name.to_string(), &envelope);
            misfits.iter().chain(&missing).map(ToString::to_string).collect()
        }
        Err(error) => vec![error.to_string()],
    }
}

fn receipt(receipt: &Receipt) -> wire::Receipt {
    wire::Receipt {
        received_at: receipt.received_at,
        retry_num: receipt.retry_num,
        sent_at: receipt.sent_at,
        peer: receipt.peer.map(|peer| peer.to_string()),
        matched_by_body: receipt.matched_by_body,
        other_body_bytes: receipt.other_body_bytes,
    }
}

fn delivery(admin: &Admin, record: &DeliveryRecord) -> wire::Delivery {
    let now = admin.clock.now();
    let pending = record.state == DeliveryState::Pending;
    let waits = match record.due_at {
        _ if !pending => None,
        // Ruling 20.
        _ if !admin.handlers.contains(&record.handler) => Some("for its handler, which is not configured"),
        Some(until) if record.claimed && until > now => Some("being attempted"),
        Some(due) if due > now => Some("until it is due again"),
        Some(_) => Some("for a free place"),
        None => Some("for the one before it in its lane"),
    };
    wire::Delivery {
        id: record.id.0,
        event: record.event.to_string(),
        event_name: record.event_name.clone(),
        handler: record.handler.to_string(),
        number: record.number,
        idempotency_key: IdempotencyKey::new(record.event, &record.handler, record.number).as_str().to_owned(),
        lane: record.lane.clone(),
        state: record.state.to_string(),
        waits: waits.map(str::to_owned),
        due_at: record.due_at.filter(|_| pending && !record.claimed),
        attempts: record.attempts,
        reason: record.reason.clone(),
        planned_at: record.planned_at,
        settled_at: record.settled_at,
        history: record.history.iter().map(attempt).collect(),
    }
}

fn attempt(attempt: &Attempt) -> wire::Attempt {
    let outcome = &attempt.outcome;
    wire::Attempt {
        number: attempt.number,
        ended: outcome.ended.as_str().to_owned(),
        started_at: outcome.started_at,
        took_ms: u64::try_from(outcome.took.as_millis()).unwrap_or(u64::MAX),
        status: outcome.status,
        message: outcome.message.clone(),
        response: String::from_utf8_lossy(&outcome.response).into_owned(),
    }
}
