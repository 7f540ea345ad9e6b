//! The `http` kind: the event as it came, to an HTTP endpoint.
//!
//! The body is sent byte for byte, with the sender's own headers less the token, so that whatever could take the
//! webhook itself can take it from here. No redirect is followed and no attempt is repeated here. Only a proxy that the
//! configuration names is used, and none that the environment does.

#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod proxy;
mod tls;

pub use proxy::{Proxy, ProxyError};
pub use tls::{Authorities, Chain, ClientCertificate, Key, TlsError};

use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url, retry};

use super::mask::Mask;
use super::{Failure, FailureKind, Handler, Success, trace};
use crate::clock::between;
use crate::contract::Brand;
use crate::model::Claimed;
use crate::telemetry::with_causes;

/// How much of an answer is read.
const RESPONSE_MAX: usize = 4096;
/// From how many characters on a part of a path is taken for a key, and not for a word.
const KEY_MIN: usize = 16;
/// How long connecting may take; the attempt as a whole has the handler's time-out.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long reading the rest of an answer may hold up an attempt whose status is known.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The settings of one.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to.
    pub url: Url,
    /// Headers to add; they take the place of the sender's of the same name.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The only authorities to trust; `None` for those of the platform.
    pub authorities: Option<Authorities>,
    /// What the far end is to know us by.
    pub client_certificate: Option<ClientCertificate>,
    /// The proxy to go through.
    pub proxy: Option<Proxy>,
}

/// Sends events to an endpoint.
#[derive(Debug)]
pub struct HttpHandler {
    config: Config,
    client: Client,
    mask: Mask,
}

impl HttpHandler {
    /// A handler with a client of its own.
    ///
    /// # Errors
    /// When the platform's certificate store cannot be used.
    pub fn new(config: Config) -> Result<HttpHandler, reqwest::Error> {
        let mut builder = Client::builder()
            .user_agent(concat!("workhook/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(Policy::none())
            .retry(retry::never())
            .no_proxy();
        if let Some(proxy) = config.proxy.clone() {
            builder = builder.proxy(proxy.for_all()?);
        }
        if let Some(authorities) = config.authorities.clone() {
            builder = builder.tls_certs_only(authorities.into_certificates());
        }
        if let Some(certificate) = config.client_certificate.clone() {
            builder = builder.identity(certificate.into_identity());
        }
        let (headers, keys) = (config.headers.iter().map(|(_, value)| value.as_bytes()), keys_in(&config.url));
        let mask = Mask::of(headers.chain(keys.iter().map(String::as_bytes)));
        Ok(HttpHandler { config, client: builder.build()?, mask })
    }

    fn headers(&self, delivery: &Claimed) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let brand_s = |name: &str| Brand::ALL.iter().any(|brand| name.starts_with(brand.header_prefix()));
        for (name, value) in &delivery.event.headers.to_map() {
            if brand_s(name.as_str()) || name == header::CONTENT_TYPE {
                headers.append(name, value.clone());
            }
        }
        headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json; charset=utf-8"));
        let own = [
            ("idempotency-key", delivery.idempotency_key().as_str().to_owned()),
            ("traceparent", trace::parent(delivery)),
            ("workhook-event-id", delivery.event.id.to_string()),
            ("workhook-attempt", delivery.attempt.to_string()),
        ];
        for (name, value) in own {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        for (name, value) in &self.config.headers {
            headers.insert(name, value.clone());
        }
        headers
    }
}

#[async_trait]
impl Handler for HttpHandler {
    fn kind(&self) -> &'static str {
        "http"
    }

    async fn handle(&self, delivery: &Claimed) -> Result<Success, Failure> {
        let request = self.client.post(self.config.url.clone()).headers(self.headers(delivery));
        // The address may have a secret in it, so it is left out of every error.
        let response = request
            .body(delivery.event.body.clone())
            .send()
            .await
            .map_err(|error| Failure::transient(with_causes(&error.without_url())))?;
        let (status, retry_after) = (response.status(), retry_after(response.headers()));
        let beginning = beginning(response, RESPONSE_MAX + self.mask.longest());
        let response = tokio::time::timeout(RESPONSE_TIMEOUT, beginning).await.unwrap_or_default();
        // A far end may show what it was sent.
        let response = self.mask.applied(&response, RESPONSE_MAX);
        judge(status, retry_after, response)
    }
}

/// What a status means (2xx is success; 4xx would come again, but for five; the rest may pass).
///
/// 407 comes from a proxy, which says nothing about what the far end would have done.
fn judge(status: StatusCode, retry_after: Option<Duration>, response: Bytes) -> Result<Success, Failure> {
    let code = Some(i32::from(status.as_u16()));
    if status.is_success() {
        return Ok(Success { status: code, message: status.to_string(), response });
    }
    let may_pass = matches!(
        status,
        StatusCode::PROXY_AUTHENTICATION_REQUIRED
            | StatusCode::REQUEST_TIMEOUT
            | StatusCode::CONFLICT
            | StatusCode::TOO_EARLY
    );
    let kind = match status {
        StatusCode::TOO_MANY_REQUESTS => FailureKind::Throttled { retry_after },
        _ if may_pass || status.is_server_error() || status.is_informational() => {
            FailureKind::Transient { retry_after }
        }
        _ => FailureKind::Permanent,
    };
    let message = if status.is_redirection() {
        format!("answered {status}; redirects are not followed, set the address that it leads to")
    } else {
        format!("answered {status}")
    };
    Err(Failure { kind, status: code, message, response })
}

/// The far end's `Retry-After`: seconds, or a date, which is counted from the far end's own.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let asked = text(header::RETRY_AFTER)?;
    if let Ok(seconds) = asked.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = |text: &str| jiff::fmt::rfc2822::parse(text).ok().map(|date| date.timestamp());
    Some(between(date(text(header::DATE)?)?, date(asked)?))
}

