//! What every file of Rust looks like.

use crate::rust::{Token, tokens};
use crate::tree;

/// The most lines of a file.
const LINES_MAX: usize = 400;

/// What is wrong with a file.
fn wrong(file: &str, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if !text.starts_with("//!") {
        wrong.push(format!("{file}:1: does not begin with //! and what it is"));
    }
    let lines = text.lines().count();
    if lines > LINES_MAX {
        wrong.push(format!("{file}: has {lines} lines; {LINES_MAX} are the most, so make two of it"));
    }
    let tokens = tokens(text);
    for (at, token) in tokens.iter().enumerate() {
        let next = |text: &str| tokens.get(at + 1).is_some_and(|next| next.text == text);
        let why = match token.text {
            "todo" if next("!") => Some("todo! is for later"),
            "#" if next("[") || next("!") => attribute(&tokens[at + 1..]),
            _ => None,
        };
        wrong.extend(why.map(|why| format!("{file}:{}: {why}", token.line)));
    }
    wrong
}

/// What is wrong with the attribute that these begin with.
fn attribute(tokens: &[Token<'_>]) -> Option<&'static str> {
    let mut depth = 0;
    let end = tokens.iter().position(|token| {
        match token.text {
            "[" => depth += 1,
            "]" => depth -= 1,
            _ => {}
        }
        token.text == "]" && depth == 0
    });
    let words: Vec<_> = tokens[..end?].iter().map(|token| token.text).collect();
    if words.contains(&"ignore") {
        return Some("a test that is left out tests nothing");
    }
    let allows = words.windows(2).any(|pair| pair == ["allow", "("]);
    (allows && !words.contains(&"reason")).then_some("allow without a reason; better, expect with one")
}

#[test]
fn every_file_says_what_it_is_fits_a_head_and_leaves_nothing_for_later() {
    let files = tree::rust(&["src", "tests"]);
    tree::hold(&files.iter().flat_map(|file| wrong(&file.path, &file.text)).collect::<Vec<_>>());
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    assert_eq!(wrong("a.rs", text), expected, "{text}");
}

#[test]
fn a_file_that_does_not_say_what_it_is_or_is_too_long_is_told() {
    check("use std::fmt;", &["a.rs:1: does not begin with //! and what it is"]);
    check("", &["a.rs:1: does not begin with //! and what it is"]);
    check(&"//! It.\n".repeat(400), &[]);
    check(&"//! It.\n".repeat(401), &["a.rs: has 401 lines; 400 are the most, so make two of it"]);
}

#[test]
fn what_is_left_for_later_and_what_is_allowed_without_a_reason_are_told() {
    check("//! It.\n\nfn a() { todo!() }", &["a.rs:3: todo! is for later"]);
    check("//! It.\n#[ignore]\nfn a() {}", &["a.rs:2: a test that is left out tests nothing"]);
    check("//! It.\n#[ignore = \"slow\"]\nfn a() {}", &["a.rs:2: a test that is left out tests nothing"]);
    check("//! It.\n#[cfg_attr(unix, ignore)]\nfn a() {}", &["a.rs:2: a test that is left out tests nothing"]);
    let allow = ["a.rs:2: allow without a reason; better, expect with one"];
    check("//! It.\n#[allow(dead_code)]\nfn a() {}", &allow);
    check("//! It.\n#![allow(dead_code)]\nfn a() {}", &allow);
    check("//! It.\n#[cfg_attr(test, allow(dead_code))]\nfn a() {}", &allow);
    check("//! It.\n#[allow(dead_code, reason = \"[it] is so\")]\n#[expect(dead_code)]\n#[test]\nfn a() {}", &[]);
    check("//! todo!() #[ignore]\nconst A: &str = \"todo!()\"; // #[allow(dead_code)]", &[]);
}
