//! What can be set about the public door.

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;

/// The settings of the public door.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The path that takes every webhook; below it, a name takes one.
    pub path: String,
    /// The largest body, in bytes.
    pub max_body: usize,
    /// The most connections that are held open.
    pub max_connections: usize,
    /// The most bytes of bodies that are held at one time.
    pub max_in_flight: usize,
    /// How long a connection may be idle. Longer than the proxy's, or the proxy sends into a closed one.
    pub idle_timeout: Duration,
    /// How long it still accepts after it was told to stop, so that a proxy can see that it is not ready.
    pub drain_delay: Duration,
    /// The proxies whose word on the sender's address is taken.
    pub trusted_proxies: Vec<IpNet>,
    /// By when the body has to be there, from the first byte of the head (ruling 9).
    pub body_deadline: Duration,
    /// By when the answer is sent, from the first byte of the head (ruling 9).
    pub answer_deadline: Duration,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            path: "/webhook".to_owned(),
            max_body: 8 << 20,
            max_connections: 1024,
            max_in_flight: 64 << 20,
            idle_timeout: Duration::from_secs(75),
            drain_delay: Duration::from_secs(1),
            trusted_proxies: Vec::new(),
            body_deadline: Duration::from_millis(1200),
            answer_deadline: Duration::from_secs(2),
        }
    }
}
