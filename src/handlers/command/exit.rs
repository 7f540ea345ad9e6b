//! What a program's end means.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use bytes::Bytes;

use crate::handlers::{Failure, FailureKind, Success};

/// `EX_TEMPFAIL` of `sysexits.h`: try again later.
const TEMPFAIL: u8 = 75;

/// What an exit code means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// The event was taken.
    Done,
    /// It was not, and trying again may help.
    Retry,
    /// It was not, and trying again would not help.
    Dead,
}

/// What the exit codes of a program mean. 0 is always done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExitCodes {
    /// Those that were said.
    pub said: BTreeMap<u8, Meaning>,
    /// All others but 0 and 75, which is tried again unless it was said.
    pub other: Meaning,
}

impl Default for ExitCodes {
    fn default() -> ExitCodes {
        ExitCodes { said: BTreeMap::new(), other: Meaning::Retry }
    }
}

impl ExitCodes {
    /// What came of an attempt. A program that a signal ended is tried again: it did not get to say anything.
    pub(super) fn judge(&self, status: ExitStatus, response: Bytes) -> Result<Success, Failure> {
        let (meaning, message) = match status.code() {
            Some(code) => (self.meaning(code), format!("exit code {code}")),
            None => (Meaning::Retry, format!("ended by signal {}", status.signal().unwrap_or_default())),
        };
        let failed = |kind, response| Failure { status: status.code(), response, ..Failure::new(kind, &message) };
        match meaning {
            Meaning::Done => Ok(Success { status: status.code(), message, response }),
            Meaning::Retry => Err(failed(FailureKind::Transient { retry_after: None }, response)),
            Meaning::Dead => Err(failed(FailureKind::Permanent, response)),
        }
    }

    fn meaning(&self, code: i32) -> Meaning {
        let Ok(code) = u8::try_from(code) else { return self.other };
        match self.said.get(&code) {
            _ if code == 0 => Meaning::Done,
            Some(meaning) => *meaning,
            None if code == TEMPFAIL => Meaning::Retry,
            None => self.other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_done_and_75_and_signals_are_tried_again_whatever_the_others_are() {
        let default = ExitCodes::default();
        let strict =
            ExitCodes { said: BTreeMap::from([(3, Meaning::Done), (70, Meaning::Retry)]), other: Meaning::Dead };
        let contrary =
            ExitCodes { said: BTreeMap::from([(0, Meaning::Dead), (75, Meaning::Dead)]), other: Meaning::Retry };
        let check = |codes: &ExitCodes, code, expected| assert_eq!(codes.meaning(code), expected, "{codes:?} {code}");
        for (code, expected) in [(0, Meaning::Done), (75, Meaning::Retry), (1, Meaning::Retry), (255, Meaning::Retry)] {
            check(&default, code, expected);
        }
        for (code, expected) in [(0, Meaning::Done), (3, Meaning::Done), (70, Meaning::Retry), (75, Meaning::Retry)] {
            check(&strict, code, expected);
        }
        check(&strict, 1, Meaning::Dead);
        check(&contrary, 0, Meaning::Done);
        check(&contrary, 75, Meaning::Dead);
        let killed = strict.judge(ExitStatus::from_raw(9), Bytes::new()).unwrap_err();
        assert_eq!(killed.kind, FailureKind::Transient { retry_after: None });
        assert_eq!((killed.status, killed.message.as_str()), (None, "ended by signal 9"));
    }

    #[test]
    fn the_exit_code_is_the_status() {
        let status = |code: i32| ExitStatus::from_raw(code << 8);
        let codes = ExitCodes { said: BTreeMap::from([(65, Meaning::Dead)]), ..ExitCodes::default() };
        assert_eq!(codes.judge(status(0), Bytes::new()).unwrap().status, Some(0));
        let dead = codes.judge(status(65), Bytes::from_static(b"why")).unwrap_err();
        assert_eq!((dead.kind, dead.status, dead.message.as_str()), (FailureKind::Permanent, Some(65), "exit code 65"));
        assert_eq!(dead.response, "why");
    }
}
