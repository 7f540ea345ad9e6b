//! `[store]`: where everything is kept.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Certificate, Url};

use super::env::Env;
use super::section::Section;
use super::settings::database;
use super::units::{duration, shown_duration, shown_size, size};
use super::value::{self, Value, boolean, secret, whole};
use crate::secret::Secret;
use crate::store::{Config, Place, PostgresSettings, SqliteSettings};

/// How long events can be kept.
const RETENTION: RangeInclusive<Duration> = Duration::from_secs(3600)..=Duration::from_secs(3650 * 24 * 3600);
/// How large the database can be made to stay.
const MAX_SIZE: RangeInclusive<usize> = 64 << 20..=1 << 50;
/// How much room can be asked to stay.
const MIN_FREE: RangeInclusive<usize> = 0..=1 << 40;
/// How many connections there can be. Fewer would have one wait for another that waits for it.
const CONNECTIONS: RangeInclusive<usize> = 4..=1000;
const EXAMPLE: &str = "\"sqlite:workhook-data/workhook.db\"";
const EXAMPLES: &str = "sqlite:PATH, as in \"sqlite:workhook-data/workhook.db\", or for several processes \
    \"postgres://USER:PASSWORD@HOST/DATABASE\"";

/// The keys that only one kind of store has.
const OF_SQLITE: &[&str] = &["max_size", "min_free"];
const OF_POSTGRES: &[&str] = &["ca", "connections", "poll_only"];

pub(super) fn read(section: &mut Section<'_, '_>) -> Config {
    let env = section.env();
    let mut config = Config::default();
    let file = SqliteSettings::default();
    if let Some(place) = section.take("url", |value| place(value.text(EXAMPLE)?, env)) {
        config.place = place;
    }
    section.shown("url", format!("sqlite:{}", file.path.display()));
    let max_size = section.take("max_size", or_off(bytes(MAX_SIZE)));
    let min_free = section.take("min_free", bytes(MIN_FREE));
    let ca = section.take("ca", |value| authorities(value, env));
    let connections = section.take("connections", whole(CONNECTIONS));
    let poll_only = section.take("poll_only", boolean);
    let (others, which) = match &mut config.place {
        Place::Sqlite(settings) => {
            settings.min_free = min_free.unwrap_or(settings.min_free);
            section.shown("max_size", "off".to_owned());
            section.shown("min_free", shown_bytes(file.min_free));
            (OF_POSTGRES, "is for a store on PostgreSQL only, and url names a file of SQLite")
        }
        Place::Postgres(settings) => {
            settings.ca = ca;
            let connections_default = settings.connections;
            settings.connections = connections.unwrap_or(connections_default);
            settings.poll_only = poll_only.unwrap_or(false);
            section.shown("connections", connections_default.to_string());
            section.shown("poll_only", false.to_string());
            (OF_SQLITE, "is for a store in a file of SQLite only, and url names PostgreSQL")
        }
    };
    config.max_size = max_size.flatten();
    // Of which kind it is to be is not known where its url is wrong.
    for key in others {
        if section.has(key) && !section.is_faulty("url") {
            section.blame(&[key], format!("{which}; take it out"));
        }
    }
    let retention = section.take("retention", or_off(duration(RETENTION)));
    section.shown("retention", config.retention.map_or_else(|| "off".to_owned(), shown_duration));
    config.set_retention(retention.unwrap_or(config.retention));
    config
}

/// Reads the address of a store, or where it is to be had: `env:NAME` or `file:PATH`.
///
/// # Errors
/// With a sentence that says what is wrong. It repeats no more of the address than its scheme: there may be a password
/// in it.
pub fn place(text: &str, env: &Env) -> Result<Place, String> {
    if text.starts_with("env:") || text.starts_with("file:") {
        let secret = secret(Value::Variable(text), env)?;
        return address(secret.expose());
    }
    address(text)
}

/// The address of a store as it may be shown.
#[must_use]
pub fn shown(place: &Place) -> String {
    match place {
        Place::Sqlite(settings) => settings.path.display().to_string(),
        Place::Postgres(settings) => database(settings.url.expose()),
    }
}

fn address(text: &str) -> Result<Place, String> {
    let Some((scheme, path)) = text.split_once(':') else {
        return Err(format!("does not say what kind of store it is; write {EXAMPLES}"));
    };
    match scheme {
        "sqlite" if path.starts_with("//") => {
            Err("two slashes can be meant in two ways; write \"sqlite:data/workhook.db\" \
            for a path from the working folder, \"sqlite:/data/workhook.db\" for one from the root"
                .to_owned())
        }
        "sqlite" if path.is_empty() || path.ends_with('/') || path.starts_with(':') || path.contains('\0') => {
            Err(format!("has to end in the name of a file; write for example {EXAMPLE}"))
        }
        "sqlite" => Ok(Place::Sqlite(SqliteSettings { path: PathBuf::from(path), ..SqliteSettings::default() })),
        "postgres" | "postgresql" => postgres(text).map(Box::new).map(Place::Postgres),
        other => Err(format!("unknown kind of store {}; write {EXAMPLES}", value::shown(other))),
    }
}

