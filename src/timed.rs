//! A connection of the HTTP server that ends when a request takes too long, whichever request it is.
//!
//! actix-http times the head of a connection's first request alone, and its keep-alive ends with the
//! next byte: half of a second head would hold a descriptor for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_codec::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// How long a connection may be without progress.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waits {
    /// From the first byte of a request to the first of its answer.
    pub(crate) request: Duration,
    /// From the last byte of an answer to the first of the next request.
    pub(crate) idle: Duration,
}

/// See the module.
pub(crate) struct Timed<T> {
    io: T,
    waits: Waits,
    /// A request has begun and nothing was answered yet.
    asking: bool,
    end: Pin<Box<Sleep>>,
}

impl<T> Timed<T> {
    pub(crate) fn new(io: T, waits: Waits) -> Self {
        Self { io, waits, asking: false, end: Box::pin(sleep(waits.idle + waits.request)) }
    }

    pub(crate) fn into_inner(self) -> T {
        self.io
    }

    fn asked(&mut self) {
        if !self.asking {
            self.asking = true;
            self.end.as_mut().reset(Instant::now() + self.waits.request);
        }
    }

    /// What follows an answer may have begun before it, so it gets both waits.
    fn answered(&mut self) {
        self.asking = false;
        self.end.as_mut().reset(Instant::now() + self.waits.idle + self.waits.request);
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Timed<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.asked();
        }
        if read.is_pending() && self.end.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Timed<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        if matches!(written, Poll::Ready(Ok(_))) {
            self.answered();
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
