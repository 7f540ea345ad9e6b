//! Handlers: the consumers of events.
//!
//! A kind knows how to bring one event to one place and what to make of the answer. It knows no store, decides on no
//! retry and holds no order: that is dispatch's work. What always holds: a handler is asked under a deadline that
//! dispatch keeps, and whatever it answers or does, it is one of [`Success`] and [`Failure`].

pub mod command;
mod failure;
pub mod http;
pub mod log;
mod mask;
pub mod rust;
mod trace;

pub use failure::{Failure, FailureKind, Success};

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::model::Claimed;

/// A consumer of events.
#[async_trait]
pub trait Handler: Send + Sync + fmt::Debug {
    /// Its kind, as the configuration names it.
    fn kind(&self) -> &'static str;

    /// How much longer than its time-out it may take where it keeps that itself, because something has to be ended.
    fn ending(&self) -> Duration {
        Duration::ZERO
    }

    /// Brings one event to where it belongs.
    ///
    /// The future is dropped when the time-out of the handler and its [`Handler::ending`] have passed, or the process
    /// ends.
    async fn handle(&self, delivery: &Claimed) -> Result<Success, Failure>;
}
