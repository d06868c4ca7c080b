//! The body of an answer, and what is held until its last byte is sent. Knows no more of it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::{Body, Frame, SizeHint};

use super::flow::Flow;
use super::phase::Busy;

/// What a body keeps.
pub(super) trait Mark: Unpin {
    /// The next piece was asked for, and it came or did not.
    fn asked(&self, _came: bool) {}
}

/// Its connection is not idle.
impl Mark for Busy {}

/// Whether its reader takes it.
impl Mark for Option<Arc<Flow>> {
    fn asked(&self, came: bool) {
        self.iter().for_each(|flow| flow.asked(came));
    }
}

/// A body with a mark.
pub(super) struct Held<B, M> {
    body: Option<B>,
    mark: M,
}

impl<B, M> Held<B, M> {
    pub(super) fn new(body: B, mark: M) -> Self {
        Self { body: Some(body), mark }
    }

    /// No body at all.
    pub(super) fn empty(mark: M) -> Self {
        Self { body: None, mark }
    }
}

impl<B: Body + Unpin, M: Mark> Body for Held<B, M> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = Pin::new(body).poll_frame(cx);
        self.mark.asked(frame.is_ready());
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(B::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), B::size_hint)
    }
}