/// What may be a key in an address: its path and query as a whole, values of the query, and long parts of the path.
fn keys_in(url: &Url) -> Vec<String> {
    let (path, query) = (url.path(), url.query().unwrap_or_default());
    let values = query.split('&').filter_map(|pair| pair.split_once('=')).map(|(_, value)| value);
    let parts = path.split('/').filter(|part| part.len() >= KEY_MIN);
    let mut keys = vec![format!("{path}?{query}"), path.to_owned()];
    keys.extend(values.chain(parts).map(str::to_owned));
    keys
}

/// So much of an answer at the most; the rest is not read.
async fn beginning(mut response: Response, max: usize) -> Bytes {
    let mut beginning = BytesMut::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = max - beginning.len();
        beginning.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if beginning.len() == max {
            break;
        }
    }
    beginning.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, expected: Option<FailureKind>) {
        let judged = judge(StatusCode::from_u16(status).unwrap(), Some(Duration::from_secs(7)), Bytes::new());
        assert_eq!(judged.err().map(|failure| failure.kind), expected, "{status}");
    }

    #[test]
    fn a_status_says_whether_trying_again_may_help() {
        let transient = Some(FailureKind::Transient { retry_after: Some(Duration::from_secs(7)) });
        for status in [200, 201, 202, 204] {
            check(status, None);
        }
        for status in [407, 408, 409, 425, 500, 502, 503, 504] {
            check(status, transient);
        }
        check(429, Some(FailureKind::Throttled { retry_after: Some(Duration::from_secs(7)) }));
        for status in [301, 302, 307, 400, 401, 403, 404, 405, 410, 413, 422] {
            check(status, Some(FailureKind::Permanent));
        }
    }

    #[test]
    fn what_may_be_a_key_in_an_address_is_known() {
        let keys = |url: &str| keys_in(&Url::parse(url).unwrap());
        let expected = ["/T0/a-key-of-16-chars?b=key&c", "/T0/a-key-of-16-chars", "key", "a-key-of-16-chars"];
        assert_eq!(keys("https://chat.example/T0/a-key-of-16-chars?b=key&c#d"), expected);
        assert_eq!(keys("https://chat.example"), ["/?", "/"]);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_counted_from_the_far_end_s_clock() {
        let headers = |pairs: &[(&'static str, &str)]| -> HeaderMap {
            pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
        };
        let dated =
            headers(&[("retry-after", "Fri, 06 Nov 2026 08:50:07 GMT"), ("date", "Fri, 06 Nov 2026 08:49:37 GMT")]);
        assert_eq!(retry_after(&dated), Some(Duration::from_secs(30)));
        assert_eq!(retry_after(&headers(&[("retry-after", " 120 ")])), Some(Duration::from_secs(120)));
        for odd in ["-5", "soon", "1e9", "99999999999999999999999"] {
            assert_eq!(retry_after(&headers(&[("retry-after", odd)])), None, "{odd}");
        }
    }
}
