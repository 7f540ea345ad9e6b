//! The headers of a request as they are kept: in their order, less everything that lets anyone in.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::brand::Brand;

/// Names that carry credentials, beside the brands' tokens.
const CREDENTIALS: &[&str] = &["authorization", "proxy-authorization", "cookie"];

/// Headers less the token and other credentials, one `name: value` a line, bytes as they came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeptHeaders(Vec<u8>);

impl KeptHeaders {
    /// Keeps the headers of a request.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> KeptHeaders {
        let mut kept = Vec::with_capacity(512);
        for (name, value) in headers.iter().filter(|(name, _)| !is_credential(name.as_str())) {
            kept.extend_from_slice(name.as_str().as_bytes());
            kept.extend_from_slice(b": ");
            kept.extend_from_slice(value.as_bytes());
            kept.push(b'\n');
        }
        KeptHeaders(kept)
    }

    /// What [`KeptHeaders::as_bytes`] gave, read back from the store.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> KeptHeaders {
        KeptHeaders(bytes)
    }

    /// The form in which they are stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Each name, in lower case, with its value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.split(|byte| *byte == b'\n').filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let name = std::str::from_utf8(&line[..colon]).ok()?;
            Some((name, line.get(colon + 2..)?))
        })
    }

    /// The headers as a map, for judging a request again or for sending them on.
    #[must_use]
    pub fn to_map(&self) -> HeaderMap {
        let pair = |(name, value): (&str, &[u8])| {
            Some((name.parse::<HeaderName>().ok()?, HeaderValue::from_bytes(value).ok()?))
        };
        let mut map = HeaderMap::new();
        for (name, value) in self.iter().filter_map(pair) {
            map.append(name, value);
        }
        map
    }
}

fn is_credential(name: &str) -> bool {
    CREDENTIALS.contains(&name)
        || Brand::ALL.iter().any(|brand| name.strip_prefix(brand.header_prefix()) == Some("token"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_left_out_and_the_rest_comes_back() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-leiga-event", "Issue.Update"),
            ("x-leiga-token", "secret"),
            ("x-workzappy-token", "secret"),
            ("authorization", "Basic secret"),
            ("cookie", "secret"),
            ("x-leiga-sign", "a: b"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers.append("x-leiga-sign", HeaderValue::from_bytes(b"\xff").unwrap());
        let kept = KeptHeaders::of(&headers);
        assert!(!String::from_utf8_lossy(kept.as_bytes()).contains("secret"));
        let pairs: Vec<_> = kept.iter().collect();
        assert_eq!(
            pairs,
            [("x-leiga-event", &b"Issue.Update"[..]), ("x-leiga-sign", b"a: b"), ("x-leiga-sign", b"\xff")]
        );
        assert_eq!(KeptHeaders::of(&kept.to_map()), kept);
    }
}
