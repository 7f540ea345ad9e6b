//! Which room may know which: a room imports only rooms of a lower floor, and siblings do not know each other.

use crate::rust::{Named, paths};
use crate::tree;

/// The rooms by floor. What is not in here is no room.
const FLOORS: &[(u8, &[&str])] = &[
    (TOP, &["main", "cli", "fuzzing"]),
    (8, &["app"]),
    (7, &["config"]),
    (6, &["ingest", "sender", "admin", "dispatch", "upkeep"]),
    (5, &["handlers", "store"]),
    (4, &["routes"]),
    (3, &["changes"]),
    (2, &["model"]),
    (1, &["contract"]),
    (0, &["connections", "telemetry", "health", "clock", "chance", "secret", "wake"]),
];

/// On the top floor everybody may know everybody.
const TOP: u8 = 9;

/// What the pure rooms do without: files, sockets, tasks and clocks.
const NOT_PURE: &[&str] = &[
    "tokio",
    "tokio_util",
    "std::fs",
    "std::net::*",
    "…::TcpListener",
    "…::TcpStream",
    "…::UdpSocket",
    "…::UnixListener",
    "…::UnixStream",
    "…::ToSocketAddrs",
    "…::SystemTime",
    "…::Instant",
    "…::now",
    "…::now_v7",
    "crate::clock",
];

/// What a room must not know of the world outside. `…` stands for any parts before.
const NEVER: &[(&[&str], &[&str])] = &[
    (&["contract", "changes", "model", "routes"], NOT_PURE),
    (&["dispatch", "upkeep"], &["axum", "http", "hyper", "hyper_util", "reqwest", "rusqlite"]),
    (&["admin", "ingest"], &["rusqlite", "refinery"]),
    (&["store"], &["axum", "hyper", "hyper_util", "reqwest"]),
];

/// The rooms in which an error may be one of any kind.
const ANYHOW: &[&str] = &["main", "cli", "app"];

/// The room that a file is in; `None` for the list of the rooms itself.
fn room_of(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("src/").unwrap_or(path);
    let first = inside.split('/').next().unwrap_or_default();
    Some(first.strip_suffix(".rs").unwrap_or(first)).filter(|room| *room != "lib")
}

fn floor(room: &str) -> Option<u8> {
    FLOORS.iter().find(|(_, rooms)| rooms.contains(&room)).map(|(floor, _)| *floor)
}

/// A path from the root of the crate, where it is one of ours and says so.
fn from_root(file: &str, named: &Named) -> Vec<String> {
    let steps: Vec<&str> = named.parts.iter().map(String::as_str).skip_while(|part| *part == "self").collect();
    let up = steps.iter().take_while(|part| **part == "super").count();
    if up == 0 {
        return steps.iter().map(|&part| part.to_owned()).collect();
    }
    let inside = file.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    let modules: Vec<&str> = inside.split('/').chain(named.within.iter().map(String::as_str)).collect();
    let stay = modules.len().saturating_sub(up);
    ["crate"].iter().chain(&modules[..stay]).chain(&steps[up..]).map(|&part| part.to_owned()).collect()
}

/// Where a file names a room that it must not know, or what is no room.
fn wrong_rooms(file: &str, text: &str) -> Vec<String> {
    let Some(own) = room_of(file) else { return Vec::new() };
    let Some(own_floor) = floor(own) else { return vec![format!("{file}: {own} is not in the table of rooms")] };
    let wrong = |named: Named| {
        let path = from_root(file, &named);
        let [root, other, ..] = path.as_slice() else { return None };
        if root != "crate" || other == own {
            return None;
        }
        let why = match floor(other) {
            None => format!("{other} is no room; name the room that it comes from"),
            Some(below) if below < own_floor || own_floor == TOP => return None,
            Some(same) if same == own_floor => format!("{own} and {other} are on one floor, {same}"),
            Some(above) => format!("{other} is on floor {above}, above {own} on floor {own_floor}"),
        };
        Some(format!("{file}:{}: {why}", named.line))
    };
    paths(text).into_iter().filter_map(wrong).collect()
}

/// Where a file knows more of the world outside than its room may.
fn wrong_parts(file: &str, text: &str) -> Vec<String> {
    let Some(own) = room_of(file) else { return Vec::new() };
    let mut never: Vec<&str> =
        NEVER.iter().filter(|(rooms, _)| rooms.contains(&own)).flat_map(|(_, never)| *never).copied().collect();
    if !ANYHOW.contains(&own) {
        never.push("anyhow");
    }
    let wrong = |named: Named| {
        let path = from_root(file, &named);
        let found = never.iter().find(|pattern| covers(pattern, &path))?;
        Some(format!("{file}:{}: {own} has {}, and must not know {found}", named.line, path.join("::")))
    };
    paths(text).into_iter().filter_map(wrong).collect()
}

fn covers(pattern: &str, path: &[String]) -> bool {
    match pattern.strip_prefix("…::") {
        // A word by itself is a variable or a function of the file's own.
        Some(part) => path.iter().skip(1).any(|own| own == part),
        None => pattern.split("::").enumerate().all(|(at, part)| path.get(at).is_some_and(|own| own == part)),
    }
}

