//! Groups 4 to 14: where a request begins and ends, and what is no HTTP.

use super::Verdict::{Accepted, Away, Broken, Rejected};
use super::{Case, good, replaced, try_direct};

const BODY: &str = r#"{"date":1,"data":{"issue":{"id":1}}}"#;

/// A good request whose head says this about its body, followed by these bytes.
fn framed(framing: &str, rest: &str) -> Vec<u8> {
    format!("{}{rest}", good().head(0).replace("content-length: 0", framing)).into_bytes()
}

/// A body as one chunk.
fn chunked(body: &str) -> String {
    format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
}

/// A good request with a line of its head replaced or added; the rest of it as it is.
fn with_line(line: &[u8]) -> Vec<u8> {
    replaced(&good().body(BODY).bytes(), b"host: test\r\n", &[line, b"\r\n"].concat())
}

/// Two lengths, and lengths that are none.
fn lengths() -> Vec<Case> {
    let both = |first: &str, second: &str| framed(&format!("{first}\r\n{second}"), &chunked(BODY));
    let (te, cl) = ("transfer-encoding: chunked", "content-length: 5");
    let mut cases = vec![
        Case::new(5, "a length before the chunks", both(cl, te), Accepted).refusable(),
        Case::new(5, "a length after the chunks", both(te, cl), Accepted).refusable(),
        Case::new(5, "a coding that is not chunked", framed("transfer-encoding: identity", BODY), Broken(400)),
        Case::new(5, "chunks and then no chunks", both("transfer-encoding: chunked, identity", cl), Broken(400)),
        Case::new(5, "a coding that looks like chunked", both("transfer-encoding: xchunked", cl), Broken(400)),
        Case::new(
            5,
            "chunks of an encoding",
            framed("transfer-encoding: gzip, chunked", &chunked("\u{1f}")),
            Rejected(""),
        ),
        Case::new(
            5,
            "chunks in HTTP/1.0",
            replaced(&framed(te, &chunked(BODY)), b"HTTP/1.1", b"HTTP/1.0"),
            Broken(400),
        ),
        Case::new(5, "chunks with a space before the colon", framed("transfer-encoding : chunked", BODY), Broken(400)),
        Case::new(6, "two different lengths", framed("content-length: 2\r\ncontent-length: 3", "{}x"), Broken(400)),
        Case::new(6, "two equal lengths", framed("content-length: 2\r\ncontent-length: 2", "{}"), Accepted),
        Case::new(7, "a length with spaces around it", framed("content-length:  2 ", "{}"), Accepted),
    ];
    for length in ["+2", "-1", "2, 2", "2 2", "0x2", "2.0", "18446744073709551616", "99999999999999999999999", "²"] {
        let bytes = framed(&format!("content-length: {length}"), "{}");
        cases.push(Case::new(7, format!("the length {length}"), bytes, Broken(400)).refusable());
    }
    cases.push(Case::new(7, "an empty length", framed("content-length:", "{}"), Broken(400)).refusable());
    cases.into_iter().map(Case::mendable).collect()
}

/// Chunks that are none.
fn chunks() -> Vec<Case> {
    let broken = |what: &str, rest: &str| {
        Case::new(8, what, framed("transfer-encoding: chunked", rest), Away(400, "framing")).mendable()
    };
    let endless = format!("2;{}\r\n{{}}\r\n0\r\n\r\n", "x".repeat(40_000));
    let trailers = format!("2\r\n{{}}\r\n0\r\n{}\r\n", "x-trailer: 1\r\n".repeat(4000));
    vec![
        broken("a size that overflows", "FFFFFFFFFFFFFFFFF\r\n{}"),
        broken("a size that is none", "zz\r\n{}\r\n0\r\n\r\n"),
        broken("a size below nothing", "-2\r\n{}\r\n0\r\n\r\n"),
        broken("a size with 0x", "0x2\r\n{}\r\n0\r\n\r\n"),
        broken("a chunk longer than its size", "2\r\n{}xx0\r\n\r\n"),
        broken("a line that ends in CR alone", "2\r{}\r\n0\r\n\r\n"),
        broken("an extension without an end", &endless),
        broken("trailers without an end", &trailers),
        Case::new(8, "an extension", framed("transfer-encoding: chunked", "2;a=b\r\n{}\r\n0\r\n\r\n"), Accepted)
            .refusable(),
        Case::new(
            8,
            "a trailer that names a token",
            framed("transfer-encoding: chunked", "2\r\n{}\r\n0\r\nx-leiga-token: other\r\n\r\n"),
            Accepted,
        )
        .refusable(),
    ]
}

