//! One attempt: the handler is asked, under its time-out, and whatever comes of it is a settlement.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::{Consumer, House, retry};
use crate::handlers::{Failure, FailureKind, Success};
use crate::model::{Claimed, Ended, NextStep, Outcome, Settlement};

/// What an attempt is remembered as that the end of the process ended.
const CUT_SHORT: &str = "cut short, because the process was stopped";
/// The longest message that is kept, in characters.
const MESSAGE_MAX: usize = 500;
/// The longest answer of the far end that is kept, in bytes.
const RESPONSE_MAX: usize = 4096;

/// Asks the handler. It never panics and never hangs, whatever the handler does.
pub(super) async fn attempt(
    house: &House,
    consumer: &Consumer,
    claimed: &Claimed,
    cut: &CancellationToken,
) -> Settlement {
    let allowed = consumer.policy.retry.attempts;
    if claimed.allowed_attempt > allowed {
        let made = claimed.allowed_attempt - 1;
        let reason = format!("{made} attempts were made, and no more than {allowed} are allowed");
        return settlement(claimed, None, NextStep::Dead(reason), house.clock.now());
    }
    let (started_at, started) = (house.clock.now(), Instant::now());
    let result = tokio::select! {
        biased;
        result = ask(house, consumer, claimed) => Some(result),
        () = cut.cancelled() => None,
    };
    let at = house.clock.now();
    let (ended, next, (status, message, response)) = match result {
        Some(Ok(Success { status, message, response })) => {
            (Ended::Delivered, NextStep::Delivered, (status, message, response))
        }
        Some(Err(failure)) => {
            let retry = &consumer.policy.retry;
            // What does not count as an attempt still makes the next wait longer.
            let nth = match failure.kind {
                FailureKind::Throttled { .. } => u32::try_from(claimed.epoch).unwrap_or(u32::MAX),
                _ => claimed.allowed_attempt,
            };
            let next = retry::after(retry, nth, failure.kind, &failure.message, at, house.chance.fraction());
            (ended(failure.kind), next, (failure.status, failure.message, failure.response))
        }
        // Stopping the process is not the handler's failure, so it does not count (ruling 17).
        None => (Ended::Lost, NextStep::WaitUntil(at), (None, CUT_SHORT.to_owned(), Bytes::new())),
    };
    let outcome = Outcome {
        ended,
        started_at,
        took: started.elapsed(),
        status,
        message: message.chars().take(MESSAGE_MAX).collect(),
        response: response.slice(..response.len().min(RESPONSE_MAX)),
    };
    settlement(claimed, Some(outcome), next, at)
}

fn settlement(claimed: &Claimed, outcome: Option<Outcome>, next: NextStep, at: Timestamp) -> Settlement {
    say(claimed, outcome.as_ref(), &next);
    Settlement { id: claimed.id, epoch: claimed.epoch, attempt: claimed.attempt, outcome, next, at }
}

async fn ask(house: &House, consumer: &Consumer, claimed: &Claimed) -> Result<Success, Failure> {
    let timeout = consumer.policy.timeout;
    let within = consumer.attempt_within();
    let (handler, delivery) = (Arc::clone(&consumer.handler), claimed.clone());
    // In a task of its own, so that a panic is an answer like any other.
    let asked = AbortOnDropHandle::new(house.handlers.spawn(async move { handler.handle(&delivery).await }));
    match tokio::time::timeout(within, asked).await {
        Ok(answer) => answer.unwrap_or_else(|error| Err(Failure::transient(panic_text(error)))),
        Err(_) => Err(Failure::transient(format!("no answer within {timeout:?}"))),
    }
}

fn panic_text(error: tokio::task::JoinError) -> String {
    let Ok(panic) = error.try_into_panic() else { return "the handler was stopped".to_owned() };
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the handler ended in a panic: {}", text.unwrap_or("of no known kind"))
}

fn ended(kind: FailureKind) -> Ended {
    match kind {
        FailureKind::Transient { .. } => Ended::Failed,
        FailureKind::Permanent => Ended::Refused,
        FailureKind::Throttled { .. } => Ended::Throttled,
    }
}

fn say(claimed: &Claimed, outcome: Option<&Outcome>, next: &NextStep) {
    let (event_id, delivery_id, handler, attempt) = (claimed.event.id, claimed.id, &claimed.handler, claimed.attempt);
    let took_ms = outcome.map(|outcome| u64::try_from(outcome.took.as_millis()).unwrap_or(u64::MAX));
    let reason = outcome.map(|outcome| outcome.message.as_str());
    match next {
        NextStep::Delivered => {
            tracing::debug!(%event_id, %delivery_id, %handler, attempt, took_ms, "delivered");
        }
        NextStep::RetryAt(at) => {
            tracing::warn!(%event_id, %delivery_id, %handler, attempt, took_ms, reason, next_at = %at, "an attempt failed");
        }
        NextStep::WaitUntil(at) => {
            tracing::info!(%event_id, %delivery_id, %handler, reason, next_at = %at, "it waits, and no attempt is counted");
        }
        NextStep::Dead(reason) => {
            tracing::error!(%event_id, %delivery_id, %handler, attempt, reason, "a dead letter");
        }
    }
}
