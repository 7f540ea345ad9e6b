//! Replays: beginning one, looking at it, stopping it and letting it go on; and how much one would be.

use axum::Json;
use axum::extract::{Path, State};

use super::handlers::Nothing;
use super::{Admin, Body, Budget, Error, Route, filters, wire};
use crate::admin::InForce;
use crate::contract::EventName;
use crate::model::{NewReplay, Position, Replay, ReplayId, ReplayState, ReplayStep, ReplayTo, ReplayedEvents};
use crate::routes::candidates;
use crate::store::{EventQuery, Start, StoreError};

/// How many of the newest are told.
const NEWEST: usize = 1000;
/// The most events a second that can be asked for.
const PER_SECOND_MAX: u32 = 100_000;
/// How many events are looked at in one transaction.
const PAGE: usize = 200;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::post("/api/v1/replays", "Has events handled again; it goes on by itself.", start)
            .takes::<wire::NewReplay>()
            .answers::<wire::Replay>(),
        Route::post("/api/v1/replays/preview", "How much a replay would be; some of it for each request.", preview)
            .takes::<wire::PreviewReplay>()
            .answers::<wire::ReplayPreview>(),
        Route::get("/api/v1/replays", "The newest replays, the newest first.", list).answers::<wire::Replays>(),
        Route::get("/api/v1/replays/{id}", "A replay.", show).answers::<wire::Replay>(),
        Route::post("/api/v1/replays/{id}/stop", "Stops a replay; what it made is not taken back.", stop)
            .takes::<Nothing>()
            .answers::<wire::Replay>(),
        Route::post("/api/v1/replays/{id}/resume", "Lets a stopped replay go on.", resume)
            .takes::<Nothing>()
            .answers::<wire::Replay>(),
    ]
}

async fn start(State(admin): State<Admin>, Body(asked): Body<wire::NewReplay>) -> Result<Json<wire::Replay>, Error> {
    let new = new_replay(&admin, asked)?;
    let replay = admin.store.start_replay(new).await?;
    let replay = replay.ok_or_else(|| Error::NotFound("there is no such event".to_owned()))?;
    Ok(Json(told(&replay)))
}

async fn list(State(admin): State<Admin>) -> Result<Json<wire::Replays>, Error> {
    let replays = admin.store.replays(NEWEST).await?;
    Ok(Json(wire::Replays { replays: replays.iter().map(told).collect() }))
}

async fn show(State(admin): State<Admin>, Path(id): Path<String>) -> Result<Json<wire::Replay>, Error> {
    Ok(Json(told(&find(&admin, &id).await?)))
}

async fn stop(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    _: Body<Nothing>,
) -> Result<Json<wire::Replay>, Error> {
    set(&admin, &id, ReplayState::Stopped).await
}

async fn resume(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    _: Body<Nothing>,
) -> Result<Json<wire::Replay>, Error> {
    set(&admin, &id, ReplayState::Running).await
}

/// One that is in that state already stays as it is, and that is no failure.
async fn set(admin: &Admin, id: &str, state: ReplayState) -> Result<Json<wire::Replay>, Error> {
    let known = find(admin, id).await?.id;
    admin.store.set_replay(known, state, admin.clock.now()).await?;
    let now = find(admin, id).await?;
    if now.state == ReplayState::Done {
        return Err(Error::CannotBeDone(format!("replay {id} is done")));
    }
    Ok(Json(told(&now)))
}

async fn find(admin: &Admin, id: &str) -> Result<Replay, Error> {
    let wrong = || Error::BadRequest(format!("{id:?} is not the id of a replay, which is a number"));
    let known = ReplayId(id.parse().map_err(|_| wrong())?);
    let found = admin.store.replay(known).await?;
    found.ok_or_else(|| Error::NotFound(format!("there is no replay {id}; `replay list` shows them")))
}

