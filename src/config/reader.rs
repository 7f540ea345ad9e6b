//! The whole reading: the file, the environment, and everything that was found wrong on the way.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::de::DeValue;

use super::document::Document;
use super::env::{self, Env};
use super::mistake::{ConfigErrors, Mistake, Place};
use super::section::{Section, Source};
use super::settings::Setting;
use super::suggest;
use super::value::cut;

/// Reads a configuration, and goes on after a mistake.
#[derive(Debug)]
pub(super) struct Reader<'d> {
    document: Option<&'d Document<'d>>,
    env: &'d Env,
    mistakes: Vec<Mistake>,
    /// Every key that was asked for, for example `ingest.listen`.
    keys: BTreeSet<String>,
    /// The variables of those that can come from one.
    variables: BTreeSet<String>,
    /// The tables that were asked for, as the file writes them.
    tables: Vec<Table>,
    /// Each key that was asked for in each table, with what it is set to.
    settings: Vec<Setting>,
}

#[derive(Debug)]
struct Table {
    name: &'static str,
    many: bool,
}

impl<'d> Reader<'d> {
    /// A reader of this file, with what is wrong in it already, and environment.
    pub(super) fn new(document: Option<&'d Document<'d>>, env: &'d Env, mistakes: Vec<Mistake>) -> Reader<'d> {
        let (keys, variables) = (BTreeSet::new(), BTreeSet::new());
        Reader { document, env, mistakes, keys, variables, tables: Vec::new(), settings: Vec::new() }
    }

    /// The environment, for secrets.
    pub(super) fn env(&self) -> &'d Env {
        self.env
    }

    /// Reads a table that there is once, in the file or not.
    pub(super) fn one<T>(&mut self, name: &'static str, read: impl FnOnce(&mut Section<'_, 'd>) -> T) -> T {
        let source = match self.root(name, false) {
            Some((span, DeValue::Table(table))) => Source { table: Some(table), span },
            Some((span, other)) => {
                let found = if other.is_array() { "a list of tables" } else { "a value" };
                let message = format!("`{name}` is one table, not {found}; write [{name}]");
                self.report(self.place(&span), String::new(), message);
                Source { table: None, span }
            }
            None => Source { table: None, span: 0..0 },
        };
        Section::read(self, (name.to_owned(), name.to_owned()), source, true, read)
    }

    /// Reads each of the tables that there may be many of.
    pub(super) fn many<T>(&mut self, name: &'static str, mut read: impl FnMut(&mut Section<'_, 'd>) -> T) -> Vec<T> {
        let Some((span, value)) = self.root(name, true) else { return Vec::new() };
        let mut sources = Vec::new();
        let mut wrong = Vec::new();
        match value {
            DeValue::Array(items) => {
                for item in items {
                    match item.get_ref() {
                        DeValue::Table(table) => sources.push(Source { table: Some(table), span: item.span() }),
                        _ => wrong.push(item.span()),
                    }
                }
            }
            // It is read all the same, so that what is wrong in it is said too.
            DeValue::Table(table) => {
                wrong.push(span.clone());
                sources.push(Source { table: Some(table), span });
            }
            _ => wrong.push(span),
        }
        for span in wrong {
            let message = format!("`{name}` is a list of tables; write [[{name}]] before each");
            self.report(self.place(&span), String::new(), message);
        }
        let mut each = |source| Section::read(self, (name.to_owned(), name.to_owned()), source, false, &mut read);
        sources.into_iter().map(&mut each).collect()
    }

    /// Whether the file has a table of this name, or something in its place.
    pub(super) fn has(&self, name: &str) -> bool {
        self.document.is_some_and(|document| document.root().get(name).is_some())
    }

    /// Says that something is wrong.
    pub(super) fn report(&mut self, place: Place, about: String, message: String) {
        self.mistakes.push(Mistake { place, about, message });
    }

    /// How many mistakes there are so far.
    pub(super) fn mistakes(&self) -> usize {
        self.mistakes.len()
    }

    /// Takes back all mistakes but the first so many.
    pub(super) fn forget_after(&mut self, count: usize) {
        self.mistakes.truncate(count);
    }

    /// Makes a key known, with the variable that it may come from.
    pub(super) fn know(&mut self, key: String, variable: Option<String>) {
        self.keys.insert(key);
        self.variables.extend(variable);
    }

    /// Keeps what a key is set to.
    pub(super) fn note(&mut self, setting: Setting) {
        self.settings.push(setting);
    }

