//! One request, from its head to its answer.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Request, State};
use bytes::Bytes;
use http::{HeaderMap, header};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::answer::Shed;
use super::body::{self, BodyError, Share};
use super::trace::Known;
use super::{Answer, Ingest, Rules, peer};
use crate::connections::Arrival;
use crate::contract::{Accepted, Admitted, RawHead, Rejected, admit, claimed_webhook_id};
use crate::store::{Appended, StoreError};

/// Takes one request.
pub(super) async fn receive(
    State(ingest): State<Arc<Ingest>>,
    Extension(arrival): Extension<Arrival>,
    request: Request,
) -> Answer {
    let receiving = Receiving {
        request_id: Uuid::now_v7(),
        began: arrival.began,
        answer_by: arrival.began + ingest.config.answer_deadline,
        rules: ingest.rules.now(),
        ingest: &ingest,
    };
    receiving.take(arrival, request).await
}

/// A request that is being received.
struct Receiving<'a> {
    request_id: Uuid,
    began: Instant,
    answer_by: Instant,
    /// One version for all of the request, whatever is changed meanwhile.
    rules: Arc<Rules>,
    ingest: &'a Ingest,
}

impl Receiving<'_> {
    async fn take(&self, arrival: Arrival, request: Request) -> Answer {
        let config = &self.ingest.config;
        let (head, body) = request.into_parts();
        // NAME of `/webhook/NAME`, as it stands there: what is escaped in it is no name.
        let path = head.uri.path().strip_prefix(&*config.path).and_then(|rest| rest.strip_prefix('/'));
        let received_at = self.ingest.clock.now();
        let peer = peer::peer(arrival.peer.ip(), &head.headers, &self.rules.trusted_proxies);
        let count = |code| {
            self.ingest.metrics.turned_away(code);
            self.ingest.tally.count(code, peer, claimed_webhook_id(&head.headers), received_at);
        };

        let raw = RawHead { path, headers: &head.headers, received_at, peer: Some(peer) };
        let admitted = match admit(raw, &self.rules.webhooks) {
            Ok(admitted) => admitted,
            Err(refusal) => {
                count(refusal.code());
                return Answer::Refused(refusal);
            }
        };
        self.ingest.uses.count(admitted.webhook(), admitted.token(), received_at);
        if body::is_encoded(&head.headers) {
            count("encoded");
            return Answer::Encoded;
        }
        let answer = match self.read(&head.headers, body, arrival.began).await {
            Ok((body, _share)) => self.judge(admitted, body).await,
            Err(BodyError::TooLarge) => {
                count("too-large");
                self.too_large(admitted).await
            }
            Err(BodyError::TooSlow) => {
                count("too-slow");
                Answer::TooSlow
            }
            Err(BodyError::Cut) => {
                count("cut");
                Answer::Rejected("the body ended early, or its framing is broken".to_owned())
            }
            Err(BodyError::OverBudget) => Answer::Unavailable(Shed::OverBudget),
        };
        if let Answer::Unavailable(shed) = answer {
            count(shed.code());
        }
        answer
    }

    /// Reads the body. Of one that is too large the rest is thrown away, so that the sender gets to read the answer.
    async fn read(&self, headers: &HeaderMap, mut body: Body, began: Instant) -> Result<(Bytes, Share), BodyError> {
        let (max, deadline) = (self.rules.max_body, began + self.ingest.config.body_deadline);
        let mut share = self.ingest.budget.share(self.rules.max_in_flight);
        let read = match body::claims_more_than(headers, max) {
            true => Err(BodyError::TooLarge),
            false => body::read(&mut body, max, &mut share, deadline).await,
        };
        // Who waits to be asked for the body has not sent it.
        if read == Err(BodyError::TooLarge) && !headers.contains_key(header::EXPECT) {
            body::discard(body, max.saturating_mul(4), deadline).await;
        }
        read.map(|body| (body, share))
    }

    async fn judge(&self, admitted: Admitted<'_>, body: Bytes) -> Answer {
        match admitted.judge(body) {
            Ok(accepted) => self.append(accepted).await,
            Err(rejected) => {
                let reason = rejected.reason().to_owned();
                tracing::warn!(request_id = %self.request_id, webhook = %rejected.webhook(), reason, "a request was rejected");
                match self.reject(*rejected).await {
                    Ok(()) => {
                        self.ingest.metrics.rejected();
                        Answer::Rejected(reason)
                    }
                    Err(answer) => answer,
                }
            }
        }
    }

    async fn append(&self, accepted: Accepted) -> Answer {
        let retry_num = accepted.retry_num();
        let request_id = self.request_id;
        let (counters, known) = (self.ingest.metrics.of(&accepted), Known::of(request_id, &accepted));
        let appended = timeout_at(self.answer_by, self.ingest.store.append(accepted)).await;
        let took = self.began.elapsed();
        self.ingest.traces.tell(|| known.span(took, appended.as_ref().ok()));
        if let Ok(Ok(appended)) = &appended {
            counters.count(appended, took);
        }
        match appended {
            Ok(Ok(Appended::Stored { id, position })) => {
                tracing::debug!(%request_id, event_id = %id, position = position.0, retry_num, "an event was stored");
                Answer::Accepted
            }
            Ok(Ok(Appended::Duplicate { id, conflict })) => {
                let event_id = id.map(tracing::field::display);
                tracing::debug!(%request_id, event_id, retry_num, conflict, "a duplicate was recognised");
                Answer::Accepted
            }
            Ok(Err(error)) => unavailable(&error),
            Err(_) => {
                tracing::warn!(%request_id, "the store was too late; what was handed over may still be stored");
                Answer::Unavailable(Shed::Late)
            }
        }
    }

    async fn too_large(&self, admitted: Admitted<'_>) -> Answer {
        let max = self.rules.max_body;
        let rejected = admitted.reject_unread(format!("the body is larger than {max} bytes"));
        // The answer says all that the sender needs, whether the head is kept or not.
        let _ = self.reject(rejected).await;
        Answer::TooLarge(max)
    }

    /// Keeps a rejected request, so that nothing with a good token is lost.
    async fn reject(&self, rejected: Rejected) -> Result<(), Answer> {
        match timeout_at(self.answer_by, self.ingest.store.reject(rejected)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(unavailable(&error)),
            Err(_) => Err(Answer::Unavailable(Shed::Late)),
        }
    }
}

fn unavailable(error: &StoreError) -> Answer {
    match error {
        StoreError::Busy => Answer::Unavailable(Shed::Busy),
        StoreError::Full => Answer::Unavailable(Shed::DiskFull),
        StoreError::Unavailable(_) | StoreError::Superseded | StoreError::Ended => Answer::Unavailable(Shed::Store),
    }
}
