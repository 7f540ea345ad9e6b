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
    /// There is no room for what has to be written at the start.
    #[error("there is no room to open {path}: the disk is full")]
    NoRoom {
        /// The database.
        path: PathBuf,
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
