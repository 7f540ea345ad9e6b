//! Several processes on one store: which of them does what, and what they agree on about a handler.
//!
//! What they decide is tried in one process, on virtual time, over a store in memory that they share; that it holds on
//! PostgreSQL, with real processes. For these `WORKHOOK_TEST_POSTGRES` has to name a server; `tests/run` starts one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers of tests included")]

mod breakers;
mod copies;
mod database;
mod duties;
mod far_end;
#[expect(dead_code, reason = "here it is always shared")]
#[path = "../memory/mod.rs"]
mod memory;
mod nginx;
mod process;
mod processes;
mod rates;
mod replica;
mod stores;
#[expect(dead_code, unused_imports, reason = "what is asked of one process is asked elsewhere")]
#[path = "../cli/support/mod.rs"]
mod support;
#[expect(dead_code, reason = "connections are cut here, and nothing worse")]
mod way;
