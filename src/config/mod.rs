//! The configuration: the file and the environment, dealt out to the rooms that own the settings.
//!
//! It knows what can be set in each room below it, and nothing of what they do with it; no room imports it but the
//! ones that put the service together. A key is known because there is code that takes it, and for no other reason.
//!
//! What always holds: everything that is wrong is said at once, each with its place and with what would be right;
//! what the environment says wins over the file; and no message has a secret in it.

mod admin;
mod command;
mod document;
mod env;
mod handler;
mod http;
mod ingest;
mod load;
mod log;
mod mistake;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod reader;
mod restart;
mod section;
mod settings;
mod store;
mod suggest;
mod traces;
mod units;
mod value;
mod webhook;

pub use env::Env;
pub use mistake::{ConfigErrors, Mistake, Place};
pub use settings::Setting;
pub use store::{place as store_place, shown as shown_store};

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::contract::Webhook;
use crate::dispatch::Policy;
use crate::handlers;
use crate::model::HandlerName;
use crate::routes::Route;
use crate::secret::Secret;
use crate::telemetry::LogConfig;
use crate::telemetry::traces::TracesConfig;
use document::Document;
use reader::Reader;

/// Everything that can be set.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// The public door.
    pub ingest: crate::ingest::Config,
    /// Who may send. No token in it means two webhooks; it may be empty.
    pub webhooks: Vec<ConfiguredWebhook>,
    /// The store.
    pub store: crate::store::Config,
    /// The private door.
    pub admin: crate::admin::Config,
    /// Who gets which events. No two have one name.
    pub handlers: Vec<ConfiguredHandler>,
    /// The log.
    pub log: LogConfig,
    /// Where traces go.
    pub traces: TracesConfig,
    /// The file that was read, where there was one.
    pub source: Option<PathBuf>,
    /// Each key that can be set in it, with what it is set to and where that was said; a secret is not shown.
    pub settings: Vec<Setting>,
}

/// A configured webhook.
#[derive(Debug, Clone)]
pub struct ConfiguredWebhook {
    /// What requests are judged by.
    pub webhook: Webhook,
    /// Its tokens in the clear, for who sends as the sender would.
    pub tokens: Vec<Secret>,
    /// After how long without a request somebody is told; `None` is never.
    pub silence: Option<Duration>,
}

/// A configured handler.
#[derive(Debug, Clone)]
pub struct ConfiguredHandler {
    /// Its name.
    pub name: HandlerName,
    /// The events that it takes; `None` where the file does not say.
    pub route: Option<Route>,
    /// How it is asked.
    pub policy: Policy,
    /// What it is.
    pub kind: KindConfig,
    /// The line of the file in which it begins.
    pub line: usize,
}

/// What a handler is, with what can be set for that kind only.
#[derive(Debug, Clone)]
pub enum KindConfig {
    /// A program.
    Command(handlers::command::Config),
    /// An HTTP endpoint.
    Http(Box<handlers::http::Config>),
    /// The log.
    Log,
    /// A Rust function that is registered under the handler's name.
    Rust,
}

impl Config {
    /// Reads the file that is named here, else by `WORKHOOK_CONFIG`, else `workhook.toml` in the working folder if it
    /// is there, and the environment on top of it.
    ///
    /// # Errors
    /// With everything that is wrong. A file that was named has to be there.
    pub fn load(path: Option<&Path>, env: &Env) -> Result<Config, ConfigErrors> {
        let Some((path, text)) = load::find(Path::new(""), path, env)? else {
            return Config::parse(None, env);
        };
        let config = Config::parse(Some((&path.to_string_lossy(), &text)), env)?;
        Ok(Config { source: Some(path), ..config })
    }

