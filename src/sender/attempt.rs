//! What came of an occurrence: every try, and the last one's answer.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::answer::{Answer, NoAnswer};
use crate::contract::Brand;

/// One try to send an occurrence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Try {
    /// The `Retry-Num` header.
    pub retry_num: u32,
    /// What came of it.
    pub outcome: Result<Answer, NoAnswer>,
    /// How long it took until the answer was there, or until it was given up.
    pub took: Duration,
}

/// What came of one occurrence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sent {
    /// The `Event` header.
    pub event: String,
    /// Whose headers it carried.
    #[serde(serialize_with = "slug")]
    pub brand: Brand,
    /// The `ID` header.
    pub id: String,
    /// Whether the last try was a success.
    pub ok: bool,
    /// Every try, in order; there is at least one.
    pub attempts: Vec<Try>,
}

impl Try {
    /// Whether the sender takes it for a success.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.outcome.as_ref().is_ok_and(Answer::is_success)
    }

    /// Why it is no success, short enough to be counted by.
    #[must_use]
    pub fn reason(&self) -> String {
        match &self.outcome {
            Ok(Answer { status, errcode: Some(errcode), .. }) => format!("{status} errcode {errcode}"),
            Ok(Answer { status, errcode: None, .. }) => format!("{status} without errcode"),
            Err(no_answer) => no_answer.kind().to_owned(),
        }
    }
}

impl fmt::Display for Try {
    /// For example `401 errcode 401: X-Leiga-Token is missing  1.8 ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Ok(answer) => {
                f.write_str(&self.reason())?;
                if let Some(errmsg) = &answer.errmsg {
                    write!(f, ": {errmsg}")?;
                }
            }
            Err(no_answer) => write!(f, "{no_answer}")?,
        }
        write!(f, "  {}", Took(self.took))
    }
}

impl Serialize for Try {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Wire<'a> {
            retry_num: u32,
            ok: bool,
            status: Option<u16>,
            errcode: Option<i64>,
            errmsg: Option<&'a str>,
            error: Option<String>,
            took_ms: f64,
        }
        let answer = self.outcome.as_ref().ok();
        let wire = Wire {
            retry_num: self.retry_num,
            ok: self.is_success(),
            status: answer.map(|answer| answer.status),
            errcode: answer.and_then(|answer| answer.errcode),
            errmsg: answer.and_then(|answer| answer.errmsg.as_deref()),
            error: self.outcome.as_ref().err().map(ToString::to_string),
            took_ms: millis(self.took),
        };
        wire.serialize(serializer)
    }
}

/// Milliseconds, to the microsecond.
pub(super) fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// A length of time for people: `1.8 ms`, `3.00 s`.
pub(super) struct Took(pub(super) Duration);

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match millis(self.0) {
            millis if millis < 1e3 => write!(f, "{millis:.1} ms"),
            millis => write!(f, "{:.2} s", millis / 1e3),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn slug<S: Serializer>(brand: &Brand, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(brand.slug())
}

impl fmt::Display for Sent {
    /// For example `Issue.Update          leiga      200 errcode 0  1.8 ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<20}  {:<9}  ", self.event, self.brand.slug())?;
        if !self.ok {
            f.write_str("failed: ")?;
        }
        if let Some(last) = self.attempts.last() {
            write!(f, "{last}")?;
        }
        match self.attempts.len() {
            0 | 1 => Ok(()),
            2 => f.write_str("  after 1 retry"),
            tries => write!(f, "  after {} retries", tries - 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_try_has_a_shape_for_programs() {
        let took = Duration::from_micros(1834);
        let outcome = Ok(Answer::read(200, br#"{"errcode":0}"#));
        let ok = Try { retry_num: 0, outcome, took };
        let expected =
            r#"{"retry_num":0,"ok":true,"status":200,"errcode":0,"errmsg":null,"error":null,"took_ms":1.834}"#;
        assert_eq!(serde_json::to_string(&ok).unwrap(), expected);
        let failed = Try { retry_num: 2, outcome: Err(NoAnswer::TimedOut), took: took * 1000 };
        let json = serde_json::to_value(&failed).unwrap();
        assert_eq!(json["error"], "no answer in time");
        assert!(json["status"].is_null());
        assert_eq!(failed.to_string(), "no answer in time  1.83 s");
    }
}
