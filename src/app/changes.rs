//! What is different between two configurations, by name, for people. No secret is in it.

use std::fmt;

use crate::config::{Config, ConfiguredHandler, ConfiguredWebhook, KindConfig};
use crate::handlers::command;
use crate::handlers::http::{self, Proxy};
use crate::secret::Fingerprint;

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
    fn between(before: &[(String, Set)], after: &[(String, Set)]) -> Changed {
        let find = |list: &[(String, Set)], name: &str| list.iter().position(|(own, _)| own == name);
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

/// Everything that is set about something, to be compared and never to be shown. What is secret says nothing of itself,
/// and is compared by its hash.
#[derive(PartialEq)]
struct Set {
    open: String,
    secret: Vec<Option<Fingerprint>>,
}

fn handler(configured: &ConfiguredHandler) -> (String, Set) {
    let ConfiguredHandler { name, route, policy, kind, line: _ } = configured;
    let of = |secret: &[u8]| Some(Fingerprint::of(secret));
    let secret = match kind {
        KindConfig::Http(http) => {
            let http::Config { url: _, headers, authorities, client_certificate, proxy } = &**http;
            let headers = headers.iter().map(|(_, value)| of(value.as_bytes()));
            let files = [
                authorities.as_ref().map(|authorities| authorities.fingerprint().clone()),
                client_certificate.as_ref().map(|certificate| certificate.fingerprint().clone()),
                proxy.as_ref().map(Proxy::fingerprint),
            ];
            headers.chain(files).collect()
        }
        KindConfig::Command(command::Config { program: _, arguments: _, folder: _, env, exit_codes: _ }) => {
            env.iter().map(|(_, value)| of(value.expose().as_bytes())).collect()
        }
        KindConfig::Log | KindConfig::Rust => Vec::new(),
    };
    (name.to_string(), Set { open: format!("{route:?} {policy:?} {kind:?}"), secret })
}

fn webhook(configured: &ConfiguredWebhook) -> (String, Set) {
    let ConfiguredWebhook { webhook, tokens, silence } = configured;
    let secret = tokens.iter().map(|token| Some(Fingerprint::of(token.expose().as_bytes()))).collect();
    (webhook.name.to_string(), Set { open: format!("{webhook:?} {silence:?}"), secret })
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
        check(&webhook("NEW"), &format!("{}\nsilence = \"12h\"", webhook("NEW")), "webhooks changed: a");
        check(
            "[admin]\ntoken = \"env:OLD\"",
            "[admin]\ntoken = \"env:NEW\"\n[log]\nlevel = \"debug\"",
            "settings changed: admin.token, log.level",
        );
    }

    #[test]
    fn another_proxy_program_s_variable_or_certificate_is_a_change_though_none_of_it_is_shown() {
        let with = |key: &str, value: &str| {
            let handler = http("a", &format!("x\"\n{key} = {value}"));
            handler.replace("http://a/", "https://a/")
        };
        let changed = "handlers changed: a";
        check(&with("proxy", "\"http://u:secret-1@p\""), &with("proxy", "\"http://u:secret-2@p\""), changed);
        let program = |secret: &str| {
            format!(
                "[[handler]]\nname = \"a\"\nkind = \"command\"\ncommand = [\"/bin/sh\"]\nenv = {{ A = \"env:{secret}\" }}"
            )
        };
        check(&program("OLD"), &program("NEW"), changed);
        let made = || rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (one, other) = (made(), made());
        let authority = |made: &rcgen::CertifiedKey<rcgen::KeyPair>| with("ca", &format!("'''{}'''", made.cert.pem()));
        check(&authority(&one), &authority(&other), changed);
        check(&authority(&one), &authority(&one), "nothing");
        let client = |made: &rcgen::CertifiedKey<rcgen::KeyPair>| {
            let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
            with("client_cert", &format!("'''{chain}'''\nclient_key = '''{key}'''"))
        };
        check(&client(&one), &client(&other), changed);
    }
}
