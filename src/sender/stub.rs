//! A receiver for the tests of this room: it records what came whole, and answers as it was told.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::send::{Sender, Target};
use crate::clock::Clock;
use crate::secret::Secret;

/// The largest body that it reads.
const BODY_MAX: usize = 16 << 20;

/// A request that came whole.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// A receiver on a port of its own. It ends when it is dropped.
#[derive(Debug)]
pub(super) struct Stub {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    most_at_once: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Stub {
    /// Answers the first request with the first answer, and so on; all further ones with the last.
    pub(super) async fn answering(answers: &[(u16, &str)]) -> Stub {
        let answers = Arc::new(answers.iter().map(|(status, body)| response(*status, body)).collect::<Vec<_>>());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let at_once = Arc::new(AtomicUsize::new(0));
        let most_at_once = Arc::new(AtomicUsize::new(0));
        let (recorded, most) = (Arc::clone(&seen), Arc::clone(&most_at_once));
        let router = Router::new().fallback(move |request: Request| {
            let (answers, recorded) = (Arc::clone(&answers), Arc::clone(&recorded));
            let (at_once, most) = (Arc::clone(&at_once), Arc::clone(&most));
            async move {
                most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let (head, body) = request.into_parts();
                let body = to_bytes(body, BODY_MAX).await;
                tokio::time::sleep(Duration::from_millis(2)).await;
                at_once.fetch_sub(1, Ordering::SeqCst);
                let Ok(body) = body else {
                    return StatusCode::BAD_REQUEST.into_response();
                };
                let mut recorded = recorded.lock().unwrap();
                recorded.push(Seen { headers: head.headers, body });
                let (status, text) = answers[(recorded.len() - 1).min(answers.len() - 1)].clone();
                (status, text).into_response()
            }
        });
        let (url, task) = serve(router).await;
        Stub { url, seen, most_at_once, task }
    }

    /// Answers with a status after some time, and reads nothing of the body.
    pub(super) async fn silent(status: u16, after: Duration) -> Stub {
        let (url, task) = serve(Router::new().fallback(move |_: Request| async move {
            tokio::time::sleep(after).await;
            response(status, "{}")
        }))
        .await;
        Stub { url, seen: Arc::default(), most_at_once: Arc::default(), task }
    }

    /// Closes every connection without an answer.
    pub(super) async fn closing() -> Stub {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/webhook", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { while listener.accept().await.is_ok() {} });
        Stub { url, seen: Arc::default(), most_at_once: Arc::default(), task }
    }

    /// Where it is, with a token.
    pub(super) fn target(&self) -> Target {
        Target::new(self.url.clone(), Some(Secret::new("stub-token".to_owned())))
    }

    /// A sender to it.
    pub(super) fn sender(&self) -> Sender {
        Sender::new(self.target(), Clock::system()).unwrap()
    }

    /// What came whole, in order.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The most requests that it had at one time.
    pub(super) fn most_at_once(&self) -> usize {
        self.most_at_once.load(Ordering::SeqCst)
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(router: Router) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/webhook", listener.local_addr().unwrap());
    (url, tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }))
}

fn response(status: u16, body: &str) -> (StatusCode, String) {
    (StatusCode::from_u16(status).unwrap(), body.to_owned())
}
