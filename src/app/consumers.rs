//! The handlers, from the configuration and from a program's own functions.

use std::sync::Arc;

use super::BuildError;
use crate::config::{ConfiguredHandler, KindConfig};
use crate::dispatch::{Consumer, Policy};
use crate::handlers::Handler;
use crate::handlers::command::{self, CommandHandler};
use crate::handlers::http::HttpHandler;
use crate::handlers::log::LogHandler;
use crate::handlers::rust::{Registered, Registry};
use crate::model::HandlerName;
use crate::routes::Route;

/// Puts the handlers together. Where there are none at all, events are logged.
pub(super) fn build(configured: Vec<ConfiguredHandler>, registry: Registry) -> Result<Vec<Consumer>, BuildError> {
    let mut functions = registry.into_functions().map_err(BuildError::Registry)?;
    let mut consumers =
        configured.into_iter().map(|handler| consumer(handler, &mut functions)).collect::<Result<Vec<_>, _>>()?;
    for function in functions {
        if consumers.iter().any(|consumer| consumer.name == function.name) {
            return Err(BuildError::NameTaken(function.name.to_string()));
        }
        let Registered { name, route, handler } = function;
        consumers.push(Consumer { name, route, policy: Policy::default(), handler });
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

fn consumer(configured: ConfiguredHandler, functions: &mut Vec<Registered>) -> Result<Consumer, BuildError> {
    let ConfiguredHandler { name, route, mut policy, kind, .. } = configured;
    let (handler, by_default): (Arc<dyn Handler>, _) = match kind {
        KindConfig::Log => (Arc::new(LogHandler::default()), Route::everything()),
        KindConfig::Http(config) => {
            let client = |source| BuildError::Client { name: name.to_string(), source };
            (Arc::new(HttpHandler::new(config).map_err(client)?), Route::everything())
        }
        KindConfig::Command(config) => {
            let handler = CommandHandler::new(config, policy.timeout);
            // It keeps the time-out itself; the attempt is over when its processes are.
            policy.timeout += command::ENDING;
            (Arc::new(handler), Route::everything())
        }
        KindConfig::Rust => {
            let found = functions.iter().position(|function| function.name == name);
            let function = functions.remove(found.ok_or_else(|| BuildError::NoFunction(name.to_string()))?);
            (function.handler, function.route)
        }
    };
    Ok(Consumer { name, route: route.unwrap_or(by_default), policy, handler })
}

/// A handler's name, kind and events, for people.
pub(super) fn describe(consumer: &Consumer) -> (String, String, String) {
    let patterns: Vec<_> = consumer.route.patterns().iter().map(ToString::to_string).collect();
    (consumer.name.to_string(), consumer.handler.kind().to_owned(), patterns.join(" "))
}
