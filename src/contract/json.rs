//! Reading the body's JSON without losing any of it.
//!
//! The grammar of JSON allows two things that Rust's types cannot hold: a number beyond the range of a 64-bit
//! float, and an escape that is half of a surrogate pair. A body with one of them is still a good body; it is kept
//! as it came, and only the copy that the views read is mended: the number becomes a string, the half pair U+FFFD.

use std::borrow::Cow;

use serde_json::Value;

/// The deepest nesting that is taken: what `serde_json` parses into a value, so that every consumer can.
pub(super) const MAX_DEPTH: usize = 127;

/// Whether a text nests objects and arrays deeper than [`MAX_DEPTH`].
pub(super) fn is_too_deep(text: &str) -> bool {
    // Most texts have too few of them anywhere, which is quickly counted.
    if opening(text) <= MAX_DEPTH {
        return false;
    }
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => in_string = !in_string,
            b'\\' if in_string => {
                bytes.next();
            }
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return true;
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// How many brackets open in a text, in strings too. In pieces whose count fits a byte, many bytes are looked at in one
/// instruction.
fn opening(text: &str) -> usize {
    // `[` and `{` differ in this bit alone, and no other byte becomes either.
    let opens = |byte: &u8| u8::from(*byte | 0x20 == b'{');
    text.as_bytes().chunks(255).map(|piece| usize::from(piece.iter().map(opens).sum::<u8>())).sum()
}

/// Parses a JSON text into a value, mending what a value cannot hold.
///
/// # Errors
/// When the text is not JSON, or nested too deeply.
pub(super) fn parse(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(text).or_else(|error| match mend(text) {
        Cow::Borrowed(_) => Err(error),
        Cow::Owned(mended) => serde_json::from_str(&mended),
    })
}

/// The same text with numbers beyond a float quoted and half surrogate pairs replaced.
///
/// It does not check the grammar: what was not JSON before is not JSON after.
pub(super) fn mend(text: &str) -> Cow<'_, str> {
    let mut mended = String::new();
    let mut kept_to = 0;
    let mut at = 0;
    let bytes = text.as_bytes();
    while at < bytes.len() {
        let (end, replacement) = match bytes[at] {
            b'"' => {
                at += 1;
                while at < bytes.len() && bytes[at] != b'"' {
                    let (end, half) = string_step(bytes, at);
                    if half {
                        mended.push_str(&text[kept_to..at]);
                        mended.push_str("\\ufffd");
                        kept_to = end;
                    }
                    at = end;
                }
                (at + 1, None)
            }
            b'-' | b'0'..=b'9' => {
                let end = number_end(bytes, at);
                let number = &text[at..end];
                let too_big = number.parse::<f64>().is_ok_and(f64::is_infinite);
                (end, too_big.then(|| format!("\"{number}\"")))
            }
            _ => (at + 1, None),
        };
        if let Some(replacement) = replacement {
            mended.push_str(&text[kept_to..at]);
            mended.push_str(&replacement);
            kept_to = end;
        }
        at = end;
    }
    if kept_to == 0 {
        return Cow::Borrowed(text);
    }
    mended.push_str(text.get(kept_to..).unwrap_or_default());
    Cow::Owned(mended)
}

fn number_end(bytes: &[u8], start: usize) -> usize {
    let part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
    start + bytes[start..].iter().take_while(|byte| part(byte)).count()
}

/// Where the character or escape at `at` of a string ends, and whether it is half of a surrogate pair.
fn string_step(bytes: &[u8], at: usize) -> (usize, bool) {
    let unit = |at: usize| -> Option<u16> {
        let hex = bytes.get(at..at + 6).filter(|escape| escape.starts_with(b"\\u"))?;
        u16::from_str_radix(std::str::from_utf8(&hex[2..]).ok()?, 16).ok()
    };
    match unit(at) {
        Some(0xD800..=0xDBFF) if matches!(unit(at + 6), Some(0xDC00..=0xDFFF)) => (at + 12, false),
        Some(0xD800..=0xDFFF) => (at + 6, true),
        Some(_) => (at + 6, false),
        None if bytes[at] == b'\\' => ((at + 2).min(bytes.len()), false),
        None => (at + 1, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn mends_what_a_value_cannot_hold_and_nothing_else() {
        let check = |text: &str, expected: &str| assert_eq!(mend(text), expected);
        check(r#"{"n":1e400}"#, r#"{"n":"1e400"}"#);
        check(r#"[-1E+999,1e3,0.5,-0]"#, r#"["-1E+999",1e3,0.5,-0]"#);
        check(r#"["1e400"]"#, r#"["1e400"]"#);
        check(r#"["\ud800x","\ud83d\ude00","\udc00\ud800"]"#, r#"["\ufffdx","\ud83d\ude00","\ufffd\ufffd"]"#);
        check(r#"["\\ud800"]"#, r#"["\\ud800"]"#);
        assert!(matches!(mend(r#"{"a":"b"}"#), Cow::Borrowed(_)));
        assert_eq!(parse(r#"{"n":1e400}"#).unwrap()["n"], "1e400");
        let beyond_64_bits = parse("[1234567890123456789012345678901234567890]").unwrap();
        assert!(beyond_64_bits[0].as_f64().is_some_and(|number| (1.2e39..1.3e39).contains(&number)));
    }

    #[test]
    fn the_depth_that_is_taken_is_the_depth_that_parses() {
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
            for depth in [1, MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1, 10_000] {
                let inner = if open == "[" { "" } else { "1" };
                let text = format!("{}{inner}{}", open.repeat(depth), close.repeat(depth));
                assert_eq!(is_too_deep(&text), serde_json::from_str::<Value>(&text).is_err(), "{open} {depth}");
            }
        }
        assert!(!is_too_deep(&format!("\"{}\"", "[".repeat(1000))));
    }

    proptest! {
        #[test]
        fn nothing_panics_on_any_text(text in any::<String>(), bytes in proptest::collection::vec(prop::sample::select(br#"{}[]":,\ud8c0123e+-.fF "#.to_vec()), 0..80)) {
            for text in [text.as_str(), std::str::from_utf8(&bytes).unwrap()] {
                let _ = parse(text);
                let mended = mend(text);
                prop_assert_eq!(mend(&mended).into_owned(), mended.into_owned());
            }
        }

        #[test]
        fn what_parses_is_not_mended(text in any::<String>(), number in any::<f64>()) {
            let json = serde_json::json!({"t": text, "n": number}).to_string();
            prop_assert!(matches!(mend(&json), Cow::Borrowed(_)));
        }
    }
}
