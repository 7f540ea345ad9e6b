//! Groups 17 to 31: the contract's headers, methods, paths, and where somebody says that he comes from.

use jiff::SignedDuration;
use workhook::clock::Clock;
use workhook::contract::Brand;

use super::Verdict::{Accepted, Away, Broken, Rejected};
use super::{Case, Verdict, replaced, try_all, try_direct};
use crate::support::{Post, TOKEN, TestApp};

const NOT_THE_TOKEN: Verdict = Away(401, "is not the token");

/// Groups 17 to 19.
fn tokens(brand: Brand) -> Vec<Case> {
    let post = || Post::new(brand, "Issue.Update").issue(17, fastrand::u64(..));
    let token = |what: &str, token: &str, verdict| Case::new(17, what, post().set("Token", token).bytes(), verdict);
    let name = brand.header("Token");
    let twice = |first: &str, second: &str| {
        let bytes = post().without("Token").header(&name, first).header(&name.to_uppercase(), second).bytes();
        Case::new(18, format!("the token twice, {first} and {second}"), bytes, Away(401, "more than once"))
    };
    let bytes = |what: &str, token: &[u8]| {
        Case::new(19, what, replaced(&post().bytes(), TOKEN.as_bytes(), token), NOT_THE_TOKEN)
    };
    vec![
        token("an empty token", "", Away(401, "is missing")),
        token("the beginning of a token", &TOKEN[..TOKEN.len() - 1], NOT_THE_TOKEN),
        token("a token and more", &format!("{TOKEN}0"), NOT_THE_TOKEN),
        token("a token in capitals", &TOKEN.to_uppercase(), NOT_THE_TOKEN),
        token("a token in quotes", &format!("\"{TOKEN}\""), NOT_THE_TOKEN),
        token("a token in a list", &format!("other, {TOKEN}"), NOT_THE_TOKEN),
        token("a token with a word before it", &format!("Bearer {TOKEN}"), NOT_THE_TOKEN),
        token("a token of 10 KiB", &"x".repeat(10 << 10), NOT_THE_TOKEN).refusable(),
        // White space around a value is no part of it.
        token("a token and a space", &format!("{TOKEN} "), Accepted),
        token("a token and a tab", &format!("\t{TOKEN}\t"), Accepted).refusable(),
        Case::new(17, "no token", post().without("Token").bytes(), Away(401, "is missing")),
        Case::new(
            17,
            "a token in the address",
            post().without("Token").target(&format!("/webhook?token={TOKEN}")).bytes(),
            Away(401, "is missing"),
        ),
        Case::new(
            17,
            "a token for another door",
            post().without("Token").header("Authorization", &format!("Bearer {TOKEN}")).bytes(),
            Away(401, "is missing"),
        ),
        twice(TOKEN, "wrong"),
        twice("wrong", TOKEN),
        twice(TOKEN, TOKEN),
        twice(TOKEN, ""),
        bytes("a token of bytes that are no text", b"\xff\xfe\x80"),
        bytes("a token and a byte that is no text", &[TOKEN.as_bytes(), b"\x80"].concat()),
        bytes("a token of two alphabets", "tеst-token-0123456789".as_bytes()),
    ]
}

