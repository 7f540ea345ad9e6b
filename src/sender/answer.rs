//! What the receiver answered, or why it did not.

use std::error::Error as _;
use std::io;

use serde_json::Value;
use thiserror::Error;

use super::pieces::CutShort;

/// The longest `errmsg` that is kept, in characters.
const ERRMSG_MAX: usize = 300;

/// What the receiver answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body's `errcode`, where the body is a JSON object and has a whole number there.
    pub errcode: Option<i64>,
    /// The beginning of the body's `errmsg`, without control characters.
    pub errmsg: Option<String>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoAnswer {
    /// Nothing was sent.
    #[error("not sent: the header {0} cannot carry its value")]
    Unsendable(String),
    /// The receiver was not reached.
    #[error("no connection: {0}")]
    NoConnection(String),
    /// There was no whole answer in time.
    #[error("no answer in time")]
    TimedOut,
    /// The receiver closed or reset the connection.
    #[error("the connection was closed before an answer could be read")]
    Closed,
    /// The connection was closed from this side, before the body was sent whole.
    #[error("cut short on purpose")]
    CutShort,
    /// Something else.
    #[error("no answer: {0}")]
    Other(String),
}

impl Answer {
    /// Reads an answer.
    #[must_use]
    pub fn read(status: u16, body: &[u8]) -> Answer {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let errmsg = body.get("errmsg").and_then(Value::as_str).filter(|text| !text.is_empty());
        Answer {
            status,
            errcode: body.get("errcode").and_then(Value::as_i64),
            errmsg: errmsg.map(|text| printable(text, ERRMSG_MAX)),
        }
    }

    /// Whether the sender takes it for a success: exactly status 200 and `errcode` 0 (contract, section 5).
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.status == 200 && self.errcode == Some(0)
    }
}

impl NoAnswer {
    /// What the client's error means. The address that was asked is not in it.
    pub(super) fn of(error: &reqwest::Error) -> NoAnswer {
        let mut cause = error.source();
        let mut text = String::new();
        let mut closed = false;
        while let Some(error) = cause {
            if error.is::<CutShort>() {
                return NoAnswer::CutShort;
            }
            closed |= is_close(error);
            text = error.to_string();
            cause = error.source();
        }
        let text = printable(&text, ERRMSG_MAX);
        match () {
            () if error.is_connect() => NoAnswer::NoConnection(text),
            () if error.is_timeout() => NoAnswer::TimedOut,
            () if closed => NoAnswer::Closed,
            () => NoAnswer::Other(text),
        }
    }

    /// A short fixed text for counting.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            NoAnswer::Unsendable(_) => "not sent",
            NoAnswer::NoConnection(_) => "no connection",
            NoAnswer::TimedOut => "no answer in time",
            NoAnswer::Closed => "connection closed",
            NoAnswer::CutShort => "cut short",
            NoAnswer::Other(_) => "no answer",
        }
    }
}

fn is_close(error: &(dyn std::error::Error + 'static)) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    let by_kind = [BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof].map(Some).contains(&kind);
    by_kind || error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_incomplete_message)
}

/// The beginning of a text of others: nothing in it can steer a terminal.
fn printable(text: &str, max: usize) -> String {
    let plain = |char: char| {
        if char.is_control() { char::REPLACEMENT_CHARACTER } else { char }
    };
    text.chars().map(plain).take(max).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, body: &str, success: bool) {
        let answer = Answer::read(status, body.as_bytes());
        assert_eq!(answer.is_success(), success, "{status} {body}");
    }

    #[test]
    fn success_is_exactly_status_200_and_errcode_0() {
        check(200, r#"{"errcode":0}"#, true);
        check(200, r#" {"errcode":0,"errmsg":""} "#, true);
        check(200, r#"{"errcode":1,"errmsg":"no"}"#, false);
        check(200, "<html>", false);
        check(200, "", false);
        check(200, "[0]", false);
        check(200, r#"{"errcode":"0"}"#, false);
        check(200, r#"{"errcode":null}"#, false);
        check(204, "", false);
        check(201, r#"{"errcode":0}"#, false);
        check(302, r#"{"errcode":0}"#, false);
        check(503, r#"{"errcode":503,"errmsg":"busy"}"#, false);
    }

    #[test]
    fn an_errmsg_cannot_steer_a_terminal_or_fill_it() {
        let answer = Answer::read(400, br#"{"errcode":400,"errmsg":"\u001b[2Ja\nb"}"#);
        assert_eq!(answer.errmsg.as_deref(), Some("\u{fffd}[2Ja\u{fffd}b"));
        let long = format!(r#"{{"errmsg":"{}"}}"#, "ä".repeat(10_000));
        assert_eq!(Answer::read(400, long.as_bytes()).errmsg, Some("ä".repeat(ERRMSG_MAX)));
    }
}
