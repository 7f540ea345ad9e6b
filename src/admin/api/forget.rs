//! Forgetting somebody or something, a step at a time.

use axum::Json;
use axum::extract::State;

use super::{Admin, Body, Error, Route, wire};
use crate::model::Position;
use crate::store::{ForgetAbout, ForgetStep};

/// How many events one step looks at.
const STEP: usize = 500;

pub(super) fn routes() -> Vec<Route> {
    let summary =
        "Removes everything about a person or an entity from some of what is kept; asked again until the end.";
    vec![Route::post("/api/v1/forget", summary, forget).takes::<wire::Forget>().answers::<wire::Forgotten>()]
}

async fn forget(State(admin): State<Admin>, Body(asked): Body<wire::Forget>) -> Result<Json<wire::Forgotten>, Error> {
    let said = |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let about = match (said(asked.person), said(asked.entity)) {
        (Some(person), None) => ForgetAbout::Person(person),
        (None, Some(entity)) => ForgetAbout::Entity(entity),
        _ => return Err(Error::BadRequest("say a person or an entity, and not both".to_owned())),
    };
    let step = ForgetStep { about, after: Position(asked.after), limit: STEP, dry_run: asked.dry_run };
    let forgotten = admin.store.forget(step).await?;
    Ok(Json(wire::Forgotten {
        events: forgotten.events,
        rejected: forgotten.rejected,
        bodies: forgotten.bodies,
        next: forgotten.through.map(|through| through.0),
        left: forgotten.left.map(|left| left.as_str().to_owned()),
    }))
}
