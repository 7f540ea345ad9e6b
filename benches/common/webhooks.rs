//! The webhooks of a program that is loaded by its own library: one, with one token.

use anyhow::Context;
use workhook::contract::{Token, Webhook, WebhookName, Webhooks};

/// The webhook `product` with this token.
pub(crate) fn with_token(token: &str) -> anyhow::Result<Webhooks> {
    let webhook = Webhook {
        name: WebhookName::parse("product").context("a name")?,
        brand: None,
        ids: Vec::new(),
        tokens: Token::parse(token).into_iter().collect(),
        tokenless: false,
    };
    Webhooks::new(vec![webhook]).map_err(|errors| anyhow::anyhow!("{errors:?}"))
}
