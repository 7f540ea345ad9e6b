//! The headers of a request (contract, sections 1 and 2).

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::brand::Brand;
use super::event_name::{EventName, NameError};

/// The longest `ID` and `WebHook-ID`, in bytes.
const ID_MAX_LEN: usize = 256;

/// Why nobody was let in. The text goes to the sender; it tells nothing that a stranger does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refusal {
    /// No header of any brand.
    #[error("no X-Leiga-* or X-WorkZappy-* header: not a webhook of either")]
    NoFamily,
    /// Headers of more than one brand.
    #[error("headers of both X-{}-* and X-{}-*: a request carries one family", .0.name(), .1.name())]
    TwoFamilies(Brand, Brand),
    /// The webhook that it is for takes a token, and there is none.
    #[error("X-{}-Token is missing", .0.name())]
    NoToken(Brand),
    /// The token stands in more than one header.
    #[error("X-{}-Token was sent more than once", .0.name())]
    DoubledToken(Brand),
    /// The token is not one of a webhook that fits the path, the brand and the webhook id.
    #[error("X-{}-Token is not the token of a webhook at this path", .0.name())]
    WrongToken(Brand),
}

impl Refusal {
    /// Whether the request is malformed, rather than not let in.
    #[must_use]
    pub fn is_malformed(self) -> bool {
        matches!(self, Refusal::TwoFamilies(..))
    }

    /// A short fixed word for counting.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Refusal::NoFamily => "no-family",
            Refusal::TwoFamilies(..) => "two-families",
            Refusal::NoToken(_) => "no-token",
            Refusal::DoubledToken(_) => "doubled-token",
            Refusal::WrongToken(_) => "wrong-token",
        }
    }
}

/// What was odd about a request without being wrong; recorded on the event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// A short fixed word.
    pub code: Cow<'static, str>,
    /// A sentence.
    pub text: String,
}

impl Note {
    pub(super) fn new(code: &'static str, text: String) -> Note {
        Note { code: Cow::Borrowed(code), text }
    }
}

/// What is wrong with one header.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum HeadFault {
    #[error("{0} is missing")]
    Missing(String),
    #[error("{0} was sent more than once")]
    Doubled(String),
    #[error("{0} {1}")]
    EventName(String, NameError),
    #[error("{0} is not 1 to {ID_MAX_LEN} visible ASCII characters")]
    NotVisible(String),
    #[error("{0} is not a whole number from 0 to {max}", max = u32::MAX)]
    NotACount(String),
}

/// The fields of a head in which nothing is wrong.
#[derive(Debug)]
pub(super) struct Fields {
    pub(super) name: EventName,
    pub(super) original_name: Option<String>,
    pub(super) occurrence_id: Option<String>,
    pub(super) retry_num: u32,
    pub(super) sent_at: Option<i64>,
    pub(super) claimed_webhook_id: String,
    pub(super) notes: Vec<Note>,
}

/// The one brand whose headers a request carries.
pub(super) fn family(headers: &HeaderMap) -> Result<Brand, Refusal> {
    let carries = |brand: &&Brand| headers.keys().any(|name| name.as_str().starts_with(brand.header_prefix()));
    let mut brands = Brand::ALL.iter().filter(carries);
    match (brands.next(), brands.next()) {
        (None, _) => Err(Refusal::NoFamily),
        (Some(brand), None) => Ok(*brand),
        (Some(one), Some(other)) => Err(Refusal::TwoFamilies(*one, *other)),
    }
}

/// The webhook id that a request claims, for counting those who are not let in; empty where it is missing or malformed.
#[must_use]
pub fn claimed_webhook_id(headers: &HeaderMap) -> &str {
    let brand = family(headers).ok();
    brand.and_then(|brand| Headers::new(headers, brand).well_formed_webhook_id()).unwrap_or_default()
}

/// The headers of one brand.
pub(super) struct Headers<'a> {
    map: &'a HeaderMap,
    brand: Brand,
}

impl<'a> Headers<'a> {
    pub(super) fn new(map: &'a HeaderMap, brand: Brand) -> Headers<'a> {
        Headers { map, brand }
    }

    /// The token; an empty one is none.
    pub(super) fn token(&self) -> Result<Option<&'a [u8]>, Refusal> {
        let token = self.one("Token").map_err(|_| Refusal::DoubledToken(self.brand))?;
        Ok(token.map(HeaderValue::as_bytes).filter(|token| !token.is_empty()))
    }

