//! The configuration from outside: its documentation, its example, its environment, and its mistakes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proptest::prelude::*;
use workhook::config::{Config, Env, KindConfig, Place};
use workhook::store;
use workhook::telemetry::LogFormat;

const REFERENCE: &str = include_str!("../docs/configuration.md");
const EXAMPLE: &str = include_str!("../workhook.example.toml");

/// A file with ten mistakes of different kinds.
const TEN_MISTAKES: &str = r#"
[ingest]
listen = "localhost:8080"

[[webhook]]
name = "product"
tokens = ["env:NO_SUCH_VARIABLE"]

[store]
url = "postgres://user:hunter2@db"

[[handler]]
name = "crm"
kind = "http"
url = "ftp://crm.example/"
timeout = 10
  concurency = 8

[[handler]]
name = "crm"
kind = "htpp"
retry = { attempts = 12, first = "2h" }

[handlers]
"#;

fn env(variables: &[(&str, &str)]) -> Env {
    variables.iter().copied().collect()
}

fn parse(text: &str, variables: &[(&str, &str)]) -> Config {
    Config::parse(Some(("workhook.toml", text)), &env(variables)).unwrap_or_else(|errors| panic!("{errors}\n{text}"))
}

/// The documented keys, each with its default as the reference writes it.
fn documented(reference: &str) -> BTreeMap<String, String> {
    let rows = reference.lines().filter_map(|line| line.strip_prefix("| `"));
    let keyed = rows.filter_map(|row| row.split_once("` |")).filter(|(key, _)| key.contains('.'));
    keyed
        .map(|(key, cells)| (key.to_owned(), cells.split(" | ").nth(1).unwrap_or_default().trim().to_owned()))
        .collect()
}

/// What is in one of two sets only, in words.
fn differences(known: &BTreeSet<String>, documented: &BTreeSet<String>) -> Vec<String> {
    let missing = known.difference(documented).map(|key| format!("{key} is not documented"));
    let superfluous = documented.difference(known).map(|key| format!("{key} is documented and not known"));
    missing.chain(superfluous).collect()
}

#[test]
fn every_key_is_documented_and_every_documented_key_is_there() {
    let known = Config::known_keys();
    assert!(known.contains("ingest.listen") && known.contains("handler.url") && known.contains("handler.retry.max"));
    assert_eq!(differences(&known, &documented(REFERENCE).into_keys().collect()), Vec::<String>::new());
}

/// The keys that the reference says need a restart.
fn restart_keys(reference: &str) -> BTreeSet<&str> {
    let (_, section) = reference.split_once("\n## Changing it while it runs\n").expect("the section is there");
    let section = section.split("\n## ").next().unwrap_or_default();
    section.lines().filter_map(|line| line.strip_prefix("- `")?.strip_suffix('`')).collect()
}

#[test]
fn the_keys_that_need_a_restart_are_the_documented_ones() {
    let fixed: BTreeSet<_> = Config::restart_keys().into_iter().collect();
    assert_eq!(restart_keys(REFERENCE), fixed);
    assert!(fixed.iter().all(|key| Config::known_keys().contains(*key)), "{fixed:?}");
}

#[test]
fn a_key_that_is_not_documented_and_one_that_is_not_there_are_noticed() {
    let known = Config::known_keys();
    let without = REFERENCE.replace("| `handler.url` |", "| url |");
    let found = differences(&known, &documented(&without).into_keys().collect());
    assert_eq!(found, ["handler.url is not documented"]);
    let with = format!("{REFERENCE}\n| `store.color` | text | `\"red\"` | | |\n");
    let found = differences(&known, &documented(&with).into_keys().collect());
    assert_eq!(found, ["store.color is documented and not known"]);
}

