//! The client's end of a WebSocket: opens one, reads whole messages, answers pings.

use std::net::SocketAddr;

use actix_codec::Framed;
use actix_http::ws::Item;
use awc::error::WsClientError;
use awc::ws::{CloseCode, Codec, Frame, Message};
use awc::{BoxedSocket, Client};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};

use super::target::Target;

/// Largest message that is taken, in bytes.
const MAX_MESSAGE: usize = 16 * 1024 * 1024;

/// How a connection ended.
#[derive(Debug)]
pub(super) struct Lost {
    /// What the server's Close said.
    pub(super) code: Option<u16>,
    pub(super) reason: String,
}

impl Lost {
    /// Takes a reason that is not the server's.
    pub(super) fn because(reason: impl Into<String>) -> Self {
        Self { code: None, reason: reason.into() }
    }
}

/// An open WebSocket.
pub(super) struct Socket {
    connection: Framed<BoxedSocket, Codec>,
    fragments: Vec<u8>,
}

impl Socket {
    /// Opens a WebSocket to the application.
    pub(super) async fn connect(client: &Client, target: &Target) -> Result<Self, WsClientError> {
        Self::connect_at(client, target, None).await
    }

    /// As [`Self::connect`], at one address of the host.
    pub(super) async fn connect_at(
        client: &Client,
        target: &Target,
        address: Option<SocketAddr>,
    ) -> Result<Self, WsClientError> {
        let mut request = client.ws(target.websocket()).max_frame_size(MAX_MESSAGE);
        if let Some(address) = address {
            request = request.address(address);
        }
        let (_, connection) = request.connect().await?;
        Ok(Self { connection, fragments: Vec::new() })
    }

    /// Waits for the next text. May be dropped while it waits.
    pub(super) async fn next(&mut self) -> Result<Bytes, Lost> {
        loop {
            let frame = match self.connection.next().await {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Err(Lost::because(error.to_string())),
                None => return Err(Lost::because("the connection ended")),
            };
            match frame {
                Frame::Text(bytes) => return Ok(bytes),
                Frame::Continuation(item) => {
                    if let Some(whole) = gather(&mut self.fragments, item) {
                        return Ok(whole.into());
                    }
                }
                Frame::Ping(payload) => self.write(Message::Pong(payload)).await?,
                Frame::Pong(_) | Frame::Binary(_) => {}
                Frame::Close(reason) => {
                    // The connection ends either way.
                    self.connection.send(Message::Close(None)).await.unwrap_or_default();
                    return Err(Lost {
                        code: reason.as_ref().map(|reason| CloseCode::into(reason.code)),
                        reason: reason.and_then(|reason| reason.description).unwrap_or_default(),
                    });
                }
            }
        }
    }

    /// Sends a text.
    pub(super) async fn send(&mut self, text: String) -> Result<(), Lost> {
        self.write(Message::Text(text.into())).await
    }

    async fn write(&mut self, message: Message) -> Result<(), Lost> {
        let sent = self.connection.send(message).await;
        sent.map_err(|_| Lost::because("the connection ended"))
    }
}

/// Says why there is no WebSocket.
pub(super) fn describe(target: &Target, error: &WsClientError) -> String {
    match error {
        WsClientError::SendRequest(error) => target.unreachable(error),
        WsClientError::InvalidResponseStatus(status) => {
            format!("{}: {status} instead of a WebSocket", target.http(""))
        }
        other => format!("{}: {other}", target.http("")),
    }
}

/// Puts fragments together; returns the whole message with its last one.
fn gather(fragments: &mut Vec<u8>, item: Item) -> Option<Vec<u8>> {
    let (bytes, is_last) = match item {
        Item::FirstText(bytes) | Item::FirstBinary(bytes) => {
            fragments.clear();
            (bytes, false)
        }
        Item::Continue(bytes) => (bytes, false),
        Item::Last(bytes) => (bytes, true),
    };
    if fragments.len().saturating_add(bytes.len()) <= MAX_MESSAGE {
        fragments.extend_from_slice(&bytes);
    }
    is_last.then(|| std::mem::take(fragments))
}
