//! From the filters of the API to those of the store.

use super::{Error, wire};
use crate::model::{
    DeliveryFilter, DeliveryState, EventFilter, EventId, EventOutcome, HandlerName, NameFilter, NameFilterError,
};

pub(super) fn events(asked: wire::EventFilter) -> Result<EventFilter, Error> {
    let wire::EventFilter { name, webhook, entity, person, text, since, until, outcome } = asked;
    let outcome = outcome.map(|word| {
        let known = EventOutcome::ALL.map(EventOutcome::as_str).join(", ");
        EventOutcome::parse(&word).ok_or_else(|| Error::BadRequest(format!("{word:?} is no outcome; they are {known}")))
    });
    let (name, outcome) = (name.as_deref().map(event_names).transpose()?, outcome.transpose()?);
    Ok(EventFilter { name, webhook, entity, person, text, since, until, outcome })
}

/// A filter of the store, as it was asked for.
pub(super) fn told(filter: &EventFilter) -> wire::EventFilter {
    wire::EventFilter {
        name: filter.name.as_ref().map(ToString::to_string),
        webhook: filter.webhook.clone(),
        entity: filter.entity.clone(),
        person: filter.person.clone(),
        text: filter.text.clone(),
        since: filter.since,
        until: filter.until,
        outcome: filter.outcome.map(|outcome| outcome.as_str().to_owned()),
    }
}

pub(super) fn deliveries(asked: wire::DeliveryFilter) -> Result<DeliveryFilter, Error> {
    let wire::DeliveryFilter { handler, state, event, name, since, until, reason } = asked;
    Ok(DeliveryFilter {
        handler: handler.as_deref().map(handler_name).transpose()?,
        state: state.as_deref().map(delivery_state).transpose()?,
        event: event.as_deref().map(event_id).transpose()?,
        name: name.as_deref().map(event_names).transpose()?,
        since,
        until,
        reason,
    })
}

pub(super) fn event_id(id: &str) -> Result<EventId, Error> {
    id.parse().map_err(|_| Error::BadRequest(format!("{id:?} is not the id of an event; `events list` shows them")))
}

pub(super) fn event_names(text: &str) -> Result<NameFilter, Error> {
    text.parse().map_err(|error: NameFilterError| Error::BadRequest(error.to_string()))
}

pub(super) fn handler_name(name: &str) -> Result<HandlerName, Error> {
    HandlerName::parse(name).ok_or_else(|| Error::BadRequest(format!("{name:?} cannot name a handler")))
}

fn delivery_state(word: &str) -> Result<DeliveryState, Error> {
    let known = || DeliveryState::ALL.map(DeliveryState::as_str).join(", ");
    DeliveryState::parse(word).ok_or_else(|| Error::BadRequest(format!("{word:?} is no state; they are {}", known())))
}
