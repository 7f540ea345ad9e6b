//! One request, from its head to its answer.

use axum::extract::{Extension, Request, State};
use bytes::Bytes;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::body::{self, BodyError};
use super::{Answer, Ingest, peer};
use crate::connections::Arrival;
use crate::contract::{Accepted, Admitted, RawHead, Rejected, admit, claimed_webhook_id};
use crate::store::{Appended, StoreError};

/// Takes one request.
pub(super) async fn receive(
    State(ingest): State<Ingest>,
    Extension(arrival): Extension<Arrival>,
    request: Request,
) -> Answer {
    let receiving = Receiving {
        request_id: Uuid::now_v7(),
        answer_by: arrival.began + ingest.config.answer_deadline,
        ingest: &ingest,
    };
    receiving.take(arrival, request).await
}

/// A request that is being received.
struct Receiving<'a> {
    request_id: Uuid,
    answer_by: Instant,
    ingest: &'a Ingest,
}

impl Receiving<'_> {
    async fn take(&self, arrival: Arrival, request: Request) -> Answer {
        let config = &self.ingest.config;
        let (head, body) = request.into_parts();
        // NAME of `/webhook/NAME`, as it stands there: what is escaped in it is no name.
        let path = head.uri.path().strip_prefix(&*config.path).and_then(|rest| rest.strip_prefix('/'));
        let received_at = self.ingest.clock.now();
        let peer = peer::peer(arrival.peer.ip(), &head.headers, &config.trusted_proxies);
        let count = |code| self.ingest.tally.count(code, peer, claimed_webhook_id(&head.headers), received_at);

        let raw = RawHead { path, headers: &head.headers, received_at, peer: Some(peer) };
        let admitted = match admit(raw, &self.ingest.webhooks) {
            Ok(admitted) => admitted,
            Err(refusal) => {
                count(refusal.code());
                return Answer::Refused(refusal);
            }
        };
        if body::is_encoded(&head.headers) {
            count("encoded");
            return Answer::Encoded;
        }
        let mut share = self.ingest.budget.share();
        let body = match body::claims_more_than(&head.headers, config.max_body) {
            true => Err(BodyError::TooLarge),
            false => body::read(body, config.max_body, &mut share, arrival.began + config.body_deadline).await,
        };
        let error = match body {
            Ok(body) => return self.judge(admitted, body).await,
            Err(error) => error,
        };
        count(error.code());
        match error {
            BodyError::TooLarge => self.too_large(admitted).await,
            BodyError::TooSlow => Answer::TooSlow,
            BodyError::OverBudget => Answer::Unavailable("too many bytes are being received; retry"),
            BodyError::Cut => Answer::Rejected("the body ended early, or its framing is broken".to_owned()),
        }
    }

    async fn judge(&self, admitted: Admitted<'_>, body: Bytes) -> Answer {
        match admitted.judge(body) {
            Ok(accepted) => self.append(accepted).await,
            Err(rejected) => {
                let reason = rejected.reason().to_owned();
                tracing::warn!(request_id = %self.request_id, webhook = %rejected.webhook(), reason, "a request was rejected");
                self.reject(*rejected).await.err().unwrap_or(Answer::Rejected(reason))
            }
        }
    }

    async fn append(&self, accepted: Accepted) -> Answer {
        let retry_num = accepted.retry_num();
        let request_id = self.request_id;
        match timeout_at(self.answer_by, self.ingest.store.append(accepted)).await {
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
                Answer::Unavailable("the store did not answer in time; retry")
            }
        }
    }

    async fn too_large(&self, admitted: Admitted<'_>) -> Answer {
        let max = self.ingest.config.max_body;
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
            Err(_) => Err(Answer::Unavailable("the store did not answer in time; retry")),
        }
    }
}

fn unavailable(error: &StoreError) -> Answer {
    match error {
        // The queue says it once for all that it turns away.
        StoreError::Busy => Answer::Unavailable("too many requests are waiting; retry"),
        StoreError::Unavailable(_) | StoreError::Ended => Answer::Unavailable("the store is not available; retry"),
    }
}
