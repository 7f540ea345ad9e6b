//! `workhook events`: what is kept. One file a subcommand.

mod export;
mod forget;
mod list;
mod show;
mod tail;

pub(super) use list::handled;
pub(super) use show::attempt_line;

use clap::Subcommand;

use super::Done;
use crate::config::Config;

/// What to do with events.
#[derive(Debug, Subcommand)]
pub(super) enum Events {
    /// List events, the newest first.
    List(list::List),
    /// Show all that is known of an event: how it came in, which handlers got it, and why the others did not.
    Show(show::Show),
    /// Print events as they come, until Ctrl-C.
    Tail(tail::Tail),
    /// Write events as files: body, headers, and a script that sends them again.
    Export(export::Export),
    /// Remove everything about a person or an entity.
    Forget(forget::Forget),
}

impl Events {
    pub(super) async fn run(&self, config: &Config) -> Done {
        match self {
            Events::List(list) => list.run(config).await,
            Events::Show(show) => show.run(config).await,
            Events::Tail(tail) => tail.run(config).await,
            Events::Export(export) => export.run(config).await,
            Events::Forget(forget) => forget.run(config).await,
        }
    }
}
