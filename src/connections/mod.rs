//! Connections: accepting, bounding and ending them, for both doors.
//!
//! It knows HTTP/1.1 and nothing of ours. What always holds (rulings 9 and 10): a connection is always accepted; over
//! the cap the one is closed that has waited for a whole head for longest, and where all have requests the new one is
//! told so and closed; a head that does not come in time closes its connection; and a request's clock starts with the
//! first byte of its head, before anything of it was understood.

mod slot;
mod timed;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use self::slot::{Slot, Slots};
use self::timed::Timed;

/// The most headers of a request.
const HEADERS_MAX: usize = 64;
/// The most bytes of a head, and of what is read ahead.
const HEAD_MAX: usize = 16 << 10;
/// How many of those over the cap are told so at one time; the others are just closed.
const TURNED_AWAY_MAX: usize = 64;
/// How long one over the cap may take to read that it is.
const TURN_AWAY_TIME: Duration = Duration::from_secs(1);
/// How long a connection that is to be closed may take to be answered.
const CLOSE_WITHIN: Duration = Duration::from_secs(3);
/// How long to wait after an accept that failed, so that a lack of descriptors does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The bounds of a door.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The most connections.
    pub connections: usize,
    /// How long a connection may be idle.
    pub idle: Duration,
    /// How long a head may take from its first byte.
    pub head: Duration,
    /// What one over the cap is answered: a whole HTTP response.
    pub overload: &'static [u8],
    /// Whether one who has sent all that he will send may still wait for the answer. Where not, he has left by that, and
    /// his request is dropped.
    pub half_close: bool,
}

/// How many connections there are. Copies share it.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    /// Those that are open now.
    pub open: Gauge,
    /// Those over the cap, when no other could be closed for them.
    pub turned_away: Counter,
}

/// What a request knows of its connection, as an extension.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// When the first byte of the head came.
    pub began: Instant,
    /// The other end.
    pub peer: SocketAddr,
}

/// Serves a door until it is told to stop; then finishes the requests that are in, and returns.
///
/// When the future is dropped, connections end when their requests do.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, meter: Meter, stop: CancellationToken) {
    let door = Arc::new(Door { router, slots: Slots::default(), limits, meter, stop });
    let tasks = TaskTracker::new();
    let turned_away = TaskTracker::new();
    let mut overload = Overload::default();
    loop {
        let accepted = tokio::select! {
            () = door.stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) if door.make_room() => {
                let slot = door.slots.open();
                tasks.spawn(connection(Arc::clone(&door), slot, stream, peer));
            }
            Ok((stream, _)) => {
                overload.count();
                door.meter.turned_away.inc();
                if turned_away.len() < TURNED_AWAY_MAX {
                    turned_away.spawn(turn_away(stream, door.limits.overload));
                }
            }
            Err(error) => {
                tracing::warn!(error = %error, "a connection could not be accepted");
                door.slots.close_idlest();
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    tasks.close();
    tasks.wait().await;
}

struct Door {
    router: Router,
    slots: Slots,
    limits: Limits,
    meter: Meter,
    stop: CancellationToken,
}

impl Door {
    /// Whether there is room for one more, closing one that has no request where that makes it.
    fn make_room(&self) -> bool {
        self.slots.len() < self.limits.connections || self.slots.close_idlest()
    }
}

async fn connection(door: Arc<Door>, slot: Arc<Slot>, stream: TcpStream, peer: SocketAddr) {
    let _ = stream.set_nodelay(true);
    let _place = Place::take(&door, &slot);
    let io = TokioIo::new(Timed::new(stream, Arc::clone(&slot), door.limits.head));
    let service = hyper::service::service_fn(|request| call(&door.router, &slot, peer, request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(door.limits.idle)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_MAX)
        .half_close(door.limits.half_close)
        .serve_connection(io, service);
    let mut connection = std::pin::pin!(connection);
    let told = async {
        tokio::select! {
            () = door.stop.cancelled() => {}
            () = slot.told_to_close() => {}
        }
    };
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = told => {
            if slot.is_cut() {
                return;
            }
            // What is in is still answered, but not for ever to one who does not read.
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(CLOSE_WITHIN, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = %error, peer = %peer.ip(), "a connection ended early");
    }
}

/// Gives a slot back, however its connection ends.
struct Place<'a> {
    door: &'a Door,
    slot: &'a Slot,
}

impl Place<'_> {
    fn take<'a>(door: &'a Door, slot: &'a Slot) -> Place<'a> {
        door.meter.open.inc();
        Place { door, slot }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.door.slots.close(self.slot);
        self.door.meter.open.dec();
    }
}

async fn call(
    router: &Router,
    slot: &Slot,
    peer: SocketAddr,
    request: hyper::Request<Incoming>,
) -> Result<Response, Infallible> {
    let mut request: Request = request.map(Body::new);
    request.extensions_mut().insert(Arrival { began: slot.head_is_complete(), peer });
    let response = router.clone().oneshot(request).await;
    slot.answered();
    response
}

/// How many connections were turned away; said at most once a second.
#[derive(Debug, Default)]
struct Overload {
    connections: u64,
    said: Option<Instant>,
}

impl Overload {
    fn count(&mut self) {
        self.connections += 1;
        if self.said.is_none_or(|said| said.elapsed() >= Duration::from_secs(1)) {
            tracing::warn!(connections = self.connections, "connections over the cap were turned away");
            *self = Overload { connections: 0, said: Some(Instant::now()) };
        }
    }
}

async fn turn_away(mut stream: TcpStream, answer: &[u8]) {
    let talk = async {
        stream.write_all(answer).await?;
        stream.shutdown().await?;
        // Closing with something unread would reset the connection before the answer is read.
        let mut unread = [0; 1024];
        while stream.read(&mut unread).await? > 0 {}
        std::io::Result::Ok(())
    };
    let _ = tokio::time::timeout(TURN_AWAY_TIME, talk).await;
}
