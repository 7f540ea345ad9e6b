//! Printing for people and for programs. Here and nowhere else.

use std::io::{ErrorKind, Write};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::handlers::log::{is_hidden, visible};

/// Prints a text for people as lines on standard output, without what a terminal would take for a command.
pub(super) fn line(text: impl AsRef<str>) {
    bytes(format!("{}\n", shown(text.as_ref())).as_bytes());
}

/// Prints bytes as they are on standard output. When nobody reads them any more, the process ends, as others do.
pub(super) fn bytes(bytes: &[u8]) {
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
    if written.is_err_and(|error| error.kind() == ErrorKind::BrokenPipe) {
        std::process::exit(0);
    }
}

/// Prints a value as JSON.
pub(super) fn json(value: &impl Serialize) {
    // What is printed here are plain shapes with texts as keys.
    bytes(format!("{}\n", escaped(&serde_json::to_string_pretty(value).unwrap_or_default())).as_bytes());
}

/// Prints a value as JSON on one line.
pub(super) fn json_line(value: &impl Serialize) {
    bytes(format!("{}\n", escaped(&serde_json::to_string(value).unwrap_or_default())).as_bytes());
}

/// Prints an error with its causes on standard error.
pub(super) fn error(error: &anyhow::Error) {
    let text: Vec<String> = error.chain().map(ToString::to_string).collect();
    complaint(&format!("workhook: {}", text.join(": ")));
}

/// Prints a text for people as lines on standard error, without what a terminal would take for a command.
pub(super) fn complaint(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", shown(text.trim_end()));
}

/// The same JSON, with escapes for what a terminal would take for a command. They can only stand in texts.
fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '\n' => text.push('\n'),
            // All of these are within the first plane.
            _ if is_hidden(character) => text.push_str(&format!("\\u{:04x}", u32::from(character))),
            _ => text.push(character),
        }
    }
    text
}

/// A text as a terminal may show it, line by line.
fn shown(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(visible).collect();
    lines.join("\n")
}

/// A time as people read it, on their own clock.
pub(super) fn time(time: Timestamp) -> String {
    time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S%:z").to_string()
}

/// So many of something, in words: `1 event`, `2 events`.
pub(super) fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_take_for_a_command_is_an_escape_in_json_and_means_the_same() {
        let value = serde_json::json!({ "a": "\u{9b}31m\u{202e}\u{7f}\u{1b}é\u{1f600}\\" });
        let text = escaped(&serde_json::to_string_pretty(&value).unwrap());
        assert!(!text.chars().any(|character| is_hidden(character) && character != '\n'), "{text:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
        assert!(text.contains('é') && text.contains("\\u202e"), "{text}");
    }
}