#[test]
fn every_documented_default_is_what_holds_without_it() {
    let handler = "[[handler]]\nname = \"a\"\nkind = \"http\"\nurl = \"http://localhost/\"\n";
    let program = "[[handler]]\nname = \"a\"\nkind = \"command\"\ncommand = [\"sh\"]\n";
    let webhook = "[[webhook]]\nname = \"a\"\ntokens = [\"t\"]\n";
    let mut compared = 0;
    for (key, default) in documented(REFERENCE) {
        let Some(default) = default.strip_prefix('`').and_then(|default| default.strip_suffix('`')) else { continue };
        let (section, own_key) = key.split_once('.').unwrap();
        let head = match section {
            "handler" if matches!(own_key, "folder" | "env" | "exit_codes") => program,
            "handler" => handler,
            "webhook" => webhook,
            "store" if matches!(own_key, "connections" | "poll_only") => {
                &format!("{webhook}[store]\nurl = \"postgres://db/hooks\"\n")
            }
            section => &format!("[{section}]\n"),
        };
        let with = parse(&format!("{head}{own_key} = {default}"), &[]);
        // Where a setting was said differs, and nothing else may.
        let unsaid = |config: Config| format!("{:?}", Config { settings: Vec::new(), ..config });
        assert_eq!(unsaid(with), unsaid(parse(head, &[])), "{key} = {default}");
        compared += 1;
    }
    assert_eq!(compared, 31);
}

#[test]
fn the_example_is_the_one_in_the_reference_and_shows_every_key() {
    let (_, block) = REFERENCE.rsplit_once("```toml\n").unwrap();
    assert_eq!(block, format!("{EXAMPLE}```\n"));
    for key in Config::known_keys() {
        let own_key = key.rsplit('.').next().unwrap();
        assert!(EXAMPLE.contains(&format!("{own_key} = ")), "{key}");
    }
}

#[test]
fn the_example_can_be_used_and_says_the_defaults() {
    let secrets = [("LEIGA_TOKEN", "leiga-token"), ("CRM_AUTH", "Bearer crm")];
    let config = parse(EXAMPLE, &secrets);
    let defaults = Config::default();
    assert_eq!(format!("{:?}", config.ingest), format!("{:?}", defaults.ingest));
    assert_eq!(format!("{:?}", config.store), format!("{:?}", defaults.store));
    assert_eq!(format!("{:?}", config.admin), format!("{:?}", defaults.admin));
    assert_eq!(config.log, defaults.log);
    assert_eq!(config.source.as_deref(), Some(Path::new("workhook.toml")));
    assert_eq!(config.webhooks.len(), 1);
    assert_eq!(config.webhooks[0].tokens[0].expose(), "leiga-token");
    let [crm, audit] = config.handlers.as_slice() else { panic!("{:?}", config.handlers) };
    assert!(matches!(&crm.kind, KindConfig::Http(http) if http.headers[0].1 == "Bearer crm"));
    assert!(matches!(audit.kind, KindConfig::Log) && audit.route.is_none());
    assert_eq!(crm.policy, audit.policy);
}

#[test]
fn the_commented_out_lines_of_the_example_can_be_used_too() {
    let uncomment = |line: &str| match line.strip_prefix("# ") {
        Some(rest) if rest.starts_with('[') || rest.contains(" = ") => rest.to_owned(),
        _ => line.to_owned(),
    };
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["workhook".to_owned()]).unwrap();
    let files = [
        ("/run/secrets/workhook-admin", "admin-token\n".to_owned()),
        ("/run/secrets/hook-key", "hook-key\n".to_owned()),
        ("/etc/ssl/our-ca.pem", made.cert.pem()),
        ("/run/secrets/client.pem", made.cert.pem()),
        ("/run/secrets/client.key", made.signing_key.serialize_pem()),
    ];
    let mut text: String = EXAMPLE.lines().map(|line| uncomment(line) + "\n").collect();
    for (index, (path, content)) in files.into_iter().enumerate() {
        let file = folder.path().join(index.to_string());
        std::fs::write(&file, content).unwrap();
        assert!(text.contains(path), "{path}");
        text = text.replace(path, file.to_str().unwrap());
    }
    let text = text.replace("/opt/hooks/on-issue", "/bin/sh").replace("/srv/hooks", folder.path().to_str().unwrap());
    let traces = "[traces]                           # only in a build with --features otlp\nendpoint = ";
    assert!(text.contains(traces));
    let text = if cfg!(feature = "otlp") { text } else { text.replace(traces, "# ") };
    let secrets = [("LEIGA_TOKEN", "leiga-token"), ("CRM_AUTH", "Bearer crm"), ("CRM_PROXY", "http://proxy:3128")];
    let config = parse(&text, &secrets);
    assert_eq!((config.webhooks.len(), config.handlers.len()), (2, 4));
    assert!(matches!(&config.handlers[0].kind, KindConfig::Http(http) if http.proxy.is_some()));
    assert!(matches!(&config.handlers[1].kind, KindConfig::Command(hook) if hook.exit_codes.said.len() == 2));
    assert_eq!(config.admin.token.unwrap().expose(), "admin-token");
}

