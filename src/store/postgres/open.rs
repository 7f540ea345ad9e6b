//! Connecting: a server that is fit for this, told apart from each kind of one that is not.

use std::str::FromStr;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool as Connections, RecyclingMethod, Runtime};
use tokio::time::timeout;
use tokio_postgres::config::Host;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config};

use super::migrate;
use super::pool::Pool;
use super::settings::Settings;
use super::tls::{self, SslMode, Tls};
use crate::store::{OpenError, ServerFault};

/// The longest that it takes to connect.
pub(super) const CONNECT_MAX: Duration = Duration::from_secs(3);
/// The longest that opening takes, once connected: another replica may be making the tables.
const OPEN_MAX: Duration = Duration::from_secs(60);
/// From when on a silent connection is asked whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// The oldest server that will do, as a number and in words.
const LEAST_VERSION: (i64, &str) = (140_000, "14");

/// How to get to the server.
#[derive(Clone)]
pub(super) struct Server {
    config: Config,
    tls: Tls,
    /// Its hosts and ports, to be told.
    name: String,
}

impl Server {
    pub(super) fn new(settings: &Settings) -> Result<Server, OpenError> {
        let url = settings.url.expose();
        let unreadable =
            |why: String| OpenError::Server { server: "store.url".to_owned(), fault: ServerFault::Url(why) };
        let (url, mode) = split_mode(url).map_err(unreadable)?;
        let mut config = Config::from_str(&url).map_err(|error| {
            unreadable(std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string))
        })?;
        config.ssl_mode(mode.of_driver()).connect_timeout(CONNECT_MAX);
        config.keepalives(true).keepalives_idle(KEEPALIVE).keepalives_interval(KEEPALIVE / 2).keepalives_retries(3);
        config.tcp_user_timeout(KEEPALIVE);
        if config.get_application_name().is_none() {
            config.application_name("workhook");
        }
        let name = name_of(&config);
        let tls = tls::tls(mode, settings.ca.as_deref())
            .map_err(|error| OpenError::Server { server: name.clone(), fault: ServerFault::Tls(error.into()) })?;
        Ok(Server { config, tls, name })
    }

    /// Connects once, checks the server, and makes the tables where they are not there or are older. The number of the
    /// schema, which tells it apart in its database.
    pub(super) async fn prepare(&self) -> Result<String, OpenError> {
        let (mut client, connection) = timeout(CONNECT_MAX, self.config.connect(self.tls.clone()))
            .await
            .map_err(|late| self.failed(ServerFault::Connect(late.into())))?
            .map_err(|error| self.failed(self.connecting(error)))?;
        let connection = tokio::spawn(connection);
        let opened = timeout(OPEN_MAX, self.check_and_migrate(&mut client)).await;
        drop(client);
        connection.abort();
        opened.unwrap_or_else(|late| Err(ServerFault::Other(late.into()))).map_err(|fault| self.failed(fault))
    }

    /// A bounded number of connections.
    pub(super) fn pool(&self, connections: usize, wait: Duration) -> Result<Pool, OpenError> {
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(self.config.clone(), self.tls.clone(), recycling);
        let pool = Connections::builder(manager)
            .max_size(connections)
            .wait_timeout(Some(wait))
            .create_timeout(Some(CONNECT_MAX))
            .recycle_timeout(Some(CONNECT_MAX))
            .runtime(Runtime::Tokio1)
            .build();
        Ok(Pool::new(pool.map_err(|error| self.failed(ServerFault::Other(error.into())))?, self.tls.clone()))
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn tls(&self) -> Tls {
        self.tls.clone()
    }

    /// Its hosts and ports.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn failed(&self, fault: ServerFault) -> OpenError {
        OpenError::Server { server: self.name.clone(), fault }
    }

    fn connecting(&self, error: tokio_postgres::Error) -> ServerFault {
        let user = || self.config.get_user().unwrap_or_default().to_owned();
        let database = || self.config.get_dbname().map_or_else(user, str::to_owned);
        let is = |code: &SqlState| error.code() == Some(code);
        if is(&SqlState::INVALID_PASSWORD) || is(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION) {
            return ServerFault::Password { user: user() };
        }
        if is(&SqlState::INVALID_CATALOG_NAME) {
            return ServerFault::NoDatabase { database: database() };
        }
        if is(&SqlState::INSUFFICIENT_PRIVILEGE) {
            return ServerFault::NoRight { user: user(), source: error.into() };
        }
        let text = error.to_string();
        // The driver tells these two by their words only.
        if text.contains("TLS") {
            return ServerFault::Tls(error.into());
        }
        if text.contains("password missing") {
            return ServerFault::Password { user: user() };
        }
        if error.code().is_some() { ServerFault::Other(error.into()) } else { ServerFault::Connect(error.into()) }
    }

    async fn check_and_migrate(&self, client: &mut Client) -> Result<String, ServerFault> {
        check(client).await?;
        let user = self.config.get_user().unwrap_or_default();
        migrate::migrate(client, user).await
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Server").field(&self.name).finish()
    }
}

