//! What a program writes: all of it read, the beginning kept.

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::handlers::mask::Mask;

/// How much is kept of both outputs together, in bytes.
const KEPT_MAX: usize = 4096;
/// What stands between them.
const BETWEEN: &[u8] = b"\n--- standard error ---\n";
/// How much is read at one time.
const CHUNK: usize = 16 * 1024;

/// The beginnings of both outputs.
#[derive(Debug)]
pub(super) struct Output<'m> {
    mask: &'m Mask,
    stdout: BytesMut,
    stderr: BytesMut,
}

impl<'m> Output<'m> {
    /// Nothing yet, of which nothing that is masked will be kept.
    pub(super) fn new(mask: &'m Mask) -> Output<'m> {
        Output { mask, stdout: BytesMut::new(), stderr: BytesMut::new() }
    }

    /// Reads both to their ends. What was read is kept when this is dropped before.
    pub(super) async fn read(
        &mut self,
        stdout: Option<impl AsyncRead + Unpin>,
        stderr: Option<impl AsyncRead + Unpin>,
    ) {
        let max = KEPT_MAX + self.mask.longest();
        tokio::join!(read(stdout, &mut self.stdout, max), read(stderr, &mut self.stderr, max));
    }

    /// Both as one, at most [`KEPT_MAX`] long. Where there is too much of both, each has half.
    pub(super) fn into_response(self) -> Bytes {
        let [mut stdout, mut stderr] = [self.stdout, self.stderr].map(|kept| self.mask.applied(&kept, KEPT_MAX));
        if stderr.is_empty() {
            return stdout;
        }
        if stdout.is_empty() {
            return stderr;
        }
        let room = KEPT_MAX - BETWEEN.len();
        let (for_stdout, for_stderr) = (room - stderr.len().min(room / 2), room - stdout.len().min(room / 2));
        stdout.truncate(for_stdout);
        stderr.truncate(for_stderr);
        [stdout, Bytes::from_static(BETWEEN), stderr].concat().into()
    }
}

async fn read(pipe: Option<impl AsyncRead + Unpin>, kept: &mut BytesMut, max: usize) {
    let Some(mut pipe) = pipe else { return };
    let mut chunk = vec![0; CHUNK];
    while let Ok(length @ 1..) = pipe.read(&mut chunk).await {
        let room = max - kept.len();
        kept.extend_from_slice(&chunk[..length.min(room)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is kept of outputs of so many bytes: how much of each.
    #[track_caller]
    fn check(stdout: usize, stderr: usize, expected: (usize, usize)) {
        let (mask, bytes) =
            (Mask::default(), |text: &str, length: usize| BytesMut::from(text.repeat(length).as_bytes()));
        let output = Output { mask: &mask, stdout: bytes("o", stdout), stderr: bytes("e", stderr) };
        let response = output.into_response();
        assert!(response.len() <= KEPT_MAX, "{stdout} {stderr}: {}", response.len());
        let both = stdout > 0 && stderr > 0;
        let between = if both { String::from_utf8(BETWEEN.to_vec()).unwrap() } else { String::new() };
        let text = format!("{}{between}{}", "o".repeat(expected.0), "e".repeat(expected.1));
        assert_eq!(String::from_utf8(response.to_vec()).unwrap(), text, "{stdout} {stderr}");
    }

    #[test]
    fn neither_output_crowds_out_the_other() {
        let half = (KEPT_MAX - BETWEEN.len()) / 2;
        let room = KEPT_MAX - BETWEEN.len();
        check(0, 0, (0, 0));
        check(5, 0, (5, 0));
        check(0, 4096, (0, 4096));
        check(5, 7, (5, 7));
        check(4096, 7, (room - 7, 7));
        check(7, 4096, (7, room - 7));
        check(4096, 4096, (room - half, room - half));
    }

    #[tokio::test]
    async fn everything_is_read_and_the_beginning_kept() {
        let (stdout, stderr) = (vec![b'o'; 1 << 20], vec![b'e'; 3]);
        let mask = Mask::default();
        let mut output = Output::new(&mask);
        let mut rest = stdout.as_slice();
        output.read(Some(&mut rest), Some(stderr.as_slice())).await;
        assert_eq!((rest.len(), output.stdout.len(), output.stderr.len()), (0, KEPT_MAX, 3));
    }
}
