//! The configured webhooks, and how often each of their tokens was used.

use axum::Json;
use axum::extract::State;

use super::{Admin, Error, Route, wire};
use crate::contract::Webhook;
use crate::store::TokenUse;

pub(super) fn routes() -> Vec<Route> {
    let summary = "The configured webhooks, and how often each of their tokens was used.";
    vec![Route::get("/api/v1/webhooks", summary, list).answers::<wire::Webhooks>()]
}

async fn list(State(admin): State<Admin>) -> Result<Json<wire::Webhooks>, Error> {
    Ok(Json(wire::Webhooks { webhooks: told(&admin).await? }))
}

/// Each configured webhook, with the uses of its tokens.
pub(super) async fn told(admin: &Admin) -> Result<Vec<wire::Webhook>, Error> {
    let uses = admin.store.token_uses().await?;
    Ok(admin.in_force().webhooks.iter().map(|own| webhook(own, &uses)).collect())
}

fn webhook(webhook: &Webhook, uses: &[TokenUse]) -> wire::Webhook {
    let own: Vec<_> = uses.iter().filter(|used| used.webhook == webhook.name.as_str()).collect();
    let configured: Vec<String> = webhook.token_labels().iter().map(ToString::to_string).collect();
    let mut tokens: Vec<wire::TokenUse> = configured
        .iter()
        .map(|token| wire::TokenUse { token: token.clone(), configured: true, count: 0, last_at: None })
        .collect();
    for used in &own {
        let (count, last_at) = (used.count, Some(used.last_at));
        match tokens.iter_mut().find(|token| token.token == used.token) {
            Some(token) => (token.count, token.last_at) = (count, last_at),
            None => {
                let configured = used.token.is_empty() && webhook.tokenless;
                tokens.push(wire::TokenUse { token: used.token.clone(), configured, count, last_at });
            }
        }
    }
    wire::Webhook {
        name: webhook.name.to_string(),
        brand: webhook.brand.map(|brand| brand.slug().to_owned()),
        ids: webhook.ids.clone(),
        tokenless: webhook.tokenless,
        last_request: own.iter().map(|used| used.last_at).max(),
        tokens,
    }
}
