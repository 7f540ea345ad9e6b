//! The documents: what they lead to is there, and they speak of no machine of ours.

use std::collections::BTreeSet;

use crate::tree;

/// Where people's own files lie on the machines that this is written on.
const OF_A_MACHINE: &[&str] = &["/work/", "/root/", "/home/", "/Users/"];

/// Relative links of a document that lead to nothing. `there` has every file and folder, from the root.
fn dead_links(document: &str, text: &str, there: &BTreeSet<String>) -> Vec<String> {
    let mut dead = Vec::new();
    for (line, target) in links(text) {
        let path = target.split(['#', '?']).next().unwrap_or_default();
        let outside = target.contains("://") || target.starts_with("mailto:");
        if outside || path.is_empty() {
            continue;
        }
        if !resolved(document, path).is_some_and(|path| path.is_empty() || there.contains(&path)) {
            dead.push(format!("{document}:{line}: {target} leads to nothing"));
        }
    }
    dead
}

/// A path as it is from the root; `None` where it leads out of the tree.
fn resolved(document: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = document.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop()?,
            part => parts.push(part),
        }
    }
    (!path.starts_with('/')).then(|| parts.join("/"))
}

/// The targets of links and pictures, with their lines. What is code is none.
fn links(text: &str) -> Vec<(usize, String)> {
    let (mut links, mut fenced) = (Vec::new(), false);
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced || line.starts_with("    ") {
            continue;
        }
        // Every second piece between backticks is code.
        let line: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
        let definition = line.strip_prefix('[').and_then(|rest| rest.split_once("]: "));
        let inline = line.split("](").skip(1).map(|rest| rest.split(')').next().unwrap_or_default());
        let html = ["src=\"", "href=\""].iter().flat_map(|start| line.split(start).skip(1));
        let html = html.map(|rest| rest.split('"').next().unwrap_or_default());
        let targets = definition.map(|(_, target)| target).into_iter().chain(inline).chain(html);
        links.extend(targets.filter_map(|target| {
            let target = target.split_whitespace().next()?;
            Some((index + 1, target.trim_matches(['<', '>']).to_owned()))
        }));
    }
    links
}

/// Paths of a machine in a document.
fn machine_paths(document: &str, text: &str) -> Vec<String> {
    let mut told = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for start in OF_A_MACHINE {
            // In an address or below another folder it is a name like any other.
            let begins =
                |at: usize| !line[..at].ends_with(|last: char| last.is_alphanumeric() || "._-~/".contains(last));
            if line.match_indices(start).any(|(at, _)| begins(at)) {
                told.push(format!("{document}:{}: {start} is a folder of one machine", index + 1));
            }
        }
    }
    told
}

#[test]
fn there_is_a_readme() {
    let there = tree::below("").iter().any(|file| file.path == "README.md" && !file.text.trim().is_empty());
    assert!(there, "README.md is missing: whoever comes first reads it first");
}

#[test]
fn documents_lead_to_what_is_there_and_speak_of_no_machine() {
    let files = tree::below("");
    let folders = files.iter().flat_map(|file| file.path.match_indices('/').map(|(at, _)| file.path[..at].to_owned()));
    let there: BTreeSet<String> = folders.chain(files.iter().map(|file| file.path.clone())).collect();
    let documents: Vec<_> = files.iter().filter(|file| file.path.ends_with(".md")).collect();
    assert!(documents.iter().any(|file| file.path.starts_with("docs/")), "no document is read");
    let broken: Vec<_> = documents
        .iter()
        .flat_map(|file| {
            let dead = dead_links(&file.path, &file.text, &there);
            dead.into_iter().chain(machine_paths(&file.path, &file.text))
        })
        .collect();
    tree::hold(&broken);
}

#[test]
fn a_link_to_nothing_is_told_with_its_line() {
    let there: BTreeSet<String> = ["README.md", "docs", "docs/a.md"].map(str::to_owned).into();
    let check = |document: &str, text: &str, expected: &[&str]| {
        assert_eq!(dead_links(document, text, &there), expected, "{text}");
    };
    check("README.md", "\nsee [b](docs/b.md#part)", &["README.md:2: docs/b.md#part leads to nothing"]);
    check("docs/a.md", "[up](docs/a.md)", &["docs/a.md:1: docs/a.md leads to nothing"]);
    check("README.md", "[out](../README.md)", &["README.md:1: ../README.md leads to nothing"]);
    check("README.md", "[root](/docs/a.md)", &["README.md:1: /docs/a.md leads to nothing"]);
    check("README.md", "![p](p.png \"title\")", &["README.md:1: p.png leads to nothing"]);
    check("README.md", "<img src=\"p.png\">", &["README.md:1: p.png leads to nothing"]);
    check("README.md", "[b]: docs/b.md", &["README.md:1: docs/b.md leads to nothing"]);
    check("README.md", "[a](docs/a.md#part), [d](docs/), [w](https://a.example/b), [h](#here)", &[]);
    check("docs/a.md", "[up](../README.md) and [same](./a.md)", &[]);
    check("README.md", "`[b](b.md)`\n```\n[b](b.md)\n```\n    [b](b.md)", &[]);
}

#[test]
fn a_path_of_a_machine_is_told_and_an_address_is_not() {
    let told = |text: &str| machine_paths("a.md", text).len();
    assert_eq!(machine_paths("a.md", "\nin `/root/x`"), ["a.md:2: /root/ is a folder of one machine"]);
    assert_eq!(told("sqlite:/work/workhook.db and /home/me/"), 2);
    assert_eq!(told("https://a.example/work/b, docs/work/b, /data/work/, ~/work/ and /var/lib"), 0);
}
