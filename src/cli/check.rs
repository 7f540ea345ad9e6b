//! `workhook check`: everything that is wrong with the configuration, at once.

use super::{Done, output};
use crate::config::{Config, ConfigErrors, KindConfig};

pub(super) fn run(loaded: Result<Config, ConfigErrors>, json: bool) -> Done {
    let config = match loaded {
        Ok(config) => config,
        Err(errors) if json => {
            let mistakes: Vec<String> = errors.mistakes().iter().map(ToString::to_string).collect();
            output::json(&serde_json::json!({ "ok": false, "mistakes": mistakes }));
            return Err(errors.into());
        }
        Err(errors) => return Err(errors.into()),
    };
    let handlers: Vec<_> = config.handlers.iter().map(|handler| handler.name.as_str()).collect();
    let webhooks: Vec<_> = config.webhooks.iter().map(|configured| configured.webhook.name.as_str()).collect();
    let source = config.source.as_ref().map(|path| path.display().to_string());
    if json {
        output::json(&serde_json::json!({ "ok": true, "file": source, "webhooks": webhooks, "handlers": handlers }));
        return Ok(());
    }
    output::line(match source {
        Some(file) => format!("{file}: good"),
        None => "no configuration file: the defaults are good".to_owned(),
    });
    let or = |list: &[&str], none: &str| if list.is_empty() { none.to_owned() } else { list.join(", ") };
    output::line(format!("webhooks: {}", or(&webhooks, "none; one is made, with a token")));
    output::line(format!("handlers: {}", or(&handlers, "none; events are logged")));
    for handler in config.handlers.iter().filter(|handler| matches!(handler.kind, KindConfig::Rust)) {
        output::line(format!("handler {} needs a program that registers a function of that name", handler.name));
    }
    Ok(())
}