    /// Reads what can be read of the same, for who has to know no more than where a running workhook is: what is wrong
    /// has its default, and is said beside it.
    ///
    /// # Errors
    /// When the file that is named here cannot be read.
    pub fn load_readable(path: Option<&Path>, env: &Env) -> Result<(Config, Option<ConfigErrors>), ConfigErrors> {
        Ok(match load::find(Path::new(""), path, env) {
            Ok(None) => Config::parse_readable(None, env),
            Ok(Some((path, text))) => Config::parse_readable(Some((&path.to_string_lossy(), &text)), env),
            Err(errors) if path.is_some() => return Err(errors),
            Err(errors) => (Config::parse_readable(None, env).0, Some(errors)),
        })
    }

    fn parse_readable(text: Option<(&str, &str)>, env: &Env) -> (Config, Option<ConfigErrors>) {
        let (document, mistakes) = match text.map(|(name, text)| Document::parse(name, text)).transpose() {
            Ok(parsed) => parsed.unzip(),
            Err(mistakes) => return (Config::parse_readable(None, env).0, Some(ConfigErrors::new(mistakes))),
        };
        let mut reader = Reader::new(document.as_ref(), env, mistakes.unwrap_or_default());
        let mut config = Config::read(&mut reader);
        config.source = text.map(|(name, _)| PathBuf::from(name));
        match reader.finish() {
            Ok(settings) => (Config { settings, ..config }, None),
            Err(errors) => (config, Some(errors)),
        }
    }

    /// Reads a file's text, given with the name that messages call it by, and the environment on top of it.
    ///
    /// # Errors
    /// With everything that is wrong.
    pub fn parse(text: Option<(&str, &str)>, env: &Env) -> Result<Config, ConfigErrors> {
        match Config::parse_readable(text, env) {
            (config, None) => Ok(config),
            (_, Some(errors)) => Err(errors),
        }
    }

    /// Every key that can be set, for example `ingest.listen` and `handler.retry.max`: what the readers ask for when
    /// there is one table of every kind.
    #[must_use]
    pub fn known_keys() -> BTreeSet<String> {
        let handlers = handler::kinds().map(|kind| format!("[[handler]]\nkind = \"{kind}\"\n"));
        let text = format!("[[webhook]]\n{}", handlers.collect::<String>());
        let env = Env::default();
        let Ok((document, _)) = Document::parse("", &text) else { return BTreeSet::new() };
        let mut reader = Reader::new(Some(&document), &env, Vec::new());
        Config::read(&mut reader);
        reader.into_keys()
    }

    fn read(reader: &mut Reader<'_>) -> Config {
        let config = Config {
            ingest: reader.one("ingest", ingest::read),
            webhooks: webhook::read_all(reader),
            store: reader.one("store", store::read),
            admin: reader.one("admin", admin::read),
            log: reader.one("log", log::read),
            traces: reader.one("traces", traces::read),
            handlers: handler::read_all(reader),
            source: None,
            settings: Vec::new(),
        };
        config.check_shared_secrets(reader);
        config
    }

