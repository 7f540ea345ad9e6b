//! The rules that keep the house: what a room may know, what a file looks like, and what leads nowhere.
//!
//! Each rule is a function over texts. It is held against the tree, and beside that against a made-up text that breaks
//! it, so that a rule that has gone blind is noticed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers of tests included")]

mod documents;
mod files;
mod fixtures;
mod reliability;
mod rooms;
mod rust;
mod sizes;
mod tree;
