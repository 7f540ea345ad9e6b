//! Groups 32 to 41: bodies. What is accepted goes to handlers byte for byte.

use std::collections::BTreeMap;

use super::Verdict::{Accepted, Away, Rejected, TooLarge};
use super::{Case, Verdict, Way, good, try_all};
use crate::support::{TestApp, TestReceiver};

fn deep(depth: usize) -> String {
    format!("{}{}", r#"{"a":"#.repeat(depth) + "1", "}".repeat(depth))
}

/// Arrays in an object, as deep as this in all.
fn deep_array(depth: usize) -> String {
    format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1))
}

/// A body that is an event.
fn kept(group: u8, what: &str, body: impl Into<Vec<u8>>) -> (u8, String, Vec<u8>, Verdict) {
    (group, what.to_owned(), body.into(), Accepted)
}

/// A body that cannot be read, and why.
fn refused(group: u8, body: impl Into<Vec<u8>>, why: &'static str) -> (u8, String, Vec<u8>, Verdict) {
    let body = body.into();
    let shown: String = String::from_utf8_lossy(&body).chars().take(30).collect();
    (group, format!("{shown:?}"), body, Rejected(why))
}

fn bodies() -> Vec<(u8, String, Vec<u8>, Verdict)> {
    let keys: Vec<String> = (0..100_000).map(|n| format!("\"k{n}\":{n}")).collect();
    let issue = |id: &str| format!(r#"{{"date":1,"data":{{"issue":{{"id":{id}}}}}}}"#);
    vec![
        refused(32, "", "empty"),
        refused(32, "null", "JSON object"),
        refused(32, "[]", "begins with an array"),
        refused(32, "\"x\"", "begins with a string"),
        refused(32, " \r\n\t ", "JSON object"),
        kept(32, "an empty object", "{}"),
        kept(32, "white space around an object", " \r\n\t{} \n"),
        kept(33, "127 deep", deep(127)),
        refused(33, deep(128), "deeper than 127"),
        refused(33, deep(129), "deeper than 127"),
        refused(33, deep(100_000), "deeper than 127"),
        kept(33, "127 deep in arrays", deep_array(127)),
        refused(33, deep_array(128), "deeper than 127"),
        refused(33, "[".repeat(100_000), "begins with an array"),
        refused(33, format!("{{\"a\":{}", "[".repeat(100_000)), "deeper than 127"),
        kept(35, "a text of 1 MB", format!("{{\"a\":\"{}\"}}", "x".repeat(1_000_000))),
        kept(35, "a hundred thousand keys", format!("{{{}}}", keys.join(","))),
        kept(35, "a million numbers", format!("{{\"a\":[0{}]}}", ",0".repeat(999_999))),
        kept(35, "a number of 1 MB", format!("{{\"a\":{}}}", "1".repeat(1_000_000))),
        kept(35, "two megabytes of escapes", format!("{{\"a\":\"{}\"}}", "\\\"".repeat(1_000_000))),
        kept(36, "doubled keys", r#"{"data":{"issue":{"id":1}},"data":{"issue":{"id":2}},"type":"A.B","type":"C.D"}"#),
        kept(
            36,
            "names of a prototype",
            r#"{"__proto__":{"a":1},"constructor":{"prototype":{}},"data":{"__proto__":1}}"#,
        ),
        kept(36, "a key of 64 KiB", format!("{{\"{}\":1}}", "k".repeat(64 << 10))),
        kept(36, "an empty key and one of nothing visible", "{\"\":1,\"\u{202e}\u{feff}\":2,\"\\u0000\":3}"),
        kept(
            37,
            "numbers that no type holds",
            r#"{"a":1e400,"b":-1e-400,"c":-0,"d":-0.0,"e":0.1000000000000000055511151231257827}"#,
        ),
        kept(37, "40 digits", issue("1234567890123456789012345678901234567890")),
        kept(37, "2^53 + 1 and 2^64", r#"{"a":9007199254740993,"b":18446744073709551616,"c":-9223372036854775809}"#),
        kept(38, "a NUL as an escape", r#"{"date":1,"data":{"issue":{"id":"a\u0000b","summary":"\u0000"}}}"#),
        kept(38, "half of a pair", r#"{"data":{"issue":{"id":7,"summary":"\ud800 \udc00 \ud83d\ude00"}}}"#),
        kept(38, "half of a pair in a key", r#"{"\ud800":1,"data":{"issue":{"id":7,"\udc00":1}}}"#),
        refused(38, b"{\"a\":\"\xff\"}", "UTF-8 from byte 6"),
        refused(38, b"{\"a\":\"\xc0\xaf\"}", "UTF-8"),
        refused(38, b"{\"a\":\"\xed\xa0\x80\"}", "UTF-8"),
        refused(38, b"\xff\xfe{\0}\0", "UTF-8"),
        refused(38, b"\xef\xbb\xbf{}", "byte order mark"),
        refused(38, b"{\"a\":\"\0\"}", "column"),
        refused(38, b"\0{}", "JSON object"),
        refused(39, "{} {}", "trailing"),
        refused(39, "{}\0", "trailing"),
        refused(39, "{a:1}", "column"),
        refused(39, "{\"a\":NaN}", "column"),
        refused(39, "{\"a\":Infinity}", "column"),
        refused(39, "{\"a\":01}", "column"),
        refused(39, "{\"a\":1,}", "column"),
        refused(39, "{\"a\":1 /* why */}", "column"),
        refused(39, "// why\n{}", "JSON object"),
        refused(39, "{\"a\":\"\n\"}", "column"),
        refused(39, "date=1&data=x", "JSON object"),
        refused(39, "<event/>", "JSON object"),
        refused(40, b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xab\xae\x05\0C\xbf\xa6\xa3\x02\0\0\0", "UTF-8"),
        kept(
            43,
            "markup",
            r#"{"data":{"issue":{"id":1,"summary":"<script>alert(1)</script></pre>{{7*7}}","url":"javascript:alert(1)"}}}"#,
        ),
        kept(
            45,
            "lines and colours",
            "{\"data\":{\"issue\":{\"id\":1,\"summary\":\"\\r\\n{\\\"level\\\":\\\"ERROR\\\"}\\u001b[31m\u{202e}\"}}}",
        ),
        kept(47, "words of a shell", r#"{"data":{"issue":{"id":"$(id)`id`;rm","summary":"; rm -rf / --help"}}}"#),
        kept(
            36,
            "parts of the wrong kind",
            r#"{"type":1,"date":"x","tenant":[],"trigger":"","data":[],"customFields":{}}"#,
        ),
        kept(36, "ids of the wrong kind", &*issue("{\"id\":1}")),
        kept(36, "an id of 1 MB", issue(&format!("\"{}\"", "9".repeat(1 << 20)))),
    ]
}

/// Groups 40 and 41: what the head says about a body.
fn typed() -> Vec<Case> {
    let with = |group, name: &str, value: &str, verdict| {
        Case::new(group, format!("{name}: {value}"), good().header(name, value).bytes(), verdict)
    };
    let mut cases = Vec::new();
    for encoding in ["gzip", "br", "zstd", "deflate", "identity, gzip", "x", "GZIP"] {
        cases.push(with(40, "Content-Encoding", encoding, Away(415, "Content-Encoding")));
    }
    cases.push(with(40, "Content-Encoding", "Identity", Accepted));
    for kind in [
        "text/plain",
        "",
        "multipart/form-data; boundary=x",
        "application/json; charset=gbk",
        "application/x-www-form-urlencoded",
        "\"><script>",
    ] {
        cases.push(with(41, "Content-Type", kind, Accepted));
    }
    let gbk = good().header("Content-Type", "application/json; charset=gbk").body(b"{\"a\":\"\xd0\xde\xb8\xb4\"}");
    cases.push(Case::new(41, "another charset", gbk.bytes(), Rejected("UTF-8")));
    cases
}

pub(super) fn cases() -> Vec<Case> {
    let bodies = bodies().into_iter();
    let cases = bodies.map(|(group, what, body, verdict)| Case::new(group, what, good().body(body).bytes(), verdict));
    cases.chain(typed()).collect()
}

/// Group 34, with the limit that the proxies' test sets as well.
pub(super) fn sizes(limit: usize) -> Vec<Case> {
    let body = |length: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(length - 8));
    vec![
        Case::new(34, "exactly the limit", good().body(body(limit)).bytes(), Accepted),
        Case::new(34, "a byte more", good().body(body(limit + 1)).bytes(), TooLarge),
        Case::new(34, "twice the limit", good().body(body(2 * limit)).bytes(), TooLarge),
        // It is not asked for what is not wanted.
        Case::new(34, "a byte more, if asked", good().header("Expect", "100-continue").head(limit + 1), TooLarge)
            .apart(),
    ]
}

#[tokio::test]
async fn groups_32_to_41_bodies_are_kept_or_refused_and_delivered_byte_for_byte() {
    let receiver = TestReceiver::start().await;
    let config = format!("[ingest]\nmax_body = \"2MiB\"\n{}", receiver.handler("crm", ""));
    let app = TestApp::with(&config).start().await;
    let mut expected = BTreeMap::<Vec<u8>, usize>::new();
    for (_, _, body, verdict) in bodies() {
        if matches!(verdict, Accepted) {
            *expected.entry(body).or_default() += 1;
        }
    }
    try_all(&app, &Way::Direct(app.public), cases().into_iter().chain(sizes(2 << 20)).collect()).await;
    app.settled().await;
    let mut received = BTreeMap::<Vec<u8>, usize>::new();
    for one in receiver.received() {
        *received.entry(one.body.to_vec()).or_default() += 1;
    }
    for (body, times) in &expected {
        let shown = String::from_utf8_lossy(&body[..body.len().min(80)]);
        assert_eq!(received.get(body), Some(times), "{shown}");
    }
    // Everything can be looked at, whatever it is.
    for event in app.events().await {
        app.event(&event.id).await;
    }
    app.stop().await;
}