fn new_replay(admin: &Admin, asked: wire::NewReplay) -> Result<NewReplay, Error> {
    let wire::NewReplay { event, filter, handler, rematch, undelivered, per_second } = asked;
    let events = match (event, filter) {
        (Some(id), None) => ReplayedEvents::One(filters::event_id(&id)?),
        (None, Some(filter)) => ReplayedEvents::Filter(filters::events(filter)?),
        (None, None) => return Err(Error::BadRequest("give an event or a filter".to_owned())),
        (Some(_), Some(_)) => return Err(Error::BadRequest("give an event or a filter, not both".to_owned())),
    };
    let handler = handler.as_deref().map(filters::handler_name).transpose()?;
    if let Some(handler) = handler.as_ref().filter(|handler| admin.in_force().handler(handler).is_none()) {
        return Err(Error::CannotBeDone(format!("{handler} is not configured, so it gets nothing")));
    }
    let to = match (handler, rematch) {
        (None, false) => ReplayTo::SameHandlers,
        (Some(handler), false) => ReplayTo::Handler(handler),
        (None, true) => ReplayTo::Rematch,
        (Some(handler), true) => ReplayTo::RematchHandler(handler),
    };
    if per_second.is_some_and(|rate| !(1..=PER_SECOND_MAX).contains(&rate)) {
        return Err(Error::BadRequest(format!("per_second can be from 1 to {PER_SECOND_MAX}")));
    }
    Ok(NewReplay { events, to, undelivered, per_second, at: admin.clock.now() })
}

async fn preview(
    State(admin): State<Admin>,
    Body(asked): Body<wire::PreviewReplay>,
) -> Result<Json<wire::ReplayPreview>, Error> {
    let new = new_replay(&admin, asked.replay)?;
    let in_force = admin.in_force();
    let filter = match new.events.clone() {
        ReplayedEvents::Filter(filter) => filter,
        ReplayedEvents::One(id) => {
            let found = admin.store.event(id).await?;
            let event = found.ok_or_else(|| Error::NotFound(format!("there is no event {id}")))?.event;
            let deliveries = admin.store.preview_replay(step(&new, &in_force, [(event.position, &event.name)])).await?;
            let through = event.position.0;
            return Ok(Json(wire::ReplayPreview { events: 1, deliveries, next: None, through }));
        }
    };
    let through = match asked.through {
        Some(through) => through,
        None => newest(&admin).await?,
    };
    let (mut budget, mut events, mut deliveries, mut next) = (Budget::new(), 0, 0, Some(asked.after.unwrap_or(0)));
    while let Some(cursor) = next.filter(|cursor| *cursor < through && !budget.is_spent()) {
        let start = Start::After(Position(cursor));
        let page = admin.store.events(EventQuery { limit: PAGE, start, filter: filter.clone() }).await?;
        let rows = page.items.iter().map(|row| (row.event.position, &row.event.name));
        let step = step(&new, &in_force, rows.filter(|(position, _)| position.0 <= through));
        budget.spend(step.events.len());
        events += step.events.len() as u64;
        if !step.events.is_empty() {
            deliveries += admin.store.preview_replay(step).await?;
        }
        next = page.next;
    }
    Ok(Json(wire::ReplayPreview { events, deliveries, next: next.filter(|next| *next < through), through }))
}

/// What a replay would do with these events.
fn step<'e>(
    new: &NewReplay,
    in_force: &InForce,
    events: impl IntoIterator<Item = (Position, &'e EventName)>,
) -> ReplayStep {
    let of_event = |(position, name)| {
        let handlers = in_force.handlers.iter().map(|handler| (&handler.name, &handler.route, handler.ordered));
        (position, candidates(new, name, handlers))
    };
    ReplayStep {
        events: events.into_iter().map(of_event).collect(),
        asked_before: new.to == ReplayTo::SameHandlers,
        undelivered: new.undelivered,
    }
}

/// The newest event that there is.
async fn newest(admin: &Admin) -> Result<i64, StoreError> {
    let page = admin.store.events(EventQuery { limit: 1, ..EventQuery::default() }).await?;
    Ok(page.items.first().map_or(0, |row| row.event.position.0))
}

fn told(replay: &Replay) -> wire::Replay {
    let NewReplay { events, to, undelivered, per_second, at } = &replay.asked;
    let (event, filter) = match events {
        ReplayedEvents::One(id) => (Some(id.to_string()), None),
        ReplayedEvents::Filter(filter) => (None, Some(filters::told(filter))),
    };
    let (handler, rematch) = match to {
        ReplayTo::SameHandlers => (None, false),
        ReplayTo::Handler(handler) => (Some(handler.to_string()), false),
        ReplayTo::Rematch => (None, true),
        ReplayTo::RematchHandler(handler) => (Some(handler.to_string()), true),
    };
    wire::Replay {
        id: replay.id.0,
        state: replay.state.as_str().to_owned(),
        asked: wire::NewReplay { event, filter, handler, rematch, undelivered: *undelivered, per_second: *per_second },
        started_at: *at,
        position: replay.position.0,
        last: replay.last.0,
        events: replay.events,
        deliveries: replay.deliveries,
        done_at: replay.done_at,
    }
}
