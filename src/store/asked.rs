//! Every look-up that there is, for those who watch how a store goes about it.

use jiff::Timestamp;

use super::{DeliveryQuery, EventQuery, ForgetAbout, ForgetStep, RejectedQuery, Start, Store};
use crate::model::{
    DeliveryFilter, DeliveryId, DeliveryState, EventFilter, EventId, EventOutcome, HandlerName, Position, RejectedId,
    ReplayId,
};

/// Asks a store for everything, in every way.
pub(super) async fn ask_everything(store: &dyn Store) {
    let starts = [Start::Newest, Start::Before(Position(3)), Start::After(Position(1))];
    for filter in event_filters() {
        for start in starts {
            store.events(EventQuery { limit: 2, start, filter: filter.clone() }).await.unwrap();
        }
    }
    for filter in delivery_filters() {
        for start in [Start::Newest, Start::Before(DeliveryId(3)), Start::After(DeliveryId(1))] {
            store.deliveries(DeliveryQuery { limit: 2, start, filter: filter.clone() }).await.unwrap();
        }
    }
    for webhook in [None, Some("product".to_owned())] {
        for start in [Start::Newest, Start::Before(RejectedId(3)), Start::After(RejectedId(1))] {
            store.rejected(RejectedQuery { limit: 2, start, webhook: webhook.clone() }).await.unwrap();
        }
    }
    let id = store.unplanned(1).await.unwrap().first().map_or(EventId::from_bytes([0; 16]), |event| event.id);
    store.event(id).await.unwrap();
    store.other_body(id, 1).await.unwrap();
    store.delivery(DeliveryId(1)).await.unwrap();
    store.rejected_request(RejectedId(1)).await.unwrap();
    store.refusals(20).await.unwrap();
    store.token_uses().await.unwrap();
    store.handlers().await.unwrap();
    store.replays(2).await.unwrap();
    store.replay(ReplayId(1)).await.unwrap();
    store.running_replays().await.unwrap();
    store.counts().await.unwrap();
    store.space().await.unwrap();
    store.catalogue(1).await.unwrap();
    for about in [ForgetAbout::Person("nobody".to_owned()), ForgetAbout::Entity("issue/0".to_owned())] {
        store.forget(ForgetStep { about, after: Position(0), limit: 2, dry_run: true }).await.unwrap();
    }
}

fn event_filters() -> Vec<EventFilter> {
    let none = EventFilter::default;
    let time = Some(Timestamp::UNIX_EPOCH);
    let mut filters = vec![
        none(),
        EventFilter { name: Some("Issue.*".parse().unwrap()), ..none() },
        EventFilter { webhook: Some("product".to_owned()), ..none() },
        EventFilter { entity: Some("issue/100".to_owned()), ..none() },
        EventFilter { person: Some("Jane".to_owned()), ..none() },
        EventFilter { text: Some("login fails".to_owned()), ..none() },
        EventFilter { since: time, until: time, ..none() },
    ];
    for outcome in EventOutcome::ALL {
        filters.push(EventFilter { outcome: Some(outcome), ..none() });
        let text = Some("login".to_owned());
        filters.push(EventFilter { outcome: Some(outcome), text, since: time, ..none() });
    }
    filters
}

fn delivery_filters() -> Vec<DeliveryFilter> {
    let none = DeliveryFilter::default;
    let (handler, time) = (HandlerName::parse("crm"), Some(Timestamp::UNIX_EPOCH));
    let mut filters = vec![
        none(),
        DeliveryFilter { handler: handler.clone(), ..none() },
        DeliveryFilter { event: Some(EventId::from_bytes([0; 16])), ..none() },
        DeliveryFilter { name: Some("Issue.*".parse().unwrap()), ..none() },
        DeliveryFilter { since: time, until: time, ..none() },
        DeliveryFilter { reason: Some("gone".to_owned()), ..none() },
    ];
    for state in DeliveryState::ALL {
        filters.push(DeliveryFilter { state: Some(state), ..none() });
        filters.push(DeliveryFilter { state: Some(state), handler: handler.clone(), since: time, ..none() });
    }
    filters
}
