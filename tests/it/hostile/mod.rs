//! Hostile input, over raw sockets: tables of cases, each with the number of its group in docs/reliability.md.
//!
//! What always holds after each: the answer is the promised one or the connection is closed, exactly what was promised
//! is kept, and a good request is served right after.

mod bodies;
mod connections;
mod framing;
mod headers;
mod private_door;
mod proxies;
mod slow;

use std::fmt::Write as _;
use std::net::SocketAddr;

use serde::de::DeserializeOwned;
use workhook::admin::api::wire;
use workhook::contract::Brand;

use crate::answers::{Kept, NOTHING};
use crate::support::front::Front;
use crate::support::{Answer, Post, TestApp, exchange};

/// What is sent on a connection of its own, and what becomes of it.
struct Case {
    group: u8,
    what: String,
    bytes: Vec<u8>,
    verdict: Verdict,
    proxy: Proxy,
}

/// What a proxy may make of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proxy {
    /// It comes through, and the answer is workhook's.
    Passes,
    /// It may be refused before.
    MayRefuse,
    /// It may be refused before, or made a good request of.
    MayMend,
    /// It is an affair between the two ends of one connection, and not sent through any.
    Apart,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy)]
enum Verdict {
    /// 200, and an event is kept.
    Accepted,
    /// 400 with these words, and the request is kept whole.
    Rejected(&'static str),
    /// 413, and the head is kept.
    TooLarge,
    /// This status with these words, and it is only counted.
    Away(u16, &'static str),
    /// It is no HTTP: this status without words of ours, or nothing, and the connection is closed.
    Broken(u16),
}

/// Which way the cases go.
enum Way<'a> {
    Direct(SocketAddr),
    Through(&'a Front),
}

impl Verdict {
    fn kept(self) -> Kept {
        match self {
            Verdict::Accepted => Kept { events: 1, ..NOTHING },
            Verdict::Rejected(_) | Verdict::TooLarge => Kept { rejected: 1, ..NOTHING },
            Verdict::Away(..) | Verdict::Broken(_) => NOTHING,
        }
    }

    /// Whether an answer is the promised one.
    fn is(self, answer: Option<&Answer>) -> bool {
        let words = |answer: &Answer| {
            let body: serde_json::Value = serde_json::from_str(&answer.body).ok()?;
            let errmsg = body["errmsg"].as_str().unwrap_or_default().to_owned();
            Some((body["errcode"].as_u64()?, errmsg))
        };
        let said = |status: u16, part: &str| {
            let words = answer.filter(|answer| answer.status == status).and_then(words);
            words.is_some_and(|(code, errmsg)| code == u64::from(status) && errmsg.contains(part))
        };
        match self {
            Verdict::Accepted => answer.is_some_and(|answer| answer.status == 200 && answer.body == r#"{"errcode":0}"#),
            Verdict::Rejected(part) => said(400, part),
            Verdict::TooLarge => said(413, "larger than"),
            Verdict::Away(status, part) => said(status, part),
            Verdict::Broken(status) => answer.is_none_or(|answer| answer.status == status && answer.body.is_empty()),
        }
    }
}

impl Case {
    fn new(group: u8, what: impl Into<String>, bytes: impl Into<Vec<u8>>, verdict: Verdict) -> Case {
        Case { group, what: what.into(), bytes: bytes.into(), verdict, proxy: Proxy::Passes }
    }

    /// The same, which a proxy may refuse by itself.
    fn refusable(self) -> Case {
        Case { proxy: Proxy::MayRefuse, ..self }
    }

    /// The same, which a proxy may refuse by itself or make a good request of.
    fn mendable(self) -> Case {
        Case { proxy: Proxy::MayMend, ..self }
    }

    /// The same, which means something on one connection only.
    fn apart(self) -> Case {
        Case { proxy: Proxy::Apart, ..self }
    }

    /// What has to be kept after this answer; `None` where it is not the promised one.
    fn judge(&self, answer: Option<&Answer>, way: &Way<'_>) -> Option<Kept> {
        if self.verdict.is(answer) {
            return Some(self.verdict.kept());
        }
        let proxy = if matches!(way, Way::Direct(_)) { Proxy::Passes } else { self.proxy };
        let refused = answer.is_none_or(|answer| (400..600).contains(&answer.status));
        match proxy {
            Proxy::MayMend if Verdict::Accepted.is(answer) => Some(Verdict::Accepted.kept()),
            Proxy::MayRefuse | Proxy::MayMend if refused => Some(NOTHING),
            _ => None,
        }
    }
}

impl Way<'_> {
    async fn exchange(&self, bytes: &[u8]) -> Option<Answer> {
        match self {
            Way::Direct(to) => exchange(*to, bytes).await,
            Way::Through(front) => front.exchange(bytes).await,
        }
    }
}

/// Sends all cases one after the other, each followed by a good request, and tells of all that went wrong.
async fn try_all(app: &TestApp, way: &Way<'_>, cases: Vec<Case>) {
    let mut wrong = String::new();
    let mut before = came(app).await;
    for case in cases.into_iter().filter(|case| case.proxy != Proxy::Apart || matches!(way, Way::Direct(_))) {
        let answer = way.exchange(&case.bytes).await;
        let good = way.exchange(&good().bytes()).await;
        let after = came(app).await;
        let expected = case.judge(answer.as_ref(), way);
        let is = Kept { events: after.events - before.events, rejected: after.rejected - before.rejected, counted: 0 };
        let fits = expected.is_some_and(|kept| is == Kept { events: kept.events + 1, ..kept });
        if !fits || !Verdict::Accepted.is(good.as_ref()) {
            let Case { group, what, verdict, .. } = &case;
            let _ = writeln!(
                wrong,
                "group {group}, {what}: {verdict:?}, but {answer:?}, then {good:?}; kept of both: {is:?}"
            );
        }
        before = after;
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// How much is kept of what came in, without what workhook itself has to say.
async fn came(app: &TestApp) -> Kept {
    let health: wire::Health = ask(app, "health").await;
    let notices: wire::Events = ask(app, "events?limit=200&name=Workhook.*").await;
    let notices = notices.events.iter().filter(|event| event.brand == "workhook").count();
    Kept { events: health.events - u64::try_from(notices).unwrap(), rejected: health.rejected, counted: 0 }
}

/// Asks the API without making a client, which would take longer than all the rest.
async fn ask<T: DeserializeOwned>(app: &TestApp, path: &str) -> T {
    let request = format!("GET /api/v1/{path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let answer = exchange(app.private, request.as_bytes()).await.unwrap();
    serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{path}: {error}: {answer:?}"))
}

/// Sends all cases straight to the public door of an app of their own.
async fn try_direct(config: &str, cases: Vec<Case>) {
    let app = TestApp::with(config).start().await;
    try_all(&app, &Way::Direct(app.public), cases).await;
    app.stop().await;
}

/// A good request of Leiga's, with a body that no other has.
fn good() -> Post {
    Post::new(Brand::Leiga, "Issue.Update").issue(1, fastrand::u64(..))
}

/// The same bytes with one part replaced, which has to be there.
#[track_caller]
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|part| part == from);
    let at = at.unwrap_or_else(|| panic!("{} is not there", String::from_utf8_lossy(from)));
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}
