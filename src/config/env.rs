//! The environment as a value, so that a test brings its own.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;

/// What the variables of single keys begin with: `WORKHOOK__STORE__URL` is `store.url`.
const PREFIX: &str = "WORKHOOK__";

/// The variables that settings and secrets may come from.
#[derive(Clone, Default)]
pub struct Env(BTreeMap<OsString, OsString>);

impl Env {
    /// The variables of this process.
    #[must_use]
    pub fn of_process() -> Env {
        Env(std::env::vars_os().collect())
    }

    /// A variable's value, where it is set and is UTF-8.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.raw(name)?.to_str()
    }

    /// A variable's value, whatever its bytes.
    pub(super) fn raw(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// Every variable that means a key of ours: its name, and its value where that is UTF-8.
    pub(super) fn settings(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.iter().filter_map(|(name, value)| {
            let name = name.to_str().filter(|name| name.starts_with(PREFIX))?;
            Some((name, value.to_str()))
        })
    }
}

/// The variable that a key comes from, for example `WORKHOOK__STORE__URL`.
pub(super) fn variable(section: &str, key: &str) -> String {
    with_prefix(&format!("{}__{}", section.to_ascii_uppercase(), key.to_ascii_uppercase()))
}

/// What tells a variable of ours from the others, for example `STORE__URL`.
pub(super) fn key_of(variable: &str) -> &str {
    variable.strip_prefix(PREFIX).unwrap_or(variable)
}

/// The variable of what tells it from the others.
pub(super) fn with_prefix(key: &str) -> String {
    format!("{PREFIX}{key}")
}

impl<N: Into<OsString>, V: Into<OsString>> FromIterator<(N, V)> for Env {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Env {
        Env(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// Half of what is in an environment is secret, so no value is shown.
impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Env({} variables)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_variables_are_settings_and_no_value_is_shown() {
        let env: Env = [("WORKHOOK__STORE__URL", "a"), ("WORKHOOK_CONFIG", "b"), ("PATH", "c")].into_iter().collect();
        assert_eq!(env.settings().collect::<Vec<_>>(), [("WORKHOOK__STORE__URL", Some("a"))]);
        assert_eq!(env.get("PATH"), Some("c"));
        assert_eq!(variable("store", "url"), "WORKHOOK__STORE__URL");
        assert_eq!(format!("{env:?}"), "Env(3 variables)");
    }
}
