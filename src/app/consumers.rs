//! The handlers, from the configuration and from a program's own functions.

use std::sync::Arc;

use super::BuildError;
use crate::config::{ConfiguredHandler, KindConfig};
use crate::dispatch::{Consumer, Policy};
use crate::handlers::Handler;
use crate::handlers::command::CommandHandler;
use crate::handlers::http::HttpHandler;
use crate::handlers::log::LogHandler;
use crate::handlers::rust::Registered;
use crate::model::HandlerName;
use crate::routes::Route;

/// Puts the handlers together. Where there are none at all, events are logged.
///
/// # Errors
/// With what is wrong with each of them.
pub(super) fn build(
    configured: &[ConfiguredHandler],
    functions: &[Registered],
) -> Result<Vec<Consumer>, Vec<BuildError>> {
    let (mut consumers, mut errors) = (Vec::new(), Vec::new());
    for handler in configured {
        match consumer(handler.clone(), functions) {
            Ok(consumer) => consumers.push(consumer),
            Err(error) => errors.push(error),
        }
    }
    let of_its_own = |function: &&Registered| configured.iter().all(|handler| handler.name != function.name);
    for Registered { name, route, handler } in functions.iter().filter(of_its_own).cloned() {
        consumers.push(Consumer { name, route, policy: Policy::default(), handler });
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    if consumers.is_empty() {
        let log = HandlerName::parse("log").map(|name| Consumer {
            name,
            route: Route::really_everything(),
            policy: Policy::default(),
            handler: Arc::new(LogHandler::default()),
        });
        consumers.extend(log);
    }
    Ok(consumers)
}

fn consumer(configured: ConfiguredHandler, functions: &[Registered]) -> Result<Consumer, BuildError> {
    let ConfiguredHandler { name, route, policy, kind, .. } = configured;
    let function = functions.iter().find(|function| function.name == name);
    if function.is_some() && !matches!(kind, KindConfig::Rust) {
        return Err(BuildError::NameTaken(name.to_string()));
    }
    let (handler, by_default): (Arc<dyn Handler>, _) = match kind {
        KindConfig::Log => (Arc::new(LogHandler::default()), Route::everything()),
        KindConfig::Http(config) => {
            let client = |source| BuildError::Client { name: name.to_string(), source };
            (Arc::new(HttpHandler::new(*config).map_err(client)?), Route::everything())
        }
        KindConfig::Command(config) => (Arc::new(CommandHandler::new(config, policy.timeout)), Route::everything()),
        KindConfig::Rust => {
            let function = function.ok_or_else(|| BuildError::NoFunction(name.to_string()))?;
            (Arc::clone(&function.handler), function.route.clone())
        }
    };
    Ok(Consumer { name, route: route.unwrap_or(by_default), policy, handler })
}

/// A handler's name, kind and events, for people.
pub(super) fn describe(consumer: &Consumer) -> (String, String, String) {
    let patterns: Vec<_> = consumer.route.patterns().iter().map(ToString::to_string).collect();
    (consumer.name.to_string(), consumer.handler.kind().to_owned(), patterns.join(" "))
}
