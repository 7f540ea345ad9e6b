//! `workhook check`: everything that is wrong with the configuration, at once.

use clap::Args;
use serde_json::json;

use super::{Done, Form, output, table};
use crate::admin::api::wire;
use crate::app;
use crate::config::{Config, ConfigErrors, KindConfig};

/// What to say of it.
#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    form: Form,
    /// Say each key that can be set, with what it is set to and where that was said; secrets are not shown.
    #[arg(long)]
    settings: bool,
}

impl Check {
    pub(super) fn run(&self, loaded: Result<Config, ConfigErrors>) -> Done {
        match loaded {
            Ok(config) if self.form.json => self.json(&config),
            Ok(config) => self.text(&config),
            Err(errors) if self.form.json => {
                let mistakes: Vec<String> = errors.mistakes().iter().map(ToString::to_string).collect();
                output::json(&json!({ "ok": false, "mistakes": mistakes }));
                return Err(errors.into());
            }
            Err(errors) => return Err(errors.into()),
        }
        Ok(())
    }

    fn json(&self, config: &Config) {
        let (webhooks, handlers) = names(config);
        let mut all = json!({ "ok": true, "file": file(config), "webhooks": webhooks, "handlers": handlers });
        if self.settings {
            all["settings"] = json!(app::settings(&config.settings));
        }
        output::json(&all);
    }

    fn text(&self, config: &Config) {
        let (webhooks, handlers) = names(config);
        output::line(match file(config) {
            Some(file) => format!("{file}: good"),
            None => "no configuration file: the defaults are good".to_owned(),
        });
        let or = |list: &[&str], none: &str| if list.is_empty() { none.to_owned() } else { list.join(", ") };
        output::line(format!("webhooks: {}", or(&webhooks, "none; one is made, with a token")));
        output::line(format!("handlers: {}", or(&handlers, "none; events are logged")));
        for handler in config.handlers.iter().filter(|handler| matches!(handler.kind, KindConfig::Rust)) {
            output::line(format!("handler {} needs a program that registers a function of that name", handler.name));
        }
        if self.settings {
            let row = |setting: wire::Setting| {
                vec![setting.key, setting.origin, setting.value.unwrap_or_else(|| "not set".to_owned())]
            };
            let rows: Vec<_> = app::settings(&config.settings).into_iter().map(row).collect();
            output::line("");
            table::print(&["KEY", "FROM", "VALUE"], &rows);
        }
    }
}

/// The webhooks and the handlers, by name.
fn names(config: &Config) -> (Vec<&str>, Vec<&str>) {
    let webhooks = config.webhooks.iter().map(|configured| configured.webhook.name.as_str());
    let handlers = config.handlers.iter().map(|handler| handler.name.as_str());
    (webhooks.collect(), handlers.collect())
}

fn file(config: &Config) -> Option<String> {
    config.source.as_ref().map(|path| path.display().to_string())
}
