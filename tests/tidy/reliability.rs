//! docs/reliability.md: the tests that it names are there, and no group of hostile input is left out.

use std::collections::BTreeSet;

use crate::tree;

const DOCUMENT: &str = "docs/reliability.md";
/// How many groups of hostile input there are.
const GROUPS: usize = 55;

/// The words of a document that are names of tests: at least four words joined by `_`, between backticks.
fn named(text: &str) -> BTreeSet<&str> {
    let is_name = |word: &&str| {
        let lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        word.matches('_').count() >= 3 && word.bytes().all(lower)
    };
    text.split('`').skip(1).step_by(2).filter(is_name).collect()
}

/// The rows of a section, but for those above its first.
fn rows<'a>(text: &'a str, section: &str) -> Vec<Vec<&'a str>> {
    let section = text.split("\n## ").find(|own| own.starts_with(section)).unwrap_or_default();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")).skip(2);
    rows.map(|row| row.split(" | ").map(str::trim).collect()).collect()
}

/// The numbers of the groups that have a row, in the order of the rows; a row can have several.
fn groups(text: &str) -> Vec<usize> {
    let section = text.split("\n## ").find(|section| section.starts_with("Hostile input")).unwrap_or_default();
    let firsts = section.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    let numbers = firsts.flat_map(|cell| cell.split(", ").map(|number| number.parse().ok()));
    numbers.flatten().collect()
}

#[test]
fn every_test_that_the_document_names_is_there() {
    let files = tree::below("");
    let document = files.iter().find(|file| file.path == DOCUMENT).unwrap();
    let functions: BTreeSet<&str> = files
        .iter()
        .filter(|file| file.path.ends_with(".rs"))
        .flat_map(|file| file.text.split("fn ").skip(1))
        .filter_map(|rest| rest.split(['(', '<']).next())
        .collect();
    let missing = named(&document.text).into_iter().filter(|name| !functions.contains(name));
    let missing: Vec<_> = missing.map(|name| format!("{DOCUMENT}: there is no test {name}")).collect();
    tree::hold(&missing);
}

#[test]
fn every_promise_of_several_replicas_has_its_test_its_figure_and_its_guard() {
    let files = tree::below("docs");
    let document = files.iter().find(|file| file.path == DOCUMENT).unwrap();
    let rows = rows(&document.text, "Several replicas");
    let whole =
        |row: &Vec<&str>| row.len() == 4 && row.iter().all(|cell| !cell.is_empty()) && row[1].contains("](../tests/");
    let missing = rows.iter().filter(|row| !whole(row)).map(|row| format!("{DOCUMENT}: {row:?} is no whole row"));
    assert!(rows.len() >= 6, "{rows:?}");
    tree::hold(&missing.collect::<Vec<_>>());
}

#[test]
fn every_group_of_hostile_input_has_a_row() {
    let files = tree::below("docs");
    let document = files.iter().find(|file| file.path == DOCUMENT).unwrap();
    assert_eq!(groups(&document.text), (1..=GROUPS).collect::<Vec<_>>());
}

#[test]
fn names_and_groups_are_found() {
    assert_eq!(Vec::from_iter(named("see `a_b_c_d`, `a_b` and `A_B_C_D`; a_b_c_e")), ["a_b_c_d"]);
    assert_eq!(rows("\n## A\n| a | b |\n| --- | --- |\n| 1 |  |\n## B\n| 2 | 3 |", "A"), [["1", ""]]);
    assert_eq!(groups("\n## Hostile input\n| 1 | a |\n| 2, 3 | b |\n| x |\n## Next\n| 4 | c |"), [1, 2, 3]);
}
