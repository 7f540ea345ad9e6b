//! Trying a handler: one event goes to it alone, the whole way, and the answer waits for what comes of it.
//!
//! It is a replay of that event to that handler, so it is kept and told of like any.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use tokio::time::{Instant, sleep};

use super::told::delivery;
use super::waiting::Waiting;
use super::{Admin, Body, Error, Route, filters, handlers, wire};
use crate::admin::HandlerInfo;
use crate::model::{
    DeliveryFilter, DeliveryRecord, DeliveryState, EventFilter, EventId, HandlerName, NewReplay, Position, ReplayId,
    ReplayTo, ReplayedEvents,
};
use crate::store::{DeliveryQuery, EventQuery, Start};

/// How long the answer waits beyond the handler's time-out.
const BEYOND: Duration = Duration::from_secs(2);
/// How long it waits at the most: less than a request may take.
const WAIT_MAX: Duration = Duration::from_secs(25);
/// How often it is looked whether the attempt has ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How many of the newest events are looked at for one that the handler takes.
const LOOKED_AT_MAX: usize = 1000;
/// How many of them at a time.
const PAGE: usize = 50;
/// How many of the newest deliveries of the event to the handler are looked at for the one of the test.
const DELIVERIES_MAX: usize = 20;

pub(super) fn routes() -> Vec<Route> {
    let summary = "Has one event go to this handler alone, and waits for what comes of the first attempt; 202 where \
         that takes longer.";
    vec![
        Route::post("/api/v1/handlers/{name}/test", summary, test)
            .takes::<wire::TestHandler>()
            .answers::<wire::Tested>(),
    ]
}

async fn test(
    State(admin): State<Admin>,
    Path(name): Path<String>,
    Body(asked): Body<wire::TestHandler>,
) -> Result<(StatusCode, Json<wire::Tested>), Error> {
    let (name, told) = handlers::find(&admin, &name).await?;
    let in_force = admin.in_force();
    let info = in_force.handler(&name);
    let info = info.ok_or_else(|| Error::CannotBeDone(format!("{name} is not configured, so it gets nothing")))?;
    if told.paused_at.is_some() {
        return Err(Error::CannotBeDone(format!("{name} is paused; `handlers resume {name}` lets it go on")));
    }
    let event = event(&admin, asked, info).await?;
    let new = NewReplay {
        events: ReplayedEvents::One(event),
        to: ReplayTo::Handler(name.clone()),
        undelivered: false,
        per_second: None,
        at: admin.clock.now(),
    };
    let started = admin.store.start_replay(new).await?;
    let replay = started.ok_or_else(|| Error::NotFound(format!("there is no event {event}")))?.id;
    let until = Instant::now() + (info.timeout + BEYOND).min(WAIT_MAX);
    let (record, ended) = wait(&admin, &name, event, replay, until).await?;
    let waiting = Waiting::now(&admin).await?;
    let delivery = record.map(|record| delivery(&waiting, &record));
    let told = wire::Tested { event: event.to_string(), replay: replay.0, delivery, ended };
    Ok((if ended { StatusCode::OK } else { StatusCode::ACCEPTED }, Json(told)))
}

/// The event that was asked for, else the newest that the handler's route takes.
async fn event(admin: &Admin, asked: wire::TestHandler, info: &HandlerInfo) -> Result<EventId, Error> {
    match (asked.event_id, asked.event) {
        (Some(_), Some(_)) => Err(Error::BadRequest("give event_id or event, not both".to_owned())),
        (Some(id), None) => filters::event_id(&id),
        (None, Some(name)) => {
            let filter = EventFilter { name: Some(filters::event_names(&name)?), ..EventFilter::default() };
            let found = newest(admin, filter, |_| true).await?;
            found.ok_or_else(|| Error::NotFound(format!("no {name} is kept; `workhook send {name}` makes one")))
        }
        (None, None) => {
            let taken = |name: &_| info.route.judge(name).is_ok();
            let found = newest(admin, EventFilter::default(), taken).await?;
            let patterns: Vec<_> = info.route.patterns().iter().map(ToString::to_string).collect();
            let none = || {
                let (name, patterns) = (&info.name, patterns.join(", "));
                format!("{name} takes {patterns}, and none of the newest events is such; `workhook send` makes one")
            };
            found.ok_or_else(|| Error::NotFound(none()))
        }
    }
}

async fn newest(
    admin: &Admin,
    filter: EventFilter,
    is_right: impl Fn(&crate::contract::EventName) -> bool,
) -> Result<Option<EventId>, Error> {
    let (mut start, mut looked_at) = (Start::Newest, 0);
    while looked_at < LOOKED_AT_MAX {
        let page = admin.store.events(EventQuery { limit: PAGE, start, filter: filter.clone() }).await?;
        if let Some(row) = page.items.iter().find(|row| is_right(&row.event.name)) {
            return Ok(Some(row.event.id));
        }
        // A page that was looked through in vain was of many events.
        looked_at += PAGE;
        let Some(next) = page.next else { break };
        start = Start::Before(Position(next));
    }
    Ok(None)
}

/// Waits for the end of the first attempt; what there is of the delivery by then.
async fn wait(
    admin: &Admin,
    handler: &HandlerName,
    event: EventId,
    replay: ReplayId,
    until: Instant,
) -> Result<(Option<DeliveryRecord>, bool), Error> {
    let filter = DeliveryFilter { handler: Some(handler.clone()), event: Some(event), ..DeliveryFilter::default() };
    let mut own = None;
    loop {
        if own.is_none() {
            let query = DeliveryQuery { limit: DELIVERIES_MAX, start: Start::Newest, filter: filter.clone() };
            let page = admin.store.deliveries(query).await?;
            own = page.items.iter().find(|record| record.replay == Some(replay)).map(|record| record.id);
        }
        let record = match own {
            Some(id) => admin.store.delivery(id).await?,
            None => None,
        };
        let ended =
            record.as_ref().is_some_and(|record| record.state != DeliveryState::Pending || !record.history.is_empty());
        if ended || Instant::now() >= until {
            return Ok((record, ended));
        }
        sleep(LOOK_EVERY).await;
    }
}
