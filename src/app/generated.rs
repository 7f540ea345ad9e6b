//! Secrets that are made where none is given, and lie beside the store (ruling 26).

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::BuildError;
use crate::config::Config;
use crate::secret::Secret;

/// The credential of the private door, where it has one, and where it lies, where it is not configured. On any other
/// address than loopback there is always one.
pub(super) fn admin_token(config: &Config) -> Result<(Option<Secret>, Option<PathBuf>), BuildError> {
    if config.admin.token.is_some() || config.admin.listen.ip().is_loopback() {
        return Ok((config.admin.token.clone(), None));
    }
    let (token, file) = secret(config.store.folder(), "admin-token")?;
    Ok((Some(token), Some(file)))
}

/// The secret in a file of the folder, made with mode 0600 where it is not there.
pub(super) fn secret(folder: &Path, name: &str) -> Result<(Secret, PathBuf), BuildError> {
    let path = folder.join(name);
    let failed = |source| BuildError::Secret { path: path.clone(), source };
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    match made {
        Ok(mut file) => {
            // Two times 122 random bits, in what every form takes.
            let token = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
            writeln!(file, "{token}").and_then(|()| file.sync_all()).map_err(failed)?;
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error)),
    }
    let text = std::fs::read_to_string(&path).map_err(failed)?;
    let token = text.trim();
    if token.is_empty() {
        let empty = std::io::Error::new(ErrorKind::InvalidData, "it is empty; remove it, and it is made again");
        return Err(failed(empty));
    }
    Ok((Secret::new(token.to_owned()), path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn ruling_26_a_secret_is_made_once_for_its_owner_s_eyes() {
        let folder = tempfile::tempdir().unwrap();
        let (token, path) = secret(folder.path(), "webhook-token").unwrap();
        assert_eq!(token.expose().len(), 64);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(secret(folder.path(), "webhook-token").unwrap().0.expose(), token.expose());
        std::fs::write(&path, "\n").unwrap();
        assert!(secret(folder.path(), "webhook-token").is_err());
    }
}
