//! The settings in force: each key that was asked for, what it is set to, and where that was said.
//!
//! What always holds: a text is shown only where its key is known to have no secret in it. One that nobody thought of
//! is hidden.

use std::any::Any;
use std::fmt::Debug;
use std::time::Duration;

use reqwest::Url;
use toml::de::DeValue;

use super::mistake::Place;
use super::units::shown_duration;
use super::value::Value;

/// The keys whose texts have no secret in them.
const SHOWN: &[&str] = &[
    "admin.listen",
    "handler.breaker.first",
    "handler.breaker.max",
    "handler.events",
    "handler.exit_codes",
    "handler.folder",
    "handler.kind",
    "handler.name",
    "handler.rate",
    "handler.retry.first",
    "handler.retry.max",
    "handler.timeout",
    "ingest.drain_delay",
    "ingest.idle_timeout",
    "ingest.listen",
    "ingest.max_body",
    "ingest.max_in_flight",
    "ingest.path",
    "ingest.trusted_proxies",
    "log.format",
    "log.level",
    "store.connections",
    "store.max_size",
    "store.min_free",
    "store.poll_only",
    "store.retention",
    "webhook.brand",
    "webhook.ids",
    "webhook.name",
    "webhook.silence",
];

/// What turns something off, which is no secret.
const OFF: &str = "off";
/// What stands for what is not shown.
const HIDDEN: &str = "…";

/// One key and what it is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The key as messages call it, for example `handler.crm.timeout`.
    pub key: String,
    /// What it is set to, a secret as `…`; `None` where nothing was said and nothing stands in for it.
    pub value: Option<String>,
    /// Where it was said; `None` where it was not, and the value is the default.
    pub origin: Option<Place>,
}

/// A value as it may be shown; `key` is what documents call it, for example `handler.timeout`.
pub(super) fn shown(key: &str, value: Value<'_>) -> String {
    match value {
        Value::Variable(value) if key == "ingest.trusted_proxies" => format!("[{value}]"),
        Value::Variable(value) => text(key, value),
        Value::File(value) => file_value(key, value),
    }
}

/// A default as it may be shown. Whoever has a secret for a default has other troubles.
pub(super) fn default<T: Debug + 'static>(value: &T) -> String {
    let any: &dyn Any = value;
    match any.downcast_ref::<Duration>() {
        Some(time) => shown_duration(*time),
        None => match format!("{value:?}").as_str() {
            "None" => OFF.to_owned(),
            value => value.trim_matches('"').to_owned(),
        },
    }
}

fn file_value(key: &str, value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(value) => text(key, value),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(items) => {
            let shown = |(index, item): (usize, &toml::Spanned<DeValue<'_>>)| match item.get_ref() {
                // Which program it is, is no secret; what it is told may be one.
                DeValue::String(program) if key == "handler.command" && index == 0 => program.to_string(),
                item => file_value(key, item),
            };
            let items: Vec<_> = items.iter().enumerate().map(shown).collect();
            format!("[{}]", items.join(", "))
        }
        DeValue::Table(table) => {
            let entry = |(name, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
                let name: &std::borrow::Cow<'_, str> = name.get_ref();
                format!("{name} = {}", file_value(key, value.get_ref()))
            };
            let entries: Vec<_> = table.iter().map(entry).collect();
            format!("{{ {} }}", entries.join(", "))
        }
    }
}

fn text(key: &str, text: &str) -> String {
    // Where a secret is to be had is no secret.
    let reference = text.starts_with("env:") || text.starts_with("file:");
    let file = key == "store.url" && text.starts_with("sqlite:");
    if file || SHOWN.contains(&key) || reference {
        return text.to_owned();
    }
    if key == "store.url" {
        return database(text);
    }
    // In the rest of an address there may be a key or a password.
    match Url::parse(text) {
        Ok(url) if key.ends_with(".url") && url.has_host() => {
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            format!("{}://{}{port}/{HIDDEN}", url.scheme(), url.host_str().unwrap_or_default())
        }
        _ => HIDDEN.to_owned(),
    }
}

