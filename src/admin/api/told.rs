//! What is kept, in the shapes of the API.

use super::waiting::Waiting;
use super::wire;
use crate::contract::{Envelope, missing_parts};
use crate::handlers::log::title;
use crate::model::{Attempt, DeliveryRecord, DeliveryState, EventRecord, IdempotencyKey, Receipt, StoredEvent};
use crate::store::EventRow;

pub(super) fn summary_of_row(row: &EventRow) -> wire::EventSummary {
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

pub(super) fn detail(waiting: &Waiting, record: &EventRecord) -> wire::EventDetail {
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
        handlers: record.deliveries.iter().map(|record| delivery(waiting, record)).collect(),
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

pub(super) fn delivery(waiting: &Waiting, record: &DeliveryRecord) -> wire::Delivery {
    let pending = record.state == DeliveryState::Pending;
    wire::Delivery {
        id: record.id.0,
        event: record.event.to_string(),
        event_name: record.event_name.clone(),
        handler: record.handler.to_string(),
        number: record.number,
        idempotency_key: IdempotencyKey::new(record.event, &record.handler, record.number).as_str().to_owned(),
        lane: record.lane.clone(),
        state: record.state.to_string(),
        waits: waiting.of(record).map(str::to_owned),
        due_at: record.due_at.filter(|_| pending && !record.claimed),
        attempts: record.attempts,
        retried: record.retried,
        replay: record.replay.map(|replay| replay.0),
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
