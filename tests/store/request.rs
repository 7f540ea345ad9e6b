//! Requests as the sender makes them, and the only way from them to what a store takes.

use std::net::IpAddr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use workhook::contract::{
    Accepted, Brand, NotAccepted, RawHead, RawRequest, Rejected, Token, Webhook, WebhookName, Webhooks, check,
};

use crate::bench::at;

/// The webhooks that requests can be for; each takes every brand and every claimed id.
static WEBHOOKS: LazyLock<Webhooks> = LazyLock::new(|| {
    let webhook = |name: &str| Webhook {
        name: WebhookName::parse(name).unwrap(),
        brand: None,
        ids: Vec::new(),
        tokens: vec![Token::parse(&token(name)).unwrap()],
        tokenless: false,
    };
    Webhooks::new(vec![webhook("product"), webhook("support")]).unwrap()
});

/// Makes ids that no other request has.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// A request in the making: a good one, of which each part can be changed.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    brand: Brand,
    webhook: &'static str,
    fields: Vec<(&'static str, String)>,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
    received_at: Timestamp,
    peer: Option<IpAddr>,
}

impl Request {
    /// An `Issue.Update` of Leiga for the webhook `product`, with an id and a body of its own.
    pub(crate) fn new() -> Request {
        let n = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let fields = [
            ("Event", "Issue.Update".to_owned()),
            ("ID", format!("id-{n}")),
            ("Retry-Num", "0".to_owned()),
            ("Ts", "1676627206".to_owned()),
            ("Type", Brand::Leiga.name().to_owned()),
            ("WebHook-ID", "77".to_owned()),
        ];
        let body = format!(r#"{{"date":1676627206432,"tenant":{{"id":1}},"data":{{"issue":{{"id":100}}}},"n":{n}}}"#);
        Request {
            brand: Brand::Leiga,
            webhook: "product",
            fields: fields.to_vec(),
            headers: Vec::new(),
            body: body.into(),
            received_at: at(0),
            peer: Some([192, 0, 2, 1].into()),
        }
    }

    pub(crate) fn brand(self, brand: Brand) -> Request {
        Request { brand, ..self }.set("Type", brand.name())
    }

    pub(crate) fn webhook(self, webhook: &'static str) -> Request {
        Request { webhook, ..self }
    }

    /// With one of the brand's headers set.
    pub(crate) fn set(self, field: &'static str, value: &str) -> Request {
        let mut request = self.without(field);
        request.fields.push((field, value.to_owned()));
        request
    }

    /// With one of the brand's headers left out.
    pub(crate) fn without(mut self, field: &str) -> Request {
        self.fields.retain(|(own, _)| *own != field);
        self
    }

    pub(crate) fn event(self, name: &str) -> Request {
        self.set("Event", name)
    }

    pub(crate) fn id(self, id: &str) -> Request {
        self.set("ID", id)
    }

    /// As the same occurrence would be tried again, for the nth time.
    pub(crate) fn retry(self, n: u32) -> Request {
        self.set("Retry-Num", &n.to_string())
    }

    /// With any header added.
    pub(crate) fn header(mut self, name: &'static str, value: &[u8]) -> Request {
        self.headers.push((HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap()));
        self
    }

    pub(crate) fn body(self, body: impl Into<Bytes>) -> Request {
        Request { body: body.into(), ..self }
    }

    /// With a good body of about this size.
    pub(crate) fn large(self, bytes: usize) -> Request {
        self.body(format!(r#"{{"data":"{}"}}"#, "x".repeat(bytes)))
    }

    pub(crate) fn received_at(self, received_at: Timestamp) -> Request {
        Request { received_at, ..self }
    }

    pub(crate) fn peer(self, peer: Option<IpAddr>) -> Request {
        Request { peer, ..self }
    }

    /// What a store takes as an event.
    #[track_caller]
    pub(crate) fn accepted(&self) -> Accepted {
        self.check().unwrap_or_else(|error| panic!("not accepted: {error:?}"))
    }

    /// What a store keeps as a rejected request.
    #[track_caller]
    pub(crate) fn rejected(&self) -> Rejected {
        match self.check() {
            Err(NotAccepted::Rejected(rejected)) => *rejected,
            other => panic!("not rejected: {other:?}"),
        }
    }

    fn check(&self) -> Result<Accepted, NotAccepted> {
        let token = ("Token", token(self.webhook));
        let mut headers = HeaderMap::new();
        for (field, value) in self.fields.iter().chain([&token]) {
            let name: HeaderName = self.brand.header(field).parse().unwrap();
            headers.append(name, value.parse().unwrap());
        }
        for (name, value) in &self.headers {
            headers.append(name, value.clone());
        }
        judge(&headers, self.body.clone(), self.received_at, self.peer)
    }
}

/// Judges what was kept of a rejected request again, with the token that was left out of it.
pub(crate) fn judge_again(mut headers: HeaderMap, body: Vec<u8>, received_at: Timestamp) -> Accepted {
    let name: HeaderName = Brand::Leiga.header("Token").parse().unwrap();
    headers.insert(name, token("product").parse().unwrap());
    judge(&headers, body.into(), received_at, None).unwrap()
}

fn judge(
    headers: &HeaderMap,
    body: Bytes,
    received_at: Timestamp,
    peer: Option<IpAddr>,
) -> Result<Accepted, NotAccepted> {
    check(RawRequest { head: RawHead { path: None, headers, received_at, peer }, body }, &WEBHOOKS)
}

fn token(webhook: &str) -> String {
    format!("token-of-{webhook}")
}
