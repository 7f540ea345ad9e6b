//! The tree as texts.

use std::path::Path;

/// Folders that are not ours to judge.
const LEFT_OUT: &[&str] = &[".git", "target"];

/// A file's path from the root, with `/` between its parts, and its text; empty where it is not text.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Every file below a folder, sorted; "" is the root.
pub(crate) fn below(folder: &str) -> Vec<File> {
    let mut files = Vec::new();
    walk(folder, &mut files);
    files.sort_by(|one, other| one.path.cmp(&other.path));
    files
}

/// Every file of Rust below some folders.
pub(crate) fn rust(folders: &[&str]) -> Vec<File> {
    let files: Vec<_> = folders.iter().flat_map(|folder| below(folder)).collect();
    let rust: Vec<_> = files.into_iter().filter(|file| file.path.ends_with(".rs")).collect();
    assert!(!rust.is_empty(), "nothing is read below {folders:?}");
    rust
}

fn walk(folder: &str, files: &mut Vec<File>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for entry in std::fs::read_dir(root.join(folder)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        let kind = entry.file_type().unwrap();
        if kind.is_dir() && !LEFT_OUT.contains(&name.as_str()) {
            walk(&path, files);
        } else if kind.is_file() {
            let bytes = std::fs::read(entry.path()).unwrap();
            files.push(File { path, text: String::from_utf8(bytes).unwrap_or_default() });
        }
    }
}

/// What a rule says about the tree.
#[track_caller]
pub(crate) fn hold(broken: &[String]) {
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}
