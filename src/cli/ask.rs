//! Asking somebody before something is done that is not undone.

use std::io::{BufRead, IsTerminal, Write};

use anyhow::anyhow;
use clap::Args;

use super::{Done, Failed};

/// Whether it is asked.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Sure {
    /// Do it without asking.
    #[arg(long)]
    yes: bool,
    /// Only say what would be done.
    #[arg(long, conflicts_with = "yes")]
    pub(super) dry_run: bool,
}

impl Sure {
    /// Says what will be done, and goes on where somebody agrees: `3 events will be forgotten.`
    ///
    /// Without a terminal nobody can agree: that is wrong use, which `--yes` mends.
    pub(super) fn confirm(self, what: &str) -> Done {
        if self.yes {
            return Ok(());
        }
        if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            return Err(Failed::Use(anyhow!(
                "{what} There is no terminal to ask at: say --yes to do it, or --dry-run"
            )));
        }
        let mut stderr = std::io::stderr().lock();
        let _ = write!(stderr, "{what} Go on? [y/N] ").and_then(|()| stderr.flush());
        let mut answer = String::new();
        let heard = std::io::stdin().lock().read_line(&mut answer);
        if heard.is_ok() && agrees(&answer) {
            return Ok(());
        }
        Err(Failed::Work(anyhow!("nothing was done")))
    }
}

fn agrees(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_a_yes() {
        for (answer, expected) in
            [("y\n", true), ("YES\n", true), ("\n", false), ("", false), ("n\n", false), ("yep\n", false)]
        {
            assert_eq!(agrees(answer), expected, "{answer:?}");
        }
    }
}