    /// Says which secrets somebody has to set because several processes use them.
    fn check_shared_secrets(&self, reader: &mut Reader<'_>) {
        if self.store.place.folder().is_some() {
            return;
        }
        let origin = |key: &str, settings: &[Setting]| {
            settings.iter().find(|setting| setting.key == key).and_then(|setting| setting.origin.clone())
        };
        let Some(place) = origin("store.url", reader.settings()) else { return };
        // A webhook or a token in which something is wrong is said already.
        let has_token = self.admin.listen.ip().is_loopback() || origin("admin.token", reader.settings()).is_some();
        let tokens = [
            (reader.has("webhook"), "add a [[webhook]] with its tokens"),
            (has_token, "set admin.token, or have admin.listen on loopback"),
        ];
        for (_, what) in tokens.into_iter().filter(|(is_set, _)| !is_set) {
            let why = "with PostgreSQL no token is made, since each process would make another";
            reader.report(place.clone(), "store.url".to_owned(), format!("{why}; {what}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An environment in which the secret `TOKEN` is set.
    fn env() -> Env {
        [("TOKEN", "a-token")].into_iter().collect()
    }

    /// Reads a file in which nothing is wrong.
    #[track_caller]
    pub(super) fn parse(text: &str) -> Config {
        Config::parse(Some(("w.toml", text)), &env()).unwrap_or_else(|errors| panic!("{errors}"))
    }

    /// What is wrong with a file.
    #[track_caller]
    pub(super) fn wrong(text: &str) -> Vec<String> {
        let errors = Config::parse(Some(("w.toml", text)), &env()).expect_err("something is wrong with it");
        let shown = errors.to_string();
        assert!(!shown.contains("secret\"") && !shown.contains("123456"), "a secret is shown: {shown}");
        shown.lines().map(|line| line.strip_prefix("w.toml:").unwrap_or(line).to_owned()).collect()
    }

    /// What is wrong with an environment, on top of a file.
    #[track_caller]
    fn check_variables(text: &str, variables: &[(&str, &str)], expected: &[&str]) {
        let env = variables.iter().copied().collect();
        let errors = Config::parse(Some(("w.toml", text)), &env).expect_err("something is wrong with it");
        assert_eq!(errors.mistakes().iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn without_a_file_everything_has_its_default() {
        let defaults = format!("{:?}", Config::default());
        let without_settings = |config| Config { source: None, settings: Vec::new(), ..config };
        let shown = |config| format!("{:?}", without_settings(config));
        assert_eq!(shown(Config::parse(None, &Env::default()).unwrap()), defaults);
        assert_eq!(shown(parse("# nothing")), defaults);
    }

    #[test]
    fn unknown_tables_and_keys_outside_of_tables_are_said_with_what_would_be_right() {
        let check = |text: &str, expected: &str| assert_eq!(wrong(text), [expected], "{text}");
        check("[handlers]", "1:2: unknown table `handlers`; did you mean `[[handler]]`?");
        check("[[webhok]]", "1:3: unknown table `webhok`; did you mean `[[webhook]]`?");
        check(
            "[nats]",
            "1:2: unknown table `nats`; known are `[ingest]`, `[[webhook]]`, `[store]`, `[admin]`, \
                `[log]`, `[traces]` and `[[handler]]`",
        );
        check("listen = \"127.0.0.1:80\"", "1:1: unknown key `listen`; write it below `[admin]` or `[ingest]`");
        check("max_body = \"1MiB\"", "1:1: unknown key `max_body`; write it below `[ingest]`");
        check(
            "whatever = 1",
            "1:1: unknown key `whatever`; known are `[ingest]`, `[[webhook]]`, `[store]`, `[admin]`, \
                `[log]`, `[traces]` and `[[handler]]`",
        );
        check(
            "\"a\\u001b[2J\\n\" = 1",
            "1:1: unknown key `a\\u{1b}[2J\\n`; known are `[ingest]`, `[[webhook]]`, `[store]`, `[admin]`, `[log]`, \
                `[traces]` and `[[handler]]`",
        );
        check("ingest = 1", "1:10: `ingest` is one table, not a value; write [ingest]");
        check("[[ingest]]", "1:1: `ingest` is one table, not a list of tables; write [ingest]");
    }

    #[test]
    fn unknown_variables_are_said_with_what_would_be_right() {
        check_variables(
            "",
            &[("WORKHOOK__INGEST__LISTN", "")],
            &["WORKHOOK__INGEST__LISTN: unknown variable; did you mean `WORKHOOK__INGEST__LISTEN`?"],
        );
        check_variables(
            "",
            &[("WORKHOOK__STORE__COLOR", "")],
            &["WORKHOOK__STORE__COLOR: unknown variable; known are `WORKHOOK__STORE__CA`, \
                `WORKHOOK__STORE__CONNECTIONS`, `WORKHOOK__STORE__MAX_SIZE`, `WORKHOOK__STORE__MIN_FREE`, \
                `WORKHOOK__STORE__POLL_ONLY`, `WORKHOOK__STORE__RETENTION` and `WORKHOOK__STORE__URL`"],
        );
        check_variables(
            "",
            &[("WORKHOOK__NATS__URL", "")],
            &["WORKHOOK__NATS__URL: unknown variable; known are `WORKHOOK__ADMIN__LISTEN`, \
                `WORKHOOK__ADMIN__TOKEN`, `WORKHOOK__INGEST__DRAIN_DELAY`, `WORKHOOK__INGEST__IDLE_TIMEOUT`, \
                `WORKHOOK__INGEST__LISTEN`, `WORKHOOK__INGEST__MAX_BODY`, \
                `WORKHOOK__INGEST__MAX_CONNECTIONS`, `WORKHOOK__INGEST__MAX_IN_FLIGHT`, \
                `WORKHOOK__INGEST__PATH`, `WORKHOOK__INGEST__TRUSTED_PROXIES`, `WORKHOOK__LOG__FORMAT`, \
                `WORKHOOK__LOG__LEVEL`, `WORKHOOK__STORE__CA`, `WORKHOOK__STORE__CONNECTIONS`, \
                `WORKHOOK__STORE__MAX_SIZE`, `WORKHOOK__STORE__MIN_FREE`, `WORKHOOK__STORE__POLL_ONLY`, \
                `WORKHOOK__STORE__RETENTION`, `WORKHOOK__STORE__URL` and `WORKHOOK__TRACES__ENDPOINT`"],
        );
        check_variables(
            "",
            &[("WORKHOOK__HANDLER__URL", "")],
            &["WORKHOOK__HANDLER__URL: `[[handler]]` can be set in the file only, since there may be many"],
        );
        check_variables(
            "",
            &[("WORKHOOK__webhook__NAME", "")],
            &["WORKHOOK__webhook__NAME: `[[webhook]]` can be set in the file only, since there may be many"],
        );
    }

    #[test]
    fn a_wrong_variable_is_said_by_its_name_and_hides_what_the_file_says() {
        let variables = [
            ("WORKHOOK__INGEST__MAX_CONNECTIONS", "none"),
            ("WORKHOOK__INGEST__TRUSTED_PROXIES", "10.0.0.0/8, there"),
            ("WORKHOOK__ADMIN__TOKEN", "env:NOT_SET"),
            ("WORKHOOK__STORE__URL", "postgres://user:password@host/"),
        ];
        check_variables(
            "[ingest]\nmax_connections = 0",
            &variables,
            &[
                "WORKHOOK__ADMIN__TOKEN: the environment variable NOT_SET is not set",
                "WORKHOOK__INGEST__MAX_CONNECTIONS: expected a whole number from 1 to 100000, found a text",
                "WORKHOOK__INGEST__TRUSTED_PROXIES: \"there\" is not a network; write for example \
                \"10.0.0.0/8\" or \"10.1.2.3\"",
                "WORKHOOK__STORE__URL: has to name a host and a database; write \
                \"postgres://USER:PASSWORD@HOST/DATABASE\", with %XX for what is special in a password",
            ],
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_variable_that_is_not_utf_8_is_said() {
        use std::os::unix::ffi::OsStringExt;
        let value = std::ffi::OsString::from_vec(vec![0xff]);
        let env: Env = [("WORKHOOK__LOG__LEVEL", value)].into_iter().collect();
        let errors = Config::parse(None, &env).unwrap_err();
        assert_eq!(errors.to_string(), "WORKHOOK__LOG__LEVEL: is not UTF-8");
    }

    #[test]
    fn a_key_given_twice_does_not_hide_the_other_mistakes_but_what_is_not_toml_does() {
        assert_eq!(
            wrong("[log]\nlevel = \"info\"\nlevel = \"warn\"\nformat = 1"),
            [
                "3:1: `level` is given twice; take one out",
                r#"4:10: log.format: expected a text in quotes, as in "auto", found a number"#
            ]
        );
        assert_eq!(
            wrong("[log]\nlevel = \nformat = 1"),
            ["2:9: not TOML: string values must be quoted, expected literal string"]
        );
    }
}
