//! Who may come in.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, Method, header};

use super::api::Error;
use crate::admin::InForceNow;
use crate::secret::Fingerprint;

/// Which site a browser says that a request comes from.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The door's keeper: by a credential, or for this machine only.
#[derive(Debug, Clone)]
struct Guard(Option<Arc<Fingerprint>>);

impl Guard {
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

pub(super) async fn guard(State(in_force): State<InForceNow>, request: Request, next: Next) -> Response {
    let guard = Guard(in_force.borrow().token.clone());
    match guard.admits(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

/// Lets through what only asks. What would change something has to be what no page of another site can make a browser
/// send: JSON by its content type, which takes leave that nobody gets here, and no origin but this door.
pub(super) async fn changes(request: Request, next: Next) -> Response {
    match is_of_our_own(request.method(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

fn is_of_our_own(method: &Method, headers: &HeaderMap) -> Result<(), Error> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let media_type = text(header::CONTENT_TYPE).and_then(|value| value.split(';').next()).unwrap_or_default();
    let own_origin =
        |origin: &str| origin.split_once("://").is_some_and(|(_, of)| of.eq_ignore_ascii_case(host(headers)));
    let own_site = |site: &str| matches!(site, "same-origin" | "none");
    match method {
        &Method::GET | &Method::HEAD => Ok(()),
        _ if !text(header::ORIGIN).is_none_or(own_origin) || !text(SEC_FETCH_SITE).is_none_or(own_site) => {
            Err(Error::NotOfOurOwn("a page of another site cannot change anything here"))
        }
        _ if !media_type.trim().eq_ignore_ascii_case("application/json") => {
            Err(Error::NotOfOurOwn("send JSON, with `content-type: application/json`"))
        }
        _ => Ok(()),
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
        let guard = Guard(Some(Arc::new(Fingerprint::of(b"key"))));
        let admits =
            |value| guard.admits(&headers(&[(header::AUTHORIZATION, value), (header::HOST, "localhost")])).is_ok();
        assert!(admits("Bearer key") && admits("bearer key"));
        assert!(!admits("Bearer kex") && !admits("Bearer ") && !admits("key") && !admits("Basic key"));
        assert!(guard.admits(&headers(&[(header::HOST, "localhost")])).is_err());
    }

    #[test]
    fn without_one_only_this_machine_s_names_do() {
        let guard = Guard(None);
        let admits = |host| guard.admits(&headers(&[(header::HOST, host)])).is_ok();
        for host in ["localhost", "localhost:8081", "127.0.0.1:8081", "[::1]:8081", "LOCALHOST"] {
            assert!(admits(host), "{host}");
        }
        for host in ["evil.example", "evil.example:8081", "10.0.0.1", "localhost.evil.example", "", "[::2]"] {
            assert!(!admits(host), "{host}");
        }
    }

    #[test]
    fn no_page_of_another_site_changes_anything() {
        let check = |pairs: &[(header::HeaderName, &str)], expected: bool| {
            let pairs = [&[(header::HOST, "localhost:8081")], pairs].concat();
            assert_eq!(is_of_our_own(&Method::POST, &headers(&pairs)).is_ok(), expected, "{pairs:?}");
            assert!(is_of_our_own(&Method::GET, &headers(&pairs)).is_ok());
        };
        let json = (header::CONTENT_TYPE, "application/json");
        check(std::slice::from_ref(&json), true);
        check(&[(header::CONTENT_TYPE, "Application/JSON; charset=utf-8")], true);
        check(&[json.clone(), (header::ORIGIN, "http://localhost:8081")], true);
        check(&[json.clone(), (SEC_FETCH_SITE, "same-origin")], true);
        check(&[], false);
        for form in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonp"] {
            check(&[(header::CONTENT_TYPE, form)], false);
        }
        for origin in ["http://evil.example", "null", "", "http://localhost:8082", "http://localhost:8081.evil.example"]
        {
            check(&[json.clone(), (header::ORIGIN, origin)], false);
        }
        for site in ["cross-site", "same-site", ""] {
            check(&[json.clone(), (SEC_FETCH_SITE, site)], false);
        }
    }
}
