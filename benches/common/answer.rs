//! Reading an answer, as little as can be: bytes are compared, not parsed.

use anyhow::{Context, bail, ensure};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

const ACKNOWLEDGED: &[u8] = br#"{"errcode":0}"#;

/// What a request was answered.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    /// 200 with `errcode` 0.
    Acknowledged,
    /// 503, and whether the connection ends with it.
    Refused { closes: bool },
}

/// Reads an answer to its last byte; an error where it is another one.
pub(crate) async fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> anyhow::Result<Answer> {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        filled += read;
        let answer = &buffer[..filled];
        let shown = || String::from_utf8_lossy(answer).into_owned();
        if read == 0 {
            bail!("the connection ended, or the answer is too long, after {:?}", shown());
        }
        let Some(body) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").map(|head| head + 4) else {
            continue;
        };
        let head = &answer[..body];
        let length = content_length(head).with_context(|| format!("no length in {:?}", shown()))?;
        if filled < body + length {
            continue;
        }
        if answer.starts_with(b"HTTP/1.1 503 ") {
            return Ok(Answer::Refused { closes: field(head, b"connection:").is_some_and(|value| value == "close") });
        }
        if !answer.starts_with(b"HTTP/1.1 200 ") || &answer[body..] != ACKNOWLEDGED {
            bail!("not acknowledged: {:?}", shown());
        }
        return Ok(Answer::Acknowledged);
    }
}

/// Reads an answer, which has to be an acknowledgement.
pub(crate) async fn read_acknowledgement(stream: &mut TcpStream, buffer: &mut [u8]) -> anyhow::Result<()> {
    let answer = read(stream, buffer).await?;
    ensure!(matches!(answer, Answer::Acknowledged), "not acknowledged: {answer:?}");
    Ok(())
}

fn content_length(head: &[u8]) -> Option<usize> {
    field(head, b"content-length:")?.parse().ok()
}

/// The value of a header, whose name is given in small letters with its colon.
fn field<'h>(head: &'h [u8], name: &[u8]) -> Option<&'h str> {
    let mut lines = head.split(|byte| *byte == b'\n');
    let line = lines.find(|line| line.len() > name.len() && line[..name.len()].eq_ignore_ascii_case(name))?;
    std::str::from_utf8(&line[name.len()..]).ok().map(str::trim)
}
