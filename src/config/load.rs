//! The file: which one it is, and its text.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::env::Env;
use super::mistake::{ConfigErrors, Mistake, Place};

/// The file that is read where none is named.
const DEFAULT: &str = "workhook.toml";
/// The variable that names one.
const VARIABLE: &str = "WORKHOOK_CONFIG";
/// The largest file, in bytes.
const MAX_LEN: u64 = 1 << 20;

/// Finds the file and reads it. There may be none where none was named.
pub(super) fn find(folder: &Path, named: Option<&Path>, env: &Env) -> Result<Option<(PathBuf, String)>, ConfigErrors> {
    // An empty variable is how a container's description says that there is none.
    let by_variable = env.raw(VARIABLE).filter(|path| !path.is_empty()).map(Path::new);
    let (path, origin) = match (named, by_variable) {
        (Some(path), _) => (path.to_owned(), ""),
        (None, Some(path)) => (path.to_owned(), " (named by WORKHOOK_CONFIG)"),
        (None, None) => (folder.join(DEFAULT), ""),
    };
    let was_named = named.or(by_variable).is_some();
    let text = match read(&path) {
        Ok(bytes) if bytes.len() as u64 > MAX_LEN => {
            Err(format!("is larger than a configuration can be, {MAX_LEN} bytes"))
        }
        Ok(bytes) => String::from_utf8(bytes).map_err(|error| {
            let line =
                error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
            format!("line {line} is not UTF-8; write the file in UTF-8")
        }),
        Err(error) if error.kind() == ErrorKind::NotFound && !was_named => return Ok(None),
        Err(error) => Err(format!("cannot be read{origin}: {error}")),
    };
    match text {
        Ok(text) => Ok(Some((path, text))),
        Err(message) => {
            let place = Place::File(path.to_string_lossy().into_owned());
            Err(Mistake { place, about: String::new(), message }.into())
        }
    }
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_LEN + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(path: &Path) -> Env {
        [(VARIABLE, path)].into_iter().collect()
    }

    #[test]
    fn the_file_is_the_named_one_else_the_variable_s_else_the_one_in_the_folder_if_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a.toml"), folder.path().join("b.toml"));
        std::fs::write(&a, "a").unwrap();
        std::fs::write(&b, "b").unwrap();
        let text = |named: Option<&Path>, env: &Env| find(folder.path(), named, env).unwrap().map(|(_, text)| text);
        assert_eq!(text(Some(&a), &env(&b)).as_deref(), Some("a"));
        assert_eq!(text(None, &env(&b)).as_deref(), Some("b"));
        assert_eq!(text(None, &env(Path::new(""))), None);
        std::fs::write(folder.path().join("workhook.toml"), "c").unwrap();
        assert_eq!(text(None, &Env::default()).as_deref(), Some("c"));
    }

    #[test]
    fn a_named_file_that_cannot_be_read_is_a_mistake() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing.toml");
        let shown = |named: Option<&Path>, env: &Env| find(folder.path(), named, env).unwrap_err().to_string();
        let name = missing.display();
        let not_found = "No such file or directory (os error 2)";
        assert_eq!(shown(Some(&missing), &Env::default()), format!("{name}: cannot be read: {not_found}"));
        let by_variable = format!("{name}: cannot be read (named by WORKHOOK_CONFIG): {not_found}");
        assert_eq!(shown(None, &env(&missing)), by_variable);
        let folder_itself = shown(Some(folder.path()), &Env::default());
        assert!(folder_itself.contains(": cannot be read: "), "{folder_itself}");
    }

    #[test]
    fn a_file_that_is_not_text_or_has_no_end_is_a_mistake() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("workhook.toml");
        std::fs::write(&path, b"# fine\n# \xff\n").unwrap();
        let shown = |path: &Path| find(Path::new(""), Some(path), &Env::default()).unwrap_err().to_string();
        assert_eq!(shown(&path), format!("{}: line 2 is not UTF-8; write the file in UTF-8", path.display()));
        assert_eq!(shown(Path::new("/dev/zero")), "/dev/zero: is larger than a configuration can be, 1048576 bytes");
    }
}
