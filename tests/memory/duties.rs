//! Several processes on one store: duties, and what they agree on about a handler.
//!
//! What always holds: a duty that was taken over has another epoch, and whoever has an older one is refused.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use workhook::clock::{between, later};
use workhook::model::{HandlerName, OpenBreaker, Rate};
use workhook::store::{ClaimRequest, Duty, RatedClaims, StoreError};

use super::{Kept, kept};

/// Who has a duty.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    process: u64,
    epoch: u64,
    until: Instant,
}

impl Kept {
    /// Takes a duty or keeps it; the epoch under which a process has it, `None` where another does.
    pub(super) fn take_duty(&mut self, duty: Duty, process: u64, lease: Duration) -> Option<u64> {
        let (now, before) = (Instant::now(), self.duties.get(&duty).copied());
        if before.is_some_and(|held| held.process != process && now < held.until) {
            return None;
        }
        let goes_on = before.filter(|held| held.process == process && now < held.until);
        let epoch = goes_on.map_or_else(|| before.map_or(1, |held| held.epoch + 1), |held| held.epoch);
        self.duties.insert(duty, Held { process, epoch, until: now + lease });
        Some(epoch)
    }

    /// Takes a duty over though somebody has it.
    pub(super) fn seize(&mut self, duty: Duty, lease: Duration) {
        let epoch = self.duties.get(&duty).map_or(1, |held| held.epoch + 1);
        self.duties.insert(duty, Held { process: 0, epoch, until: Instant::now() + lease });
    }

    pub(super) fn let_go(&mut self, duty: Duty, process: u64) {
        if let Some(held) = self.duties.get_mut(&duty).filter(|held| held.process == process) {
            held.until = Instant::now();
        }
    }

    /// Whether a process has a duty still; nobody has taken it over as long as it was not taken.
    pub(super) fn has(&self, duty: Duty, process: u64, epoch: Option<u64>) -> Result<(), StoreError> {
        let held = self.duties.get(&duty).filter(|held| held.process == process && Some(held.epoch) == epoch);
        held.map(drop).ok_or(StoreError::Superseded)
    }

    pub(super) fn replace_breaker(
        &mut self,
        handler: HandlerName,
        from: Option<&OpenBreaker>,
        to: Option<OpenBreaker>,
    ) -> bool {
        let times = |open: &OpenBreaker| (kept(open.since), kept(open.until));
        let is_kept = self.breakers.get(&handler).map(times) == from.map(times);
        if is_kept {
            self.keep_breaker(handler, to);
        }
        is_kept
    }

    /// Claims what a rate allows, of which a second's worth goes at once.
    pub(super) fn claim_at_rate(&mut self, request: &ClaimRequest, rate: Rate) -> RatedClaims {
        let (now, apart) = (request.now, rate.per / rate.count);
        let at_once = Duration::from_secs(1).max(apart);
        let spent = self.rates.get(&request.handler).map_or(Duration::ZERO, |until| between(now, *until));
        let room = (at_once.saturating_sub(spent).as_nanos() / apart.as_nanos().max(1)) as usize;
        let limit = request.limit.min(room);
        let again = Some(apart.saturating_sub(at_once.saturating_sub(spent))).filter(|_| room < request.limit);
        if limit == 0 {
            return RatedClaims { again, ..RatedClaims::default() };
        }
        let claims = self.claim(&ClaimRequest { limit, ..request.clone() });
        let taken = u32::try_from(claims.claimed.len()).unwrap();
        self.rates.insert(request.handler.clone(), later(now, spent + apart * taken));
        let again = Some(apart).filter(|_| claims.claimed.len() == limit && room < request.limit);
        RatedClaims { claims, again }
    }

    pub(super) fn open_breakers(&self) -> Vec<(HandlerName, OpenBreaker)> {
        self.breakers.iter().map(|(handler, open)| (handler.clone(), open.clone())).collect()
    }
}

/// When a rate is used up, by handler.
pub(super) type Rates = std::collections::BTreeMap<HandlerName, Timestamp>;
