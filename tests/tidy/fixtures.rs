//! The folder of fixtures: nothing lies in it that nobody uses, and its README names what is there.

use workhook::sender::Fixture;

use crate::tree;

/// The files that are built in, from the folder's own root.
fn built_in() -> Vec<String> {
    let file = |fixture: &Fixture, kind| format!("{}/{}.{kind}.json", fixture.brand.slug(), fixture.event);
    Fixture::all().iter().flat_map(|fixture| ["body", "meta"].map(|kind| file(fixture, kind))).collect()
}

/// Files that are neither built in nor named in a test, and built-in ones that are not there.
fn stray(files: &[String], built_in: &[String], tests: &[String]) -> Vec<String> {
    let used = |file: &String| built_in.contains(file) || tests.iter().any(|test| test.contains(file.as_str()));
    let stray = files.iter().filter(|file| *file != "README.md" && !used(file));
    let missing = built_in.iter().filter(|file| !files.contains(file));
    stray
        .map(|file| format!("fixtures/{file} is not built in, and no test names it"))
        .chain(missing.map(|file| format!("fixtures/{file} is built in, and not there")))
        .collect()
}

/// Files that the README does not speak of: a built-in one by its event, any other by its path.
fn unmentioned(files: &[String], built_in: &[String], readme: &str) -> Vec<String> {
    let name = |file: &String| match file.split(['/', '.']).collect::<Vec<_>>()[..] {
        [_, object, action, _, "json"] if built_in.contains(file) => format!("`{object}.{action}`"),
        _ => format!("`{file}`"),
    };
    let silent = files.iter().filter(|file| *file != "README.md" && !readme.contains(&name(file)));
    silent.map(|file| format!("fixtures/README.md does not name {}, as {}", file, name(file))).collect()
}

#[test]
fn every_fixture_is_used_and_in_the_readme() {
    let files = tree::below("fixtures");
    let readme = files.iter().find(|file| file.path == "fixtures/README.md").map_or("", |file| &file.text);
    let files: Vec<_> = files.iter().map(|file| file.path.trim_start_matches("fixtures/").to_owned()).collect();
    let tests: Vec<_> = tree::rust(&["tests"]).into_iter().map(|file| file.text).collect();
    let built_in = built_in();
    assert!(!built_in.is_empty());
    tree::hold(&stray(&files, &built_in, &tests));
    tree::hold(&unmentioned(&files, &built_in, readme));
}

#[test]
fn a_stray_a_missing_and_an_unmentioned_fixture_are_told() {
    let list = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let files = list(&["README.md", "a/B.C.body.json", "a/named.bin", "a/stray.json", "stray.json"]);
    let built_in = list(&["a/B.C.body.json", "a/B.C.meta.json"]);
    let tests = list(&["include_bytes!(\"../fixtures/a/named.bin\")"]);
    assert_eq!(
        stray(&files, &built_in, &tests),
        [
            "fixtures/a/stray.json is not built in, and no test names it",
            "fixtures/stray.json is not built in, and no test names it",
            "fixtures/a/B.C.meta.json is built in, and not there",
        ]
    );
    let told = unmentioned(&files[..3], &built_in, "speaks of `a/named.bin`");
    assert_eq!(told, ["fixtures/README.md does not name a/B.C.body.json, as `B.C`"]);
    assert_eq!(unmentioned(&files[..3], &built_in, "`B.C` and `a/named.bin`"), [""; 0]);
}
