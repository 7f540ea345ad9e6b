//! The program as somebody meets it: the binary itself, in a working folder of its own.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers of tests included")]

mod support;

mod check;
mod command;
mod documents;
mod door;
mod export;
mod forget;
mod half_way;
mod help;
mod intervene;
mod logs;
mod look;
mod rejected;
mod reload;
mod secrets;
mod send;
mod serve;
mod shown;
mod store;
mod tail;
