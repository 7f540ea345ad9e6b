//! The far end of an `http` handler: a real server that records, and can be told what to answer.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

/// A request as it was received.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

type Decide = Box<dyn Fn(&Received) -> Reply + Send + Sync>;

/// What is answered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
    pub(crate) after: Duration,
}

/// A receiver; copies are the same one.
#[derive(Clone)]
pub(crate) struct TestReceiver {
    pub(crate) address: SocketAddr,
    state: Arc<Shared>,
}

struct Shared {
    received: Mutex<Vec<Received>>,
    decide: Mutex<Decide>,
}

impl TestReceiver {
    /// A receiver that takes everything.
    pub(crate) async fn start() -> TestReceiver {
        let state = Arc::new(Shared {
            received: Mutex::default(),
            decide: Mutex::new(Box::new(|_| Reply { status: 200, ..Reply::default() })),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(receive).with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, router).await });
        TestReceiver { address, state }
    }

    /// Decides from here on what is answered.
    pub(crate) fn answer(&self, decide: impl Fn(&Received) -> Reply + Send + Sync + 'static) {
        *self.state.decide.lock().unwrap() = Box::new(decide);
    }

    /// Answers from here on with this status.
    pub(crate) fn answer_status(&self, status: u16) {
        self.answer(move |_| Reply { status, ..Reply::default() });
    }

    /// Everything that was received, in order.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.state.received.lock().unwrap().clone()
    }

    /// The configuration of a handler that sends here.
    pub(crate) fn handler(&self, name: &str, more: &str) -> String {
        format!("[[handler]]\nname = \"{name}\"\nkind = \"http\"\nurl = \"http://{}/{name}\"\n{more}\n", self.address)
    }
}

async fn receive(State(state): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let received = Received { headers, body };
    let reply = {
        let decide = state.decide.lock().unwrap();
        let reply = decide(&received);
        state.received.lock().unwrap().push(received);
        reply
    };
    tokio::time::sleep(reply.after).await;
    let mut response = (StatusCode::from_u16(reply.status).unwrap(), reply.body).into_response();
    for (name, value) in reply.headers {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}

impl Received {
    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}
