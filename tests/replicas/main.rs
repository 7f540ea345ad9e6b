//! Several processes on one store: which of them does what, and what they agree on about a handler. In one process, on
//! virtual time, over a store in memory that they share.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers of tests included")]

mod breakers;
mod duties;
mod far_end;
#[expect(dead_code, reason = "here it is always shared")]
#[path = "../memory/mod.rs"]
mod memory;
mod rates;
mod replica;
