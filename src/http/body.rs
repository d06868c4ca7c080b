//! What answers are made of: nothing, a text, or a stream; and forms, read. Knows no status and no headers.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::LiveBody;
use crate::upstream::ReplyBody;

/// The one body type of all answers.
#[derive(Debug)]
pub enum Body {
    /// Nothing, which is what most answers to front proxies are.
    Empty,
    /// A whole text.
    Full(Bytes),
    /// What a backend sends, as it comes.
    Stream(ReplyBody),
    /// The same where it may take so long that its visitor is judged again meanwhile.
    Live(Box<LiveBody<ReplyBody>>),
}

/// Whatever a body broke off for.
pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::Full(text.into())
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Self::Empty;
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Self::Stream(incoming) => Pin::new(incoming).poll_frame(cx).map_err(Into::into),
            Self::Live(live) => Pin::new(live).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(bytes) => bytes.is_empty(),
            Self::Stream(incoming) => incoming.is_end_stream(),
            Self::Live(live) => live.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(incoming) => incoming.size_hint(),
            Self::Live(live) => live.size_hint(),
        }
    }
}

/// The whole body of a form; `None` if it has more than `most` bytes, breaks off, or takes over ten seconds.
pub(super) async fn read_form(body: Incoming, most: usize) -> Option<Bytes> {
    let read = tokio::time::timeout(FORM_TIME, Limited::new(body, most).collect()).await.ok()?.ok()?;
    Some(read.to_bytes())
}

const FORM_TIME: Duration = Duration::from_secs(10);