    /// The claimed webhook id, where it is well-formed.
    pub(super) fn well_formed_webhook_id(&self) -> Option<&'a str> {
        self.one("WebHook-ID").ok().flatten().and_then(visible)
    }

    /// Reads all fields, finding everything that is wrong at once.
    pub(super) fn read(&self) -> Result<Fields, Vec<HeadFault>> {
        let mut faults = Vec::new();
        let mut notes = Vec::new();
        let name = keep(self.event(), &mut faults);
        let occurrence_id = keep(self.visible("ID"), &mut faults).flatten();
        let claimed_webhook_id = keep(self.visible("WebHook-ID"), &mut faults).flatten().unwrap_or_default();
        let retry_num = keep(self.retry_num(), &mut faults);
        let sent_at = keep(self.sent_at(&mut notes), &mut faults).flatten();
        if let Some(note) = keep(self.type_note(), &mut faults).flatten() {
            notes.push(note);
        }
        keep(self.one("Sign"), &mut faults);
        match (name, retry_num) {
            (Some((name, original_name)), Some(retry_num)) if faults.is_empty() => {
                if !name.is_known() {
                    let text = format!("{name} is not in the vendor's list of events");
                    notes.push(Note::new("unknown-event", text));
                }
                Ok(Fields { name, original_name, occurrence_id, retry_num, sent_at, claimed_webhook_id, notes })
            }
            _ => Err(faults),
        }
    }

    fn event(&self) -> Result<(EventName, Option<String>), HeadFault> {
        let header = || self.brand.header("Event");
        let value = self.one("Event")?.ok_or_else(|| HeadFault::Missing(header()))?;
        let text = std::str::from_utf8(value.as_bytes()).unwrap_or_default();
        let name = EventName::parse(text).map_err(|error| HeadFault::EventName(header(), error))?;
        let original = (text.split('.').next() != Some(name.object())).then(|| text.to_owned());
        Ok((name, original))
    }

    fn visible(&self, field: &str) -> Result<Option<String>, HeadFault> {
        match self.one(field)?.filter(|value| !value.is_empty()) {
            None => Ok(None),
            Some(value) => match visible(value) {
                Some(text) => Ok(Some(text.to_owned())),
                None => Err(HeadFault::NotVisible(self.brand.header(field))),
            },
        }
    }

    fn retry_num(&self) -> Result<u32, HeadFault> {
        let Some(value) = self.one("Retry-Num")? else { return Ok(0) };
        let digits = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        digits
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(|| HeadFault::NotACount(self.brand.header("Retry-Num")))
    }

    fn sent_at(&self, notes: &mut Vec<Note>) -> Result<Option<i64>, HeadFault> {
        let Some(value) = self.one("Ts")? else { return Ok(None) };
        let sent_at = value.to_str().ok().and_then(|text| text.parse().ok());
        if sent_at.is_none() {
            let text = format!("{} is not a number of seconds since the epoch", self.brand.header("Ts"));
            notes.push(Note::new("bad-ts", text));
        }
        Ok(sent_at)
    }

    fn type_note(&self) -> Result<Option<Note>, HeadFault> {
        let Some(value) = self.one("Type")? else { return Ok(None) };
        if value.as_bytes() == self.brand.name().as_bytes() {
            return Ok(None);
        }
        let text = format!("{} is not {:?}", self.brand.header("Type"), self.brand.name());
        Ok(Some(Note::new("other-format", text)))
    }

    /// The header's only value.
    fn one(&self, field: &str) -> Result<Option<&'a HeaderValue>, HeadFault> {
        let mut name = [0_u8; 32];
        let prefix = self.brand.header_prefix();
        let len = prefix.len() + field.len();
        name[..prefix.len()].copy_from_slice(prefix.as_bytes());
        name[prefix.len()..len].copy_from_slice(field.as_bytes());
        name.make_ascii_lowercase();
        let name = std::str::from_utf8(&name[..len]).unwrap_or_default();
        let mut values = self.map.get_all(name).iter();
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            _ => Err(HeadFault::Doubled(self.brand.header(field))),
        }
    }
}

fn keep<T>(result: Result<T, HeadFault>, faults: &mut Vec<HeadFault>) -> Option<T> {
    result.map_err(|fault| faults.push(fault)).ok()
}

fn visible(value: &HeaderValue) -> Option<&str> {
    let bytes = value.as_bytes();
    let good = (1..=ID_MAX_LEN).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
    good.then(|| std::str::from_utf8(bytes).ok()).flatten()
}
