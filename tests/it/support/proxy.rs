//! A small proxy: it passes connections on, for those who know its password.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What stands in the header for the user `user` and the password `p@ss-secret`.
const CREDENTIALS: &str = "Basic dXNlcjpwQHNzLXNlY3JldA==";

/// A proxy that records the first lines of what it was asked.
#[derive(Clone)]
pub(crate) struct TestProxy {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl TestProxy {
    pub(crate) async fn start() -> TestProxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = TestProxy { address: listener.local_addr().unwrap(), asked: Arc::default() };
        let accepting = proxy.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(accepting.clone().pass_on(stream));
            }
        });
        proxy
    }

    /// The first lines of all requests, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    async fn pass_on(self, mut stream: TcpStream) -> Option<()> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        let text = String::from_utf8(head.clone()).ok()?;
        let first = text.lines().next()?.to_owned();
        self.asked.lock().unwrap().push(first.clone());
        let known = text.lines().any(|line| {
            line.split_once(": ")
                .is_some_and(|(name, value)| name.eq_ignore_ascii_case("proxy-authorization") && value == CREDENTIALS)
        });
        if !known {
            let answer = b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n";
            return stream.write_all(answer).await.ok();
        }
        let mut words = first.split(' ');
        let (method, target) = (words.next()?, words.next()?);
        let host = target.trim_start_matches("http://").split('/').next()?;
        let mut far = TcpStream::connect(host).await.ok()?;
        if method == "CONNECT" {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok()?;
        } else {
            far.write_all(&head).await.ok()?;
        }
        tokio::io::copy_bidirectional(&mut stream, &mut far).await.ok().map(drop)
    }
}
