//! `[ingest]`: the public door.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::section::Section;
use super::units::{duration, shown_size, size};
use super::value::{Value, address, shown, whole};
use crate::ingest::Config;

/// The longest path, in bytes.
const PATH_MAX_LEN: usize = 200;
/// The paths that the public door has for itself.
const OWN_PATHS: &[&str] = &["/healthz", "/readyz"];

pub(super) fn read(section: &mut Section<'_, '_>) -> Config {
    let mut config = Config::default();
    section.set("listen", &mut config.listen, address);
    section.set("path", &mut config.path, path);
    section.set("max_body", &mut config.max_body, size(1 << 10..=256 << 20));
    section.set("max_connections", &mut config.max_connections, whole(1..=100_000));
    section.set("max_in_flight", &mut config.max_in_flight, size(1 << 10..=16 << 30));
    section.set("idle_timeout", &mut config.idle_timeout, duration(Duration::from_secs(1)..=Duration::from_secs(3600)));
    section.set("drain_delay", &mut config.drain_delay, duration(Duration::ZERO..=Duration::from_secs(5)));
    section.shown("max_body", shown_size(crate::ingest::Config::default().max_body));
    section.shown("max_in_flight", shown_size(crate::ingest::Config::default().max_in_flight));
    if let Some(proxies) = section.list("trusted_proxies", "[\"10.0.0.0/8\"]", proxy) {
        config.trusted_proxies = proxies;
    }
    if config.max_in_flight < config.max_body {
        let (all, one) = (shown_size(config.max_in_flight), shown_size(config.max_body));
        let message = format!(
            "the largest body would never get in: max_in_flight is {all}, and has to be at least max_body, {one}"
        );
        section.blame(&["max_in_flight", "max_body"], message);
    }
    config
}

fn path(value: Value<'_>) -> Result<String, String> {
    let text = value.text("\"/webhook\"")?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    // A dot segment would be taken out by the sender's client or a proxy before it got here.
    let segment = |segment: &str| !segment.is_empty() && segment.chars().all(allowed) && !matches!(segment, "." | "..");
    let fits = text.len() <= PATH_MAX_LEN && text.strip_prefix('/').is_some_and(|path| path.split('/').all(segment));
    if !fits {
        let rule = "begin with /, do not end with it, and use A-Z a-z 0-9 - . _ ~ between";
        return Err(format!("{} cannot be the path; {rule}, as in \"/webhook\"", shown(text)));
    }
    if OWN_PATHS.contains(&text) {
        return Err(format!(
            "{} is where the door answers for itself; choose another path, as in \"/webhook\"",
            shown(text)
        ));
    }
    Ok(text.to_owned())
}

