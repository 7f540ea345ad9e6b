//! As much HTTP as the tests need.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::PATIENCE;

/// Asks for a path, on a connection of its own; `None` where nobody answers.
pub(crate) fn get(from: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Option<(u16, String)> {
    exchange(from, "GET", path, headers, "")
}

/// Posts a body to a path, on a connection of its own; `None` where nobody answers.
pub(crate) fn post(to: SocketAddr, path: &str, headers: &[(&str, &str)], body: &str) -> Option<(u16, String)> {
    exchange(to, "POST", path, headers, body)
}

fn exchange(with: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(with).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let length = body.len();
    let mut request = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {length}\r\n");
    let own = headers.iter().any(|(name, _)| *name == "host");
    for (name, value) in headers.iter().chain([("host", "localhost")].iter().filter(|_| !own)) {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{request}\r\n{body}").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// The far end of an `http` handler that answers every request with a status and with all that it was sent, or never.
pub(crate) struct Echo {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Vec<String>>>,
    status: Arc<Mutex<Option<u16>>>,
}

impl Echo {
    /// One that answers with this status; `None` keeps the connection open and says nothing.
    pub(crate) fn start(status: Option<u16>) -> Echo {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, received) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<String>>>::default());
        let shared = Arc::clone(&received);
        let status = Arc::new(Mutex::new(status));
        let says = Arc::clone(&status);
        std::thread::spawn(move || {
            let mut silent = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                let Some(request) = request(&stream) else { continue };
                shared.lock().unwrap().push(request.clone());
                let status = *says.lock().unwrap();
                match status {
                    Some(status) => say(&stream, status, &request),
                    None => silent.push(stream),
                }
            }
        });
        Echo { address, received, status }
    }

    /// Answers from here on with this status.
    pub(crate) fn answer(&self, status: u16) {
        *self.status.lock().unwrap() = Some(status);
    }

    /// The requests so far, head and body.
    pub(crate) fn received(&self) -> Vec<String> {
        self.received.lock().unwrap().clone()
    }
}

/// A door that gives prepared answers: a status and a body, for the head and the body of what was asked.
pub(crate) fn prepared(answer: impl Fn(&str) -> (u16, Value) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let Some((status, body)) = request(&stream).map(|request| answer(&request)) else { continue };
            say(&stream, status, &body.to_string());
        }
    });
    address
}

fn say(mut stream: &TcpStream, status: u16, body: &str) {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} Said\r\nconnection: close\r\ncontent-length: {length}");
    let _ = stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes());
}

/// Reads one request.
fn request(stream: &TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let (mut text, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        text.push_str(&line);
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(text + &String::from_utf8_lossy(&body))
}
