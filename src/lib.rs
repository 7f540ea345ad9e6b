//! **workhook** receives the webhooks of Leiga and WorkZappy, keeps every event before it says so, and hands it to
//! your handlers: Rust functions, HTTP endpoints, the log.
//!
//! The binary of this crate is [`main`] without functions; a program of your own is [`main`] with them:
//!
//! ```no_run
//! use workhook::{Context, Event, IssueUpdate};
//!
//! fn main() -> std::process::ExitCode {
//!     workhook::main(|app| {
//!         app.on("reindex", |event: Event<IssueUpdate>, cx: Context| async move {
//!             if cx.is_replay() {
//!                 return Ok(());
//!             }
//!             println!("{:?} is now {:?}", event.data.issue.summary, event.data.issue.status);
//!             Ok(())
//!         })
//!     })
//! }
//! ```
//!
//! The rooms of this crate, from the top floor down; a room uses only rooms below it, and a test holds it to that:
//! [`cli`], [`app`], [`config`]; then side by side [`ingest`], [`sender`], [`admin`] and [`dispatch`]; then
//! [`handlers`] and [`store`]; [`routes`], [`model`], [`contract`]; and the leaves [`connections`], [`telemetry`],
//! [`health`], [`clock`], [`chance`], [`secret`] and [`wake`]. `docs/architecture.md` has the map and what each room must not know.

pub mod admin;
pub mod app;
pub mod chance;
pub mod cli;
pub mod clock;
pub mod config;
pub mod connections;
pub mod contract;
pub mod dispatch;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod handlers;
pub mod health;
pub mod ingest;
pub mod model;
pub mod routes;
pub mod secret;
pub mod sender;
pub mod store;
pub mod telemetry;
pub mod upkeep;
pub mod wake;

pub use cli::main;
pub use contract::{
    Any, AttachmentCreate, AttachmentDelete, CommentCreate, CommentDelete, CommentUpdate, IssueCreate, IssueDelete,
    IssueUpdate, LiaAction, RelationIssueCreate, RelationIssueDelete, SprintComplete, SprintCreate, SprintDelete,
    SprintStart, SubtaskCreate, SubtaskDelete, SubtaskUpdate, View, WebhookTest,
};
pub use handlers::rust::{Context, Event, Registry};
pub use handlers::{Failure, FailureKind};
