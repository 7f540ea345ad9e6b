//! What is sent: a draft, and one occurrence of it with an id and a time of its own.
//!
//! The body is sent as its bytes are; it is only parsed where something is to be set in it. The headers are those of
//! the contract, section 2, in the vendor's spelling and the order of the fixtures.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use thiserror::Error;
use uuid::{NoContext, Uuid};

use super::answer::NoAnswer;
use super::edit::{self, Edit, EditError};
use super::fixtures::Fixture;
use crate::contract::{Brand, EventName, NameError};
use crate::secret::Secret;

const CONTENT_TYPE: &str = "application/json; charset=utf-8";

/// What is to be sent, any number of times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Whose headers it carries.
    pub brand: Brand,
    /// The name of the event, as it stands in the header.
    pub event: String,
    /// The `WebHook-ID` header; `None` leaves it out.
    pub webhook_id: Option<String>,
    /// The `ID` header of every occurrence; `None` gives each a new one.
    pub id: Option<String>,
    /// The `Retry-Num` header of the first try.
    pub retry_num: u32,
    /// The body.
    pub body: Bytes,
}

/// One occurrence: what one request carries.
#[derive(Debug, Clone)]
pub struct Shipment {
    /// Whose headers it carries.
    pub brand: Brand,
    /// The `Event` header.
    pub event: String,
    /// The `WebHook-ID` header; `None` leaves it out.
    pub webhook_id: Option<String>,
    /// The `ID` header: the same over all tries of the occurrence.
    pub id: String,
    /// The `Ts` header: the time of the try, in seconds since the epoch.
    pub ts: i64,
    /// The `Retry-Num` header.
    pub retry_num: u32,
    /// The `Token` header; `None` leaves it out.
    pub token: Option<Secret>,
    /// The body.
    pub body: Bytes,
}

/// Why there is nothing to send.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DraftError {
    /// The name of the event is not one.
    #[error("the event {0:?} {1}")]
    Event(String, #[source] NameError),
}

impl Draft {
    /// What a fixture has, with its times and ids as they are in the body.
    #[must_use]
    pub fn of_fixture(fixture: &Fixture) -> Draft {
        Draft {
            brand: fixture.brand,
            event: fixture.event.to_string(),
            webhook_id: fixture.header("WebHook-ID").map(str::to_owned),
            id: None,
            retry_num: 0,
            body: Bytes::from_static(fixture.body),
        }
    }

    /// A body of one's own, with the webhook id of the brand's fixtures. An alias stays one in the header.
    ///
    /// # Errors
    /// When the name of the event is not of the form `object.action`.
    pub fn of_body(brand: Brand, event: &str, body: Bytes) -> Result<Draft, DraftError> {
        EventName::parse(event).map_err(|error| DraftError::Event(event.to_owned(), error))?;
        let fixture = Fixture::all().iter().find(|fixture| fixture.brand == brand);
        let webhook_id = fixture.and_then(|fixture| fixture.header("WebHook-ID"));
        Ok(Draft {
            brand,
            event: event.to_owned(),
            webhook_id: webhook_id.map(str::to_owned),
            id: None,
            retry_num: 0,
            body,
        })
    }

    /// The same with edits made in the body; without any, the body stays as it is, byte for byte.
    ///
    /// # Errors
    /// When the body is not JSON, or an edit cannot be made.
    pub fn edited(self, edits: &[Edit]) -> Result<Draft, EditError> {
        if edits.is_empty() {
            return Ok(self);
        }
        let body = edit::apply_all(&self.body, edits)?.into();
        Ok(Draft { body, ..self })
    }

    /// One occurrence of it, with a new id unless the draft has one.
    #[must_use]
    pub fn shipment(&self, now: Timestamp, token: Option<Secret>) -> Shipment {
        Shipment {
            brand: self.brand,
            event: self.event.clone(),
            webhook_id: self.webhook_id.clone(),
            id: self.id.clone().unwrap_or_else(|| new_id(now)),
            ts: now.as_second(),
            retry_num: self.retry_num,
            token,
            body: self.body.clone(),
        }
    }
}

impl Shipment {
    /// The next try of the same occurrence: the same id and body, one more in `Retry-Num`.
    #[must_use]
    pub fn again(self, now: Timestamp) -> Shipment {
        let retry_num = self.retry_num.saturating_add(1);
        Shipment { retry_num, ts: now.as_second(), ..self }
    }

    /// Its headers with the token, in the vendor's spelling and order.
    #[must_use]
    pub fn headers(&self) -> Vec<(String, String)> {
        let own = |field: &str, value: &str| (self.brand.header(field), value.to_owned());
        let mut headers = vec![own("Event", &self.event)];
        headers.extend(self.webhook_id.as_ref().map(|id| own("WebHook-ID", id)));
        headers.push(own("Type", self.brand.name()));
        headers.push(own("Ts", &self.ts.to_string()));
        headers.push(own("ID", &self.id));
        headers.push(own("Retry-Num", &self.retry_num.to_string()));
        headers.extend(self.token.as_ref().map(|token| own("Token", token.expose())));
        headers.push(("Content-Type".to_owned(), CONTENT_TYPE.to_owned()));
        headers
    }

    /// Its headers as they go out. HTTP does not tell their names by case, and the client writes them in lower case.
    pub(super) fn header_map(&self) -> Result<HeaderMap, NoAnswer> {
        let mut map = HeaderMap::new();
        for (name, value) in self.headers() {
            let unsendable = || NoAnswer::Unsendable(name.clone());
            let mut value = HeaderValue::from_str(&value).map_err(|_| unsendable())?;
            value.set_sensitive(name.ends_with("Token"));
            map.append(name.parse::<HeaderName>().map_err(|_| unsendable())?, value);
        }
        Ok(map)
    }
}

