//! The sender's end of a connection, byte by byte.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use workhook::contract::Brand;

use super::{PATIENCE, TOKEN};

/// A request that can be wrong in every way.
#[derive(Debug, Clone)]
pub(crate) struct Post {
    pub(crate) brand: Brand,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Post {
    /// A good request of this brand, with an id of its own.
    pub(crate) fn new(brand: Brand, event: &str) -> Post {
        let headers = [
            ("Event", event.to_owned()),
            ("ID", format!("id-{:016x}", fastrand::u64(..))),
            ("Token", TOKEN.to_owned()),
            ("Type", brand.name().to_owned()),
            ("Ts", "1676627206".to_owned()),
            ("Retry-Num", "0".to_owned()),
            ("WebHook-ID", "77".to_owned()),
        ];
        let headers = headers.map(|(field, value)| (brand.header(field), value)).to_vec();
        let body =
            format!(r#"{{"type":"{event}","date":1676627206432,"tenant":{{"id":1}},"data":{{"issue":{{"id":100}}}}}}"#);
        Post { brand, target: "/webhook".to_owned(), headers, body: body.into_bytes() }
    }

    /// With one of the brand's headers set.
    pub(crate) fn set(mut self, field: &str, value: &str) -> Post {
        self = self.without(field);
        self.headers.push((self.brand.header(field), value.to_owned()));
        self
    }

    /// With one of the brand's headers left out.
    pub(crate) fn without(mut self, field: &str) -> Post {
        let name = self.brand.header(field);
        self.headers.retain(|(header, _)| *header != name);
        self
    }

    /// With any header added.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Post {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Post {
        self.body = body.into();
        self
    }

    /// About this issue.
    pub(crate) fn issue(self, issue: u64, n: u64) -> Post {
        let body = format!(r#"{{"date":1,"tenant":{{"id":1}},"data":{{"issue":{{"id":{issue},"number":{n}}}}}}}"#);
        self.body(body)
    }

    pub(crate) fn target(mut self, target: &str) -> Post {
        target.clone_into(&mut self.target);
        self
    }

    /// The value of one of the brand's headers.
    pub(crate) fn get(&self, field: &str) -> &str {
        let name = self.brand.header(field);
        self.headers.iter().find(|(header, _)| *header == name).map_or("", |(_, value)| value)
    }

    /// The head, for a body of this length.
    pub(crate) fn head(&self, length: usize) -> String {
        let mut head = format!("POST {} HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\n", self.target);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        head
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        [self.head(self.body.len()).as_bytes(), &self.body].concat()
    }

    /// Sends it on a connection of its own.
    pub(crate) async fn send(&self, to: SocketAddr) -> Answer {
        exchange(to, &self.bytes()).await.unwrap_or_else(|| panic!("no answer to {self:?}"))
    }
}

/// Sends bytes on a connection of its own and reads one answer; `None` where the connection ends without one.
pub(crate) async fn exchange(to: SocketAddr, bytes: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(to).await.unwrap();
    // The other end may answer and close before all is sent.
    let _ = stream.write_all(bytes).await;
    tokio::time::timeout(PATIENCE, read(&mut stream)).await.expect("neither an answer nor an end")
}

/// Reads one answer.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Answer> {
    let mut got = Vec::new();
    loop {
        if let Some(answer) = parse(&got) {
            return Some(answer);
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return None,
            Ok(n) => got.extend_from_slice(&chunk[..n]),
        }
    }
}

fn parse(got: &[u8]) -> Option<Answer> {
    let text = std::str::from_utf8(got).unwrap();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let header = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    };
    let length = header("content-length").map_or(0, |length| length.parse().unwrap());
    (body.len() >= length).then(|| Answer { status, head: head.to_ascii_lowercase(), body: body[..length].to_owned() })
}

impl Answer {
    /// Status and `errcode`, which must be the same or 200 and 0.
    #[track_caller]
    pub(crate) fn errcode(&self) -> i64 {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"));
        assert!(self.head.contains("content-type: application/json"), "{self:?}");
        body["errcode"].as_i64().unwrap()
    }

    /// What the sender's own records show.
    #[track_caller]
    pub(crate) fn errmsg(&self) -> String {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        body["errmsg"].as_str().unwrap_or_default().to_owned()
    }
}
