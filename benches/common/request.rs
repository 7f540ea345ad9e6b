//! The bytes of a request: the vendor's Issue.Update with all headers, made once and patched in place.

use std::net::SocketAddr;

use anyhow::Context;
use workhook::contract::Brand;
use workhook::sender::Fixture;

/// The last part of the fixture's `X-Leiga-ID`.
const ID: Patch = Patch { after: "-ID: 43b17a15-624a-4f03-aa66-", digits: 12 };
/// The time of the body of number 0; that of each other is later by its number.
pub(crate) const FIRST_DATE: u64 = 1_675_329_348_640;
/// The body's own time, so that no two bodies are the same.
const DATE: Patch = Patch { after: "\r\n\r\n{\n\"date\": ", digits: 13 };
/// The issue's id, so that the events are of many issues.
const ISSUE: Patch = Patch { after: "}\n],\n\"id\": ", digits: 3 };
/// How many issues there are.
const ISSUES: u64 = 900;

struct Patch {
    after: &'static str,
    digits: usize,
}

/// A request whose digits change with each sending.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    bytes: Vec<u8>,
    id: usize,
    date: usize,
    issue: usize,
}

impl Request {
    /// The fixture as it is posted to this address, with this token.
    pub(crate) fn new(address: SocketAddr, token: &str) -> anyhow::Result<Request> {
        let fixture = Fixture::find(Brand::Leiga, "Issue.Update")?;
        let mut text = format!("POST /webhook HTTP/1.1\r\nHost: {address}\r\n");
        for (name, value) in &fixture.headers {
            let value = if name.ends_with("-Token") { token } else { value };
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!("Content-Length: {}\r\n\r\n", fixture.body.len()));
        text.push_str(std::str::from_utf8(fixture.body)?);
        Ok(Request {
            id: place(&text, &ID)?,
            date: place(&text, &DATE)?,
            issue: place(&text, &ISSUE)?,
            bytes: text.into(),
        })
    }

    /// The bytes of the request of this number; another number is another occurrence, with another body.
    pub(crate) fn numbered(&mut self, number: u64) -> &[u8] {
        let Request { bytes, id, date, issue } = self;
        write_digits(&mut bytes[*id..][..ID.digits], number);
        write_digits(&mut bytes[*date..][..DATE.digits], FIRST_DATE + number);
        write_digits(&mut bytes[*issue..][..ISSUE.digits], 100 + number % ISSUES);
        bytes
    }
}

fn place(text: &str, patch: &Patch) -> anyhow::Result<usize> {
    let mut places = text.match_indices(patch.after);
    let (Some((at, _)), None) = (places.next(), places.next()) else {
        anyhow::bail!("{:?} is not once in the request", patch.after);
    };
    let start = at + patch.after.len();
    text.as_bytes().get(start..start + patch.digits).context("the request ends early")?;
    Ok(start)
}

fn write_digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b"0123456789"[usize::try_from(number % 10).unwrap_or(0)];
        number /= 10;
    }
}