/// The address without what it says about encryption, and that.
fn split_mode(url: &str) -> Result<(String, SslMode), String> {
    let Some((address, query)) = url.split_once('?') else { return Ok((url.to_owned(), SslMode::Prefer)) };
    let mut mode = SslMode::Prefer;
    let mut rest = Vec::new();
    for part in query.split('&') {
        match part.strip_prefix("sslmode=") {
            Some(word) => mode = SslMode::parse(word).ok_or_else(|| format!("there is no sslmode {word:?}"))?,
            None => rest.push(part),
        }
    }
    Ok((format!("{address}?{}", rest.join("&")), mode))
}

fn name_of(config: &Config) -> String {
    let ports = config.get_ports();
    let named = config.get_hosts().iter().enumerate().map(|(place, host)| {
        let port = ports.get(place).or(ports.first()).copied().unwrap_or(5432);
        match host {
            Host::Tcp(host) => format!("{host}:{port}"),
            #[cfg(unix)]
            Host::Unix(folder) => format!("{}/.s.PGSQL.{port}", folder.display()),
        }
    });
    named.collect::<Vec<_>>().join(", ")
}

/// Makes sure that the server and its settings are what the promises rest on.
async fn check(client: &Client) -> Result<(), ServerFault> {
    let other = |error: tokio_postgres::Error| ServerFault::Other(error.into());
    let sql = "SELECT current_setting('server_version_num')::bigint, current_setting('server_version'),
                   current_setting('server_encoding'), current_setting('synchronous_commit'),
                   current_setting('fsync'), pg_is_in_recovery(), current_setting('default_transaction_read_only')";
    let row = client.query_typed_one(sql, &[]).await.map_err(other)?;
    let text = |place: usize| row.try_get::<_, String>(place).map_err(other);
    if row.try_get::<_, i64>(0).map_err(other)? < LEAST_VERSION.0 {
        return Err(ServerFault::TooOld { found: text(1)?, least: LEAST_VERSION.1 });
    }
    if text(2)? != "UTF8" {
        return Err(ServerFault::Encoding { found: text(2)? });
    }
    if row.try_get(5).map_err(other)? {
        return Err(ServerFault::ReadOnly("it is a standby"));
    }
    if text(6)? != "off" {
        return Err(ServerFault::ReadOnly("default_transaction_read_only is on"));
    }
    // What is acknowledged has to be on the primary's disk at the least.
    for (setting, place, good) in
        [("synchronous_commit", 3, &["on", "remote_apply", "local", "remote_write"][..]), ("fsync", 4, &["on"][..])]
    {
        let found = text(place)?;
        if !good.contains(&found.as_str()) {
            return Err(ServerFault::Setting { setting, found });
        }
    }
    Ok(())
}
