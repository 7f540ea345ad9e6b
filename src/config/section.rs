//! One table, read key by key.
//!
//! The code that takes a key is all that makes it known: what the table has beyond the taken ones is a mistake.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::env::{self, Env};
use super::mistake::Place;
use super::reader::Reader;
use super::settings::{self, Setting};
use super::suggest;
use super::value::{Value, cut};

/// A table that is being read.
#[derive(Debug)]
pub(super) struct Section<'r, 'd> {
    reader: &'r mut Reader<'d>,
    /// What documents call it, for example `handler.retry`.
    name: String,
    /// What messages call it, for example `handler.crm.retry`.
    label: String,
    /// What messages add where they list its keys.
    kind: String,
    source: Source<'d>,
    /// Whether its keys may come from variables as well.
    single: bool,
    taken: Vec<&'static str>,
    faulty: Vec<&'static str>,
    /// How many settings were noted before this table.
    noted_before: usize,
}

/// A table in the file, where there is one, and the place to name when something is missing in it.
#[derive(Debug, Clone)]
pub(super) struct Source<'d> {
    pub(super) table: Option<&'d DeTable<'d>>,
    pub(super) span: Range<usize>,
}

/// A value with its place.
struct Given<'d> {
    value: Value<'d>,
    place: Place,
}

impl<'r, 'd> Section<'r, 'd> {
    /// Reads a table with a function, and says which of its keys that function did not ask for.
    pub(super) fn read<T>(
        reader: &'r mut Reader<'d>,
        (name, label): (String, String),
        source: Source<'d>,
        single: bool,
        read: impl FnOnce(&mut Section<'_, 'd>) -> T,
    ) -> T {
        let (kind, taken, faulty) = (String::new(), Vec::new(), Vec::new());
        let noted_before = reader.settings().len();
        let mut section = Section { reader, name, label, kind, source, single, taken, faulty, noted_before };
        let result = read(&mut section);
        section.report_unknown();
        result
    }

