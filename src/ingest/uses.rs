//! Counting by which token requests were let in, so that a rotation can be seen to be over.
//!
//! Every request that a token let in counts, whatever came of it afterwards: whoever still sends it has to be told.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use crate::contract::{TokenLabel, WebhookName};
use crate::store::TokenUse;

/// The uses since the last write. There is an entry for each configured token at the most.
#[derive(Debug, Default)]
pub(super) struct Uses(Mutex<Vec<Used>>);

#[derive(Debug)]
struct Used {
    webhook: WebhookName,
    token: TokenLabel,
    count: u64,
    last_at: Timestamp,
}

impl Uses {
    /// Counts one.
    pub(super) fn count(&self, webhook: &WebhookName, token: TokenLabel, now: Timestamp) {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match uses.iter_mut().find(|used| used.token == token && used.webhook == *webhook) {
            Some(used) => {
                used.count += 1;
                used.last_at = used.last_at.max(now);
            }
            None => uses.push(Used { webhook: webhook.clone(), token, count: 1, last_at: now }),
        }
    }

    /// Takes what there is.
    pub(super) fn take(&self) -> Vec<TokenUse> {
        let uses = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let told = |used: Used| TokenUse {
            webhook: used.webhook.to_string(),
            token: used.token.to_string(),
            count: used.count,
            last_at: used.last_at,
        };
        uses.into_iter().map(told).collect()
    }
}
