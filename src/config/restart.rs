//! What cannot be changed while it runs: it is said when it was changed all the same, and nothing is changed then.

use std::path::PathBuf;

use super::mistake::{Mistake, Place};
use super::{Config, ConfigErrors};
use crate::secret::Fingerprint;
use crate::store::{self, PostgresSettings, SqliteSettings};
use crate::telemetry::LogConfig;

impl Config {
    /// The keys of which a change needs a restart, for example `ingest.listen`. All others can be changed while it runs.
    #[must_use]
    pub fn restart_keys() -> Vec<&'static str> {
        Config::default().fixed().into_iter().map(|(key, _)| key).collect()
    }

    /// What another configuration changes that this one cannot have changed while it is in force, each with its place
    /// in the other.
    #[must_use]
    pub fn needs_restart(&self, other: &Config) -> Vec<Mistake> {
        let pairs = self.fixed().into_iter().zip(other.fixed());
        let changed = pairs.filter(|(own, others)| own != others);
        changed.map(|((key, _), _)| other.mistake(key, "cannot be changed while it runs; restart".to_owned())).collect()
    }

    /// That something is wrong with what a key is set to, for example `handler.crm.kind`, where the reading did not
    /// show it.
    #[must_use]
    pub fn mistake(&self, key: &str, message: String) -> Mistake {
        let origin = self.settings.iter().find(|setting| setting.key == key).and_then(|setting| setting.origin.clone());
        let file = || self.source.clone().unwrap_or_else(|| PathBuf::from("workhook.toml"));
        let place = origin.unwrap_or_else(|| Place::File(file().display().to_string()));
        Mistake { place, about: key.to_owned(), message }
    }

    /// The keys that are fixed, with what they are set to. Each key of these sections is named here, so that nobody
    /// adds one without a thought on what becomes of it.
    fn fixed(&self) -> Vec<(&'static str, String)> {
        let crate::ingest::Config {
            listen,
            path,
            max_body: _,
            max_connections,
            max_in_flight: _,
            idle_timeout,
            drain_delay: _,
            trusted_proxies: _,
            body_deadline: _,
            answer_deadline: _,
        } = &self.ingest;
        // How long ids are remembered is fixed with the store, and so is retention, which they outlive.
        let crate::store::Config { place, retention, max_size: _ } = &self.store;
        let store = OfStore::of(place);
        let crate::telemetry::traces::TracesConfig { endpoint } = &self.traces;
        let crate::admin::Config { listen: private, token: _ } = &self.admin;
        let LogConfig { format, level: _ } = &self.log;
        vec![
            ("ingest.listen", listen.to_string()),
            ("ingest.path", path.clone()),
            ("ingest.max_connections", max_connections.to_string()),
            ("ingest.idle_timeout", format!("{idle_timeout:?}")),
            ("store.url", store.url),
            ("store.ca", store.ca),
            ("store.connections", store.connections),
            ("store.poll_only", store.poll_only),
            ("store.retention", format!("{retention:?}")),
            ("store.min_free", store.min_free),
            ("admin.listen", private.to_string()),
            ("log.format", format!("{format:?}")),
            ("traces.endpoint", format!("{endpoint:?}")),
        ]
    }
}

/// What the keys of each kind of store are set to; nothing for those of another kind. Only to be compared.
#[derive(Default)]
struct OfStore {
    url: String,
    ca: String,
    connections: String,
    poll_only: String,
    min_free: String,
}

impl OfStore {
    fn of(place: &store::Place) -> OfStore {
        let beginning = |secret: &[u8]| format!("{:?}", Fingerprint::of(secret).beginning());
        match place {
            store::Place::Sqlite(SqliteSettings { path, remember: _, min_free, disk_free: _ }) => {
                OfStore { url: path.display().to_string(), min_free: min_free.to_string(), ..OfStore::default() }
            }
            store::Place::Postgres(settings) => {
                let PostgresSettings { url, ca, connections, poll_only, remember: _ } = &**settings;
                OfStore {
                    url: beginning(url.expose().as_bytes()),
                    ca: ca.as_deref().map(beginning).unwrap_or_default(),
                    connections: connections.to_string(),
                    poll_only: poll_only.to_string(),
                    min_free: String::new(),
                }
            }
        }
    }
}

impl From<Vec<Mistake>> for ConfigErrors {
    fn from(mistakes: Vec<Mistake>) -> ConfigErrors {
        ConfigErrors::new(mistakes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::parse;

    #[track_caller]
    fn check(from: &str, to: &str, expected: &[&str]) {
        let said: Vec<_> = parse(from).needs_restart(&parse(to)).iter().map(ToString::to_string).collect();
        assert_eq!(said, expected, "{from} {to}");
    }

    #[test]
    fn what_cannot_be_changed_is_said_where_it_was_changed() {
        check("[ingest]\nlisten = \"127.0.0.1:1\"", "[ingest]\nlisten = \"127.0.0.1:1\" # the same", &[]);
        check(
            "[log]\nformat = \"json\"",
            "[ingest]\npath = \"/in\"\n[admin]\nlisten = \"127.0.0.1:2\"",
            &[
                "w.toml:2:8: ingest.path: cannot be changed while it runs; restart",
                "w.toml:4:10: admin.listen: cannot be changed while it runs; restart",
                "w.toml: log.format: cannot be changed while it runs; restart",
            ],
        );
        check(
            "",
            "[store]\nurl = \"sqlite:/a/b.db\"",
            &["w.toml:2:7: store.url: cannot be changed while it runs; restart"],
        );
    }

    #[test]
    fn all_else_can() {
        let text = r#"
            [ingest]
            max_body = "1MiB"
            max_in_flight = "2MiB"
            drain_delay = "0s"
            trusted_proxies = ["10.0.0.0/8"]
            [[webhook]]
            name = "a"
            tokens = ["t"]
            [store]
            max_size = "1GiB"
            [admin]
            token = "k"
            [log]
            level = "debug"
            [[handler]]
            name = "a"
            kind = "log"
        "#;
        check("", text, &[]);
        check(text, "", &[]);
    }
}