/// The address of a database without who comes and how.
pub(super) fn database(text: &str) -> String {
    let Ok(mut url) = Url::parse(text) else { return HIDDEN.to_owned() };
    url.set_query(None);
    url.set_fragment(None);
    match url.set_username("").and_then(|()| url.set_password(None)) {
        Ok(()) => url.to_string(),
        Err(()) => HIDDEN.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Env, Place};

    const FILE: &str = r#"
        [ingest]
        max_body = "1MiB"
        trusted_proxies = ["10.0.0.0/8"]
        [[webhook]]
        name = "product"
        tokens = ["env:TOKEN", "plain-secret-1"]
        [admin]
        token = "plain-secret-2"
        [[handler]]
        name = "crm"
        kind = "http"
        url = "https://crm.example:444/plain-secret-3?key=plain-secret-4"
        headers = { Authorization = "plain-secret-5", X-Team = "env:TOKEN" }
        events = ["Issue.*", "!Issue.Delete"]
        retry = { attempts = 7 }
        [[handler]]
        name = "script"
        kind = "command"
        command = ["/usr/bin/true", "plain-secret-6"]
        env = { KEY = "plain-secret-7" }
    "#;

    fn parse() -> Config {
        let env: Env = [("TOKEN", "a-token"), ("WORKHOOK__LOG__LEVEL", "debug")].into_iter().collect();
        Config::parse(Some(("w.toml", FILE)), &env).unwrap()
    }

    #[test]
    fn each_key_is_shown_with_where_it_was_said() {
        let config = parse();
        let check = |key: &str, value: Option<&str>, origin: Option<&str>| {
            let found: Vec<_> = config.settings.iter().filter(|setting| setting.key == key).collect();
            let [setting] = found[..] else { panic!("{key}: {found:?}") };
            assert_eq!(setting.value.as_deref(), value, "{key}");
            assert_eq!(setting.origin.as_ref().map(ToString::to_string).as_deref(), origin, "{key}");
        };
        check("ingest.max_body", Some("1MiB"), Some("w.toml:3:20"));
        check("ingest.max_in_flight", Some("64MiB"), None);
        check("ingest.max_connections", Some("1024"), None);
        check("ingest.listen", Some("127.0.0.1:8080"), None);
        check("ingest.trusted_proxies", Some("[10.0.0.0/8]"), Some("w.toml:4:27"));
        check("log.level", Some("debug"), Some("WORKHOOK__LOG__LEVEL"));
        check("log.format", Some("auto"), None);
        check("store.url", Some("sqlite:workhook-data/workhook.db"), None);
        check("store.retention", Some("30d"), None);
        check("store.max_size", Some("off"), None);
        check("store.min_free", Some("256MiB"), None);
        check("webhook.product.name", Some("product"), Some("w.toml:6:16"));
        check("webhook.product.tokens", Some("[env:TOKEN, …]"), Some("w.toml:7:18"));
        check("webhook.product.brand", None, None);
        check("admin.token", Some("…"), Some("w.toml:9:17"));
        check("handler.crm.url", Some("https://crm.example:444/…"), Some("w.toml:13:15"));
        check("handler.crm.headers", Some("{ Authorization = …, X-Team = env:TOKEN }"), Some("w.toml:14:19"));
        check("handler.crm.events", Some("[Issue.*, !Issue.Delete]"), Some("w.toml:15:18"));
        check("handler.crm.retry.attempts", Some("7"), Some("w.toml:16:30"));
        check("handler.crm.retry.max", Some("1h"), None);
        check("handler.script.command", Some("[/usr/bin/true, …]"), Some("w.toml:20:19"));
        check("handler.script.folder", Some("/"), None);
        check("handler.crm.timeout", Some("10s"), None);
    }

    #[test]
    fn no_secret_is_in_them() {
        let shown = format!("{:?}", parse().settings);
        assert!(!shown.contains("plain-secret") && !shown.contains("a-token"), "{shown}");
        let env: Env = [("WORKHOOK__ADMIN__TOKEN", "plain-secret")].into_iter().collect();
        let config = Config::parse(None, &env).unwrap();
        let token = config.settings.iter().find(|setting| setting.key == "admin.token").unwrap();
        assert_eq!(token.value.as_deref(), Some("…"));
        assert_eq!(token.origin, Some(Place::Variable("WORKHOOK__ADMIN__TOKEN".to_owned())));
    }

    #[test]
    fn of_a_database_s_address_it_is_shown_where_it_is_and_not_who_comes() {
        let check = |url: &str, expected: &str| {
            let webhook = "[[webhook]]\nname = \"a\"\ntokens = [\"t\"]";
            let env: Env =
                [("WORKHOOK__STORE__URL", url), ("URL", "postgres://u:plain-secret@h/d")].into_iter().collect();
            let config = Config::parse(Some(("w.toml", webhook)), &env).unwrap();
            let shown = config.settings.iter().find(|setting| setting.key == "store.url").unwrap();
            assert_eq!(shown.value.as_deref(), Some(expected));
            assert!(!format!("{config:?}").contains("plain-secret"));
        };
        check(
            "postgres://user:plain-secret@db.example:5433/hooks?password=plain-secret",
            "postgres://db.example:5433/hooks",
        );
        check("postgresql://plain-secret@db.example/hooks", "postgresql://db.example/hooks");
        check("env:URL", "env:URL");
    }

    #[test]
    fn a_secret_that_looks_like_a_quantity_is_hidden_and_a_quantity_is_not() {
        let text = "[admin]\ntoken = \"12345678s\"\n[[webhook]]\nname = \"a\"\ntokens = [\"8MiB\", \"off\"]\n\
            [store]\nmax_size = \"off\"\nretention = \"9d\"\n\
            [[handler]]\nname = \"b\"\nkind = \"log\"\nrate = \"5/s\"\nretry = { first = \"2s\" }\nbreaker = { max = \"3m\" }";
        let config = Config::parse(Some(("w.toml", text)), &Env::default()).unwrap();
        let shown =
            |key: &str| config.settings.iter().find(|setting| setting.key == key).unwrap().value.clone().unwrap();
        assert_eq!((shown("admin.token"), shown("webhook.a.tokens")), ("…".to_owned(), "[…, …]".to_owned()));
        for (key, value) in [
            ("store.max_size", "off"),
            ("store.retention", "9d"),
            ("handler.b.rate", "5/s"),
            ("handler.b.retry.first", "2s"),
            ("handler.b.breaker.max", "3m"),
        ] {
            assert_eq!(shown(key), value, "{key}");
        }
    }
}
