//! The `log` kind: one readable line an event, on standard output.

use std::io::Write;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::tz::TimeZone;
use tokio::sync::Semaphore;

use super::{Failure, Handler, Success};
use crate::contract::{Data, Envelope};
use crate::model::{Claimed, StoredEvent};

/// The longest line, in characters.
const LINE_MAX: usize = 200;

/// Writes events as lines, one at a time.
#[derive(Debug, Clone)]
pub struct LogHandler {
    turn: Arc<Semaphore>,
}

impl Default for LogHandler {
    fn default() -> LogHandler {
        LogHandler { turn: Arc::new(Semaphore::new(1)) }
    }
}

#[async_trait]
impl Handler for LogHandler {
    fn kind(&self) -> &'static str {
        "log"
    }

    async fn handle(&self, delivery: &Claimed) -> Result<Success, Failure> {
        let line = format!("{}\n", line(&delivery.event));
        let turn = Arc::clone(&self.turn).acquire_owned().await?;
        // Whoever reads the output may stall; then one thread waits for him, and nobody else.
        let write = move || {
            let written = std::io::stdout().lock().write_all(line.as_bytes());
            drop(turn);
            written
        };
        tokio::task::spawn_blocking(write).await??;
        Ok(Success { message: "written".to_owned(), ..Success::default() })
    }
}

/// An event as a line: when, what, about what, by whom, where to see it. Control characters are left out.
#[must_use]
pub fn line(event: &StoredEvent) -> String {
    let time = event.first.received_at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%SZ");
    let mut line = format!("{time}  {:<20}  {:<9}", event.name.to_string(), event.brand.slug());
    if let Ok((_, envelope, _)) = Envelope::parse(&event.body) {
        line.push_str(&about(&envelope));
    }
    let line = visible(&line);
    match line.char_indices().nth(LINE_MAX) {
        Some((cut, _)) => format!("{}…", &line[..cut]),
        None => line,
    }
}

/// What an event is about, in a few words, for example `#21 Login fails`.
#[must_use]
pub fn title(data: &Data) -> Option<String> {
    if let Some(issue) = &data.issue {
        let number = issue.number.map(|number| format!("#{number}"));
        let parts: Vec<String> = number.into_iter().chain(issue.summary.clone()).collect();
        return (!parts.is_empty()).then(|| parts.join(" "));
    }
    let sprint = data.sprint.as_ref().and_then(|sprint| sprint.name.clone());
    sprint.or_else(|| data.notice.as_ref().and_then(|notice| notice.title.clone()))
}

fn about(envelope: &Envelope) -> String {
    let data = envelope.data.as_ref();
    let mut text = String::new();
    let mut add = |label: &str, part: Option<&str>| {
        if let Some(part) = part.filter(|part| !part.is_empty()) {
            text.push_str(label);
            text.push_str(part);
        }
    };
    add("  ", data.and_then(title).as_deref());
    let status = data.and_then(|data| data.issue.as_ref()?.status.as_ref()?.name.as_deref());
    add("  is ", status);
    add("  by ", envelope.trigger.as_ref().and_then(|trigger| trigger.user.as_ref()?.name.as_deref()));
    add("  ", data.and_then(|data| data.issue.as_ref()?.url.as_deref()));
    text
}

/// A text for people, without characters that could move, hide or reorder what stands around it.
#[must_use]
pub fn visible(text: &str) -> String {
    text.chars().filter(|character| !is_hidden(*character)).collect()
}

/// Whether a character could move, hide or reorder what stands around it.
#[must_use]
pub fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
