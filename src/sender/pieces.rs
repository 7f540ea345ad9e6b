//! A body that is sent piece by piece, whole or not.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use thiserror::Error;
use tokio::time::Sleep;

/// A body in pieces, with a wait after each.
#[derive(Debug)]
pub(super) struct Pieces {
    rest: Bytes,
    size: usize,
    wait: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
    end: End,
}

/// How the body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Whole, with its length in the head.
    Known,
    /// Whole, in chunks, without a length.
    Chunked,
    /// Never: one byte more was promised than is sent.
    Held,
    /// With the connection: one byte more was promised than is sent.
    Cut,
}

/// The body was ended on purpose before it was whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the body was cut short on purpose")]
pub(super) struct CutShort;

impl Pieces {
    /// A body in pieces of so many bytes.
    pub(super) fn new(body: Bytes, size: usize, wait: Duration, end: End) -> Pieces {
        Pieces { rest: body, size: size.max(1), wait, waiting: None, end }
    }

    /// The same, with a wait before the first piece.
    ///
    /// A receiver that answers by the head alone has answered before there is a body that it has to read, or else
    /// to reset the connection over, by which the answer can be lost.
    pub(super) fn after(self, wait: Duration) -> Pieces {
        Pieces { waiting: Some(Box::pin(tokio::time::sleep(wait))), ..self }
    }

    fn is_whole(&self) -> bool {
        matches!(self.end, End::Known | End::Chunked)
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = CutShort;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CutShort>>> {
        let this = self.get_mut();
        // There is a wait before the end as well, so that what was sent is on its way before the connection is closed.
        if let Some(waiting) = &mut this.waiting {
            ready!(waiting.as_mut().poll(cx));
            this.waiting = None;
        }
        if this.rest.is_empty() {
            return match this.end {
                End::Known | End::Chunked => Poll::Ready(None),
                // Nobody is woken: only the time-out of the request or the receiver's answer ends it.
                End::Held => Poll::Pending,
                End::Cut => Poll::Ready(Some(Err(CutShort))),
            };
        }
        let piece = this.rest.split_to(this.size.min(this.rest.len()));
        this.waiting = Some(Box::pin(tokio::time::sleep(this.wait)));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_whole() && self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        match (u64::try_from(self.rest.len()), self.end) {
            (Ok(len), End::Known) => SizeHint::with_exact(len),
            (Ok(len), End::Held | End::Cut) => SizeHint::with_exact(len.saturating_add(1)),
            _ => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn a_body_comes_in_pieces_and_ends_as_it_was_told() {
        let body = Bytes::from_static(b"0123456789");
        let wait = Duration::from_millis(5);
        let pieces = |end| Pieces::new(body.clone(), 4, wait, end);
        for end in [End::Known, End::Chunked] {
            let start = tokio::time::Instant::now();
            assert_eq!(pieces(end).collect().await.unwrap().to_bytes(), body);
            assert!(start.elapsed() >= wait * 2, "a wait between two pieces");
        }
        assert_eq!(pieces(End::Cut).collect().await.unwrap_err(), CutShort);
        let held = tokio::time::timeout(wait * 10, pieces(End::Held).collect()).await;
        assert!(held.is_err(), "it never ends");
        let start = tokio::time::Instant::now();
        pieces(End::Known).after(wait * 10).collect().await.unwrap();
        assert!(start.elapsed() >= wait * 12);
        assert_eq!(pieces(End::Known).size_hint().exact(), Some(10));
        assert_eq!(pieces(End::Chunked).size_hint().exact(), None);
        assert_eq!(pieces(End::Cut).size_hint().exact(), Some(11));
    }
}
