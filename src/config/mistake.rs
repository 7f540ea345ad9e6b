//! What is wrong with a configuration, and where.

use std::error::Error;
use std::fmt;

/// Where a mistake is. Places sort as they are read: the file from its beginning, then the variables.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A file as a whole.
    File(String),
    /// A place in a file.
    At {
        /// The file's name.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
    },
    /// A variable of the environment.
    Variable(String),
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// Where.
    pub place: Place,
    /// The key or table, for example `handler.crm.timeout`; empty where the place says it.
    pub about: String,
    /// What is wrong, and what would be right. It never has a secret in it.
    pub message: String,
}

/// Everything that is wrong with a configuration, one line each, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(Vec<Mistake>);

impl ConfigErrors {
    /// Takes the mistakes in any order. There is at least one.
    pub(super) fn new(mistakes: Vec<Mistake>) -> ConfigErrors {
        let mut mistakes: Vec<_> = mistakes.into_iter().map(Mistake::on_one_line).collect();
        mistakes.sort();
        mistakes.dedup();
        ConfigErrors(mistakes)
    }

    /// Each mistake.
    #[must_use]
    pub fn mistakes(&self) -> &[Mistake] {
        &self.0
    }
}

impl From<Mistake> for ConfigErrors {
    fn from(mistake: Mistake) -> ConfigErrors {
        ConfigErrors(vec![mistake.on_one_line()])
    }
}

impl Mistake {
    /// The same without what would steer a terminal: keys and names of variables may have it in them.
    fn on_one_line(self) -> Mistake {
        let plain = |text: String| match text.contains(char::is_control) {
            true => {
                text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.into() }).collect()
            }
            false => text,
        };
        let place = match self.place {
            Place::Variable(name) => Place::Variable(plain(name)),
            place => place,
        };
        Mistake { place, about: plain(self.about), message: plain(self.message) }
    }
}

impl Error for ConfigErrors {}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.0.iter().enumerate() {
            let line_break = if index == 0 { "" } else { "\n" };
            write!(f, "{line_break}{mistake}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        // A variable's name says which key it is about.
        if !self.about.is_empty() && !matches!(self.place, Place::Variable(_)) {
            write!(f, "{}: ", self.about)?;
        }
        f.write_str(&self.message)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File(file) => f.write_str(file),
            Place::At { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Place::Variable(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_one_line_each_in_the_order_of_the_file_and_said_once() {
        let at = |line, column| Place::At { file: "w.toml".to_owned(), line, column };
        let mistake =
            |place, about: &str, message: &str| Mistake { place, about: about.into(), message: message.into() };
        let errors = ConfigErrors::new(vec![
            mistake(Place::Variable("WORKHOOK__LOG__LEVEL".to_owned()), "log.level", "d"),
            mistake(at(10, 2), "admin.token", "c"),
            mistake(at(2, 11), "", "b"),
            mistake(at(2, 3), "ingest", "a"),
            mistake(at(2, 3), "ingest", "a"),
        ]);
        assert_eq!(errors.mistakes().len(), 4);
        let expected = "w.toml:2:3: ingest: a\nw.toml:2:11: b\nw.toml:10:2: admin.token: c\nWORKHOOK__LOG__LEVEL: d";
        assert_eq!(errors.to_string(), expected);
    }
}