/// Groups 20, 24 and 25: ids and times.
fn ids(brand: Brand) -> Vec<Case> {
    let set = |group, field: &str, value: &str, verdict| {
        let shown: String = value.chars().take(40).collect();
        let bytes = Post::new(brand, "Issue.Update").issue(24, fastrand::u64(..)).set(field, value).bytes();
        Case::new(group, format!("{field} {shown:?} of {} bytes", value.len()), bytes, verdict)
    };
    let mut cases = Vec::new();
    for field in ["ID", "WebHook-ID"] {
        for id in ["';DROP/**/TABLE/**/events;--", "../../etc/passwd", "%0d%0a%00", "<script>", "{{7*7}}", "\"\\", "0"]
        {
            cases.push(set(24, field, id, Accepted));
        }
        for id in ["\u{1f600}", "\u{202e}gnp.exe", "a b", "a\tb", "é"] {
            cases.push(set(24, field, id, Rejected("-ID is not 1 to 256 visible")).refusable());
        }
        cases.push(set(24, field, &"x".repeat(256), Accepted));
        cases.push(set(24, field, &"x".repeat(257), Rejected("-ID is not")));
        cases.push(set(24, field, &"x".repeat(10 << 10), Rejected("-ID is not")).refusable());
    }
    let days_ago = (Clock::system().now() - SignedDuration::from_hours(72)).as_second().to_string();
    let times = [
        "",
        "abc",
        "-1",
        "1e9",
        "0x10",
        "1676627206432",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "253402207200",
        "253402300799",
        "253402300800",
        "-377705116800",
        "1.5",
        "99999999999999999999999999",
        &days_ago,
    ];
    cases.extend(times.map(|time| set(25, "Ts", time, Accepted)));
    cases.push(set(25, "Ts", &"9".repeat(4096), Accepted).refusable());
    cases.push(Case::new(
        20,
        "no id",
        Post::new(brand, "Issue.Update").without("ID").issue(20, fastrand::u64(..)).bytes(),
        Accepted,
    ));
    cases
}

/// Groups 26 to 28: retries, names and signatures.
fn others(brand: Brand) -> Vec<Case> {
    let set = |group, field: &str, value: &str, verdict| {
        let shown: String = value.chars().take(40).collect();
        let post = Post::new(brand, "Issue.Update").issue(26, fastrand::u64(..));
        Case::new(group, format!("{field} {shown:?}"), post.set(field, value).bytes(), verdict)
    };
    let mut cases = vec![set(26, "Retry-Num", "00000000000000000007", Accepted)];
    for number in ["999999999999", "-1", "+1", "0x10", "1.0", "٣", "1 2", ""] {
        // An empty one is what it is everywhere: missing digits.
        cases.push(set(26, "Retry-Num", number, Rejected("-Retry-Num is not a whole number")));
    }
    cases.push(set(26, "Retry-Num", &"9".repeat(4096), Rejected("-Retry-Num is not")).refusable());
    for name in [
        "Issue",
        ".",
        "Issue.",
        ".Update",
        "Issue.Update.More",
        "Issue.Up\"date",
        "Issue.Update\"} 1",
        "Ïssue.Update",
        "Issue Update",
    ] {
        cases.push(set(27, "Event", name, Rejected("-Event")));
    }
    cases.push(set(27, "Event", &"x".repeat(4096), Rejected("-Event")).refusable());
    cases.push(set(27, "Event", &format!("{0}.{0}", "x".repeat(65)), Rejected("-Event")));
    for name in
        [&format!("{0}.{0}", "x".repeat(64)), "__proto__.constructor", "workhook.deadletter", "Workhook.DeadLetter"]
    {
        cases.push(set(27, "Event", name, Accepted));
    }
    for sign in ["", "sha256=0", "'; DROP TABLE events; --"] {
        cases.push(set(28, "Sign", sign, Accepted));
    }
    cases.push(set(28, "Sign", &"x".repeat(8192), Accepted).refusable());
    cases
}

