//! One attempt: the handler is asked, under its time-out, and whatever comes of it is a settlement.

use std::sync::Arc;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::{Consumer, House, retry};
use crate::handlers::{Failure, FailureKind, Success};
use crate::model::{Claimed, Ended, NextStep, Outcome, Settlement};

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
    let policy = &consumer.policy;
    let (started_at, started) = (house.clock.now(), Instant::now());
    let result = if claimed.attempt > policy.retry.attempts {
        Err(Failure::permanent(format!("all {} attempts are used up; the last was lost", claimed.attempt - 1)))
    } else {
        ask(house, consumer, claimed, cut).await
    };
    let at = house.clock.now();
    let (ended, next, said) = match result {
        Ok(Success { status, message, response }) => {
            (Ended::Delivered, NextStep::Delivered, (status, message, response))
        }
        Err(failure) => {
            let chance = fastrand::f64();
            let next = retry::after(&policy.retry, claimed.attempt, failure.kind, &failure.message, at, chance);
            (ended(failure.kind), next, (failure.status, failure.message, failure.response))
        }
    };
    let (status, message, response) = said;
    let outcome = Outcome {
        ended,
        started_at,
        took: started.elapsed(),
        status,
        message: message.chars().take(MESSAGE_MAX).collect(),
        response: if response.len() > RESPONSE_MAX { response.slice(..RESPONSE_MAX) } else { response },
    };
    say(claimed, &outcome, &next);
    Settlement { id: claimed.id, epoch: claimed.epoch, attempt: claimed.attempt, outcome, next, at }
}

async fn ask(
    house: &House,
    consumer: &Consumer,
    claimed: &Claimed,
    cut: &CancellationToken,
) -> Result<Success, Failure> {
    let timeout = consumer.policy.timeout;
    let (handler, delivery) = (Arc::clone(&consumer.handler), claimed.clone());
    // In a task of its own, so that a panic is an answer like any other.
    let asked = AbortOnDropHandle::new(house.handlers.spawn(async move { handler.handle(&delivery).await }));
    tokio::select! {
        answer = asked => answer.unwrap_or_else(|error| Err(Failure::transient(panic_text(error)))),
        () = tokio::time::sleep(timeout) => Err(Failure::transient(format!("no answer within {timeout:?}"))),
        () = cut.cancelled() => Err(Failure::transient("cut short, because the process was stopped")),
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

fn say(claimed: &Claimed, outcome: &Outcome, next: &NextStep) {
    let (event_id, delivery_id, handler, attempt) = (claimed.event.id, claimed.id, &claimed.handler, claimed.attempt);
    let took_ms = u64::try_from(outcome.took.as_millis()).unwrap_or(u64::MAX);
    let message = &outcome.message;
    match next {
        NextStep::Delivered => {
            tracing::debug!(%event_id, %delivery_id, %handler, attempt, took_ms, "delivered");
        }
        NextStep::RetryAt(at) => {
            tracing::warn!(%event_id, %delivery_id, %handler, attempt, took_ms, message, next_at = %at, "an attempt failed");
        }
        NextStep::WaitUntil(at) => {
            tracing::info!(%event_id, %delivery_id, %handler, message, next_at = %at, "the far end asked to wait");
        }
        NextStep::Dead(reason) => {
            tracing::error!(%event_id, %delivery_id, %handler, attempt, reason, "a dead letter");
        }
    }
}