/// Heads that are too large, and heads that are none.
fn heads() -> Vec<Case> {
    let many = |count: usize| (0..count).map(|n| format!("x-h{n}: 1")).collect::<Vec<_>>().join("\r\n").into_bytes();
    let own = good().headers.len() + 1;
    let large = |length: usize| format!("x-long: {}", "x".repeat(length)).into_bytes();
    let target = |target: &str| good().body(BODY).target(target).bytes();
    let version = |version: &[u8]| replaced(&good().body(BODY).bytes(), b"HTTP/1.1", version);
    vec![
        Case::new(9, "64 headers", with_line(&many(64 - own)), Accepted).refusable(),
        Case::new(9, "65 headers", with_line(&many(65 - own)), Broken(431)).refusable(),
        Case::new(9, "5,000 headers", with_line(&many(5000)), Broken(431)).refusable(),
        Case::new(9, "a header of 20 KiB", with_line(&large(20 << 10)), Broken(431)).refusable(),
        Case::new(9, "a header of 1 MiB", with_line(&large(1 << 20)), Broken(431)).refusable(),
        Case::new(9, "a target of 10 KiB", target(&format!("/webhook?{}", "x".repeat(10 << 10))), Accepted).refusable(),
        Case::new(9, "a target of 100 KiB", target(&format!("/{}", "x".repeat(100 << 10))), Broken(431)).refusable(),
        Case::new(10, "a folded line", with_line(b"x-odd: a\r\n b"), Broken(400)).mendable(),
        Case::new(10, "a line that ends in LF alone", with_line(b"x-odd: a\nx-odder: b"), Accepted).mendable(),
        Case::new(10, "a CR in a value", with_line(b"x-odd: a\rb"), Broken(400)).mendable(),
        Case::new(10, "a NUL in a value", with_line(b"x-odd: a\0b"), Broken(400)).mendable(),
        Case::new(10, "an escape in a value", with_line(b"x-odd: a\x1b[31mb"), Broken(400)).mendable(),
        Case::new(10, "a DEL in a value", with_line(b"x-odd: a\x7fb"), Broken(400)).mendable(),
        Case::new(10, "a space before a colon", with_line(b"x-odd : a"), Broken(400)).mendable(),
        Case::new(10, "a name with a space", with_line(b"x odd: a"), Broken(400)).mendable(),
        Case::new(10, "a name that is no ASCII", with_line("x-ödd: a".as_bytes()), Broken(400)).mendable(),
        Case::new(10, "no name", with_line(b": a"), Broken(400)).mendable(),
        Case::new(10, "no colon", with_line(b"x-odd"), Broken(400)).mendable(),
        Case::new(11, "no Host", replaced(&good().bytes(), b"host: test\r\n", b""), Accepted).mendable(),
        Case::new(11, "two Hosts", with_line(b"host: a\r\nhost: b"), Accepted).mendable(),
        Case::new(11, "a Host that is none", with_line(b"host: a b/c@d"), Accepted).mendable(),
        Case::new(11, "a target with another host", target("http://other.example/webhook"), Accepted).mendable(),
        Case::new(11, "a target with another host's path", target("http://other.example/api"), Away(404, "no webhook"))
            .mendable(),
        Case::new(11, "HTTP/1.0", version(b"HTTP/1.0"), Accepted).mendable(),
        Case::new(11, "HTTP/1.7", version(b"HTTP/1.7"), Broken(400)).mendable(),
        Case::new(11, "HTTP/0.9", version(b"HTTP/0.9"), Broken(400)).mendable(),
        Case::new(11, "no version", version(b""), Broken(400)).mendable(),
        Case::new(
            12,
            "HTTP/2 from the start",
            &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"[..],
            Broken(400),
        )
        .refusable(),
        Case::new(
            12,
            "HTTP/2 by upgrade",
            with_line(
                b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAARAAAAAAAIAAAAA",
            ),
            Accepted,
        )
        .refusable(),
        Case::new(12, "TLS in the clear", &b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n"[..], Broken(400))
            .refusable(),
        Case::new(12, "nothing but bytes", [0xff; 4096], Broken(400)).refusable(),
        Case::new(12, "nothing but lines", "\r\n".repeat(20_000), Broken(431)).refusable(),
        Case::new(
            13,
            "an expectation with a bad token",
            good().set("Token", "wrong").header("Expect", "100-continue").head(1_000_000),
            Away(401, "not the token"),
        )
        .apart(),
        Case::new(13, "an expectation of something else", with_line(b"expect: 200-ok"), Accepted).refusable(),
    ]
}

pub(super) fn cases() -> Vec<Case> {
    lengths().into_iter().chain(chunks()).chain(heads()).collect()
}

#[tokio::test]
async fn groups_05_to_13_framing_is_as_promised_or_refused() {
    try_direct("", cases()).await;
}
