//! A client's socket: the WebSocket, and what Pusher messages say that the load must know.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(20);

/// An established socket.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: WebSocketStream<TcpStream>,
    /// Its id at the node.
    pub(crate) id: String,
    /// The node that answered the upgrade, where a proxy has said so.
    pub(crate) node: Option<SocketAddr>,
}

/// A message as a client gets it.
#[derive(Debug, Deserialize)]
pub(crate) struct Incoming<'m> {
    #[serde(borrow)]
    pub(crate) event: Cow<'m, str>,
    #[serde(borrow, default)]
    pub(crate) channel: Cow<'m, str>,
    #[serde(borrow, default)]
    data: Option<Data<'m>>,
}

/// The data of a message: a text, or an object where the protocol has one.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Data<'m> {
    Text(#[serde(borrow)] Cow<'m, str>),
    Other(serde_json::Value),
}

impl Incoming<'_> {
    /// Reads a message.
    pub(crate) fn parse(text: &str) -> Option<Incoming<'_>> {
        serde_json::from_str(text).ok()
    }

    /// Returns the data as a text.
    pub(crate) fn text(&self) -> &str {
        match &self.data {
            Some(Data::Text(text)) => text,
            _ => "",
        }
    }

    /// Returns the data as an object, whether it came as one or as the text of one.
    pub(crate) fn object(&self) -> serde_json::Value {
        match &self.data {
            Some(Data::Text(text)) => serde_json::from_str(text).unwrap_or_default(),
            Some(Data::Other(value)) => value.clone(),
            None => serde_json::Value::Null,
        }
    }
}

impl Socket {
    /// Connects and waits until it is established.
    ///
    /// # Errors
    /// The status of the answer; 0 if there was none.
    pub(crate) async fn connect(address: SocketAddr, key: &str) -> Result<Self, u16> {
        timeout(HANDSHAKE, Self::open(address, key)).await.unwrap_or(Err(0))
    }

    async fn open(address: SocketAddr, key: &str) -> Result<Self, u16> {
        let tcp = TcpStream::connect(address).await.map_err(|_| 0_u16)?;
        tcp.set_nodelay(true).map_err(|_| 0_u16)?;
        let url = format!("ws://{address}/app/{key}?protocol=7&client=lab&version=1");
        let config = WebSocketConfig::default().read_buffer_size(4096).write_buffer_size(0);
        let opened = client_async_with_config(url, tcp, Some(config)).await;
        let (stream, response) = opened.map_err(|error| match error {
            Error::Http(response) => response.status().as_u16(),
            _ => 0,
        })?;
        let said = response.headers().get("x-node").and_then(|node| node.to_str().ok());
        // the last one of those that nginx has tried
        let node = said.and_then(|said| said.rsplit(", ").next()?.parse().ok());
        let mut socket = Self { stream, id: String::new(), node };
        let greeting = socket.next().await.map_err(|_| 0_u16)?;
        let id = Incoming::parse(&greeting)
            .filter(|message| message.event == "pusher:connection_established")
            .and_then(|message| Some(message.object().get("socket_id")?.as_str()?.to_owned()));
        socket.id = id.ok_or(0_u16)?;
        Ok(socket)
    }

    /// Returns the next message.
    ///
    /// # Errors
    /// How it ended.
    pub(crate) async fn next(&mut self) -> Result<String, String> {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => return Ok(text.as_str().to_owned()),
                Some(Ok(Message::Close(frame))) => {
                    return Err(frame.map_or("closed".to_owned(), |frame| frame.to_string()));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.to_string()),
                None => return Err("end".to_owned()),
            }
        }
    }

    /// Sends a message.
    ///
    /// # Errors
    /// How it ended.
    pub(crate) async fn send(&mut self, text: String) -> Result<(), String> {
        self.stream.send(Message::text(text)).await.map_err(|error| error.to_string())
    }

    /// Ends as a browser does.
    pub(crate) async fn close(mut self) {
        // It fails for one that has ended.
        timeout(Duration::from_secs(2), self.stream.close(None)).await.ok();
    }
}