fn postgres(text: &str) -> Result<PostgresSettings, String> {
    let named = Url::parse(text).ok().filter(|url| url.path().len() > 1 && !text.contains(char::is_whitespace));
    if named.is_none() {
        return Err("has to name a host and a database; write \"postgres://USER:PASSWORD@HOST/DATABASE\", \
            with %XX for what is special in a password"
            .to_owned());
    }
    Ok(PostgresSettings::new(Secret::new(text.to_owned())))
}

/// Reads the certificates of authorities, in PEM.
fn authorities(value: Value<'_>, env: &Env) -> Result<Vec<u8>, String> {
    let pem = secret(value, env)?;
    match Certificate::from_pem_bundle(pem.expose().as_bytes()) {
        Ok(certificates) if !certificates.is_empty() => Ok(pem.expose().as_bytes().to_vec()),
        _ => Err("there is no certificate in PEM in it; write for example \"file:/etc/ssl/our-ca.pem\"".to_owned()),
    }
}

/// What `"off"` turns off.
fn or_off<T>(read: impl FnOnce(Value<'_>) -> Result<T, String>) -> impl FnOnce(Value<'_>) -> Result<Option<T>, String> {
    |value| if value.text("").is_ok_and(|text| text == "off") { Ok(None) } else { read(value).map(Some) }
}

fn bytes(bounds: RangeInclusive<usize>) -> impl FnOnce(Value<'_>) -> Result<u64, String> {
    |value| size(bounds)(value).map(|size| size as u64)
}

fn shown_bytes(bytes: u64) -> String {
    shown_size(usize::try_from(bytes).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use super::super::tests::{parse, wrong};
    use super::*;

    #[test]
    fn a_store_can_be_a_file_of_sqlite() {
        let path = |url: &str| match parse(&format!("[store]\nurl = {url:?}")).store.place {
            Place::Sqlite(settings) => settings.path,
            Place::Postgres(_) => PathBuf::new(),
        };
        assert_eq!(path("sqlite:a/b.db"), Path::new("a/b.db"));
        assert_eq!(path("sqlite:/data/b.db"), Path::new("/data/b.db"));
    }

    #[test]
    fn an_id_is_remembered_as_long_as_its_event_is_kept_and_a_week_at_the_least() {
        let days = |text: &str| {
            let store = parse(&format!("[store]\nretention = {text:?}")).store;
            let days = |time: Duration| time.as_secs() / (24 * 3600);
            let remember = store.place.embedded().unwrap().remember;
            (store.retention.map(days), (remember != Duration::MAX).then(|| days(remember)))
        };
        assert_eq!(days("90d"), (Some(90), Some(90)));
        assert_eq!(days("48h"), (Some(2), Some(7)));
        assert_eq!(days("off"), (None, None));
    }

    #[test]
    fn bounds_of_the_store_are_times_and_sizes_or_off() {
        let check = |line: &str, expected: &str| assert_eq!(wrong(&format!("[store]\n{line}")), [expected]);
        check(
            "retention = \"never\"",
            "2:13: store.retention: \"never\" is not a whole number with a unit; write for example \"10s\" or \"500ms\"",
        );
        check("retention = \"10m\"", "2:13: store.retention: \"10m\" is out of bounds; it can be from 1h to 3650d");
        check(
            "max_size = \"1MiB\"",
            "2:12: store.max_size: \"1MiB\" is out of bounds; it can be from 64MiB to 1048576GiB",
        );
        check("min_free = 5", "2:12: store.min_free: 5 has no unit; write for example \"8MiB\" or \"64KiB\"");
        let store = parse("[store]\nmax_size = \"20GiB\"\nmin_free = \"0B\"").store;
        assert_eq!((store.max_size, store.place.min_free()), (Some(20 << 30), 0));
        assert_eq!(parse("[store]\nmax_size = \"off\"").store.max_size, None);
    }

    #[test]
    fn another_store_is_refused_without_repeating_its_password() {
        let check = |url: &str, expected: &str| assert_eq!(wrong(&format!("[store]\nurl = {url:?}")), [expected]);
        check(
            "mysql://user:secret@host/db",
            "2:7: store.url: unknown kind of store \"mysql\"; write sqlite:PATH, as in \
                \"sqlite:workhook-data/workhook.db\", or for several processes \
                \"postgres://USER:PASSWORD@HOST/DATABASE\"",
        );
        check(
            "workhook.db",
            "2:7: store.url: does not say what kind of store it is; write sqlite:PATH, as in \
                \"sqlite:workhook-data/workhook.db\", or for several processes \
                \"postgres://USER:PASSWORD@HOST/DATABASE\"",
        );
        check(
            "sqlite:",
            "2:7: store.url: has to end in the name of a file; write for example \
                \"sqlite:workhook-data/workhook.db\"",
        );
        check(
            "sqlite::memory:",
            "2:7: store.url: has to end in the name of a file; write for example \
                \"sqlite:workhook-data/workhook.db\"",
        );
        check(
            "sqlite:data/",
            "2:7: store.url: has to end in the name of a file; write for example \
                \"sqlite:workhook-data/workhook.db\"",
        );
        check(
            "sqlite://data/workhook.db",
            "2:7: store.url: two slashes can be meant in two ways; write \"sqlite:data/workhook.db\" for \
                a path from the working folder, \"sqlite:/data/workhook.db\" for one from the root",
        );
    }
    const WEBHOOK: &str = "[[webhook]]\nname = \"a\"\ntokens = [\"t\"]\n";

    /// The settings of a store on PostgreSQL, from lines of `[store]` in which nothing is wrong.
    fn postgres(lines: &str) -> PostgresSettings {
        match parse(&format!("{WEBHOOK}[store]\n{lines}")).store.place {
            Place::Postgres(settings) => *settings,
            Place::Sqlite(settings) => panic!("{settings:?}"),
        }
    }

    #[test]
    fn a_store_can_be_a_database_of_postgresql() {
        let url = "postgresql://user:123456@db.example:5433/hooks?sslmode=require";
        let settings = postgres(&format!("url = {url:?}\nretention = \"90d\""));
        assert_eq!(settings.url.expose(), url);
        assert_eq!((settings.connections, settings.poll_only, settings.ca.is_none()), (16, false, true));
        assert_eq!(settings.remember, Duration::from_secs(90 * 24 * 3600));
        let made = rcgen::generate_simple_self_signed(["db.example".to_owned()]).unwrap().cert.pem();
        let more = format!("url = \"postgres://db/hooks\"\nconnections = 5\npoll_only = true\nca = \"\"\"{made}\"\"\"");
        let settings = postgres(&more);
        assert_eq!((settings.connections, settings.poll_only), (5, true));
        assert_eq!(settings.ca.unwrap(), made.as_bytes());
    }

    #[test]
    fn the_address_of_a_database_can_be_said_as_a_secret_is() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "postgres://user:123456@db/hooks\n").unwrap();
        let settings = postgres(&format!("url = \"file:{}\"", file.path().display()));
        assert_eq!(settings.url.expose(), "postgres://user:123456@db/hooks");
        let env: Env = [("URL", "postgres://db/hooks")].into_iter().collect();
        assert!(matches!(place("env:URL", &env), Ok(Place::Postgres(_))));
        assert_eq!(place("env:OTHER", &env).unwrap_err(), "the environment variable OTHER is not set");
    }

    #[test]
    fn what_is_wrong_with_the_address_of_a_database_is_said_without_repeating_it() {
        for url in
            ["postgres:", "postgres://user:123456@host", "postgres://user:123456@host/", "postgres://a b:123456@h/d"]
        {
            assert_eq!(
                wrong(&format!("{WEBHOOK}[store]\nurl = {url:?}")),
                [
                    "5:7: store.url: has to name a host and a database; write \"postgres://USER:PASSWORD@HOST/DATABASE\", \
                    with %XX for what is special in a password"
                ],
                "{url}"
            );
        }
        let lines = "url = \"postgres://db/hooks\"\nconnections = 3\npoll_only = \"yes\"\nca = \"secret\"";
        assert_eq!(
            wrong(&format!("{WEBHOOK}[store]\n{lines}")),
            [
                "6:15: store.connections: 3 is out of bounds; it can be from 4 to 1000",
                "7:13: store.poll_only: expected true or false, without quotes, found a text",
                "8:6: store.ca: there is no certificate in PEM in it; write for example \"file:/etc/ssl/our-ca.pem\"",
            ]
        );
    }

    #[test]
    fn what_only_another_kind_of_store_has_is_said() {
        let text = format!("{WEBHOOK}[store]\nurl = \"postgres://db/hooks\"\nmax_size = \"1GiB\"\nmin_free = \"1MiB\"");
        assert_eq!(
            wrong(&text),
            [
                "6:12: store.max_size: is for a store in a file of SQLite only, and url names PostgreSQL; take it out",
                "7:12: store.min_free: is for a store in a file of SQLite only, and url names PostgreSQL; take it out",
            ]
        );
        assert_eq!(
            wrong("[store]\nconnections = 8\npoll_only = false"),
            [
                "2:15: store.connections: is for a store on PostgreSQL only, and url names a file of SQLite; take it out",
                "3:13: store.poll_only: is for a store on PostgreSQL only, and url names a file of SQLite; take it out",
            ]
        );
    }

    #[test]
    fn processes_that_share_a_store_share_secrets_that_somebody_sets() {
        let url = "url = \"postgres://db/hooks\"";
        assert_eq!(
            wrong(&format!("[store]\n{url}\n[admin]\nlisten = \"0.0.0.0:8081\"")),
            [
                "2:7: store.url: with PostgreSQL no token is made, since each process would make another; add a \
                    [[webhook]] with its tokens",
                "2:7: store.url: with PostgreSQL no token is made, since each process would make another; set \
                    admin.token, or have admin.listen on loopback",
            ]
        );
        let token = "[admin]\nlisten = \"0.0.0.0:8081\"\ntoken = \"env:TOKEN\"";
        assert!(parse(&format!("{WEBHOOK}[store]\n{url}\n{token}")).store.place.folder().is_none());
    }
}
