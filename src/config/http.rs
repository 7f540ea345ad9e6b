//! The keys that only a handler of kind `http` has.

use std::collections::HashSet;
use std::fmt::Display;

use ::http::{HeaderName, HeaderValue};
use reqwest::Url;

use super::env::Env;
use super::section::Section;
use super::value::{Value, secret, shown};
use crate::handlers::http::{Authorities, Chain, ClientCertificate, Config, Key, Proxy};

/// The headers that say where a request ends, and those that tell one delivery from another: a fixed value in one of
/// them would be wrong for nearly every request.
const RESERVED: &[&str] = &[
    "connection",
    "content-length",
    "idempotency-key",
    "te",
    "traceparent",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "workhook-attempt",
    "workhook-event-id",
];

pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Config> {
    let env = section.env();
    let url = section.require("url", "\"https://crm.example/hooks\"", url);
    let mut seen = HashSet::new();
    let headers = section.entries("headers", "{ Authorization = \"env:CRM_AUTH\" }", |name, value| {
        let header = header(name, value, env)?;
        if !seen.insert(header.0.clone()) {
            let why = "since case does not tell headers apart";
            return Err(format!("{} is there twice, {why}; take one out", shown(name)));
        }
        Ok(header)
    });
    let authorities = section.take("ca", |value| read_secret(value, env, Authorities::parse));
    let client_certificate = client_certificate(section, env);
    let proxy = section.take("proxy", |value| read_secret(value, env, Proxy::parse));
    let url = url?;
    if url.scheme() == "http" {
        for key in ["ca", "client_cert", "client_key"] {
            if section.has(key) {
                section.blame(&[key], "is of use with https only, and url begins with http; take it out".to_owned());
            }
        }
    }
    Some(Config { url, headers: headers?, authorities, client_certificate, proxy })
}

/// Reads a certificate and its key. One is of no use without the other.
fn client_certificate(section: &mut Section<'_, '_>, env: &Env) -> Option<ClientCertificate> {
    let chain = section.take("client_cert", |value| read_secret(value, env, Chain::parse));
    let key = section.take("client_key", |value| read_secret(value, env, Key::parse));
    for (one, other) in [("client_cert", "client_key"), ("client_key", "client_cert")] {
        if section.has(one) && !section.has(other) {
            section.blame(&[one], format!("is of no use without `{other}`; add it, or take this out"));
        }
    }
    let made = ClientCertificate::new(&chain?, &key?);
    made.map_err(|error| section.blame(&["client_key"], error.to_string())).ok()
}