fn new_id(now: Timestamp) -> String {
    let seconds = u64::try_from(now.as_second()).unwrap_or(0);
    let nanos = u32::try_from(now.subsec_nanosecond()).unwrap_or(0);
    Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, seconds, nanos)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{RawHead, RawRequest, Token, Webhook, WebhookName, Webhooks, check};

    const NOW: Timestamp = Timestamp::constant(1_711_357_960, 0);

    fn token() -> Option<Secret> {
        Some(Secret::new("fixture-token".to_owned()))
    }

    #[test]
    fn a_fixture_goes_out_with_its_own_headers_but_for_id_and_time() {
        for fixture in Fixture::all() {
            let ts = fixture.header("Ts").unwrap().parse().unwrap();
            let id = fixture.header("ID").map(str::to_owned);
            let draft = Draft { id, ..Draft::of_fixture(fixture) };
            let shipment = draft.shipment(Timestamp::from_second(ts).unwrap(), token());
            assert_eq!(shipment.headers(), fixture.headers);
            assert_eq!(shipment.body, fixture.body);
        }
    }

    #[test]
    fn both_brands_have_their_own_spelling() {
        let names = |brand| -> Vec<String> {
            let draft = Draft::of_body(brand, "Phase.Start", Bytes::from_static(b"{}")).unwrap();
            let headers = draft.shipment(NOW, token()).headers();
            headers.iter().map(|(name, value)| format!("{name}: {value}")).take(3).collect()
        };
        let leiga = ["X-Leiga-Event: Phase.Start", "X-Leiga-WebHook-ID: 5001", "X-Leiga-Type: Leiga"];
        assert_eq!(names(Brand::Leiga), leiga);
        let zappy = names(Brand::WorkZappy);
        assert_eq!(zappy[0], "X-WorkZappy-Event: Phase.Start");
        assert!(zappy[1].starts_with("X-WorkZappy-WebHook-ID: "), "{}", zappy[1]);
        assert_eq!(zappy[2], "X-WorkZappy-Type: WorkZappy");
    }

    #[test]
    fn the_contract_accepts_every_fixture_as_it_is_sent() {
        let webhook = Webhook {
            name: WebhookName::parse("product").unwrap(),
            brand: None,
            ids: Vec::new(),
            tokens: vec![Token::parse("fixture-token").unwrap()],
            tokenless: false,
        };
        let webhooks = Webhooks::new(vec![webhook]).unwrap();
        for fixture in Fixture::all() {
            let shipment = Draft::of_fixture(fixture).shipment(NOW, token());
            let headers = shipment.header_map().unwrap();
            let head = RawHead { path: None, headers: &headers, received_at: NOW, peer: None };
            let accepted = check(RawRequest { head, body: shipment.body.clone() }, &webhooks).unwrap();
            assert_eq!((accepted.brand(), accepted.name()), (fixture.brand, &fixture.event));
            assert_eq!(accepted.occurrence_id(), Some(shipment.id.as_str()));
            assert_eq!(accepted.sent_at(), Some(NOW.as_second()));
            assert!(accepted.notes().is_empty(), "{:?}", accepted.notes());
        }
    }

    #[test]
    fn each_occurrence_has_an_id_of_its_own_and_a_retry_keeps_it() {
        let draft = Draft::of_fixture(Fixture::find(Brand::Leiga, "Issue.Update").unwrap());
        let one = draft.shipment(NOW, None);
        assert_ne!(one.id, draft.shipment(NOW, None).id);
        let later = NOW + jiff::SignedDuration::from_secs(5);
        let again = one.clone().again(later);
        assert_eq!((&again.id, again.retry_num, again.ts), (&one.id, 1, one.ts + 5));
        let given = Draft { id: Some("mine".to_owned()), retry_num: 7, ..draft };
        assert_eq!(given.shipment(NOW, None).id, "mine");
        assert_eq!(given.shipment(NOW, None).again(NOW).retry_num, 8);
    }

    #[test]
    fn edits_change_what_they_name_and_no_edits_change_nothing() {
        let draft = Draft::of_fixture(Fixture::find(Brand::Leiga, "Issue.Update").unwrap());
        assert_eq!(draft.clone().edited(&[]).unwrap(), draft);
        let edits = ["data.issue.status.name=Done", "date=5"].map(|edit| edit.parse().unwrap());
        let edited: serde_json::Value = serde_json::from_slice(&draft.clone().edited(&edits).unwrap().body).unwrap();
        let mut expected: serde_json::Value = serde_json::from_slice(&draft.body).unwrap();
        expected["data"]["issue"]["status"]["name"] = "Done".into();
        expected["date"] = 5.into();
        assert_eq!(edited, expected);
    }

    #[test]
    fn what_no_header_can_carry_is_named_and_a_token_is_not_shown() {
        let draft = Draft::of_body(Brand::Leiga, "Issue.Update", Bytes::new()).unwrap();
        let bad = Draft { id: Some("line\nbreak".to_owned()), ..draft.clone() };
        let error = bad.shipment(NOW, None).header_map().unwrap_err();
        assert_eq!(error, NoAnswer::Unsendable("X-Leiga-ID".to_owned()));
        let shipment = draft.shipment(NOW, token());
        assert!(!format!("{shipment:?}").contains("fixture-token"));
        assert!(!format!("{:?}", shipment.header_map().unwrap()).contains("fixture-token"));
        let error = Draft::of_body(Brand::Leiga, "Issue", Bytes::new()).unwrap_err();
        assert!(error.to_string().starts_with(r#"the event "Issue" is not of the form"#), "{error}");
    }
}
