//! A program of one's own: the whole of workhook, with two functions beside the handlers of `workhook.toml`.
//!
//!     cargo run --example reindex -- serve
//!     cargo run -- send Issue.Update --set data.issue.status.name=Done
//!
//! Each function gets its events in order for each issue. What it returns decides what follows: `Ok` settles the
//! delivery; any error is tried again, less and less often; `Failure::permanent` makes it a dead letter at once.

#![expect(clippy::print_stdout, reason = "it is a program that talks to its user")]

use std::process::ExitCode;

use workhook::{Any, Context, Event, Failure, IssueUpdate, Registry};

fn main() -> ExitCode {
    workhook::main(register)
}

/// The functions of this program.
pub(crate) fn register(app: Registry) -> Registry {
    app.on("reindex", reindex).on_events("audit", &["*", "!Comment.*"], audit)
}

/// Gets `Issue.Update`, because it takes an `Event<IssueUpdate>`.
async fn reindex(event: Event<IssueUpdate>, cx: Context) -> Result<(), Failure> {
    let issue = &event.data.issue;
    // What no attempt can mend is said so.
    let id = issue.id.ok_or_else(|| Failure::permanent("an issue without an id"))?;
    let title = issue.summary.as_deref().unwrap_or("untitled");
    // The key is the same for every attempt: a search index could remember it and notice a repetition.
    println!("index issue {id}: {title} ({})", cx.idempotency_key());
    Ok(())
}

/// Gets every event but those of comments, because it is registered with patterns.
async fn audit(event: Event<Any>, _: Context) -> Result<(), Failure> {
    let who = event.envelope.trigger.as_ref().and_then(|trigger| trigger.user.as_ref()?.name.as_deref());
    println!("{} by {}", event.stored.name, who.unwrap_or("somebody"));
    Ok(())
}
