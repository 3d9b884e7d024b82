//! A conversation with a server of Pusher's protocol: whole messages, with a deadline, pings answered.

use std::time::Duration;

use micronotifier_actors::protocol::SocketId;
use serde_json::Value;
use tokio::time::{Instant, timeout, timeout_at};

use crate::commands::follow::{PONG, object};
use crate::commands::socket::{Lost, Socket};

/// How long an answer may take.
pub(super) const ANSWER: Duration = Duration::from_secs(10);

/// One message of the server.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) event: String,
    pub(super) channel: String,
    pub(super) data: Value,
}

impl Message {
    /// Takes a text; `None` = not a message of this protocol.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let message: Value = serde_json::from_slice(text).ok()?;
        let field = |name: &str| message.get(name).and_then(Value::as_str);
        Some(Self {
            event: field("event")?.to_owned(),
            channel: field("channel").unwrap_or_default().to_owned(),
            data: object(message.get("data").unwrap_or(&Value::Null)),
        })
    }

    /// Returns a text of the data.
    pub(super) fn text(&self, name: &str) -> &str {
        self.data.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns code and words of a `pusher:error`.
    pub(super) fn error(&self) -> Option<(Option<u64>, &str)> {
        let code = self.data.get("code").and_then(Value::as_u64);
        (self.event == "pusher:error").then(|| (code, self.text("message")))
    }
}

/// Why an answer did not come.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// Nothing came in time.
    Silent,
    /// The connection ended.
    Lost(Lost),
}

impl From<Lost> for NoAnswer {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost)
    }
}

impl NoAnswer {
    /// Says what happened instead of an answer.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Silent => format!("no answer in {} s", ANSWER.as_secs()),
            Self::Lost(Lost { code: Some(code), reason }) => {
                format!("the server closed the connection with {code}: {reason}")
            }
            Self::Lost(Lost { code: None, reason }) => reason.clone(),
        }
    }
}

/// An open connection that the server has taken.
pub(super) struct Talk {
    socket: Socket,
    id: SocketId,
    activity_timeout: Duration,
}

impl Talk {
    /// Takes a connection with what the server's first message said of it.
    pub(super) const fn new(socket: Socket, id: SocketId, activity_timeout: Duration) -> Self {
        Self { socket, id, activity_timeout }
    }

    /// Returns the connection's id.
    pub(super) const fn id(&self) -> SocketId {
        self.id
    }

    /// Returns the silence after which a client asks for a sign of life.
    pub(super) const fn activity_timeout(&self) -> Duration {
        self.activity_timeout
    }

    /// Sends a text. A server that does not take it in time is as good as silent.
    pub(super) async fn send(&mut self, text: String) -> Result<(), NoAnswer> {
        timeout(ANSWER, self.socket.send(text)).await.map_err(|_| NoAnswer::Silent)??;
        Ok(())
    }

    /// Waits until a moment for the next message.
    pub(super) async fn next(&mut self, end: Instant) -> Result<Message, NoAnswer> {
        // a timeout alone does not come to its end where there is always something to read
        while Instant::now() < end {
            let text =
                timeout_at(end, self.socket.next()).await.map_err(|_| NoAnswer::Silent)??;
            if let Some(message) = Message::parse(&text) {
                return Ok(message);
            }
        }
        Err(NoAnswer::Silent)
    }

    /// Waits for the message that `pick` takes. Others are passed over, pings answered.
    pub(super) async fn until<T>(
        &mut self,
        pick: impl Fn(&Message) -> Option<T>,
    ) -> Result<T, NoAnswer> {
        let end = Instant::now() + ANSWER;
        loop {
            let message = self.next(end).await?;
            if let Some(picked) = pick(&message) {
                return Ok(picked);
            }
            if message.event == "pusher:ping" {
                self.send(PONG.to_owned()).await?;
            }
        }
    }
}
