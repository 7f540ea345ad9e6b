//! The kept corpus, replayed: each input of each target, by hand what a fuzzer does by the million.

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use super::TARGETS;

/// The largest kept input, in bytes.
const INPUT_MAX: usize = 32 << 10;
/// The largest corpus of all targets together, in bytes.
const CORPUS_MAX: usize = 1 << 20;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(name)
}

/// The names of what is in a folder.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn every_kept_input_holds() {
    let mut failed = Vec::new();
    for target in TARGETS {
        let corpus = folder("corpus").join(target.name);
        let inputs = names(&corpus);
        assert!(!inputs.is_empty(), "{}: the corpus is empty, so nothing is replayed", target.name);
        for input in inputs {
            let bytes = fs::read(corpus.join(&input)).unwrap();
            if catch_unwind(|| (target.holds)(&bytes)).is_err() {
                failed.push(format!("fuzz/corpus/{}/{input}", target.name));
            }
        }
    }
    assert!(failed.is_empty(), "does not hold any more: {failed:#?}");
}

#[test]
fn the_corpus_is_small_and_its_files_are_named_by_their_hashes() {
    let mut all = 0;
    for target in TARGETS {
        for input in names(&folder("corpus").join(target.name)) {
            let by_hash = input.len() == 40 && input.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(by_hash, "{}/{input} is not named by its hash; `fuzz/minimise` does it", target.name);
            let bytes = fs::read(folder("corpus").join(target.name).join(&input)).unwrap().len();
            assert!(bytes <= INPUT_MAX, "{}/{input} has {bytes} bytes; {INPUT_MAX} are the most", target.name);
            all += bytes;
        }
    }
    assert!(all <= CORPUS_MAX, "the corpus has {all} bytes; {CORPUS_MAX} are the most");
}

#[test]
fn every_target_has_a_file_for_the_fuzzer_and_a_corpus_and_there_are_no_others() {
    let known: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    let files = names(&folder("fuzz_targets"));
    assert_eq!(files.iter().map(|file| file.replace(".rs", "")).collect::<BTreeSet<_>>(), known);
    assert_eq!(names(&folder("corpus")), known);
    let manifest = fs::read_to_string(folder("Cargo.toml")).unwrap();
    for name in &known {
        let calls = format!("workhook::fuzzing::{name}(bytes)");
        let file = fs::read_to_string(folder("fuzz_targets").join(format!("{name}.rs"))).unwrap();
        assert!(file.contains(&calls), "fuzz_targets/{name}.rs does not call {calls}");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "fuzz/Cargo.toml does not have {name}");
    }
}
