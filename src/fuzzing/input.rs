//! How the bytes of a target are read: as text that a person can read and write, so that a kept input tells something.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};

/// The most headers that are read, as at the public door.
const HEADERS_MAX: usize = 64;

/// The first line as text, and what follows it.
pub(super) fn line(bytes: &[u8]) -> (Cow<'_, str>, &[u8]) {
    let (line, rest) = split_line(bytes);
    (String::from_utf8_lossy(line), rest)
}

/// A request: `/NAME` in the first line or nothing, a header a line, an empty line, the body. A line that is no header
/// is left out.
pub(super) fn request(bytes: &[u8]) -> (Option<&str>, HeaderMap, &[u8]) {
    let mut headers = HeaderMap::new();
    let (mut path, mut rest) = (None, bytes);
    while !rest.is_empty() {
        let (line, after) = split_line(rest);
        rest = after;
        match line {
            [] => break,
            [b'/', name @ ..] if path.is_none() => path = std::str::from_utf8(name).ok(),
            line if headers.len() < HEADERS_MAX => {
                if let Some((name, value)) = header(line) {
                    headers.append(name, value);
                }
            }
            _ => {}
        }
    }
    (path, headers, rest)
}

fn header(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let value = line[colon + 1..].strip_prefix(b" ").unwrap_or(&line[colon + 1..]);
    Some((HeaderName::from_bytes(&line[..colon]).ok()?, HeaderValue::from_bytes(value).ok()?))
}

fn split_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => (bytes, &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_a_path_headers_and_a_body() {
        let (path, headers, body) = request(b"/product\nX-Leiga-Event: A.B\nno header\nx-leiga-id:\xff\n\n{}\n{}");
        assert_eq!((path, headers.len(), body), (Some("product"), 2, &b"{}\n{}"[..]));
        assert_eq!(headers["x-leiga-event"], "A.B");
        assert_eq!(headers["x-leiga-id"].as_bytes(), b"\xff");
        assert_eq!(request(b"\n/body"), (None, HeaderMap::new(), &b"/body"[..]));
        assert_eq!(line(b"\xff\n\n"), ("\u{fffd}".into(), &b"\n"[..]));
        assert_eq!(line(b"a"), ("a".into(), &b""[..]));
    }
}
