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
        let mode = mode_with(mode, settings.ca.is_some()).map_err(unreadable)?;
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
        let mut connection = tokio::spawn(connection);
        let opened = timeout(OPEN_MAX, self.check_and_migrate(&mut client)).await;
        drop(client);
        // What it began is ended there too, before anybody goes on.
        if timeout(CONNECT_MAX, &mut connection).await.is_err() {
            connection.abort();
        }
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
        Facts::ask(client).await.map_err(|error| ServerFault::Other(error.into()))?.check()?;
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
fn split_mode(url: &str) -> Result<(String, Option<SslMode>), String> {
    let Some((address, query)) = url.split_once('?') else { return Ok((url.to_owned(), None)) };
    let mut mode = None;
    let mut rest = Vec::new();
    for part in query.split('&') {
        match part.strip_prefix("sslmode=") {
            Some(word) => {
                mode = Some(SslMode::parse(word).ok_or_else(|| format!("there is no sslmode {word:?}"))?);
            }
            None => rest.push(part),
        }
    }
    Ok((format!("{address}?{}", rest.join("&")), mode))
}

/// What holds where an authority is given or not. Who names one wants it asked.
fn mode_with(mode: Option<SslMode>, has_ca: bool) -> Result<SslMode, String> {
    match mode {
        None if has_ca => Ok(SslMode::VerifyFull),
        Some(SslMode::Disable | SslMode::Prefer) if has_ca => {
            Err("an authority is given (ca), and with this sslmode nobody would be asked who they are; write \
                 sslmode=verify-full, or leave it out"
                .to_owned())
        }
        mode => Ok(mode.unwrap_or(SslMode::Prefer)),
    }
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

/// What a server says of itself.
struct Facts {
    number: i64,
    version: String,
    encoding: String,
    synchronous_commit: String,
    fsync: String,
    is_standby: bool,
    read_only: String,
}

impl Facts {
    async fn ask(client: &Client) -> Result<Facts, tokio_postgres::Error> {
        let sql = "SELECT current_setting('server_version_num')::bigint, current_setting('server_version'),
                       current_setting('server_encoding'), current_setting('synchronous_commit'),
                       current_setting('fsync'), pg_is_in_recovery(), current_setting('default_transaction_read_only')";
        let row = client.query_typed_one(sql, &[]).await?;
        Ok(Facts {
            number: row.try_get(0)?,
            version: row.try_get(1)?,
            encoding: row.try_get(2)?,
            synchronous_commit: row.try_get(3)?,
            fsync: row.try_get(4)?,
            is_standby: row.try_get(5)?,
            read_only: row.try_get(6)?,
        })
    }

    /// Makes sure that they are what the promises rest on.
    fn check(self) -> Result<(), ServerFault> {
        if self.number < LEAST_VERSION.0 {
            return Err(ServerFault::TooOld { found: self.version, least: LEAST_VERSION.1 });
        }
        if self.encoding != "UTF8" {
            return Err(ServerFault::Encoding { found: self.encoding });
        }
        if self.is_standby {
            return Err(ServerFault::ReadOnly("it is a standby"));
        }
        if self.read_only != "off" {
            return Err(ServerFault::ReadOnly("default_transaction_read_only is on"));
        }
        // Each of these waits for the primary's disk, and for its standbys where there are any that count.
        if !["on", "remote_apply", "remote_write"].contains(&self.synchronous_commit.as_str()) {
            return Err(ServerFault::Setting { setting: "synchronous_commit", found: self.synchronous_commit });
        }
        if self.fsync != "on" {
            return Err(ServerFault::Setting { setting: "fsync", found: self.fsync });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Facts {
        Facts {
            number: 150_006,
            version: "15.6".to_owned(),
            encoding: "UTF8".to_owned(),
            synchronous_commit: "on".to_owned(),
            fsync: "on".to_owned(),
            is_standby: false,
            read_only: "off".to_owned(),
        }
    }

    #[test]
    fn a_server_that_the_promises_cannot_rest_on_is_told_apart() {
        assert!(good().check().is_ok());
        let check = |facts: Facts, expected: &str| {
            let told = facts.check().unwrap_err().to_string();
            assert!(told.contains(expected), "{told}");
        };
        check(Facts { number: 130_014, version: "13.14".to_owned(), ..good() }, "PostgreSQL 13.14; at least 14");
        check(Facts { encoding: "SQL_ASCII".to_owned(), ..good() }, "SQL_ASCII");
        check(Facts { is_standby: true, ..good() }, "standby");
        check(Facts { read_only: "on".to_owned(), ..good() }, "default_transaction_read_only");
        for found in ["off", "local"] {
            check(Facts { synchronous_commit: found.to_owned(), ..good() }, "synchronous_commit is");
        }
        check(Facts { fsync: "off".to_owned(), ..good() }, "fsync is off");
    }

    #[test]
    fn what_an_address_says_about_encryption_is_taken_out_of_it() {
        let check = |url: &str, expected: (&str, Option<SslMode>)| {
            let (rest, mode) = split_mode(url).unwrap();
            assert_eq!((rest.as_str(), mode), expected);
        };
        check("postgres://h/d", ("postgres://h/d", None));
        check("postgres://h/d?sslmode=disable", ("postgres://h/d?", Some(SslMode::Disable)));
        check("postgres://h/d?a=1&sslmode=verify-full&b=2", ("postgres://h/d?a=1&b=2", Some(SslMode::VerifyFull)));
        assert!(split_mode("postgres://h/d?sslmode=perhaps").is_err());
    }

    #[test]
    fn who_names_an_authority_has_it_asked() {
        assert_eq!(mode_with(None, true), Ok(SslMode::VerifyFull));
        assert_eq!(mode_with(Some(SslMode::VerifyCa), true), Ok(SslMode::VerifyCa));
        assert_eq!(mode_with(None, false), Ok(SslMode::Prefer));
        for nobody_is_asked in [SslMode::Disable, SslMode::Prefer] {
            assert!(mode_with(Some(nobody_is_asked), true).unwrap_err().contains("verify-full"));
            assert_eq!(mode_with(Some(nobody_is_asked), false), Ok(nobody_is_asked));
        }
    }
}
