//! Faults: requests that no good sender makes, and what the receiver must answer to each (contract, section 5).
//!
//! Pure. A fault is judged by the answer alone. That nothing is kept of a request that was cut off, or that a
//! duplicate is not handled again, only the receiver can tell.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use thiserror::Error;

use super::answer::NoAnswer;
use super::attempt::Try;

/// A way of sending wrongly, or oddly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The same occurrence twice.
    Duplicate,
    /// A token that is not the webhook's.
    BadToken,
    /// A good body with more spaces after it than may be sent.
    Oversize,
    /// A good body in chunks, without a length.
    Chunked,
    /// A good body that comes slowly and never ends.
    Slow,
    /// A body of which the end is missing when the connection is closed.
    Cut,
    /// A body that is not JSON.
    Garbage,
}

/// There is no fault of this name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is not a fault; there are duplicate, bad-token, oversize, chunked, slow, cut, garbage")]
pub struct UnknownFault(String);

impl Fault {
    /// Every fault.
    pub const ALL: &[Fault] =
        &[Fault::Duplicate, Fault::BadToken, Fault::Oversize, Fault::Chunked, Fault::Slow, Fault::Cut, Fault::Garbage];

    /// Its name in commands.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Fault::Duplicate => "duplicate",
            Fault::BadToken => "bad-token",
            Fault::Oversize => "oversize",
            Fault::Chunked => "chunked",
            Fault::Slow => "slow",
            Fault::Cut => "cut",
            Fault::Garbage => "garbage",
        }
    }

    /// What the receiver must answer.
    #[must_use]
    pub fn expected(self) -> &'static str {
        match self {
            Fault::Duplicate => "200 errcode 0, twice",
            Fault::Chunked => "200 errcode 0",
            Fault::BadToken => "401",
            Fault::Oversize => "413",
            Fault::Slow => "408",
            Fault::Garbage => "400",
            Fault::Cut => "no answer",
        }
    }

    /// Whether these are the answers that the contract says.
    #[must_use]
    pub fn judge(self, attempts: &[Try]) -> bool {
        let status = |wanted: u16| matches!(attempts, [Try { outcome: Ok(answer), .. }] if answer.status == wanted);
        match self {
            Fault::Duplicate => {
                matches!(attempts, [one, two] if one.is_success() && two.is_success())
            }
            Fault::Chunked => matches!(attempts, [one] if one.is_success()),
            Fault::BadToken => status(401),
            Fault::Oversize => status(413),
            Fault::Slow => status(408),
            Fault::Garbage => status(400),
            // A receiver that is not there gives no answer either: it must have been cut off from this side.
            Fault::Cut => matches!(attempts, [one] if one.outcome == Err(NoAnswer::CutShort)),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<Fault, UnknownFault> {
        let fault = Fault::ALL.iter().copied().find(|fault| fault.name() == text);
        fault.ok_or_else(|| UnknownFault(text.to_owned()))
    }
}

impl Serialize for Fault {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sender::answer::Answer;
    use std::time::Duration;

    const OK: &str = r#"{"errcode":0}"#;

    #[test]
    fn each_fault_is_judged_by_what_the_contract_says() {
        let tried = |outcome| Try { retry_num: 0, outcome, took: Duration::ZERO };
        let answer = |status| tried(Ok(Answer::read(status, OK.as_bytes())));
        let good: [(Fault, Vec<Try>); 7] = [
            (Fault::Duplicate, vec![answer(200), answer(200)]),
            (Fault::BadToken, vec![answer(401)]),
            (Fault::Oversize, vec![answer(413)]),
            (Fault::Chunked, vec![answer(200)]),
            (Fault::Slow, vec![answer(408)]),
            (Fault::Cut, vec![tried(Err(NoAnswer::CutShort))]),
            (Fault::Garbage, vec![answer(400)]),
        ];
        for (index, (fault, attempts)) in good.iter().enumerate() {
            assert_eq!(Fault::ALL[index], *fault);
            assert!(fault.judge(attempts), "{fault}");
            assert!(!fault.judge(&[]), "{fault}");
            assert!(!fault.judge(&[tried(Err(NoAnswer::Closed))]), "{fault}");
            for (_, others) in good.iter().filter(|(_, others)| others != attempts) {
                assert!(!fault.judge(others), "{fault}");
            }
        }
    }

    #[test]
    fn a_fault_has_a_name_that_leads_back() {
        for fault in Fault::ALL {
            assert_eq!(fault.to_string().parse(), Ok(*fault));
            assert!(UnknownFault(String::new()).to_string().contains(fault.name()));
        }
        assert_eq!("Slow".parse::<Fault>(), Err(UnknownFault("Slow".to_owned())));
    }
}
