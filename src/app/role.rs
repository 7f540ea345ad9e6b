//! What one process does of all that is to be done.

use std::fmt;

/// The part of a process. Only processes that share a store can have different ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    #[default]
    All,
    /// It takes requests: no planning, no attempts, no upkeep.
    Ingest,
    /// It does all the rest, without a public door.
    Dispatch,
}

impl Role {
    /// Each of them.
    pub const ALL: [Role; 3] = [Role::All, Role::Ingest, Role::Dispatch];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Role::All => "all",
            Role::Ingest => "ingest",
            Role::Dispatch => "dispatch",
        }
    }

    /// Whether it takes requests.
    #[must_use]
    pub fn ingests(self) -> bool {
        self != Role::Dispatch
    }

    /// Whether it plans, attempts and keeps up.
    #[must_use]
    pub fn dispatches(self) -> bool {
        self != Role::Ingest
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
