//! What somebody decides about deliveries and handlers.

use jiff::Timestamp;
use workhook::model::{DeliveryId, DeliveryState, HandlerName, OpenBreaker};

use super::{Kept, kept};

impl Kept {
    pub(super) fn retry(&mut self, ids: &[DeliveryId], now: Timestamp) -> u64 {
        let mut retried = 0;
        for id in ids {
            let ended = |state| matches!(state, DeliveryState::Dead | DeliveryState::Cancelled);
            let Some(delivery) = self.deliveries.get_mut(id).filter(|delivery| ended(delivery.state)) else { continue };
            (delivery.state, delivery.reason, delivery.settled_at) = (DeliveryState::Pending, None, None);
            // Out of order: its lane went on without it.
            (delivery.lane, delivery.ready_at) = (None, kept(now));
            delivery.before_retry = delivery.attempts;
            delivery.retried += 1;
            retried += 1;
        }
        retried
    }

    pub(super) fn cancel(&mut self, ids: &[DeliveryId], reason: &str, now: Timestamp) -> u64 {
        let mut cancelled = 0;
        for id in ids {
            let Some(delivery) = self.deliveries.get_mut(id).filter(|delivery| delivery.is_pending()) else { continue };
            if delivery.claimed {
                delivery.lose("the delivery was cancelled while it was under way", now);
            }
            self.end(*id, DeliveryState::Cancelled, Some(reason.to_owned()), now);
            cancelled += 1;
        }
        cancelled
    }

    pub(super) fn set_paused(&mut self, handler: HandlerName, paused: bool, now: Timestamp) {
        if paused {
            self.paused.entry(handler).or_insert(kept(now));
        } else {
            self.paused.remove(&handler);
        }
    }

    pub(super) fn keep_breaker(&mut self, handler: HandlerName, breaker: Option<OpenBreaker>) {
        match breaker {
            Some(open) => {
                let open = OpenBreaker { since: kept(open.since), until: kept(open.until), ..open };
                self.breakers.insert(handler, open);
            }
            None => drop(self.breakers.remove(&handler)),
        }
    }
}
