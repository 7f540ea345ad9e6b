//! What happened in a run, in lines that somebody can read; kept only where somebody wants to.

use std::hash::{DefaultHasher, Hash, Hasher};

/// The lines, the first first.
#[derive(Debug, Default)]
pub(crate) struct Trace(Option<Vec<String>>);

impl Trace {
    /// One that keeps its lines, or not.
    pub(crate) fn new(kept: bool) -> Trace {
        Trace(kept.then(Vec::new))
    }

    /// Adds a line about this millisecond, which is made only where it is kept.
    pub(crate) fn say(&mut self, at: i64, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.0 {
            lines.push(format!("{:>6}.{:03}  {}", at / 1000, at % 1000, line()));
        }
    }

    /// The lines.
    pub(crate) fn lines(&self) -> &[String] {
        self.0.as_deref().unwrap_or_default()
    }

    /// A number that stands for all lines.
    pub(crate) fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.lines().hash(&mut hasher);
        hasher.finish()
    }
}
