//! The settings in force.

use axum::Json;
use axum::extract::State;

use super::{Admin, Route, wire};

pub(super) fn routes() -> Vec<Route> {
    let summary = "The settings in force, each with where it was said; no secret is shown.";
    vec![Route::get("/api/v1/settings", summary, settings).answers::<wire::Settings>()]
}

async fn settings(State(admin): State<Admin>) -> Json<wire::Settings> {
    Json(admin.in_force().settings.clone())
}
