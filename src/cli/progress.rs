//! How far something has come: a bar on standard error, where that is a terminal, and else nothing.

use std::io::{IsTerminal, Write};

/// How wide the bar is, in characters.
const WIDTH: u64 = 30;

/// A bar, which is gone when it is dropped.
#[derive(Debug)]
pub(super) struct Progress {
    shown: bool,
    total: u64,
    last: String,
}

impl Progress {
    /// A bar for so many; 0 is not known, and then only their number is shown.
    pub(super) fn of(total: u64) -> Progress {
        Progress { shown: std::io::stderr().is_terminal(), total, last: String::new() }
    }

    /// So many are done.
    pub(super) fn at(&mut self, done: u64) {
        let now = bar(done, self.total);
        if self.shown && now != self.last {
            show(&now);
            self.last = now;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if !self.last.is_empty() {
            show("");
        }
    }
}

fn bar(done: u64, total: u64) -> String {
    if total == 0 {
        return format!("{done}");
    }
    let done = done.min(total);
    let full = done * WIDTH / total;
    let bar: String = (0..WIDTH).map(|at| if at < full { '#' } else { '.' }).collect();
    format!("[{bar}] {done} of {total}")
}

/// Writes over the line that is there.
fn show(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = write!(stderr, "\r\u{1b}[K{text}").and_then(|()| stderr.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_full_as_it_is_done() {
        assert_eq!(bar(0, 3), "[..............................] 0 of 3");
        assert_eq!(bar(1, 3), "[##########....................] 1 of 3");
        assert_eq!(bar(4, 3), "[##############################] 3 of 3");
        assert_eq!(bar(u64::MAX >> 8, u64::MAX >> 8).matches('#').count(), 30);
        assert_eq!(bar(7, 0), "7");
    }
}
