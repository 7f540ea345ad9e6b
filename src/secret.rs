//! Values that are never shown: they have no `Display`, and their `Debug` says nothing.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

#[cfg(target_os = "linux")]
use rustix::process::DumpableBehavior;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use thiserror::Error;

/// The largest file with a secret, in bytes: all authorities of a platform have room in it.
const FILE_MAX: u64 = 1 << 20;

/// A credential.
#[derive(Clone)]
pub struct Secret {
    value: SecretString,
    referred: bool,
}

/// Why a secret could not be had. It never says the secret.
#[derive(Debug, Error)]
pub enum SecretError {
    /// The variable is not set.
    #[error("the environment variable {0} is not set")]
    NotSet(String),
    /// The file could not be read.
    #[error("the file {path} cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is nothing in it.
    #[error("{0} is empty")]
    Empty(String),
}

/// Has a crash leave no core of this process, which would have every secret in it. Programs that it starts are not
/// concerned; root can still look into it.
pub(crate) fn leave_no_core() {
    // Only a filter of system calls could refuse it, and other systems have other ways: then a core is as for any program.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

impl Secret {
    /// Wraps a value.
    #[must_use]
    pub fn new(value: String) -> Secret {
        Secret { value: value.into(), referred: false }
    }

    /// Whether it was said where it is to be had, and not what it is.
    #[must_use]
    pub fn is_referred(&self) -> bool {
        self.referred
    }

    /// Follows `env:NAME` and `file:PATH`; anything else is the value itself. A file's last line break is not part of it.
    ///
    /// # Errors
    /// When the variable or file is not there, or there is nothing in it.
    pub fn resolve(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Secret, SecretError> {
        let referred = text.starts_with("env:") || text.starts_with("file:");
        let value = if let Some(name) = text.strip_prefix("env:") {
            env(name).ok_or_else(|| SecretError::NotSet(name.to_owned()))?
        } else if let Some(path) = text.strip_prefix("file:") {
            let unreadable = |source| SecretError::Unreadable { path: path.into(), source };
            let text = read(Path::new(path)).map_err(unreadable)?;
            text.trim_end_matches(['\r', '\n']).to_owned()
        } else {
            text.to_owned()
        };
        if value.is_empty() {
            let what = if text.is_empty() { "the secret" } else { text };
            return Err(SecretError::Empty(what.to_owned()));
        }
        Ok(Secret { referred, ..Secret::new(value) })
    }

    /// The value, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.value.expose_secret()
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    if File::open(path)?.take(FILE_MAX + 1).read_to_string(&mut text)? as u64 > FILE_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {FILE_MAX} bytes")));
    }
    Ok(text)
}

/// The hash of a credential, to compare others with in constant time, whatever their length.
#[derive(Clone, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Hashes a credential.
    #[must_use]
    pub fn of(credential: &[u8]) -> Fingerprint {
        Fingerprint(Sha256::digest(credential).into())
    }

    /// The first eight digits of the hash, to tell credentials apart by. A credential that can be guessed can be
    /// guessed by it.
    #[must_use]
    pub fn beginning(&self) -> [u8; 4] {
        [self.0[0], self.0[1], self.0[2], self.0[3]]
    }

    /// Whether it is of the same credential; takes the same time either way.
    #[must_use]
    pub fn matches(&self, other: &Fingerprint) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint(…)")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_comes_from_the_text_a_variable_or_a_file_and_is_not_shown() {
        let env = |name: &str| (name == "SET").then(|| "from-env".to_owned());
        let resolve = |text: &str| Secret::resolve(text, &env).map(|secret| secret.expose().to_owned());
        assert_eq!(resolve("plain").unwrap(), "plain");
        assert_eq!(resolve("env:SET").unwrap(), "from-env");
        assert!(matches!(resolve("env:UNSET"), Err(SecretError::NotSet(name)) if name == "UNSET"));
        assert!(matches!(resolve("file:/no/such/file"), Err(SecretError::Unreadable { .. })));
        assert!(matches!(resolve(""), Err(SecretError::Empty(_))));
        let endless = resolve("file:/dev/zero").unwrap_err().to_string();
        assert_eq!(endless, "the file /dev/zero cannot be read: it is larger than 1048576 bytes");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "from-file\n").unwrap();
        assert_eq!(resolve(&format!("file:{}", file.path().display())).unwrap(), "from-file");
        assert_eq!(format!("{:?}", Secret::new("hush".to_owned())), "Secret(…)");
    }
}
