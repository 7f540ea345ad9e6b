//! What pending deliveries wait for: nothing is unexplained (promise 6).

use std::sync::Arc;

use jiff::Timestamp;

use super::Admin;
use crate::admin::InForce;
use crate::model::{DeliveryRecord, DeliveryState, HandlerRecord};
use crate::store::StoreError;

/// All that tells what deliveries wait for, at one time.
#[derive(Debug)]
pub(super) struct Waiting {
    now: Timestamp,
    in_force: Arc<InForce>,
    handlers: Vec<HandlerRecord>,
}

impl Waiting {
    /// As it is now.
    pub(super) async fn now(admin: &Admin) -> Result<Waiting, StoreError> {
        let handlers = admin.store.handlers().await?;
        Ok(Waiting { now: admin.clock.now(), in_force: admin.in_force(), handlers })
    }

    /// What a delivery waits for, where it is pending.
    pub(super) fn of(&self, record: &DeliveryRecord) -> Option<&'static str> {
        let own = self.handlers.iter().find(|handler| handler.name == record.handler);
        let has_breaker = own.is_some_and(|own| own.breaker.is_some());
        match record.due_at {
            _ if record.state != DeliveryState::Pending => None,
            Some(until) if record.claimed && until > self.now => Some("being attempted"),
            // Ruling 20.
            _ if self.in_force.handler(&record.handler).is_none() => Some("for its handler, which is not configured"),
            _ if own.is_some_and(|own| own.paused_at.is_some()) => Some("for its handler, which is paused"),
            None if has_breaker => Some("for the one before it in its lane and its handler's breaker"),
            None => Some("for the one before it in its lane"),
            Some(due) if due > self.now => Some("until it is due again"),
            Some(_) if has_breaker => Some("for its handler's breaker"),
            Some(_) => Some("for a free place"),
        }
    }
}
