//! The webhooks, from the configuration or made where there are none.

use super::{BuildError, WelcomeWebhook, generated};
use crate::config::Config;
use crate::contract::{Token, Webhook, WebhookName, Webhooks, WebhooksError};

/// The name of the webhook that is made where none is configured.
const DEFAULT_WEBHOOK: &str = "default";

/// The webhooks, and what somebody who points the product at them needs. Where none is configured, the token of the one
/// that is made stays what it was.
pub(super) fn build(config: &Config) -> Result<(Webhooks, Vec<WelcomeWebhook>), BuildError> {
    let (mut webhooks, mut welcome) = (Vec::new(), Vec::new());
    for configured in &config.webhooks {
        webhooks.push(configured.webhook.clone());
        welcome.push(WelcomeWebhook {
            name: configured.webhook.name.to_string(),
            brand: configured.webhook.brand,
            token: configured.tokens.first().cloned(),
            token_file: None,
        });
    }
    if webhooks.is_empty() {
        let (token, file) = generated::webhook_token(config)?;
        let name = WebhookName::parse(DEFAULT_WEBHOOK);
        let tokens = Token::parse(token.expose()).into_iter().collect();
        webhooks.extend(name.map(|name| Webhook { name, brand: None, ids: Vec::new(), tokens, tokenless: false }));
        welcome.push(WelcomeWebhook {
            name: DEFAULT_WEBHOOK.to_owned(),
            brand: None,
            token: Some(token),
            token_file: Some(file),
        });
    }
    let first = |errors: Vec<(usize, WebhooksError)>| errors.into_iter().next().map(|(_, error)| error);
    let webhooks = Webhooks::new(webhooks).map_err(|errors| {
        BuildError::Webhooks(first(errors).unwrap_or(WebhooksError::NoToken(DEFAULT_WEBHOOK.to_owned())))
    })?;
    Ok((webhooks, welcome))
}