    /// What the keys are set to, so far.
    pub(super) fn settings(&mut self) -> &mut Vec<Setting> {
        &mut self.settings
    }

    /// Every key that was asked for.
    pub(super) fn into_keys(self) -> BTreeSet<String> {
        self.keys
    }

    /// The line and column of a place in the file.
    pub(super) fn place(&self, span: &Range<usize>) -> Place {
        // Without a file nothing has a span, and the only places are variables.
        self.document.map_or_else(|| Place::File("workhook.toml".to_owned()), |document| document.place(span))
    }

    /// Ends the reading, with what the keys are set to: what nobody asked for is a mistake as well.
    ///
    /// # Errors
    /// With all mistakes, where there are any.
    pub(super) fn finish(mut self) -> Result<Vec<Setting>, ConfigErrors> {
        self.report_unknown_tables();
        self.report_unknown_variables();
        if self.mistakes.is_empty() { Ok(self.settings) } else { Err(ConfigErrors::new(self.mistakes)) }
    }

    fn root(&mut self, name: &'static str, many: bool) -> Option<(Range<usize>, &'d DeValue<'d>)> {
        self.tables.push(Table { name, many });
        let value = self.document?.root().get(name)?;
        Some((value.span(), value.get_ref()))
    }

    fn report_unknown_tables(&mut self) {
        let names: Vec<_> = self.tables.iter().map(|table| table.name).collect();
        for (key, value) in self.document.into_iter().flat_map(|document| document.root().iter()) {
            let name = key.get_ref();
            if names.contains(&&**name) {
                continue;
            }
            let (what, right) = match value.get_ref() {
                DeValue::Table(_) | DeValue::Array(_) => ("table", self.instead_of_table(name)),
                _ => ("key", self.instead_of_root_key(name)),
            };
            self.report(self.place(&key.span()), String::new(), format!("unknown {what} `{}`; {right}", cut(name)));
        }
    }

    fn instead_of_table(&self, name: &str) -> String {
        let written: Vec<_> = self.tables.iter().map(Table::written).collect();
        let nearest = suggest::nearest(name, &self.tables);
        match self.tables.iter().find(|table| Some(table.name) == nearest) {
            Some(table) => format!("did you mean `{}`?", table.written()),
            None => format!("known are {}", suggest::listed(&written)),
        }
    }

    /// A key before the first table belongs into one.
    fn instead_of_root_key(&self, name: &str) -> String {
        let homes = self.keys.iter().filter_map(|key| key.split_once('.').filter(|(_, key)| *key == name));
        let homes: Vec<_> = homes.filter_map(|(home, _)| self.tables.iter().find(|table| table.name == home)).collect();
        if homes.is_empty() {
            return self.instead_of_table(name);
        }
        let written: Vec<_> = homes.into_iter().map(Table::written).collect();
        format!("write it below {}", suggest::alternatives(&written))
    }

    fn report_unknown_variables(&mut self) {
        for (name, value) in self.env.settings() {
            let message = if self.variables.contains(name) {
                if value.is_some() {
                    continue;
                }
                "is not UTF-8".to_owned()
            } else {
                self.instead_of_variable(name)
            };
            self.report(Place::Variable(name.to_owned()), String::new(), message);
        }
    }

    fn instead_of_variable(&self, name: &str) -> String {
        let section = |name: &str| env::key_of(name).split("__").next().unwrap_or_default().to_owned();
        let many = |table: &&Table| table.many && table.name.eq_ignore_ascii_case(&section(name));
        if let Some(table) = self.tables.iter().find(many) {
            return format!("`{}` can be set in the file only, since there may be many", table.written());
        }
        // What all variables begin with says nothing about how near they are.
        let keys: Vec<_> = self.variables.iter().map(|variable| env::key_of(variable)).collect();
        if let Some(nearest) = suggest::nearest(env::key_of(name), &keys) {
            return format!("unknown variable; did you mean `{}`?", env::with_prefix(nearest));
        }
        let same: Vec<_> = self.variables.iter().filter(|variable| section(variable) == section(name)).collect();
        let known = if same.is_empty() { self.variables.iter().collect() } else { same };
        format!("unknown variable; known are {}", suggest::listed(&known))
    }
}

impl Table {
    fn written(&self) -> String {
        if self.many { format!("[[{}]]", self.name) } else { format!("[{}]", self.name) }
    }
}

impl AsRef<str> for Table {
    fn as_ref(&self) -> &str {
        self.name
    }
}
