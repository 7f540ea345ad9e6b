//! What is fuzzed: for each target, how its bytes are read, and which rooms must hold their properties then.
//!
//! It is no part of the product: it is compiled for the tests, and by cargo-fuzz, which sets `cfg(fuzzing)`. The
//! properties stand in the rooms that they are of, where proptest uses them as well. What always holds: a target is a
//! plain function over bytes, so that the kept corpus is replayed by the tests without a fuzzer.

mod input;
#[cfg(test)]
mod replay;

use std::fmt;

use crate::{admin, cli, config, contract, handlers, ingest, model, routes, sender};

/// A target: what libFuzzer calls, over and over, and what the replay calls once for each kept input.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, also of its file in `fuzz/fuzz_targets` and of its folder in `fuzz/corpus`.
    pub name: &'static str,
    /// Panics where something does not hold that must.
    pub holds: fn(&[u8]),
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({})", self.name)
    }
}

/// Defines the targets, and the list of them.
macro_rules! targets {
    ($($(#[$doc:meta])* $name:ident($bytes:ident) $body:block)+) => {
        $($(#[$doc])* pub fn $name($bytes: &[u8]) $body)+

        /// Every target.
        pub const TARGETS: &[Target] = &[$(Target { name: stringify!($name), holds: $name },)+];
    };
}

targets! {
    /// The body of a request: what is skimmed of it, mended in it and read from it by typed views.
    body(bytes) {
        contract::properties::body(bytes);
    }

    /// A configuration file.
    config(bytes) {
        config::properties::config(&String::from_utf8_lossy(bytes));
    }

    /// An edit of a body in the first line, and the body.
    edit(bytes) {
        let (edit, body) = input::line(bytes);
        sender::properties::edit(&edit, body);
        sender::properties::answer(bytes);
    }

    /// Bodies, one a line, that are exported without the people in them.
    export(bytes) {
        let bodies: Vec<_> = bytes.split(|byte| *byte == b'\n').collect();
        sender::properties::redaction(&bodies);
    }

    /// Headers of a request or an answer: kept, sent again by a script, and read for an address or a time to wait.
    head(bytes) {
        let (path, headers, _) = input::request(bytes);
        contract::properties::kept(&headers);
        contract::properties::kept_bytes(bytes);
        sender::properties::script(&headers);
        ingest::properties::peer(&headers);
        handlers::http::properties::retry_after(&headers);
        handlers::http::properties::proxy(path.unwrap_or_default());
    }

    /// Somebody in the first line, and a body in which they may be.
    mention(bytes) {
        let (person, body) = input::line(bytes);
        model::properties::mention(&person, body);
    }

    /// A time as the command line takes it.
    moment(bytes) {
        cli::properties::moment(&String::from_utf8_lossy(bytes));
    }

    /// A pattern of events in the first line, and the name of an event.
    pattern(bytes) {
        let (pattern, name) = input::line(bytes);
        let name = String::from_utf8_lossy(name);
        contract::properties::name(&name);
        routes::properties::pattern(&pattern, &name);
        model::properties::name_filter(&pattern, &name);
    }

    /// A time, a size, a rate or a number of the configuration.
    quantity(bytes) {
        config::properties::quantity(&String::from_utf8_lossy(bytes));
    }

    /// The query of a request to the API in the first line, and its body.
    query(bytes) {
        let (query, body) = input::line(bytes);
        admin::api::properties::query(&query);
        admin::api::properties::body(body);
    }

    /// A request, head and body, through the one check.
    request(bytes) {
        let (path, headers, body) = input::request(bytes);
        contract::properties::request(path, &headers, body);
    }

    /// Words that are looked for in the first line, and the body of an event.
    terms(bytes) {
        let (asked, body) = input::line(bytes);
        model::properties::terms_of(&asked, body);
    }
}