#[test]
fn the_lines_of_the_example_for_postgresql_can_be_used_in_place_of_those_for_sqlite() {
    let lines: String =
        EXAMPLE.lines().filter_map(|line| line.strip_prefix("## ")).map(|line| format!("{line}\n")).collect();
    let made = rcgen::generate_simple_self_signed(["db".to_owned()]).unwrap().cert.pem();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), made).unwrap();
    assert!(lines.contains("/etc/ssl/our-db-ca.pem"));
    let lines = lines.replace("/etc/ssl/our-db-ca.pem", file.path().to_str().unwrap());
    let text = format!("{lines}[[webhook]]\nname = \"a\"\ntokens = [\"t\"]");
    let config = parse(&text, &[("DATABASE_URL", "postgres://user:password@db/workhook")]);
    assert!(matches!(config.store.place, store::Place::Postgres(settings) if settings.ca.is_some()));
}

#[test]
fn the_environment_wins_over_the_file_key_by_key() {
    let text = "
        [ingest]
        listen = \"127.0.0.1:1\"
        path = \"/from-file\"
        max_connections = 0
        [log]
        format = \"text\"";
    let variables = [
        ("WORKHOOK__INGEST__LISTEN", "0.0.0.0:2"),
        ("WORKHOOK__INGEST__MAX_CONNECTIONS", "7"),
        ("WORKHOOK__INGEST__MAX_BODY", "1MiB"),
        ("WORKHOOK__INGEST__IDLE_TIMEOUT", "10s"),
        ("WORKHOOK__INGEST__TRUSTED_PROXIES", "10.0.0.0/8, 192.168.0.1"),
        ("WORKHOOK__STORE__URL", "sqlite:/data/workhook.db"),
        ("WORKHOOK__ADMIN__TOKEN", "env:ADMIN"),
        ("WORKHOOK__LOG__FORMAT", "json"),
        ("WORKHOOK_ADMIN_TOKEN", "somebody else's"),
        ("ADMIN", "admin-token"),
    ];
    let config = parse(text, &variables);
    assert_eq!(config.ingest.listen.to_string(), "0.0.0.0:2");
    assert_eq!(config.ingest.path, "/from-file");
    assert_eq!((config.ingest.max_connections, config.ingest.max_body), (7, 1 << 20));
    assert_eq!(config.ingest.idle_timeout.as_secs(), 10);
    assert_eq!(config.ingest.trusted_proxies.len(), 2);
    assert_eq!(config.store.place.embedded().unwrap().path, Path::new("/data/workhook.db"));
    assert_eq!(config.admin.token.unwrap().expose(), "admin-token");
    assert_eq!(config.log.format, LogFormat::Json);
    let no_proxies = [("WORKHOOK__INGEST__TRUSTED_PROXIES", "")];
    assert!(parse("[ingest]\ntrusted_proxies = [\"::1\"]", &no_proxies).ingest.trusted_proxies.is_empty());
}

#[test]
fn every_single_key_can_come_from_the_environment() {
    let mut compared = 0;
    for (key, default) in documented(REFERENCE) {
        let (section, own_key) = key.split_once('.').unwrap();
        if matches!(section, "webhook" | "handler") {
            continue;
        }
        let variable = format!("WORKHOOK__{}__{}", section.to_uppercase(), own_key.to_uppercase());
        if key == "traces.endpoint" && !cfg!(feature = "otlp") {
            continue;
        }
        let made = rcgen::generate_simple_self_signed(["db".to_owned()]).unwrap().cert.pem();
        let value = match default.as_str() {
            "none" if key == "traces.endpoint" => "http://collector:4318",
            "none" if key == "store.ca" => &made,
            "none" => "something",
            default => default.trim_matches(['`', '"', '[', ']']),
        };
        let mut variables = vec![(variable.as_str(), value)];
        if matches!(own_key, "ca" | "connections" | "poll_only") {
            variables.push(("WORKHOOK__STORE__URL", "postgres://db/hooks"));
        }
        let webhook = Some(("workhook.toml", "[[webhook]]\nname = \"a\"\ntokens = [\"t\"]"));
        Config::parse(webhook, &env(&variables)).unwrap_or_else(|errors| panic!("{errors}"));
        compared += 1;
    }
    assert_eq!(compared, if cfg!(feature = "otlp") { 20 } else { 19 });
}