fn proxy(value: Value<'_>) -> Result<IpNet, String> {
    let text = value.text("\"10.0.0.0/8\"")?;
    let one = || text.parse::<IpAddr>().ok().map(IpNet::from);
    let wrong = || format!("{} is not a network; write for example \"10.0.0.0/8\" or \"10.1.2.3\"", shown(text));
    text.parse().ok().or_else(one).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{parse, wrong};

    #[test]
    fn everything_can_be_set() {
        let text = r#"
            [ingest]
            listen = "[::]:9000"
            path = "/hooks/in"
            max_body = "1MiB"
            max_connections = 10_000
            max_in_flight = "1MiB"
            idle_timeout = "5m"
            drain_delay = "0s"
            trusted_proxies = ["10.0.0.0/8", "::1"]
        "#;
        let config = parse(text).ingest;
        assert_eq!(config.listen.to_string(), "[::]:9000");
        assert_eq!(config.path, "/hooks/in");
        assert_eq!((config.max_body, config.max_in_flight, config.max_connections), (1 << 20, 1 << 20, 10_000));
        assert_eq!((config.idle_timeout.as_secs(), config.drain_delay.as_secs()), (300, 0));
        assert_eq!(
            config.trusted_proxies.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["10.0.0.0/8", "::1/128"]
        );
    }

    #[track_caller]
    fn check(key: &str, expected: &[&str]) {
        assert_eq!(wrong(&format!("[ingest]\n{key}")), expected);
    }

    #[test]
    fn a_wrong_value_is_said_with_what_would_be_right() {
        check(
            r#"listen = "localhost:80""#,
            &["2:10: ingest.listen: \"localhost:80\" is not an IP address with a port; write for example \
                \"127.0.0.1:8080\", or \"0.0.0.0:8080\" for every interface"],
        );
        check(
            "listen = 8080",
            &[r#"2:10: ingest.listen: expected a text in quotes, as in "127.0.0.1:8080", found a number"#],
        );
        check(
            r#"path = "/webhook/""#,
            &["2:8: ingest.path: \"/webhook/\" cannot be the path; begin with /, do not end with it, and \
                use A-Z a-z 0-9 - . _ ~ between, as in \"/webhook\""],
        );
        check(
            r#"path = "/healthz""#,
            &["2:8: ingest.path: \"/healthz\" is where the door answers for itself; choose another path, as \
                in \"/webhook\""],
        );
        check(
            r#"max_body = "1023B""#,
            &[r#"2:12: ingest.max_body: "1023B" is out of bounds; it can be from 1KiB to 256MiB"#],
        );
        check(
            r#"max_body = "257MiB""#,
            &[r#"2:12: ingest.max_body: "257MiB" is out of bounds; it can be from 1KiB to 256MiB"#],
        );
        check(
            r#"max_body = "65MiB""#,
            &["2:12: ingest.max_body: the largest body would never get in: max_in_flight is 64MiB, and has \
                to be at least max_body, 65MiB"],
        );
        check(
            "max_body = \"2MiB\"\nmax_in_flight = \"1MiB\"",
            &["3:17: ingest.max_in_flight: the largest body would never get in: max_in_flight is 1MiB, and \
                has to be at least max_body, 2MiB"],
        );
        check("max_connections = 0", &["2:19: ingest.max_connections: 0 is out of bounds; it can be from 1 to 100000"]);
        check(
            "max_connections = 100_001",
            &["2:19: ingest.max_connections: 100001 is out of bounds; it can be from 1 to 100000"],
        );
        check(
            "max_connections = \"many\"",
            &["2:19: ingest.max_connections: expected a whole number from 1 to 100000, found a text"],
        );
        check(
            r#"max_in_flight = "17GiB""#,
            &[r#"2:17: ingest.max_in_flight: "17GiB" is out of bounds; it can be from 1KiB to 16GiB"#],
        );
        check(
            r#"idle_timeout = "999ms""#,
            &[r#"2:16: ingest.idle_timeout: "999ms" is out of bounds; it can be from 1s to 1h"#],
        );
        check(
            r#"idle_timeout = "61m""#,
            &[r#"2:16: ingest.idle_timeout: "61m" is out of bounds; it can be from 1s to 1h"#],
        );
        check(
            r#"drain_delay = "6s""#,
            &[r#"2:15: ingest.drain_delay: "6s" is out of bounds; it can be from 0ms to 5s"#],
        );
        check(
            r#"trusted_proxies = "10.0.0.0/8""#,
            &[r#"2:19: ingest.trusted_proxies: expected a list, as in ["10.0.0.0/8"], found a text"#],
        );
        check(
            r#"trusted_proxies = ["10.0.0.0/8", "proxy", 3]"#,
            &[
                "2:34: ingest.trusted_proxies: \"proxy\" is not a network; write for example \"10.0.0.0/8\" \
                or \"10.1.2.3\"",
                r#"2:43: ingest.trusted_proxies: expected a text in quotes, as in "10.0.0.0/8", found a number"#,
            ],
        );
        check(
            "retention = \"30d\"",
            &["2:1: ingest: unknown key `retention`; known are `listen`, `path`, `max_body`, \
                `max_connections`, `max_in_flight`, `idle_timeout`, `drain_delay` and `trusted_proxies`"],
        );
    }

    #[test]
    fn a_path_is_segments_between_slashes() {
        for bad in
            ["", "/", "webhook", "//", "/a//b", "/a/", "/a b", "/{name}", "/a?b", "/a#b", "/ä", "/%41", "/.", "/a/.."]
        {
            assert_eq!(wrong(&format!("[ingest]\npath = {bad:?}")).len(), 1, "{bad:?}");
        }
        for good in ["/a", "/a/b", "/.well-known/hook", "/A-1_~"] {
            assert_eq!(parse(&format!("[ingest]\npath = {good:?}")).ingest.path, good);
        }
    }

    #[test]
    fn sizes_that_do_not_fit_each_other_are_said_only_where_each_is_right() {
        let text = "[ingest]\nmax_body = \"128MiB\"\nmax_in_flight = \"much\"";
        assert_eq!(
            wrong(text),
            ["3:17: ingest.max_in_flight: \"much\" is not a whole number with a unit; write for example \
                \"8MiB\" or \"64KiB\""]
        );
    }
}
