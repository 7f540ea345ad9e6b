//! The senders: requests at a steady rate, whatever the answers do. Some come twice, and some with a wrong token.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::answer::{self, Answer};
use super::request::Request;

const CONNECTIONS: u64 = 64;
/// Every so many requests one comes again that was acknowledged before.
const TWICE_EVERY: u64 = 20;
/// Every so many requests one has a wrong token.
const REFUSED_EVERY: u64 = 199;

/// All of them.
#[derive(Debug)]
pub(crate) struct Senders {
    sending: JoinSet<anyhow::Result<()>>,
    told: Arc<Mutex<Told>>,
}

#[derive(Debug, Default)]
struct Told {
    /// How long each acknowledgement took that came since this was asked last.
    took: Vec<Duration>,
    sent: Sent,
}

/// What came of all of it.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    pub(crate) requests: u64,
    /// The numbers of the events that were acknowledged.
    pub(crate) acknowledged: Vec<u64>,
    /// How many were acknowledged again.
    pub(crate) twice: u64,
    /// How many were refused for their token, as they have to be.
    pub(crate) refused: u64,
    /// How many were answered 503.
    pub(crate) unavailable: u64,
    /// What else happened.
    pub(crate) odd: Vec<String>,
}

/// What one sender has to do.
struct Course {
    address: SocketAddr,
    token: &'static str,
    /// When its first request is due, and how long after it each other.
    start: Instant,
    between: Duration,
    /// The numbers of its events: the first, and how many.
    first: u64,
    count: u64,
}

impl Senders {
    /// Begins to send so many a second, for so long.
    pub(crate) fn start(
        address: SocketAddr,
        token: &'static str,
        rate: u64,
        time: Duration,
    ) -> anyhow::Result<Senders> {
        let (told, mut sending) = (Arc::new(Mutex::new(Told::default())), JoinSet::new());
        let each = Duration::from_secs(1) / u32::try_from(rate)?;
        let count = rate * time.as_secs() / CONNECTIONS;
        for n in 0..CONNECTIONS {
            let start = Instant::now() + each * u32::try_from(n)?;
            let between = each * u32::try_from(CONNECTIONS)?;
            let course = Course { address, token, start, between, first: n * count + 1, count };
            sending.spawn(course.run(Arc::clone(&told)));
        }
        Ok(Senders { sending, told })
    }

    /// How long each acknowledgement took that came since this was asked last.
    pub(crate) fn take(&self) -> Vec<Duration> {
        std::mem::take(&mut lock(&self.told).took)
    }

    /// Waits for the end.
    pub(crate) async fn join(mut self) -> anyhow::Result<Sent> {
        while let Some(ended) = self.sending.join_next().await {
            ended??;
        }
        Ok(std::mem::take(&mut lock(&self.told).sent))
    }
}

impl Course {
    async fn run(self, told: Arc<Mutex<Told>>) -> anyhow::Result<()> {
        let mut request = Request::new(self.address, self.token)?;
        let mut stranger = Request::new(self.address, "not-the-token")?;
        let (mut connection, mut buffer) = (self.connect().await?, [0; 1024]);
        let mut last = None;
        for (n, number) in (self.first..self.first + self.count).enumerate() {
            let due = self.start + self.between * u32::try_from(n)?;
            // The clock of the load generator is not what is measured, but what is late because an answer was is.
            let began = if due > Instant::now() {
                sleep_until(due).await;
                Instant::now()
            } else {
                due
            };
            let nth = number - self.first + 1;
            if nth.is_multiple_of(REFUSED_EVERY) {
                self.knock(stranger.numbered(number), &told).await?;
                continue;
            }
            let again = last.filter(|_| nth.is_multiple_of(TWICE_EVERY));
            connection.write_all(request.numbered(again.unwrap_or(number))).await?;
            let answered = answer::read(&mut connection, &mut buffer).await;
            lock(&told).note(began.elapsed(), number, again.is_some(), &answered);
            match answered {
                Ok(Answer::Acknowledged) => last = Some(number),
                Ok(Answer::Refused { closes: false }) => {}
                Ok(Answer::Refused { closes: true }) | Err(_) => connection = self.connect().await?,
            }
            if nth % REFUSED_EVERY == 1 {
                connection = self.connect().await?;
            }
        }
        Ok(())
    }

    async fn connect(&self) -> anyhow::Result<TcpStream> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Sends what has a wrong token, on a connection of its own.
    async fn knock(&self, request: &[u8], told: &Mutex<Told>) -> anyhow::Result<()> {
        let (mut connection, mut buffer) = (self.connect().await?, [0; 32]);
        connection.write_all(request).await?;
        connection.read_exact(&mut buffer).await?;
        let mut told = lock(told);
        told.sent.requests += 1;
        match buffer.starts_with(b"HTTP/1.1 401 ") {
            true => told.sent.refused += 1,
            false => told.sent.odd.push(String::from_utf8_lossy(&buffer).into_owned()),
        }
        Ok(())
    }
}

impl Told {
    fn note(&mut self, took: Duration, number: u64, again: bool, answered: &anyhow::Result<Answer>) {
        self.sent.requests += 1;
        match answered {
            Ok(Answer::Acknowledged) => {
                self.took.push(took);
                match again {
                    true => self.sent.twice += 1,
                    false => self.sent.acknowledged.push(number),
                }
            }
            Ok(Answer::Refused { .. }) => self.sent.unavailable += 1,
            Err(error) => self.sent.odd.push(format!("{error:#}")),
        }
    }
}

fn lock(told: &Mutex<Told>) -> MutexGuard<'_, Told> {
    told.lock().unwrap_or_else(PoisonError::into_inner)
}
