//! Asking a running workhook through its private door.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::admin::api::wire;
use crate::config::Config;
use crate::secret::Secret;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(35);

/// Whom to ask.
#[derive(Debug, Args)]
pub(super) struct Ask {
    /// The private door's address, such as 127.0.0.1:8081; without it, the one of the configuration.
    #[arg(long, value_name = "URL", env = "WORKHOOK_ADMIN_URL", value_parser = base, help_heading = "Whom to ask")]
    admin_url: Option<String>,
    /// The private door's credential; without it, and on this machine only, the one of the configuration, or the
    /// generated one beside the store.
    #[arg(long, value_name = "TOKEN", env = "WORKHOOK_ADMIN_TOKEN", hide_env_values = true, value_parser = credential,
          help_heading = "Whom to ask")]
    admin_token: Option<String>,
}

/// A way to ask.
#[derive(Debug)]
pub(super) struct Client {
    base: String,
    token: Option<Secret>,
    http: reqwest::Client,
}

/// Nobody answers, or nobody can at the moment.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Away(String);

/// What was asked for is not there.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Missing(String);

impl Ask {
    pub(super) fn client(&self, config: &Config) -> anyhow::Result<Client> {
        // An empty variable is how a container's description says that there is none.
        let named = self.admin_url.as_deref().filter(|url| !url.is_empty());
        let base = match named {
            Some(url) => url.to_owned(),
            None => format!("http://{}", reachable(config.admin.listen)),
        };
        let given = self.admin_token.clone().filter(|token| !token.is_empty()).map(Secret::new);
        let generated = || std::fs::read_to_string(config.store.place.folder()?.join("admin-token")).ok();
        let own = || config.admin.token.clone().or_else(|| Some(Secret::new(generated()?.trim().to_owned())));
        let token = given.or_else(|| if named.is_none() || is_this_machine(&base) { own() } else { None });
        Client::new(base, token)
    }
}

impl Client {
    pub(super) fn new(base: String, token: Option<Secret>) -> anyhow::Result<Client> {
        let http = reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build();
        Ok(Client { base, token, http: http.context("the HTTP client could not be built")? })
    }

    /// Gets what is at a path.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> anyhow::Result<T> {
        self.read(self.send(self.request(Method::GET, path, query)).await?).await
    }

    /// Asks for something to be done at a path.
    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> anyhow::Result<T> {
        self.read(self.send(self.request(Method::POST, path, &[]).json(body)).await?).await
    }

    async fn read<T: DeserializeOwned>(&self, response: reqwest::Response) -> anyhow::Result<T> {
        let answer = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        serde_json::from_slice(&answer)
            .with_context(|| format!("the answer of {} is not understood; is it another version?", self.base))
    }

    /// Gets the bytes that are at a path.
    pub(super) async fn bytes(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        let bytes =
            self.send(self.request(Method::GET, path, &[])).await?.bytes().await.context("the answer was cut short")?;
        Ok(bytes.to_vec())
    }

    /// Whether it says that it is ready.
    pub(super) async fn is_ready(&self) -> anyhow::Result<bool> {
        let response =
            self.request(Method::GET, "/readyz", &[]).send().await.map_err(|error| self.unreachable(&error))?;
        Ok(response.status().is_success())
    }

    fn request(&self, method: Method, path: &str, query: &[(&str, String)]) -> reqwest::RequestBuilder {
        let mut url = format!("{}{path}", self.base);
        for (index, (key, value)) in query.iter().enumerate() {
            let value: String = value.bytes().map(percent).collect();
            url.push_str(&format!("{}{key}={value}", if index == 0 { '?' } else { '&' }));
        }
        let request = self.http.request(method, url);
        match &self.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        }
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> anyhow::Result<reqwest::Response> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let why = match response.json::<wire::Failure>().await {
            Ok(failure) => failure.error,
            Err(_) => format!("{} answered {status}", self.base),
        };
        if status.is_server_error() {
            return Err(Away(why).into());
        }
        if status == StatusCode::NOT_FOUND {
            return Err(Missing(why).into());
        }
        bail!(why)
    }

    fn unreachable(&self, error: &reqwest::Error) -> anyhow::Error {
        let mut cause = std::error::Error::source(error);
        let mut text = String::new();
        while let Some(error) = cause {
            text = error.to_string();
            cause = error.source();
        }
        let away = format!(
            "no workhook answers at {} ({text}); is `workhook serve` running, and is admin.listen the same?",
            self.base
        );
        Away(away).into()
    }
}

/// An address as it is asked: with a scheme, without a path.
fn base(text: &str) -> Result<String, String> {
    let url = if text.is_empty() || text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    match reqwest::Url::parse(&url) {
        _ if url.is_empty() => Ok(url),
        Ok(parsed) if matches!(parsed.scheme(), "http" | "https") => Ok(url.trim_end_matches('/').to_owned()),
        _ => Err("it is not an address such as http://127.0.0.1:8081".to_owned()),
    }
}

fn credential(text: &str) -> Result<String, String> {
    let carried = http::HeaderValue::from_str(text).is_ok();
    if carried { Ok(text.to_owned()) } else { Err("a header cannot carry it".to_owned()) }
}

/// Whether an address is one of this machine's: a credential from its files goes to no other that somebody names.
pub(super) fn is_this_machine(url: &str) -> bool {
    let host = reqwest::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// An address that listens on all of them is reached on this machine.
pub(super) fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

fn percent(byte: u8) -> String {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_from_the_files_goes_to_this_machine_only() {
        for own in ["http://127.0.0.1:8081", "http://localhost:1", "https://[::1]:8081/x", "http://127.9.9.9"] {
            assert!(is_this_machine(own), "{own}");
        }
        for other in [
            "http://10.0.0.1",
            "https://hooks.example",
            "http://localhost.example",
            "http://[2001:db8::1]",
            "127.0.0.1",
        ] {
            assert!(!is_this_machine(other), "{other}");
        }
    }

    #[test]
    fn an_address_needs_no_scheme_and_has_no_path() {
        assert_eq!(base("127.0.0.1:8081").as_deref(), Ok("http://127.0.0.1:8081"));
        assert_eq!(base("https://admin.example/").as_deref(), Ok("https://admin.example"));
        assert!(base("ftp://x").is_err() && base("http://").is_err());
    }
}
