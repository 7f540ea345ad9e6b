//! Which file a program is.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use thiserror::Error;

/// Where a program is looked for that is given by its name, and the program's own `PATH`.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Why a program cannot be started.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum ProgramError {
    /// It would depend on where workhook was started.
    #[error("is neither an absolute path nor a name; write for example \"/opt/hooks/on-issue\" or \"python3\"")]
    Relative,
    /// No file of this name.
    #[error("is in none of {PATH}; write an absolute path")]
    NotFound,
    /// No such file.
    #[error("is not there")]
    NotThere,
    /// A folder, or something else that is no file.
    #[error("is not a file")]
    NotAFile,
    /// It must not be executed.
    #[error("cannot be executed by the user that this runs as; see its permissions")]
    NotExecutable,
}

/// The file of a program that is given by its absolute path, or by its name.
///
/// # Errors
/// When there is no such file, or it cannot be executed.
pub fn find(program: &str) -> Result<PathBuf, ProgramError> {
    find_in(program, PATH)
}

fn find_in(program: &str, path: &str) -> Result<PathBuf, ProgramError> {
    if program.starts_with('/') {
        return check(Path::new(program)).map(|()| program.into());
    }
    if program.is_empty() || program.contains('/') {
        return Err(ProgramError::Relative);
    }
    let mut files = path.split(':').map(|folder| Path::new(folder).join(program));
    files.find(|file| check(file).is_ok()).ok_or(ProgramError::NotFound)
}

fn check(file: &Path) -> Result<(), ProgramError> {
    let found = file.metadata().map_err(|_| ProgramError::NotThere)?;
    if !found.is_file() {
        return Err(ProgramError::NotAFile);
    }
    access(file, Access::EXEC_OK).map_err(|_| ProgramError::NotExecutable)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_program_is_an_absolute_path_or_a_name_that_is_looked_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = format!("/no/such/folder:{}", folder.path().display());
        let file = |name: &str, mode| {
            let file = folder.path().join(name);
            std::fs::write(&file, "").unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            file
        };
        let (good, bad) = (file("good", 0o755), file("bad", 0o644));
        std::fs::create_dir(folder.path().join("folder")).unwrap();
        let check = |program: &str, expected: Result<&Path, ProgramError>| {
            assert_eq!(find_in(program, &path), expected.map(Path::to_owned), "{program}");
        };
        check("good", Ok(&good));
        check(good.to_str().unwrap(), Ok(&good));
        check("bad", Err(ProgramError::NotFound));
        check(bad.to_str().unwrap(), Err(ProgramError::NotExecutable));
        check("folder", Err(ProgramError::NotFound));
        check(folder.path().to_str().unwrap(), Err(ProgramError::NotAFile));
        check("/no/such/file", Err(ProgramError::NotThere));
        for relative in ["", "./good", "../good", "hooks/good"] {
            check(relative, Err(ProgramError::Relative));
        }
    }
}
