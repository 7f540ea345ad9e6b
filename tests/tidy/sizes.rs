//! What may lie in the tree: nothing large, and nothing that a crash or a run leaves behind.

use std::path::Path;

use crate::tree::hold;

/// The largest file, in bytes; the largest that is wanted is the lock file of the dependencies.
const BYTES_MAX: u64 = 512 << 10;
/// Folders that are not part of the tree.
const OUTSIDE: &[&str] = &[".git", "target", "workhook-data"];

/// What is wrong with a file of this size at this place.
fn wrong(path: &str, bytes: u64) -> Option<String> {
    (bytes > BYTES_MAX).then(|| format!("{path}: {bytes} bytes; nothing over {BYTES_MAX} belongs here"))
}

fn walk(folder: &Path, broken: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let (path, name) = (entry.path(), entry.file_name());
        let metadata = entry.metadata().unwrap();
        if metadata.is_dir() {
            if !OUTSIDE.iter().any(|outside| name == *outside) {
                walk(&path, broken);
            }
        } else {
            broken.extend(wrong(&path.display().to_string(), metadata.len()));
        }
    }
}

#[test]
fn no_file_is_large() {
    let mut broken = Vec::new();
    walk(Path::new(env!("CARGO_MANIFEST_DIR")), &mut broken);
    hold(&broken);
}

#[test]
fn a_large_file_is_told() {
    assert_eq!(wrong("core", BYTES_MAX), None);
    assert_eq!(wrong("core", 600_000).unwrap(), "core: 600000 bytes; nothing over 524288 belongs here");
}
