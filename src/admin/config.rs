//! What can be set about the private door.

use std::net::SocketAddr;

use crate::secret::Secret;

/// The settings of the private door.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The credential; without one it listens on loopback only.
    pub token: Option<Secret>,
}

impl Default for Config {
    fn default() -> Config {
        Config { listen: SocketAddr::from(([127, 0, 0, 1], 8081)), token: None }
    }
}
