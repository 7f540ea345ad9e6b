//! What can go wrong between the database and a verb.

use std::fmt;
use std::sync::Arc;

use tokio_postgres::error::SqlState;

use crate::store::StoreError;

/// Why a unit of work was not done.
#[derive(Debug)]
pub(super) enum Failure {
    /// The database or the way to it.
    Database(tokio_postgres::Error),
    /// A row says something that it cannot say.
    Row(String),
    /// No connection, or not in time.
    Away(String),
    /// One that many are told of.
    Shared(Arc<Failure>),
    /// It is already known what the caller is to be told.
    Refused(StoreError),
}

impl Failure {
    /// Whether the database gave up something of its own accord that may simply be done again: nothing of it stands.
    pub(super) fn is_passing(&self) -> bool {
        let passing = [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED];
        self.code().is_some_and(|code| passing.contains(code))
    }

    /// Whether it is about what was to be written, so that something else could be written at this time.
    pub(super) fn is_about_a_row(&self) -> bool {
        // Data exceptions, broken constraints, limits such as that of an index entry.
        let classes = ["22", "23", "54"];
        self.code().is_some_and(|code| classes.iter().any(|class| code.code().starts_with(class)))
    }

    /// Whether somebody else held for too long what was waited for; nothing of it stands.
    pub(super) fn is_contested(&self) -> bool {
        self.code() == Some(&SqlState::LOCK_NOT_AVAILABLE)
    }

    pub(super) fn code(&self) -> Option<&SqlState> {
        match self {
            Failure::Database(error) => error.code(),
            Failure::Shared(failure) => failure.code(),
            _ => None,
        }
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Failure {
        Failure::Database(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        Failure::Refused(error)
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> StoreError {
        match failure {
            Failure::Refused(error) => error,
            failure if failure.code() == Some(&SqlState::DISK_FULL) => StoreError::Full,
            failure => StoreError::Unavailable(Box::new(failure)),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The message of the server, which says more than that there was one.
            Failure::Database(error) => match error.as_db_error() {
                Some(told) => write!(f, "PostgreSQL says: {} ({})", told.message(), told.code().code()),
                None => write!(f, "{error}"),
            },
            Failure::Row(what) | Failure::Away(what) => f.write_str(what),
            Failure::Shared(failure) => write!(f, "{failure}"),
            Failure::Refused(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Failure::Database(error) => std::error::Error::source(error),
            Failure::Shared(failure) => failure.source(),
            _ => None,
        }
    }
}