    /// The environment, for secrets.
    pub(super) fn env(&self) -> &'d Env {
        self.reader.env()
    }

    /// Where the table begins.
    pub(super) fn place(&self) -> Place {
        self.reader.place(&self.source.span)
    }

    /// Has messages call the table by its own name, as in `handler.crm`.
    pub(super) fn call(&mut self, own_name: &str) {
        let label = format!("{}.{own_name}", self.name);
        for setting in self.reader.settings().iter_mut().skip(self.noted_before) {
            if let Some(key) = setting.key.strip_prefix(&self.label) {
                setting.key = format!("{label}{key}");
            }
        }
        self.label = label;
    }

    /// Has messages say of which kind the table is, where they list its keys.
    pub(super) fn call_kind(&mut self, kind: &str) {
        self.kind = format!(" for kind `{kind}`");
    }

    /// Whether a key was given, by file or variable.
    pub(super) fn has(&self, key: &str) -> bool {
        self.given(key).is_some()
    }

    /// Whether a key was given and is wrong.
    pub(super) fn is_faulty(&self, key: &str) -> bool {
        self.faulty.contains(&key)
    }

    /// Takes a key, where it was given and is right.
    pub(super) fn take<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(Value<'d>) -> Result<T, String>,
    ) -> Option<T> {
        self.know(key);
        let given = self.given(key);
        self.note(key, given.as_ref());
        let Given { value, place } = given?;
        match read(value) {
            Ok(value) => Some(value),
            Err(message) => {
                self.fault(key, place, message);
                None
            }
        }
    }

    /// Takes a key into a setting that has a default.
    pub(super) fn set<T: std::fmt::Debug + 'static>(
        &mut self,
        key: &'static str,
        setting: &mut T,
        read: impl FnOnce(Value<'d>) -> Result<T, String>,
    ) {
        let default = settings::default(setting);
        match self.take(key, read) {
            Some(value) => *setting = value,
            None => self.shown(key, default),
        }
    }

    /// Has a default shown as it would be written.
    pub(super) fn shown(&mut self, key: &str, default: String) {
        let key = format!("{}.{key}", self.label);
        let own = self.reader.settings().iter_mut().skip(self.noted_before);
        if let Some(setting) = own.rev().find(|setting| setting.key == key && setting.origin.is_none()) {
            setting.value = Some(default);
        }
    }

    /// Says that something is wrong with the table as a whole.
    pub(super) fn report(&mut self, message: String) {
        self.reader.report(self.place(), self.label.clone(), message);
    }

    /// Takes a key that has to be given.
    pub(super) fn require<T>(
        &mut self,
        key: &'static str,
        example: &str,
        read: impl FnOnce(Value<'d>) -> Result<T, String>,
    ) -> Option<T> {
        if !self.has(key) {
            self.report(format!("`{key}` is missing; add for example {key} = {example}"));
        }
        self.take(key, read)
    }

    /// Takes a list, where it was given and all of it is right.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        example: &str,
        mut read: impl FnMut(Value<'d>) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let items = self.take(key, |value| value.items(example))?;
        let list_place = self.given(key)?.place;
        let mut good = Vec::with_capacity(items.len());
        for (value, span) in items {
            match read(value) {
                Ok(value) => good.push(value),
                Err(message) => {
                    let place = span.map_or_else(|| list_place.clone(), |span| self.reader.place(&span));
                    self.fault(key, place, message);
                }
            }
        }
        (!self.is_faulty(key)).then_some(good)
    }

    /// Takes a table whose keys are the user's own words, where all of it is right. Without it there are none.
    pub(super) fn entries<T>(
        &mut self,
        key: &'static str,
        example: &str,
        mut read: impl FnMut(&str, Value<'d>) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let table = self.take(key, |value| as_table(value, example));
        let mut good = Vec::new();
        for (own_key, value) in table.into_iter().flat_map(DeTable::iter) {
            match read(own_key.get_ref(), Value::File(value.get_ref())) {
                Ok(value) => good.push(value),
                Err(message) => self.fault(key, self.reader.place(&own_key.span()), message),
            }
        }
        (!self.is_faulty(key)).then_some(good)
    }

    /// Reads a table within this one.
    pub(super) fn inner<T>(
        &mut self,
        key: &'static str,
        example: &str,
        read: impl FnOnce(&mut Section<'_, 'd>) -> T,
    ) -> T {
        self.taken.push(key);
        let table = self.file_value(key).and_then(|(value, span)| match as_table(value, example) {
            Ok(table) => Some((table, span)),
            Err(message) => {
                self.fault(key, self.reader.place(&span), message);
                None
            }
        });
        let source = match table {
            Some((table, span)) => Source { table: Some(table), span },
            None => Source { table: None, span: self.source.span.clone() },
        };
        let names = (format!("{}.{key}", self.name), format!("{}.{key}", self.label));
        Section::read(self.reader, names, source, self.single, read)
    }

    /// Reads without saying what is wrong: only so that keys are known.
    pub(super) fn quietly(&mut self, read: impl FnOnce(&mut Section<'_, 'd>)) {
        let before = self.reader.mistakes();
        read(self);
        self.reader.forget_after(before);
    }

    /// Says that what some keys say together is wrong, at the first of them that was given. Says nothing where one of
    /// them is wrong already.
    pub(super) fn blame(&mut self, keys: &[&'static str], message: String) {
        if keys.iter().any(|key| self.is_faulty(key)) {
            return;
        }
        let given = keys.iter().find_map(|key| Some((*key, self.given(key)?.place)));
        match given {
            Some((key, place)) => self.fault(key, place, message),
            None => self.report(message),
        }
    }

    fn know(&mut self, key: &'static str) {
        self.taken.push(key);
        let variable = self.single.then(|| env::variable(&self.name, key));
        self.reader.know(format!("{}.{key}", self.name), variable);
    }

    fn note(&mut self, key: &'static str, given: Option<&Given<'d>>) {
        let value = given.map(|given| settings::shown(&format!("{}.{key}", self.name), given.value));
        let (key, origin) = (format!("{}.{key}", self.label), given.map(|given| given.place.clone()));
        self.reader.note(Setting { key, value, origin });
    }

    fn given(&self, key: &str) -> Option<Given<'d>> {
        let variable = env::variable(&self.name, key);
        if let Some(text) = self.env().get(&variable).filter(|_| self.single) {
            return Some(Given { value: Value::Variable(text), place: Place::Variable(variable) });
        }
        let (value, span) = self.file_value(key)?;
        Some(Given { value, place: self.reader.place(&span) })
    }

    fn file_value(&self, key: &str) -> Option<(Value<'d>, Range<usize>)> {
        let value = self.source.table?.get(key)?;
        Some((Value::File(value.get_ref()), value.span()))
    }

    fn fault(&mut self, key: &'static str, place: Place, message: String) {
        self.faulty.push(key);
        self.reader.report(place, format!("{}.{key}", self.label), message);
    }

    fn report_unknown(&mut self) {
        for key in self.source.table.into_iter().flat_map(DeTable::keys) {
            let name = key.get_ref();
            if !self.taken.iter().any(|taken| taken == name) {
                let right = match suggest::nearest(name, &self.taken) {
                    Some(nearest) => format!("did you mean `{nearest}`?"),
                    None => format!("known{} are {}", self.kind, suggest::listed(&self.taken)),
                };
                let message = format!("unknown key `{}`; {right}", cut(name));
                self.reader.report(self.reader.place(&key.span()), self.label.clone(), message);
            }
        }
    }
}

fn as_table<'d>(value: Value<'d>, example: &str) -> Result<&'d DeTable<'d>, String> {
    match value {
        Value::File(DeValue::Table(table)) => Ok(table),
        other => Err(other.not_a(&format!("a table, as in {example}"))),
    }
}
