//! The store: what has to survive, behind one trait.
//!
//! Each method of [`Store`] is one transaction and speaks the domain's words; no type of a database driver crosses
//! this door. It knows no HTTP and no handlers, and it decides nothing: routes, retries and times come in as
//! arguments.
//!
//! What always holds: what a method has said is done was synced to the disk before it said so; only what
//! `contract::check` accepted becomes an event; and the result of a claim that was lost is not taken.

#[cfg(test)]
mod asked;
mod config;
mod disk;
mod error;
mod keeping;
mod lists;
mod metrics;
mod postgres;
mod sqlite;
mod tenure;
pub mod transfer;
mod verbs;
mod waiting;

pub use config::{Config, Place, REMEMBER_MIN};
pub use disk::DiskFree;
pub use error::{OpenError, ServerFault, StoreError};
pub use keeping::{ForgetAbout, ForgetStep, Forgotten, Left, PruneRequest, Pruned, Space};
pub use lists::{
    Counts, DeliveryQuery, EventQuery, EventRow, Page, RefusalCount, RejectedQuery, RejectedRow, Start, TokenUse,
};
pub use metrics::Metrics;
pub use postgres::{PostgresCopy, PostgresStore, Settings as PostgresSettings};
pub use sqlite::{Settings as SqliteSettings, SqliteStore};
pub use tenure::{Seen, Tenure};
pub use verbs::{Appended, ClaimRequest, Claims, Duty, LongestWaits, PlanStart, RatedClaims, Replica, Settled, Store};