/// Reads what is written as a secret is.
fn read_secret<T, E: Display>(
    value: Value<'_>,
    env: &Env,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, String> {
    parse(secret(value, env)?.expose()).map_err(|error| error.to_string())
}

/// Reads an address. No message repeats it: there may be a password or a key in it.
fn url(value: Value<'_>) -> Result<Url, String> {
    const EXAMPLE: &str = "\"https://crm.example/hooks\"";
    let text = value.text(EXAMPLE)?;
    let url = Url::parse(text).map_err(|error| format!("not a URL ({error}); write for example {EXAMPLE}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("the scheme {} cannot be used; write http or https, as in {EXAMPLE}", shown(url.scheme())));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("there are credentials in it; take them out, and write headers = { Authorization = \"env:NAME\" }"
            .to_owned());
    }
    Ok(url)
}

fn header(name: &str, value: Value<'_>, env: &Env) -> Result<(HeaderName, HeaderValue), String> {
    let shown = shown(name);
    let parsed: HeaderName = name
        .parse()
        .map_err(|_| format!("{shown} is not the name of a header; use A-Z a-z 0-9 and -, as in X-Api-Key"))?;
    if RESERVED.contains(&parsed.as_str()) {
        return Err(format!("{shown} cannot be set, since each request has its own; take it out"));
    }
    let secret = secret(value, env).map_err(|message| format!("{shown}: {message}"))?;
    let mut value = HeaderValue::from_str(secret.expose()).map_err(|_| {
        format!("{shown}: the value cannot stand in a header; it has to be on one line, without control characters")
    })?;
    value.set_sensitive(true);
    Ok((parsed, value))
}

#[cfg(test)]
mod tests {
    use super::super::KindConfig;
    use super::super::tests::{parse, wrong};

    #[track_caller]
    fn check(keys: &str, expected: &[&str]) {
        assert_eq!(wrong(&format!("[[handler]]\nname = \"a\"\nkind = \"http\"\n{keys}")), expected, "{keys}");
    }

    #[test]
    fn everything_can_be_set_and_headers_are_not_shown() {
        let text = r#"
            [[handler]]
            name = "crm"
            kind = "http"
            url = "https://crm.example/hooks?a=b"
            headers = { Authorization = "env:TOKEN", X-Api-Key = "key" }
        "#;
        let handlers = parse(text).handlers;
        let KindConfig::Http(http) = &handlers[0].kind else { panic!("{handlers:?}") };
        assert_eq!(http.url.as_str(), "https://crm.example/hooks?a=b");
        let headers: Vec<_> =
            http.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(headers, [("authorization", "a-token"), ("x-api-key", "key")]);
        assert!(http.headers.iter().all(|(_, value)| value.is_sensitive()));
        assert!(!format!("{handlers:?}").contains("a-token"));
    }

    #[test]
    fn a_wrong_url_is_said_and_not_repeated() {
        check("", &[r#"1:1: handler.a: `url` is missing; add for example url = "https://crm.example/hooks""#]);
        check(
            "url = \"crm.example/secret\"",
            &["4:7: handler.a.url: not a URL (relative URL without a base); write for example \
                \"https://crm.example/hooks\""],
        );
        check(
            "url = \"ftp://crm.example/secret\"",
            &["4:7: handler.a.url: the scheme \"ftp\" cannot be used; write http or https, as in \
                \"https://crm.example/hooks\""],
        );
        check(
            "url = \"https://user:secret@crm.example/\"",
            &["4:7: handler.a.url: there are credentials in it; take them out, and write headers = { \
                Authorization = \"env:NAME\" }"],
        );
        check(
            "url = \"https:///\"",
            &[r#"4:7: handler.a.url: not a URL (empty host); write for example "https://crm.example/hooks""#],
        );
    }

    #[test]
    fn a_wrong_header_is_said_and_its_value_is_not() {
        let check = |headers: &str, expected: &[&str]| {
            check(&format!("url = \"http://localhost/\"\nheaders = {headers}"), expected);
        };
        check(
            "[\"Authorization: secret\"]",
            &["5:11: handler.a.headers: expected a table, as in { Authorization = \"env:CRM_AUTH\" }, found \
                a list"],
        );
        check(
            "{ \"X Key\" = \"secret\" }",
            &["5:13: handler.a.headers: \"X Key\" is not the name of a header; use A-Z a-z 0-9 and -, as in \
                X-Api-Key"],
        );
        check(
            "{ X-Key = \"sec\\nret\" }",
            &["5:13: handler.a.headers: \"X-Key\": the value cannot stand in a header; it has to be on one \
                line, without control characters"],
        );
        check(
            "{ X-Key = 123456 }",
            &["5:13: handler.a.headers: \"X-Key\": expected a text in quotes, as in \"env:NAME\" or \
                \"file:/run/secrets/name\", found a number"],
        );
        check(
            "{ X-Key = \"env:NOT_SET\" }",
            &[r#"5:13: handler.a.headers: "X-Key": the environment variable NOT_SET is not set"#],
        );
        check(
            "{ Content-Length = \"5\" }",
            &["5:13: handler.a.headers: \"Content-Length\" cannot be set, since each request has its own; \
                take it out"],
        );
        check(
            "{ X-Key = \"a\", x-key = \"b\" }",
            &["5:26: handler.a.headers: \"x-key\" is there twice, since case does not tell headers apart; \
                take one out"],
        );
    }

    /// A certificate and its key, in PEM.
    fn certificate() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn certificates_and_a_proxy_can_be_set_and_are_not_shown() {
        let ((cert, key), folder) = (certificate(), tempfile::tempdir().unwrap());
        let file = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).unwrap();
            format!("file:{}", folder.path().join(name).display())
        };
        let text = format!(
            "[[handler]]\nname = \"a\"\nkind = \"http\"\nurl = \"https://localhost/\"\nca = {:?}\nclient_cert = {cert:?}\n\
             client_key = {:?}\nproxy = \"http://user:hunter2@proxy:3128\"",
            file("ca.pem", &cert),
            file("client.key", &key),
        );
        let handlers = parse(&text).handlers;
        let KindConfig::Http(http) = &handlers[0].kind else { panic!("{handlers:?}") };
        assert!(http.authorities.is_some() && http.client_certificate.is_some() && http.proxy.is_some());
        let shown = format!("{handlers:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("BEGIN"), "{shown}");
    }

    #[test]
    fn wrong_certificates_and_keys_are_said_at_their_keys_and_not_shown() {
        let ((cert, key), (_, other)) = (certificate(), certificate());
        let check = |keys: &str, expected: &[&str]| check(&format!("url = \"https://localhost/\"\n{keys}"), expected);
        check(
            "ca = \"/etc/ssl/secret.pem\"",
            &["5:6: handler.a.ca: there is no certificate in PEM in it; write for example \
                \"file:/etc/ssl/our-ca.pem\""],
        );
        check(
            "ca = \"file:/no/such\"",
            &["5:6: handler.a.ca: the file /no/such cannot be read: No such file or directory (os error 2)"],
        );
        check(
            &format!("client_cert = {key:?}\nclient_key = {cert:?}"),
            &[
                "5:15: handler.a.client_cert: there is no certificate in PEM in it; write for example \
                    \"file:/run/secrets/client.pem\"",
                "6:14: handler.a.client_key: there is no private key in PEM in it; write for example \
                    \"file:/run/secrets/client.key\"",
            ],
        );
        check(
            &format!("client_cert = {cert:?}\nclient_key = {other:?}"),
            &["6:14: handler.a.client_key: the private key cannot be read, or is not that of the first certificate \
                in client_cert"],
        );
        check(
            &format!("client_cert = {cert:?}"),
            &["5:15: handler.a.client_cert: is of no use without `client_key`; add it, or take this out"],
        );
        check(
            &format!("client_key = {key:?}"),
            &["5:14: handler.a.client_key: is of no use without `client_cert`; add it, or take this out"],
        );
    }

    #[test]
    fn certificates_for_an_address_without_tls_are_a_mistake() {
        let (cert, key) = certificate();
        check(
            &format!("url = \"http://localhost/\"\nca = {cert:?}\nclient_cert = {cert:?}\nclient_key = {key:?}"),
            &[
                "5:6: handler.a.ca: is of use with https only, and url begins with http; take it out",
                "6:15: handler.a.client_cert: is of use with https only, and url begins with http; take it out",
                "7:14: handler.a.client_key: is of use with https only, and url begins with http; take it out",
            ],
        );
    }

    #[test]
    fn a_wrong_proxy_is_said_and_not_repeated() {
        let check = |proxy: &str, expected: &str| {
            check(&format!("url = \"http://localhost/\"\nproxy = {proxy}"), &[expected]);
        };
        check(
            "\"user:secret@proxy\"",
            "5:9: handler.a.proxy: the scheme cannot be used; write http, as in \"http://proxy.example:3128\"",
        );
        check(
            "\"http://user:secret@proxy/way\"",
            "5:9: handler.a.proxy: there is a path or a query in it, which a proxy has not; write for example \
                \"http://proxy.example:3128\"",
        );
        check("\"secret\"", "5:9: handler.a.proxy: not a URL; write for example \"http://proxy.example:3128\"");
        check("\"env:NOT_SET\"", "5:9: handler.a.proxy: the environment variable NOT_SET is not set");
    }
}
