//! Secrets that are made where none is given, and lie beside the store (ruling 26).

use std::fs::{File, OpenOptions};
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
    let folder = config.store.place.folder().ok_or(BuildError::NoSecret("admin.token"))?;
    let (token, file) = secret(folder, "admin-token")?;
    Ok((Some(token), Some(file)))
}

/// The token of the webhook that is made where none is configured, and where it lies.
pub(super) fn webhook_token(config: &Config) -> Result<(Secret, PathBuf), BuildError> {
    secret(config.store.place.folder().ok_or(BuildError::NoSecret("webhook.tokens"))?, "webhook-token")
}

/// The secret in a file of the folder, made with mode 0600 where it is not there.
fn secret(folder: &Path, name: &str) -> Result<(Secret, PathBuf), BuildError> {
    let path = folder.join(name);
    let failed = |source| BuildError::Secret { path: path.clone(), source };
    if !path.try_exists().map_err(failed)? {
        make(folder, &path).map_err(failed)?;
    }
    let text = std::fs::read_to_string(&path).map_err(failed)?;
    let token = text.trim();
    if token.is_empty() {
        let empty = std::io::Error::new(ErrorKind::InvalidData, "it is empty; remove it, and it is made again");
        return Err(failed(empty));
    }
    Ok((Secret::new(token.to_owned()), path))
}

/// Makes a secret. Its name appears when it is whole, and is on the disk before anybody is told of it: who has copied
/// it into the product never has to do that again.
fn make(folder: &Path, path: &Path) -> std::io::Result<()> {
    let unfinished = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    // Two times 122 random bits, in what every form takes.
    writeln!(file, "{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    File::open(folder)?.sync_all()
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
        std::fs::remove_file(&path).unwrap();
        std::fs::write(folder.path().join("webhook-token.new"), "half").unwrap();
        assert_eq!(secret(folder.path(), "webhook-token").unwrap().0.expose().len(), 64, "after an end half-way");
        std::fs::write(&path, "\n").unwrap();
        assert!(secret(folder.path(), "webhook-token").is_err());
    }
}