/// Groups 29 and 30: methods and paths.
fn targets() -> Vec<Case> {
    let post = || Post::new(Brand::Leiga, "Issue.Update").body("");
    let mut cases = Vec::new();
    for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "post", "PROPFIND", "X<script>"] {
        let bytes = replaced(&post().bytes(), b"POST", method.as_bytes());
        let verdict = if method.contains('<') { Broken(400) } else { Away(405, "is not understood here; POST is") };
        cases.push(Case::new(29, method, bytes, verdict).refusable());
    }
    cases.push(
        Case::new(
            29,
            "CONNECT",
            "CONNECT other.example:443 HTTP/1.1\r\nhost: other.example:443\r\n\r\n",
            Away(404, "no webhook"),
        )
        .refusable(),
    );
    cases.push(
        Case::new(
            29,
            "OPTIONS of all",
            "OPTIONS * HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
            Away(404, "no webhook"),
        )
        .refusable(),
    );
    let nowhere = [
        "/",
        "//webhook",
        "/webhook/",
        "/webhook/a/b",
        "/WEBHOOK",
        "/webhookx",
        "/webhook%00",
        "/webhook/..;/api/v1/events",
        "/webhook/../api/v1/events",
        "/webhook/%2e%2e/api/v1/events",
        "/%2e%2e/webhook",
        "/./webhook",
        "/api/v1/events",
        "/metrics",
        "/etc/passwd",
        "/webhook/../metrics",
        "/webhook\\..\\x",
        "/webhook;a=b",
        "/webhook%2f",
        "/%77ebhook/x/y",
    ];
    for path in nowhere {
        cases.push(Case::new(30, path, post().target(path).bytes(), Away(404, "no webhook")).refusable());
    }
    // NAME as it stands there is none that is configured; strangers are not told which ones are.
    for path in
        ["/webhook/..", "/webhook/%2e%2e", "/webhook/%00", "/webhook/other", "/webhook/PRODUCT", "/webhook/%70roduct"]
    {
        cases.push(Case::new(30, path, post().target(path).bytes(), NOT_THE_TOKEN).refusable());
    }
    for path in ["/webhook x", "/web\x01hook"] {
        cases.push(Case::new(30, format!("{path:?}"), post().target(path).bytes(), Broken(400)).refusable());
    }
    cases.push(Case::new(30, "a query", post().body("{}").target("/webhook?x=/../y&z=%00").bytes(), Accepted));
    cases
}

/// Group 31: where somebody says that he comes from lets nobody in.
fn forwarded() -> Vec<Case> {
    let post = |good: bool| Post::new(Brand::Leiga, "Issue.Update").set("Token", if good { TOKEN } else { "wrong" });
    let mut cases = Vec::new();
    for said in
        ["127.0.0.1", "garbage", "fe80::1%eth0", "[::1]:80", "1.2.3.4, , 5.6.7.8", "999.1.1.1", "\"127.0.0.1\"", ""]
    {
        for (good, verdict) in [(true, Accepted), (false, NOT_THE_TOKEN)] {
            let bytes = post(good).header("X-Forwarded-For", said).header("Forwarded", &format!("for={said}")).bytes();
            cases.push(Case::new(31, format!("from {said:?}, {verdict:?}"), bytes, verdict).refusable());
        }
    }
    let twenty = (0..20).fold(post(false), |post, _| post.header("X-Forwarded-For", "127.0.0.1"));
    cases.push(Case::new(31, "from 127.0.0.1 twenty times", twenty.bytes(), NOT_THE_TOKEN).refusable());
    let long = post(true).header("X-Forwarded-For", &"127.0.0.1, ".repeat(500));
    cases.push(Case::new(31, "from 500 addresses", long.bytes(), Accepted).refusable());
    cases
}

/// What is sent through proxies as well.
pub(super) fn cases(brand: Brand) -> Vec<Case> {
    let all = tokens(brand).into_iter().chain(ids(brand)).chain(others(brand));
    all.chain(targets()).chain(forwarded()).collect()
}

#[tokio::test]
async fn groups_17_to_31_headers_methods_and_paths_are_answered_as_promised() {
    for &brand in Brand::ALL {
        try_direct("[ingest]\ntrusted_proxies = [\"127.0.0.0/8\"]", cases(brand)).await;
    }
}

#[tokio::test]
async fn groups_24_to_28_whatever_was_accepted_can_be_looked_at() {
    let app = TestApp::with("").start().await;
    let cases: Vec<_> = ids(Brand::WorkZappy).into_iter().chain(others(Brand::Leiga)).collect();
    try_all(&app, &super::Way::Direct(app.public), cases).await;
    for event in app.events().await {
        app.event(&event.id).await;
    }
    let metrics = reqwest::get(format!("http://{}/metrics", app.private)).await.unwrap().text().await.unwrap();
    assert!(!metrics.contains("__proto__") && !metrics.contains("xxxx"), "{metrics}");
    app.stop().await;
}
