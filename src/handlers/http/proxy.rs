//! The proxy that a handler goes through.

use std::fmt;

use reqwest::Url;
use thiserror::Error;

use crate::secret::Fingerprint;

/// A proxy's address, with the credentials in it.
#[derive(Clone)]
pub struct Proxy(Url);

/// What is wrong with an address of a proxy. It says nothing of the address: there may be a password in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ProxyError {
    /// It is no address.
    #[error("not a URL; write for example \"http://proxy.example:3128\"")]
    NotAUrl,
    /// Another scheme.
    #[error("the scheme cannot be used; write http, as in \"http://proxy.example:3128\"")]
    Scheme,
    /// More than an address.
    #[error("there is a path or a query in it, which a proxy has not; write for example \"http://proxy.example:3128\"")]
    More,
}

impl Proxy {
    /// Reads an address.
    ///
    /// # Errors
    /// When it is not one that a proxy can have.
    pub fn parse(text: &str) -> Result<Proxy, ProxyError> {
        let url = Url::parse(text).map_err(|_| ProxyError::NotAUrl)?;
        if url.scheme() != "http" {
            return Err(ProxyError::Scheme);
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(ProxyError::More);
        }
        Ok(Proxy(url))
    }

    /// What tells it from others.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.0.as_str().as_bytes())
    }

    /// For every request.
    pub(super) fn for_all(self) -> reqwest::Result<reqwest::Proxy> {
        reqwest::Proxy::all(self.0)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proxy(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_a_scheme_a_host_and_perhaps_a_port_and_credentials() {
        let check = |text: &str, expected: Option<ProxyError>| assert_eq!(Proxy::parse(text).err(), expected, "{text}");
        check("http://proxy", None);
        check("http://user:p%40ss@proxy.example:3128/", None);
        check("proxy", Some(ProxyError::NotAUrl));
        check("http://", Some(ProxyError::NotAUrl));
        check("proxy:3128", Some(ProxyError::Scheme));
        check("https://proxy", Some(ProxyError::Scheme));
        check("socks5://proxy", Some(ProxyError::Scheme));
        check("http://proxy/path", Some(ProxyError::More));
        check("http://proxy?a", Some(ProxyError::More));
        assert_eq!(format!("{:?}", Proxy::parse("http://user:secret@proxy").unwrap()), "Proxy(…)");
    }
}
