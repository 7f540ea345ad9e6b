//! Traces, as a collector gets them.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;
use workhook::contract::Brand;

use crate::support::{Post, TestApp, TestReceiver};

/// A span as it was received.
#[derive(Debug)]
struct Span {
    name: String,
    trace: Vec<u8>,
    id: Vec<u8>,
    parent: Vec<u8>,
    /// Every text among its attributes.
    texts: Vec<String>,
}

/// The fields of a message of protobuf that are messages, texts or bytes, with their numbers.
fn fields(mut message: &[u8]) -> Vec<(u64, &[u8])> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message);
        let skipped = match key & 7 {
            0 => {
                varint(&mut message);
                continue;
            }
            1 => 8,
            5 => 4,
            2 => usize::try_from(varint(&mut message)).unwrap(),
            other => panic!("wire type {other}"),
        };
        let (field, rest) = message.split_at(skipped);
        message = rest;
        if key & 7 == 2 {
            fields.push((key >> 3, field));
        }
    }
    fields
}

fn varint(message: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first().unwrap();
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

/// What is in fields of this number of some messages.
fn inside<'a>(messages: &[&'a [u8]], number: u64) -> Vec<&'a [u8]> {
    let all = messages.iter().flat_map(|message| fields(message));
    all.filter(|(own, _)| *own == number).map(|(_, field)| field).collect()
}

fn span(message: &[u8]) -> Span {
    let one = |number| inside(&[message], number).first().map(|field| field.to_vec()).unwrap_or_default();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    // An attribute's value is its field 2, and a text in there field 1.
    let texts = inside(&inside(&inside(&[message], 9), 2), 1);
    Span {
        name: text(&one(5)),
        trace: one(1),
        id: one(2),
        parent: one(4),
        texts: texts.iter().map(|bytes| text(bytes)).collect(),
    }
}

fn spans(collector: &TestReceiver) -> Vec<Span> {
    let received = collector.received();
    assert!(received.iter().all(|one| one.header("content-type") == "application/x-protobuf"));
    let bodies: Vec<&[u8]> = received.iter().map(|one| &*one.body).collect();
    inside(&inside(&inside(&bodies, 1), 2), 2).into_iter().map(span).collect()
}

fn traces(to: SocketAddr) -> String {
    format!("[traces]\nendpoint = \"http://{to}\"\n")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn an_event_is_a_trace_of_its_requests_and_attempts_which_the_far_end_s_goes_on_from() {
    let (collector, receiver) = (TestReceiver::start().await, TestReceiver::start().await);
    let handler = receiver.handler("crm", "retry = { first = \"1ms\" }");
    let app = TestApp::with(&format!("{}{handler}", traces(collector.address))).start().await;
    receiver.answer_status(500);
    let post = Post::new(Brand::Leiga, "Issue.Update").set("ID", "one").issue(1, 1);
    app.send(post.clone()).await;
    app.send(post.set("Retry-Num", "1")).await;
    crate::support::until("an attempt has failed", || async { receiver.received().first().map(drop) }).await;
    receiver.answer_status(200);
    app.settled().await;
    let id = app.events().await[0].id.clone();
    app.stop().await;

    let spans = spans(&collector);
    let trace = id.replace('-', "");
    let named = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    let requests = named("request");
    assert_eq!(requests.len(), 2, "{spans:#?}");
    let first = requests.iter().find(|span| span.parent.is_empty()).unwrap();
    let again = requests.iter().find(|span| !span.parent.is_empty()).unwrap();
    assert!(first.texts.contains(&"accepted".to_owned()) && first.texts.contains(&id), "{first:?}");
    assert!(again.texts.contains(&"duplicate".to_owned()) && again.parent == first.id, "{again:?}");
    let attempts = named("attempt");
    let told: Vec<_> = receiver.received().iter().map(|one| one.header("traceparent").to_owned()).collect();
    assert_eq!(attempts.len(), told.len());
    for (attempt, told) in attempts.iter().zip(told) {
        assert_eq!(told, format!("00-{trace}-{}-01", hex(&attempt.id)));
        assert!(attempt.texts.contains(&"crm".to_owned()) && attempt.parent == first.id, "{attempt:?}");
    }
    assert!(attempts.last().unwrap().texts.contains(&"delivered".to_owned()), "{attempts:?}");
    assert!(spans.iter().all(|span| span.name == "planning" || hex(&span.trace) == trace), "{spans:#?}");
    assert!(!named("planning").is_empty(), "{spans:#?}");
}

#[tokio::test]
async fn a_collector_that_is_away_or_never_answers_disturbs_nothing() {
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for collector in [closed, silent.local_addr().unwrap()] {
        let receiver = TestReceiver::start().await;
        let app = TestApp::with(&format!("{}{}", traces(collector), receiver.handler("crm", ""))).start().await;
        for n in 0..20 {
            app.send(Post::new(Brand::Leiga, "Issue.Update").issue(n, n)).await;
        }
        app.settled().await;
        assert_eq!(receiver.received().len(), 20);
        let began = Instant::now();
        app.stop().await;
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    }
}
