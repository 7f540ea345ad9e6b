//! The `rust` kind: a team's own functions, typed by what they take.
//!
//! A function takes an [`Event`] of a view and a [`Context`]. Which events it gets is said by the view:
//! `Event<IssueUpdate>` gets `Issue.Update`. A function of `Event<Any>` is registered with patterns.

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;
use thiserror::Error;

use super::{Failure, Handler, Success};
use crate::contract::{Envelope, Misfit, Reader, View};
use crate::model::{Claimed, HandlerName, StoredEvent};
use crate::routes::{Pattern, PatternError, Route};

/// An event as a function gets it: a typed view, the whole envelope, and the body as it came.
#[derive(Debug, Clone)]
pub struct Event<T> {
    /// The parts that the event is about, typed.
    pub data: T,
    /// Everything that came with it, typed.
    pub envelope: Envelope,
    /// Everything that came, as JSON.
    pub raw: Value,
    /// What the typed views could not read, place by place.
    pub misfits: Vec<Misfit>,
    /// The event as it was stored: id, position, name, webhook, receipt, headers, body.
    pub stored: Arc<StoredEvent>,
}

impl<T: View> Event<T> {
    /// Reads a stored event.
    ///
    /// # Errors
    /// When the stored body is no JSON. The sender's test may come with any body; it is read as nothing then.
    pub fn read(stored: Arc<StoredEvent>) -> Result<Event<T>, Failure> {
        let (raw, envelope, mut misfits) = match Envelope::parse(&stored.body) {
            Err(_) if stored.name.is_test() => (Value::Null, Envelope::default(), Vec::new()),
            read => read.map_err(Failure::permanent)?,
        };
        let mut reader = Reader::default();
        let data = T::of(&envelope, &mut reader);
        misfits.extend(reader.into_misfits());
        Ok(Event { data, envelope, raw, misfits, stored })
    }

    /// The body, byte for byte as it came.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.stored.body
    }
}

/// What a function knows of the delivery.
#[derive(Debug, Clone)]
pub struct Context {
    claimed: Claimed,
}

impl Context {
    /// The same for every attempt of this delivery, and for no other: remember it to notice repetitions.
    #[must_use]
    pub fn idempotency_key(&self) -> String {
        self.claimed.idempotency_key().as_str().to_owned()
    }

    /// The number of the attempt, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.claimed.attempt
    }

    /// Whether somebody asked for the event to be handled again.
    #[must_use]
    pub fn is_replay(&self) -> bool {
        self.claimed.number > 0
    }
}

/// A function as a handler.
struct Function<T, F> {
    function: F,
    view: PhantomData<fn() -> T>,
}

#[async_trait]
impl<T, F, Fut> Handler for Function<T, F>
where
    T: View,
    F: Fn(Event<T>, Context) -> Fut + Send + Sync,
    Fut: Future<Output = Result<(), Failure>> + Send,
{
    fn kind(&self) -> &'static str {
        "rust"
    }

    async fn handle(&self, delivery: &Claimed) -> Result<Success, Failure> {
        let event = Event::read(Arc::clone(&delivery.event))?;
        (self.function)(event, Context { claimed: delivery.clone() }).await?;
        Ok(Success { message: "returned".to_owned(), ..Success::default() })
    }
}

impl<T, F> fmt::Debug for Function<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function").finish_non_exhaustive()
    }
}

/// The functions of a program.
#[derive(Debug, Default)]
pub struct Registry {
    functions: Vec<Registered>,
    errors: Vec<RegistryError>,
}

/// One registered function.
#[derive(Debug, Clone)]
pub struct Registered {
    /// Its name, by which the configuration can set things about it.
    pub name: HandlerName,
    /// Which events it takes, where the configuration does not say otherwise.
    pub route: Route,
    /// The function.
    pub handler: Arc<dyn Handler>,
}

/// What is wrong with a registration.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum RegistryError {
    /// The name is not one.
    #[error("{0:?} cannot name a handler: use 1 to 63 of a-z, 0-9, - and _")]
    Name(String),
    /// The name is taken.
    #[error("two functions are registered as {0:?}")]
    Twice(String),
    /// A pattern is not one.
    #[error("function {0:?}: {1}")]
    Pattern(String, PatternError),
    /// A view of any event says nothing about which.
    #[error("function {0:?} takes any event: register it with `on_events` and patterns")]
    NoEvents(String),
}

impl Registry {
    /// Registers a function that takes the event of its view.
    #[must_use]
    pub fn on<T, F, Fut>(mut self, name: &str, function: F) -> Registry
    where
        T: View,
        F: Fn(Event<T>, Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        match T::EVENT {
            Some(event) => self.on_events(name, &[event], function),
            None => {
                self.errors.push(RegistryError::NoEvents(name.to_owned()));
                self
            }
        }
    }

    /// Registers a function that takes the events of some patterns, such as `Issue.*` and `!Issue.Delete`.
    #[must_use]
    pub fn on_events<T, F, Fut>(mut self, name: &str, patterns: &[&str], function: F) -> Registry
    where
        T: View,
        F: Fn(Event<T>, Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        let mut parsed = Vec::new();
        for pattern in patterns {
            match pattern.parse::<Pattern>() {
                Ok(pattern) => parsed.push(pattern),
                Err(error) => self.errors.push(RegistryError::Pattern(name.to_owned(), error)),
            }
        }
        match HandlerName::parse(name) {
            Some(name) => {
                let handler = Arc::new(Function { function, view: PhantomData });
                self.functions.push(Registered { name, route: Route::new(parsed), handler });
            }
            None => self.errors.push(RegistryError::Name(name.to_owned())),
        }
        self
    }

    /// The functions.
    ///
    /// # Errors
    /// With everything that is wrong with them.
    pub fn into_functions(mut self) -> Result<Vec<Registered>, Vec<RegistryError>> {
        let mut names = HashSet::new();
        let twice = self.functions.iter().filter(|function| !names.insert(function.name.clone()));
        self.errors.extend(twice.map(|function| RegistryError::Twice(function.name.to_string())));
        if self.errors.is_empty() { Ok(self.functions) } else { Err(self.errors) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Any, IssueUpdate};

    #[test]
    fn everything_that_is_wrong_with_the_registrations_is_said_at_once() {
        let errors = Registry::default()
            .on("Reindex", |_: Event<IssueUpdate>, _| async { Ok(()) })
            .on("all", |_: Event<Any>, _| async { Ok(()) })
            .on_events("some", &["Issue"], |_: Event<Any>, _| async { Ok(()) })
            .on("twice", |_: Event<IssueUpdate>, _| async { Ok(()) })
            .on("twice", |_: Event<IssueUpdate>, _| async { Ok(()) })
            .into_functions()
            .unwrap_err();
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), 4, "{texts:?}");
        assert!(texts[0].contains("Reindex") && texts[1].contains("on_events"), "{texts:?}");
        assert!(texts[2].contains("Issue.*") && texts[3].contains("two functions"), "{texts:?}");
    }
}
