//! Credentials that come back in what a far end or a program says: taken out before any of it is kept.
//!
//! It knows the credentials as they were sent. One that comes back in another form, as base64 for example, is not found.

use std::fmt;

use bytes::{Bytes, BytesMut};

/// The shortest value that is looked for, in bytes. A shorter one would be found in what has nothing to do with it.
const LEN_MIN: usize = 8;
/// What stands in their place.
const HIDDEN: &[u8] = "…".as_bytes();

/// What is not to be kept.
#[derive(Clone, Default)]
pub(super) struct Mask(Vec<Vec<u8>>);

impl Mask {
    /// Looks for these values, and for the words in them: of `Bearer KEY` also for `KEY` alone.
    pub(super) fn of<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Mask {
        let words = |value: &'a [u8]| value.split(u8::is_ascii_whitespace).chain([value.trim_ascii()]);
        let long = |value: &&[u8]| value.len() >= LEN_MIN;
        let mut all: Vec<Vec<u8>> = values.into_iter().flat_map(words).filter(long).map(<[u8]>::to_vec).collect();
        // Of two that begin alike the longer one is found first.
        all.sort_by_key(|value| std::cmp::Reverse(value.len()));
        all.dedup();
        Mask(all)
    }

    /// How much has to be there behind a cut, so that what lies across it is found.
    pub(super) fn longest(&self) -> usize {
        self.0.first().map_or(0, Vec::len)
    }

    /// At most so many bytes of a text, without what is not to be kept.
    pub(super) fn applied(&self, text: &[u8], max: usize) -> Bytes {
        let mut shown = BytesMut::with_capacity(text.len().min(max));
        let mut at = 0;
        while at < text.len().min(max) {
            match self.0.iter().find(|value| text[at..].starts_with(value)) {
                Some(value) => {
                    shown.extend_from_slice(HIDDEN);
                    at += value.len();
                }
                None => {
                    shown.extend_from_slice(&text[at..=at]);
                    at += 1;
                }
            }
        }
        shown.freeze()
    }
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mask(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_taken_out_wherever_it_stands_and_across_the_cut_as_well() {
        let mask = Mask::of([&b"Bearer the-credential"[..], b"the-credential-2", b"short"]);
        let check = |text: &str, max: usize, expected: &str| {
            assert_eq!(std::str::from_utf8(&mask.applied(text.as_bytes(), max)).unwrap(), expected, "{text} {max}");
        };
        check("", 10, "");
        check("nothing of it, short", 100, "nothing of it, short");
        check("a Bearer the-credential b the-credential c", 100, "a … b … c");
        check("the-credential-2the-credential", 100, "……");
        check("it is the-credential", 10, "it is …");
        check("it is the-credential", 6, "it is ");
        assert_eq!(mask.longest(), "Bearer the-credential".len());
        assert!(!format!("{mask:?}").contains("credential"));
    }
}
