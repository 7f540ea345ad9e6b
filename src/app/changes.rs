//! What is different between two configurations, by name, for people. No secret is in it.

use std::fmt;

use crate::config::{Config, ConfiguredHandler, ConfiguredWebhook, KindConfig};
use crate::secret::Secret;

/// What a reload changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// The handlers.
    pub handlers: Changed,
    /// The webhooks.
    pub webhooks: Changed,
    /// The keys of the other sections, for example `log.level`.
    pub settings: Vec<String>,
}

/// Names of what was changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changed {
    /// Those that were not there before.
    pub added: Vec<String>,
    /// Those that are not there any more.
    pub removed: Vec<String>,
    /// Those about which something is set in another way.
    pub changed: Vec<String>,
}

impl Changes {
    pub(super) fn between(before: &Config, after: &Config) -> Changes {
        let handlers = |config: &Config| config.handlers.iter().map(handler).collect::<Vec<_>>();
        let webhooks = |config: &Config| config.webhooks.iter().map(webhook).collect::<Vec<_>>();
        Changes {
            handlers: Changed::between(&handlers(before), &handlers(after)),
            webhooks: Changed::between(&webhooks(before), &webhooks(after)),
            settings: settings(before, after),
        }
    }

    /// Whether nothing is different.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Changes::default()
    }
}

impl Changed {
    /// Compares lists of names and of what is set.
    fn between(before: &[(String, String)], after: &[(String, String)]) -> Changed {
        let find = |list: &[(String, String)], name: &str| list.iter().position(|(own, _)| own == name);
        let mut changed = Changed::default();
        for (name, set) in after {
            match find(before, name) {
                None => changed.added.push(name.clone()),
                Some(index) if before[index].1 != *set => changed.changed.push(name.clone()),
                Some(_) => {}
            }
        }
        let gone = before.iter().map(|(name, _)| name).filter(|name| find(after, name).is_none());
        changed.removed = gone.cloned().collect();
        changed
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lists = [
            ("handlers added", &self.handlers.added),
            ("handlers removed", &self.handlers.removed),
            ("handlers changed", &self.handlers.changed),
            ("webhooks added", &self.webhooks.added),
            ("webhooks removed", &self.webhooks.removed),
            ("webhooks changed", &self.webhooks.changed),
            ("settings changed", &self.settings),
        ];
        let said: Vec<_> = lists.iter().filter(|(_, names)| !names.is_empty()).collect();
        if said.is_empty() {
            return f.write_str("nothing");
        }
        for (index, (what, names)) in said.into_iter().enumerate() {
            write!(f, "{}{what}: {}", if index == 0 { "" } else { "; " }, names.join(", "))?;
        }
        Ok(())
    }
}

/// A handler's name, and everything that is set about it. The second is to be compared and never to be shown.
fn handler(configured: &ConfiguredHandler) -> (String, String) {
    let ConfiguredHandler { name, route, policy, kind, line: _ } = configured;
    let mut set = format!("{route:?} {policy:?} {kind:?}");
    // What is secret says nothing of itself.
    let secrets: Vec<&[u8]> = match kind {
        KindConfig::Http(config) => config.headers.iter().map(|(_, value)| value.as_bytes()).collect(),
        KindConfig::Command(config) => config.env.iter().map(|(_, value)| value.expose().as_bytes()).collect(),
        KindConfig::Log | KindConfig::Rust => Vec::new(),
    };
    for secret in secrets {
        set.push_str(&format!("\n{secret:?}"));
    }
    (name.to_string(), set)
}

/// A webhook's name, and everything that is set about it. The second is to be compared and never to be shown.
fn webhook(configured: &ConfiguredWebhook) -> (String, String) {
    let tokens: Vec<_> = configured.tokens.iter().map(Secret::expose).collect();
    (configured.webhook.name.to_string(), format!("{:?} {tokens:?}", configured.webhook))
}

fn settings(before: &Config, after: &Config) -> Vec<String> {
    let single = |key: &str| !key.starts_with("handler.") && !key.starts_with("webhook.");
    let token = |config: &Config| config.admin.token.as_ref().map(|token| token.expose().to_owned());
    let value = |config: &Config, key: &str| match key {
        "admin.token" => token(config),
        _ => config.settings.iter().find(|setting| setting.key == key).and_then(|setting| setting.value.clone()),
    };
    let keys = after.settings.iter().map(|setting| setting.key.clone()).filter(|key| single(key));
    keys.filter(|key| value(before, key) != value(after, key)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Env;

    #[track_caller]
    fn check(before: &str, after: &str, expected: &str) {
        let env: Env = [("OLD", "secret-1"), ("NEW", "secret-2")].into_iter().collect();
        let parse = |text| Config::parse(Some(("w.toml", text)), &env).unwrap_or_else(|errors| panic!("{errors}"));
        let changes = Changes::between(&parse(before), &parse(after));
        assert_eq!(changes.to_string(), expected);
        assert_eq!(changes.is_empty(), expected == "nothing");
        assert!(!format!("{changes:?}").contains("secret"));
    }

    fn http(name: &str, more: &str) -> String {
        format!("[[handler]]\nname = \"{name}\"\nkind = \"http\"\nurl = \"http://a/{more}\n")
    }

    #[test]
    fn what_is_different_is_said_by_name() {
        let (a, b) = (http("a", "x\""), http("b", "x\""));
        check(&a, &format!("# only a line\n{a}"), "nothing");
        check(&a, &format!("{a}{b}"), "handlers added: b");
        check(&format!("{a}{b}"), &b, "handlers removed: a");
        check(&a, &http("a", "y\""), "handlers changed: a");
        check(&a, &http("a", "x\"\ntimeout = \"11s\""), "handlers changed: a");
        let with = |secret: &str| http("a", &format!("x\"\nheaders = {{ A = \"env:{secret}\" }}"));
        check(&with("OLD"), &with("NEW"), "handlers changed: a");
        let webhook = |secret: &str| format!("[[webhook]]\nname = \"a\"\ntokens = [\"env:{secret}\"]");
        check(&webhook("OLD"), &webhook("NEW"), "webhooks changed: a");
        check("", &webhook("NEW"), "webhooks added: a");
        check(
            "[admin]\ntoken = \"env:OLD\"",
            "[admin]\ntoken = \"env:NEW\"\n[log]\nlevel = \"debug\"",
            "settings changed: admin.token, log.level",
        );
    }
}