#[test]
fn a_room_knows_only_rooms_below_it() {
    let broken: Vec<_> = tree::rust(&["src"]).iter().flat_map(|file| wrong_rooms(&file.path, &file.text)).collect();
    tree::hold(&broken);
}

#[test]
fn a_room_knows_of_the_world_outside_only_what_it_may() {
    let broken: Vec<_> = tree::rust(&["src"]).iter().flat_map(|file| wrong_parts(&file.path, &file.text)).collect();
    tree::hold(&broken);
}

#[track_caller]
fn check(rule: fn(&str, &str) -> Vec<String>, file: &str, text: &str, expected: &[&str]) {
    let told: Vec<_> = rule(file, text).iter().map(|told| told.split_once(": ").unwrap().1.to_owned()).collect();
    assert_eq!(told, expected, "{file}: {text}");
}

#[test]
fn a_room_above_a_sibling_and_what_is_no_room_are_told() {
    let above = "dispatch is on floor 6, above store on floor 5";
    let sibling = "store and handlers are on one floor, 5";
    check(wrong_rooms, "src/store/a.rs", "use crate::dispatch::House;", &[above]);
    check(wrong_rooms, "src/store/a.rs", "use crate::{model::Plan, handlers::{self, log}};", &[sibling; 2]);
    check(wrong_rooms, "src/store/a.rs", "fn a(b: crate::handlers::Failure) {}", &[sibling]);
    check(wrong_rooms, "src/store/a.rs", "#[cfg(test)]\nmod tests { use super::super::super::dispatch; }", &[above]);
    check(wrong_rooms, "src/store/mod.rs", "pub use super::handlers::Handler;", &[sibling]);
    check(wrong_rooms, "src/clock.rs", "use super::{secret::Secret};", &["clock and secret are on one floor, 0"]);
    let no_room = "Event is no room; name the room that it comes from";
    check(wrong_rooms, "src/store/a.rs", "use crate::Event;", &[no_room]);
    check(wrong_rooms, "src/cli/a.rs", "use crate::Event;", &[no_room]);
    assert_eq!(wrong_rooms("src/util.rs", ""), ["src/util.rs: util is not in the table of rooms"]);
    assert_eq!(wrong_rooms("src/types/mod.rs", ""), ["src/types/mod.rs: types is not in the table of rooms"]);
    assert!(wrong_rooms("src/store/a.rs", "\n\nuse crate::app::App;")[0].starts_with("src/store/a.rs:3: "));
}

#[test]
fn a_room_below_the_own_one_and_words_in_texts_are_not_told() {
    check(wrong_rooms, "src/store/a.rs", "use crate::{model, contract::Brand, store::Store, clock};", &[]);
    check(wrong_rooms, "src/store/a/b.rs", "use super::super::handlers; mod t { use super::super::x; }", &[]);
    check(wrong_rooms, "src/store/a.rs", "// crate::app\nconst A: &str = \"crate::app\"; /// [`crate::app`]", &[]);
    check(wrong_rooms, "src/cli/a.rs", "use crate::{app, config, main};", &[]);
    check(wrong_rooms, "src/lib.rs", "pub use crate::cli::main;", &[]);
}

#[test]
fn what_a_room_must_never_know_is_told() {
    let told = |room: &str, text: &str| !wrong_parts(&format!("src/{room}/a.rs"), text).is_empty();
    for room in ["contract", "model", "routes", "changes"] {
        for text in [
            "use tokio::sync::Notify;",
            "use std::{fmt, fs};",
            "use std::fs::read;",
            "use std::net::{IpAddr, TcpStream};",
            "use std::net::*;",
            "use std::time::{Duration, SystemTime};",
            "fn a() { std::time::Instant::now(); }",
            "fn a() { Timestamp::now(); }",
            "use crate::clock::Clock;",
            "#[cfg(test)] mod tests { #[tokio::test] async fn a() {} }",
        ] {
            assert!(told(room, text), "{room}: {text}");
        }
        for text in ["use std::net::IpAddr;", "use std::time::Duration;", "fn a(now: Timestamp) -> b::Now { c(now) }"] {
            assert!(!told(room, text), "{room}: {text}");
        }
    }
    for (room, outside) in [
        ("dispatch", ["axum", "hyper", "reqwest", "rusqlite"].as_slice()),
        ("upkeep", &["axum", "hyper", "reqwest", "rusqlite"]),
        ("admin", &["rusqlite"]),
        ("ingest", &["rusqlite"]),
        ("store", &["axum", "hyper", "reqwest"]),
        ("handlers", &["anyhow"]),
        ("config", &["anyhow"]),
    ] {
        for outside in outside {
            assert!(told(room, &format!("use {outside}::A;")), "{room}: {outside}");
            assert!(told(room, &format!("fn a() -> ::{outside}::A {{}}")), "{room}: {outside}");
        }
    }
    assert!(!told("app", "use anyhow::Context;") && !told("cli", "fn a() -> anyhow::Result<()> {}"));
    assert!(!told("store", "use rusqlite::Connection;"));
}
