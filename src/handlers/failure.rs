//! What an attempt comes to. Whether it may be tried again is in its type.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::telemetry::with_causes;

/// The event was taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Success {
    /// The far end's status, where it has one.
    pub status: Option<i32>,
    /// What came of it, in a few words.
    pub message: String,
    /// The beginning of what the far end answered.
    pub response: Bytes,
}

/// The event was not taken.
///
/// Every error becomes a failure that is tried again, so that `?` does in a handler what is wanted most of the time;
/// [`Failure::permanent`] says that trying again would not help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Whether trying again may help.
    pub kind: FailureKind,
    /// The far end's status, where it has one.
    pub status: Option<i32>,
    /// What went wrong, in a sentence.
    pub message: String,
    /// The beginning of what the far end answered.
    pub response: Bytes,
}

/// Whether trying again may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// It may; not before so long, where the far end said so.
    Transient {
        /// The least time to wait.
        retry_after: Option<Duration>,
    },
    /// It would not.
    Permanent,
    /// The far end asked to wait; it does not count as an attempt.
    Throttled {
        /// The least time to wait.
        retry_after: Option<Duration>,
    },
}

impl Failure {
    /// A failure that may pass.
    #[must_use]
    pub fn transient(message: impl fmt::Display) -> Failure {
        Failure::new(FailureKind::Transient { retry_after: None }, message)
    }

    /// A failure that would come again: the delivery becomes a dead letter.
    #[must_use]
    pub fn permanent(message: impl fmt::Display) -> Failure {
        Failure::new(FailureKind::Permanent, message)
    }

    /// A request to wait; it does not count as an attempt.
    #[must_use]
    pub fn throttled(message: impl fmt::Display, retry_after: Option<Duration>) -> Failure {
        Failure::new(FailureKind::Throttled { retry_after }, message)
    }

    /// A failure of this kind.
    #[must_use]
    pub fn new(kind: FailureKind, message: impl fmt::Display) -> Failure {
        Failure { kind, status: None, message: message.to_string(), response: Bytes::new() }
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::transient(with_causes(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_becomes_a_failure_that_is_tried_again_and_keeps_its_causes() {
        fn failing() -> Result<(), Failure> {
            Err(std::io::Error::other(std::io::Error::other("the cause")))?;
            Ok(())
        }
        let failure = failing().unwrap_err();
        assert_eq!(failure.kind, FailureKind::Transient { retry_after: None });
        assert_eq!(failure.message, "the cause");
    }
}
