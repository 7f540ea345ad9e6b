//! The far end of the handler. Most of the time it takes what it gets; some requests fail, are throttled, hang or are
//! refused for good, and from time to time it is down.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

use super::number::number;

/// How often it goes down within the whole time.
const DOWNS: u32 = 6;
/// For which part of the time between two of them.
const DOWN_PART: u32 = 20;
/// Longer than the handler waits.
const HANG: Duration = Duration::from_secs(3);

/// A server on a port of its own, for as long as the runtime is.
#[derive(Debug)]
pub(crate) struct FarEnd {
    pub(crate) address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Debug)]
struct Seen {
    start: Instant,
    /// From one time that it goes down to the next.
    period: Duration,
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    /// How many requests there were, by what was answered.
    answers: Answers,
    /// The numbers of what was taken or refused for good.
    ended: HashSet<u64>,
    requests: u64,
}

/// How many requests there were, by what was answered.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Answers {
    pub(crate) taken: u64,
    pub(crate) failed: u64,
    pub(crate) refused: u64,
}

/// What becomes of a request.
enum Turn {
    Take,
    Refuse,
    Fail,
    Throttle,
    Hang,
}

impl FarEnd {
    /// One that goes down some times within this time.
    pub(crate) async fn start(time: Duration) -> anyhow::Result<FarEnd> {
        let seen = Seen { start: Instant::now(), period: time / DOWNS, inside: Mutex::default() };
        let seen = Arc::new(seen);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let router = Router::new().route("/", post(answer)).with_state(Arc::clone(&seen));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(FarEnd { address, seen })
    }

    /// What was answered since this was asked last.
    pub(crate) fn take(&self) -> Answers {
        std::mem::take(&mut self.seen.inside().answers)
    }

    /// Whether the event of this number was taken or refused for good.
    pub(crate) fn has_ended(&self, number: u64) -> bool {
        self.seen.inside().ended.contains(&number)
    }
}

impl Seen {
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is down now: at the end of each period.
    fn is_down(&self) -> bool {
        let into = self.start.elapsed().as_micros() % self.period.as_micros().max(1);
        into > (self.period - self.period / DOWN_PART).as_micros()
    }

    /// What becomes of the next request, of the event of this number.
    fn turn(&self, number: u64) -> Turn {
        let mut inside = self.inside();
        inside.requests += 1;
        let turn = match inside.requests % 1000 {
            _ if self.is_down() => Turn::Fail,
            // An event is refused whenever it comes, so that it is one of those that end.
            _ if number.is_multiple_of(4999) => Turn::Refuse,
            at if at.is_multiple_of(50) => Turn::Fail,
            111 | 511 => Turn::Throttle,
            777 => Turn::Hang,
            _ => Turn::Take,
        };
        match turn {
            Turn::Take => inside.answers.taken += 1,
            Turn::Refuse => inside.answers.refused += 1,
            Turn::Fail | Turn::Throttle | Turn::Hang => inside.answers.failed += 1,
        }
        if let Turn::Take | Turn::Refuse = turn {
            inside.ended.insert(number);
        }
        turn
    }
}

async fn answer(State(seen): State<Arc<Seen>>, body: Bytes) -> Response {
    let Some(number) = number(&body) else { return StatusCode::BAD_REQUEST.into_response() };
    match seen.turn(number) {
        Turn::Take => StatusCode::NO_CONTENT.into_response(),
        Turn::Refuse => StatusCode::GONE.into_response(),
        Turn::Fail => (StatusCode::INTERNAL_SERVER_ERROR, "no".repeat(1024)).into_response(),
        Turn::Throttle => (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, "1")]).into_response(),
        Turn::Hang => {
            sleep(HANG).await;
            StatusCode::GATEWAY_TIMEOUT.into_response()
        }
    }
}
