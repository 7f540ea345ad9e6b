//! The file's text as tables whose places are known.

use std::ops::Range;

use toml::de::DeTable;

use super::mistake::{Mistake, Place};

/// What the parser says of a key that is given twice. It reads on as if the second were not there.
const DUPLICATE: &str = "duplicate key";

/// A file that was parsed.
#[derive(Debug)]
pub(super) struct Document<'t> {
    name: &'t str,
    text: &'t str,
    root: DeTable<'t>,
}

impl<'t> Document<'t> {
    /// Parses a file's text. A key that is given twice is a mistake behind which the rest can still be read.
    ///
    /// # Errors
    /// With every place at which the text is not TOML: what would be read from it was not meant.
    pub(super) fn parse(name: &'t str, text: &'t str) -> Result<(Document<'t>, Vec<Mistake>), Vec<Mistake>> {
        // Some editors put a byte order mark first, which is no column of the first line.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let (root, mut errors) = DeTable::parse_recoverable(text);
        let mut is_first = true;
        // Of those that the parser says no place of, the first one will do.
        errors.retain(|error| error.span().is_some() || std::mem::take(&mut is_first));
        let document = Document { name, text, root: root.into_inner() };
        let readable = errors.iter().all(|error| error.message() == DUPLICATE);
        let mut mistakes: Vec<Mistake> = errors.iter().map(|error| document.syntax(error)).collect();
        if readable {
            return Ok((document, mistakes));
        }
        // One slip makes the parser stumble on through its line; the first fault of a line says it.
        mistakes.sort();
        mistakes.dedup_by_key(|mistake| line(&mistake.place));
        Err(mistakes)
    }

    /// The table that all others are in.
    pub(super) fn root(&self) -> &DeTable<'t> {
        &self.root
    }

    /// The line and column of a byte.
    pub(super) fn place(&self, at: &Range<usize>) -> Place {
        let before = &self.text[..self.text.floor_char_boundary(at.start)];
        let line_start = before.rfind('\n').map_or(0, |index| index + 1);
        Place::At {
            file: self.name.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    fn syntax(&self, error: &toml::de::Error) -> Mistake {
        let place = self.place(&error.span().unwrap_or_else(|| self.first_line_with(error.message())));
        let message = match error.span().and_then(|span| self.text.get(span)) {
            Some(key) if error.message() == DUPLICATE => format!("`{key}` is given twice; take one out"),
            _ => format!("not TOML: {}", error.message()),
        };
        Mistake { place, about: String::new(), message }
    }

    /// Where the parser says no place, as for what is nested too deeply: the first line with which it says so.
    fn first_line_with(&self, message: &str) -> Range<usize> {
        let is_without = |end: &usize| {
            let (_, errors) = DeTable::parse_recoverable(&self.text[..*end]);
            !errors.iter().any(|error| error.span().is_none() && error.message() == message)
        };
        let ends: Vec<_> = self.text.match_indices('\n').map(|(at, _)| at).chain([self.text.len()]).collect();
        let line = ends.partition_point(is_without);
        let start = line.checked_sub(1).and_then(|before| ends.get(before)).map_or(0, |end| end + 1);
        start..start
    }
}

/// The line of a place in a file.
pub(super) fn line(place: &Place) -> usize {
    match place {
        Place::At { line, .. } => *line,
        Place::File(_) | Place::Variable(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let mistakes = match Document::parse("w.toml", text) {
            Ok((_, mistakes)) | Err(mistakes) => mistakes,
        };
        assert_eq!(mistakes.iter().map(ToString::to_string).collect::<Vec<_>>(), expected, "{text}");
    }

    #[test]
    fn what_is_not_toml_is_said_with_its_place_once_a_line() {
        assert!(Document::parse("w.toml", "a = 1\r\nb = \"x\" # fine\n").unwrap().1.is_empty());
        check(
            "a = \nb = 1\n[c\n",
            &[
                "w.toml:1:5: not TOML: string values must be quoted, expected literal string",
                "w.toml:3:3: not TOML: unclosed table, expected `]`",
            ],
        );
        check("a = \"x\nb = 1\n", &[r#"w.toml:1:7: not TOML: invalid basic string, expected `"`"#]);
        check(
            "a = what\nb = 10s\n",
            &[
                "w.toml:1:5: not TOML: string values must be quoted, expected literal string",
                "w.toml:2:5: not TOML: string values must be quoted, expected literal string",
            ],
        );
        check(
            "[[a]\n= 1\n",
            &[
                "w.toml:1:5: not TOML: unclosed array table, expected `]`",
                "w.toml:2:1: not TOML: unquoted keys cannot be empty, expected letters, numbers, `-`, `_`",
            ],
        );
        let deep = format!("a = 1\n{}b = 2\nc = 3", "b.".repeat(200));
        check(&deep, &["w.toml:2:1: not TOML: recursion limit"]);
        check("a b = 1", &["w.toml:1:3: not TOML: key with no value, expected `=`"]);
    }

    #[test]
    fn a_key_that_is_given_twice_is_said_by_name() {
        check(
            "[a]\nb = 1\n  b = 2\n[a]\nc = 1",
            &["w.toml:3:3: `b` is given twice; take one out", "w.toml:4:2: `a` is given twice; take one out"],
        );
    }

    #[test]
    fn places_count_characters_and_not_bytes_and_no_byte_order_mark() {
        let (document, _) = Document::parse("w.toml", "\u{feff}\"ключ\" = 1\r\nb = 2").unwrap();
        let at = |start| document.place(&(start..start)).to_string();
        assert_eq!([at(0), at(13), at(16), at(999)], ["w.toml:1:1", "w.toml:1:10", "w.toml:2:1", "w.toml:2:6"]);
    }
}
