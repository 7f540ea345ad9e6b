//! Who may come in.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, header};

use super::api::Error;
use crate::secret::{Fingerprint, Secret};

/// The door's keeper: by a credential, or for this machine only.
#[derive(Debug, Clone)]
pub(super) struct Guard(Option<Arc<Fingerprint>>);

impl Guard {
    pub(super) fn new(token: Option<&Secret>) -> Guard {
        Guard(token.map(|token| Arc::new(Fingerprint::of(token.expose().as_bytes()))))
    }

    fn admits(&self, headers: &HeaderMap) -> Result<(), Error> {
        match &self.0 {
            Some(token) => {
                let given = bearer(headers).map(|given| Fingerprint::of(given.as_bytes()));
                let matches = given.is_some_and(|given| bool::from(token.matches(&given)));
                matches.then_some(()).ok_or(Error::Unauthorized)
            }
            // A page elsewhere can point a name of its own at this machine; it cannot change what Host says.
            None if is_loopback(host(headers)) => Ok(()),
            None => Err(Error::WrongHost),
        }
    }
}

pub(super) async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    match guard.admits(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn host(headers: &HeaderMap) -> &str {
    headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default()
}

fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn with_a_credential_only_it_counts() {
        let guard = Guard::new(Some(&Secret::new("key".to_owned())));
        let admits =
            |value| guard.admits(&headers(&[(header::AUTHORIZATION, value), (header::HOST, "localhost")])).is_ok();
        assert!(admits("Bearer key") && admits("bearer key"));
        assert!(!admits("Bearer kex") && !admits("Bearer ") && !admits("key") && !admits("Basic key"));
        assert!(guard.admits(&headers(&[(header::HOST, "localhost")])).is_err());
    }

    #[test]
    fn without_one_only_this_machine_s_names_do() {
        let guard = Guard::new(None);
        let admits = |host| guard.admits(&headers(&[(header::HOST, host)])).is_ok();
        for host in ["localhost", "localhost:8081", "127.0.0.1:8081", "[::1]:8081", "LOCALHOST"] {
            assert!(admits(host), "{host}");
        }
        for host in ["evil.example", "evil.example:8081", "10.0.0.1", "localhost.evil.example", "", "[::2]"] {
            assert!(!admits(host), "{host}");
        }
    }
}