#[test]
fn ten_mistakes_are_said_at_once_each_at_its_place() {
    let errors = Config::parse(Some(("workhook.toml", TEN_MISTAKES)), &Env::default()).unwrap_err();
    let places = errors.mistakes().iter().map(|mistake| match &mistake.place {
        Place::At { line, column, .. } => (*line, *column, mistake.about.as_str()),
        place => panic!("{place}"),
    });
    let expected = [
        (3, 10, "ingest.listen"),
        (7, 11, "webhook.product.tokens"),
        (10, 7, "store.url"),
        (15, 7, "handler.crm.url"),
        (16, 11, "handler.crm.timeout"),
        (17, 3, "handler.crm"),
        (20, 8, "handler.crm.name"),
        (21, 8, "handler.crm.kind"),
        (22, 34, "handler.crm.retry.first"),
        (24, 2, ""),
    ];
    assert_eq!(places.collect::<Vec<_>>(), expected);
    let shown = errors.to_string();
    assert_eq!(shown.lines().count(), expected.len());
    let unknown = "workhook.toml:17:3: handler.crm: unknown key `concurency`; did you mean `concurrency`?";
    assert!(shown.lines().any(|line| line == unknown), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_named_file_has_to_be_there_and_is_what_messages_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.toml");
    let load =
        |variables: &[(&str, &str)]| Config::load(Some(&path), &env(variables)).map_err(|errors| errors.to_string());
    assert!(load(&[]).unwrap_err().starts_with(&format!("{}: cannot be read: ", path.display())));
    std::fs::write(&path, "[log]\nlevel = 1").unwrap();
    assert!(load(&[]).unwrap_err().starts_with(&format!("{}:2:9: log.level: ", path.display())));
    assert_eq!(load(&[("WORKHOOK__LOG__LEVEL", "warn")]).unwrap().source, Some(path.clone()));
    let by_variable = Config::load(None, &env(&[("WORKHOOK_CONFIG", path.to_str().unwrap())]));
    assert!(by_variable.unwrap_err().to_string().contains("mine.toml:2:9"));
}

/// Text that is more like a configuration than any text is.
fn almost_a_file() -> impl Strategy<Value = String> {
    let word = "(ingest|webhook|handler|store|name|kind|retry|events|tokens|\"é\"|http|a)";
    let value = "(\"[a-z:/.*0-9é]{0,9}\"|[0-9]{1,30}|true|\\[\"a\", 1\\]|\\{ first = \"1s\" \\}|1979-05-27|-1|inf|)";
    let line = format!("(\\[{word}\\]|\\[\\[{word}(\\.{word})?\\]\\]|{word}(\\.{word})? ?= ?{value}|[ \"'#]?)\r?\n");
    proptest::collection::vec(proptest::string::string_regex(&line).expect("a pattern"), 0..20)
        .prop_map(|lines| lines.concat())
}

proptest! {
    #[test]
    fn any_text_is_a_configuration_or_has_mistakes(text in any::<String>()) {
        if let Err(errors) = Config::parse(Some(("w.toml", &text)), &Env::default()) {
            prop_assert!(!errors.to_string().is_empty());
        }
    }

    #[test]
    fn any_almost_right_file_is_one_or_has_mistakes_with_places(text in almost_a_file()) {
        if let Err(errors) = Config::parse(Some(("w.toml", &text)), &Env::default()) {
            prop_assert!(!errors.mistakes().is_empty());
            for mistake in errors.mistakes() {
                let Place::At { line, column, .. } = mistake.place else { panic!("{mistake}") };
                let width = text.split('\n').nth(line - 1).map(|line| line.chars().count());
                prop_assert!(width.is_some_and(|width| column <= width + 1), "{mistake}\n{text}");
            }
        }
    }

    #[test]
    fn any_value_of_a_variable_is_taken_or_a_mistake_of_that_name(value in any::<String>(), index in 0_usize..19) {
        let keys: Vec<_> = documented(REFERENCE).into_keys().filter(|key| !key.starts_with(['h', 'w'])).collect();
        let (section, key) = keys[index].split_once('.').unwrap();
        let variable = format!("WORKHOOK__{}__{}", section.to_uppercase(), key.to_uppercase());
        if let Err(errors) = Config::parse(None, &env(&[(&variable, &value)])) {
            prop_assert!(errors.mistakes().iter().all(|mistake| mistake.place == Place::Variable(variable.clone())));
        }
    }
}
