//! As much of Rust's grammar as the rules need: words and marks without comments and texts, and the paths in them.

/// A word or a mark, with its line from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) text: &'a str,
    pub(crate) line: usize,
}

/// A path as `use` or code names it, for example `crate::store::Store`; a group is as many paths as it has members.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) parts: Vec<String>,
    pub(crate) line: usize,
    /// The modules of this file that it stands in.
    pub(crate) within: Vec<String>,
}

/// The words and marks of a source.
pub(crate) fn tokens(source: &str) -> Vec<Token<'_>> {
    let (mut tokens, mut at, mut line) = (Vec::new(), 0, 1);
    while at < source.len() {
        let rest = &source[at..];
        let (length, counts) = next(rest);
        if counts {
            tokens.push(Token { text: &rest[..length], line });
        }
        line += rest[..length].matches('\n').count();
        at += length;
    }
    tokens
}

/// The length of what a text begins with, and whether it is a word or a mark.
fn next(rest: &str) -> (usize, bool) {
    let first = rest.chars().next().unwrap_or_default();
    let skipped = line_comment(rest).or_else(|| block_comment(rest)).or_else(|| string(rest)).or_else(|| quoted(rest));
    if let Some(length) = skipped {
        return (length, false);
    }
    let prefix = if rest.starts_with("r#") { 2 } else { 0 };
    match word(&rest[prefix..]) {
        0 if rest.starts_with("::") => (2, true),
        0 => (first.len_utf8(), !first.is_whitespace()),
        length => (prefix + length, true),
    }
}

fn word(rest: &str) -> usize {
    rest.find(|character: char| !character.is_alphanumeric() && character != '_').unwrap_or(rest.len())
}

fn line_comment(rest: &str) -> Option<usize> {
    rest.starts_with("//").then(|| rest.find('\n').unwrap_or(rest.len()))
}

fn block_comment(rest: &str) -> Option<usize> {
    rest.strip_prefix("/*")?;
    let (mut depth, mut at) = (0, 0);
    loop {
        match rest.as_bytes().get(at..at + 2)? {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

fn string(rest: &str) -> Option<usize> {
    for prefix in ["r", "br", "cr"] {
        let Some(after) = rest.strip_prefix(prefix) else { continue };
        let hashes = after.len() - after.trim_start_matches('#').len();
        if let Some(inside) = after[hashes..].strip_prefix('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            return Some(rest.len() - inside.len() + inside.find(&end)? + end.len());
        }
    }
    let inside = ["\"", "b\"", "c\""].iter().find_map(|prefix| rest.strip_prefix(prefix))?;
    Some(rest.len() - inside.len() + closing(inside, '"')?)
}

/// A character in quotes, or a lifetime.
fn quoted(rest: &str) -> Option<usize> {
    let inside = rest.strip_prefix('\'')?;
    let mut characters = inside.chars();
    let is_character = characters.next()? == '\\' || characters.next() == Some('\'');
    Some(1 + if is_character { closing(inside, '\'')? } else { word(inside) })
}

/// The length up to and with the quote that ends a text.
fn closing(inside: &str, quote: char) -> Option<usize> {
    let mut characters = inside.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => _ = characters.next(),
            _ if character == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Every path of a source.
pub(crate) fn paths(source: &str) -> Vec<Named> {
    let tokens = tokens(source);
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    let (mut found, mut at, mut depth) = (Vec::new(), 0, 0);
    let mut within: Vec<(String, usize)> = Vec::new();
    while at < tokens.len() {
        match text(at) {
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                within.retain(|(_, opened_at)| *opened_at < depth + 1);
            }
            "mod" if text(at + 2) == "{" => within.push((text(at + 1).to_owned(), depth + 1)),
            word if is_word(word) => {
                let modules: Vec<_> = within.iter().map(|(name, _)| name.clone()).collect();
                at = path(&tokens, at, &[], &modules, &mut found);
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

fn is_word(text: &str) -> bool {
    word(text) > 0 || text.starts_with("r#")
}

/// Reads the path that begins at a token, and says where it ends.
fn path(tokens: &[Token<'_>], at: usize, before: &[String], within: &[String], found: &mut Vec<Named>) -> usize {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    let (mut parts, mut at, line) = (before.to_vec(), at, tokens[at].line);
    loop {
        parts.push(text(at).to_owned());
        at += 1;
        if text(at) != "::" {
            break;
        }
        match text(at + 1) {
            "{" => return group(tokens, at + 2, &parts, within, found),
            next if next == "*" || is_word(next) => at += 1,
            _ => break,
        }
    }
    found.push(Named { parts, line, within: within.to_vec() });
    at
}

fn group(tokens: &[Token<'_>], at: usize, before: &[String], within: &[String], found: &mut Vec<Named>) -> usize {
    let mut at = at;
    while at < tokens.len() && tokens[at].text != "}" {
        at = match tokens[at].text {
            "as" => at + 2,
            member if member == "*" || is_word(member) => path(tokens, at, before, within, found),
            _ => at + 1,
        };
    }
    at + 1
}

#[test]
fn comments_and_texts_are_left_out_and_lines_are_counted() {
    let source = "// a::b\na /* b /* c */ d */ \"e \\\" f\" r#\"g \" h\"# 'i' '\\'' b'j' &'k l\n//! m\nn::r#o";
    let words: Vec<_> = tokens(source).into_iter().map(|token| (token.text, token.line)).collect();
    assert_eq!(words, [("a", 2), ("b", 2), ("&", 2), ("l", 2), ("n", 4), ("::", 4), ("r#o", 4)]);
}

#[test]
fn groups_modules_and_paths_in_code_are_found() {
    let source =
        "use a::{self, b::{c, d as e}, f::*};\nmod t { use super::g; fn h() { i::j::<k::L>() } }\nfn m() -> n::O {}";
    let named: Vec<_> =
        paths(source).into_iter().map(|named| (named.parts.join("::"), named.within.join("::"))).collect();
    let has = |path: &str, within: &str| named.contains(&(path.to_owned(), within.to_owned()));
    for path in ["a::self", "a::b::c", "a::b::d", "a::f::*", "n::O"] {
        assert!(has(path, ""), "{path}: {named:?}");
    }
    for path in ["super::g", "i::j", "k::L"] {
        assert!(has(path, "t"), "{path}: {named:?}");
    }
    assert!(!named.iter().any(|(path, _)| path == "e"), "{named:?}");
}
