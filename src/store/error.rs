//! What can go wrong with the store.

use std::path::PathBuf;

use thiserror::Error;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why something was not done. Nothing of it stands, unless the store says otherwise later (ruling 9).
#[derive(Debug, Error)]
pub enum StoreError {
    /// Too much is waiting already; nothing was tried.
    #[error("too much is waiting to be stored")]
    Busy,
    /// The disk is full, or so nearly that nothing was tried. It may work later.
    #[error("the disk is nearly full")]
    Full,
    /// It was tried and failed: locked, or a row that cannot be stored. It may work later.
    #[error("the store could not do it")]
    Unavailable(#[source] Source),
    /// Another process has taken this duty over; nothing was done.
    #[error("another process does this now")]
    Superseded,
    /// The store has ended: it was closed, or its disk can no longer be trusted.
    #[error("the store has ended")]
    Ended,
}

/// Why a store could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The folder cannot be made.
    #[error("cannot make the folder {path}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another process has it.
    #[error("{path} is in use by another workhook; one store belongs to one process")]
    InUse {
        /// The database.
        path: PathBuf,
    },
    /// The lock file cannot be used.
    #[error("cannot lock {path}")]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The SQLite library is too old to be trusted with write-ahead logs.
    #[error("SQLite {found} can corrupt its write-ahead log; at least {least} is needed")]
    OldLibrary {
        /// What was found.
        found: String,
        /// What is needed.
        least: &'static str,
    },
    /// A newer workhook has written it.
    #[error(
        "{path} was written by a newer workhook (schema {found}, this one knows {known}); use that one, or a copy from before"
    )]
    NewerSchema {
        /// The database.
        path: PathBuf,
        /// The version of its schema.
        found: i64,
        /// The newest version that is known.
        known: i64,
    },
    /// It is a database, but not one of ours.
    #[error("{path} is a database of another program")]
    NotOurs {
        /// The database.
        path: PathBuf,
    },
    /// A setting that the promises rest on did not take.
    #[error("SQLite did not take {setting} = {wanted}, it says {found}; is {path} on a network or memory file system?")]
    Setting {
        /// The database.
        path: PathBuf,
        /// The setting.
        setting: &'static str,
        /// What was wanted.
        wanted: &'static str,
        /// What it says.
        found: String,
    },
    /// It was being filled from another store, and that was interrupted.
    #[error(
        "{store} was being filled by `workhook store copy`, which was interrupted; the same command goes on with it, \
         anything else begins with an empty one"
    )]
    HalfCopied {
        /// The store.
        store: String,
    },
    /// Somebody uses it, while it is to be copied or filled.
    #[error("{store} is in use by {process}; stop it first, or wait a moment where it was killed")]
    Running {
        /// The store.
        store: String,
        /// The process, by the name that it gave itself.
        process: String,
    },
    /// There is no room for what has to be written at the start.
    #[error("there is no room to open {path}: the disk is full")]
    NoRoom {
        /// The database.
        path: PathBuf,
    },
    /// A PostgreSQL server is not to be had, or not fit for this.
    #[error("PostgreSQL at {server}: {fault}")]
    Server {
        /// Where it is.
        server: String,
        /// What is wrong.
        #[source]
        fault: ServerFault,
    },
    /// The database cannot be opened or brought up to date.
    #[error("cannot open {path}")]
    Database {
        /// The database.
        path: PathBuf,
        /// Why.
        #[source]
        source: Source,
    },
}

/// What is wrong with a PostgreSQL server, or with the way to it. It never says a password.
#[derive(Debug, Error)]
pub enum ServerFault {
    /// The address cannot be read.
    #[error("the address cannot be read: {0}")]
    Url(String),
    /// Nobody answers there.
    #[error("cannot connect")]
    Connect(#[source] Source),
    /// The password is wrong or missing, or the user is not let in.
    #[error("it does not let {user} in: the password is wrong or missing, or pg_hba.conf says no")]
    Password {
        /// The user.
        user: String,
    },
    /// There is no such database.
    #[error("there is no database {database}; make it with CREATE DATABASE")]
    NoDatabase {
        /// The database.
        database: String,
    },
    /// The way there cannot be encrypted as `sslmode` asks for.
    #[error("the connection cannot be encrypted as sslmode asks for")]
    Tls(#[source] Source),
    /// The server is too old.
    #[error("it is PostgreSQL {found}; at least {least} is needed")]
    TooOld {
        /// What was found.
        found: String,
        /// What is needed.
        least: &'static str,
    },
    /// The database is not in UTF-8.
    #[error("the database's encoding is {found}; it has to be UTF8")]
    Encoding {
        /// What was found.
        found: String,
    },
    /// A setting that the promises rest on is another.
    #[error("{setting} is {found}: what was acknowledged could be lost; it has to be on")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// What it is.
        found: String,
    },
    /// Nothing can be written.
    #[error("nothing can be written to it: {0}")]
    ReadOnly(&'static str),
    /// No schema to make tables in.
    #[error("none of the schemas of the search_path exists; make one with CREATE SCHEMA")]
    NoSchema,
    /// A newer workhook has made the tables.
    #[error("the tables were made by a newer workhook (schema {found}, this one knows {known}); use that one")]
    NewerSchema {
        /// The version of the tables.
        found: i64,
        /// The newest version that is known.
        known: i64,
    },
    /// The user may not do what is needed.
    #[error("{user} may not do what is needed: tables have to be made, read and written")]
    NoRight {
        /// The user.
        user: String,
        /// What exactly.
        #[source]
        source: Source,
    },
    /// Anything else.
    #[error("it does not work with this server")]
    Other(#[source] Source),
}

impl OpenError {
    /// Whether waiting may mend it: a server that is away, starts, or is not the primary yet.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        use ServerFault::{Connect, Other, ReadOnly};
        matches!(self, OpenError::Server { fault: Connect(_) | Other(_) | ReadOnly(_), .. })
    }
}
