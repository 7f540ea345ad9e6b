//! As much HTTP as both ends need, over plain sockets, so that nothing is made good on the way.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long a sender waits for an answer: more than the sender itself does, so that what comes too late is seen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A message as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Message {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// The status of an answer.
    pub(crate) fn status(&self) -> Option<u16> {
        self.head.split(' ').nth(1)?.parse().ok()
    }
}

/// A connection from either end, with what was read of it and not yet understood.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream) -> Connection {
        let _ = stream.set_nodelay(true);
        Connection { stream, read: Vec::new() }
    }

    /// A connection of a sender's; `None` where nobody listens.
    pub(crate) fn open(to: SocketAddr) -> Option<Connection> {
        let stream = TcpStream::connect_timeout(&to, PATIENCE).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.set_write_timeout(Some(PATIENCE)).ok()?;
        Some(Connection::new(stream))
    }

    /// Writes bytes; whether all went.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Reads a message; `None` where the connection or its patience ends before.
    pub(crate) fn read(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.whole() {
                return Some(message);
            }
            let mut chunk = [0; 16 << 10];
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(n) => self.read.extend_from_slice(&chunk[..n]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
    }

    fn whole(&mut self) -> Option<Message> {
        let end = self.read.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&self.read[..end]).into_owned();
        let mut message = Message { head, body: Vec::new() };
        let length: usize = message.header("content-length").map_or(0, |length| length.parse().unwrap_or(0));
        let whole = end + 4 + length;
        if self.read.len() < whole {
            return None;
        }
        message.body = self.read[end + 4..whole].to_vec();
        self.read.drain(..whole);
        Some(message)
    }
}

/// Asks for a path, on a connection of its own; `None` where nobody answers.
pub(crate) fn get(from: SocketAddr, path: &str) -> Option<(u16, String)> {
    ask(from, &format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"))
}

/// Sends a request on a connection of its own, and reads the answer.
pub(crate) fn ask(from: SocketAddr, request: &str) -> Option<(u16, String)> {
    let mut connection = Connection::open(from)?;
    connection.write(request.as_bytes());
    let answer = connection.read()?;
    Some((answer.status()?, String::from_utf8_lossy(&answer.body).into_owned()))
}
