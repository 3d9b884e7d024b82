//! The body of an API request, bounded in bytes and in time before it is held in memory.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::Payload;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;

/// Why a body was not taken. All are the client's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It is compressed: a few bytes could become gigabytes.
    #[error("The request body must not have a Content-Encoding")]
    Encoded,
    /// It says it is larger than the limit, or turned out to be.
    #[error("The request body exceeds the allowed maximum ({limit} bytes)")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// It did not come in time.
    #[error("The request body did not arrive in time")]
    TooSlow,
    /// Its framing is broken, or the connection ended within it.
    #[error("The request body is incomplete")]
    Broken,
}

/// A body that may still be on its way.
pub(crate) struct RequestBody {
    /// `None` once it was read to its end, or where there is none.
    unread: Option<Payload>,
    bytes_read: usize,
}

impl RequestBody {
    /// Takes the stream of a request.
    pub(crate) fn new(payload: Payload) -> Self {
        let unread = match payload {
            Payload::None => None,
            stream => Some(stream),
        };
        Self { unread, bytes_read: 0 }
    }

    /// Reads the whole body: at most `limit` bytes, within `wait`.
    ///
    /// # Errors
    /// [`BodyError`]; what the headers tell is judged before a byte is read.
    pub(crate) async fn read(
        &mut self,
        headers: &HeaderMap,
        limit: usize,
        wait: Duration,
    ) -> Result<Bytes, BodyError> {
        judge(headers, limit)?;
        let Some(payload) = &mut self.unread else {
            return Ok(Bytes::new());
        };
        let body = tokio::time::timeout(wait, collect(payload, limit))
            .await
            .map_err(|_| BodyError::TooSlow)??;
        self.unread = None;
        self.bytes_read = body.len();
        Ok(body)
    }

    /// Returns how large the body was; 0 when it was not read to its end.
    pub(crate) fn bytes_read(&self) -> usize {
        self.bytes_read
    }

    /// Ties an unread rest to the answer, so that the connection ends with it.
    ///
    /// Otherwise actix-http would go on reading a chunked body that nobody wants, for as long as
    /// the client likes to send it.
    pub(crate) fn end_with(self, response: HttpResponse) -> HttpResponse {
        match self.unread {
            None => response,
            Some(unread) => {
                response.map_body(|_, body| BoxBody::new(WithUnread { body, _unread: unread }))
            }
        }
    }
}

fn judge(headers: &HeaderMap, limit: usize) -> Result<(), BodyError> {
    let is_encoded = headers
        .get_all(CONTENT_ENCODING)
        .any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if is_encoded {
        return Err(BodyError::Encoded);
    }
    let announced =
        headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(BodyError::TooLarge { limit });
    }
    Ok(())
}

/// Joins the chunks of a body. A body in one chunk, as small ones are, is not copied.
async fn collect(payload: &mut Payload, limit: usize) -> Result<Bytes, BodyError> {
    let mut first = Bytes::new();
    let mut joined = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| BodyError::Broken)?;
        if first.is_empty() {
            first = chunk;
        } else {
            if joined.is_empty() {
                joined.extend_from_slice(&first);
            }
            joined.extend_from_slice(&chunk);
        }
        if first.len().max(joined.len()) > limit {
            return Err(BodyError::TooLarge { limit });
        }
    }
    Ok(if joined.is_empty() { first } else { joined.freeze() })
}

/// An answer's body that keeps the request's alive: actix-http closes after it.
struct WithUnread {
    body: BoxBody,
    _unread: Payload,
}

impl MessageBody for WithUnread {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        self.body.as_pin_mut().poll_next(context)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop")]

    use actix_web::error::PayloadError;
    use actix_web::http::header::HeaderValue;
    use futures_util::stream;

    use super::*;

    const WAIT: Duration = Duration::from_secs(10);

    fn body(chunks: &[&'static str]) -> RequestBody {
        let chunks: Vec<Result<Bytes, PayloadError>> =
            chunks.iter().map(|chunk| Ok(Bytes::from_static(chunk.as_bytes()))).collect();
        let boxed: Pin<Box<dyn futures_util::Stream<Item = _>>> = Box::pin(stream::iter(chunks));
        RequestBody::new(Payload::from(boxed))
    }

    #[actix_rt::test]
    async fn chunks_are_joined_up_to_the_limit() {
        let headers = HeaderMap::new();
        let read = body(&["ab", "", "cd", "e"]).read(&headers, 5, WAIT).await;
        assert_eq!(read.unwrap(), "abcde");
        let read = body(&["ab", "cd", "ef"]).read(&headers, 5, WAIT).await;
        assert_eq!(read, Err(BodyError::TooLarge { limit: 5 }));
        let read = body(&["abcdef"]).read(&headers, 5, WAIT).await;
        assert_eq!(read, Err(BodyError::TooLarge { limit: 5 }));
        let read = RequestBody::new(Payload::None).read(&headers, 5, WAIT).await;
        assert_eq!(read.unwrap(), "");
    }

    #[actix_rt::test]
    async fn headers_are_judged_before_reading() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("6"));
        let mut unread = body(&["a"]);
        let read = unread.read(&headers, 5, WAIT).await;
        assert_eq!(read, Err(BodyError::TooLarge { limit: 5 }));
        assert!(unread.unread.is_some());
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        let read = body(&["a"]).read(&headers, 50, WAIT).await;
        assert_eq!(read, Err(BodyError::Encoded));
    }

    #[actix_rt::test]
    async fn a_body_that_never_ends_is_given_up() {
        let boxed: Pin<Box<dyn futures_util::Stream<Item = Result<Bytes, PayloadError>>>> =
            Box::pin(stream::pending());
        let mut never = RequestBody::new(Payload::from(boxed));
        let read = never.read(&HeaderMap::new(), 5, Duration::from_millis(1)).await;
        assert_eq!(read, Err(BodyError::TooSlow));
    }
}
