//! Takes the socket of an upgrade request over from the HTTP server and makes it a session.
//!
//! Overload is answered by HTTP 503 before the upgrade. What the client must mend is told the Pusher
//! way: the upgrade succeeds, then comes `pusher:error`, then a Close with the same code (protocol
//! sections 1.1 to 1.5).

use std::borrow::Cow;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use actix_http::RequestHead;
use bytes::{Bytes, BytesMut};
use micronotifier_actors::Worker;
use micronotifier_actors::config::App;
use micronotifier_actors::limits::NodeLimits;
use micronotifier_actors::protocol::{ErrorCode, Frame, SocketId};
use micronotifier_actors::session::ClientLibrary;

use super::admission::{Admission, Admitted, NotAdmitted};
use super::session::{Accepted, WsSession};
use super::stream::Stream;
use super::{control, handshake};
use crate::edge::origin::Client;
use crate::edge::query::{Plus, Query, percent_decode};
use crate::edge::{EdgeState, sighting};

/// How long a refused client may take to read why.
const REFUSAL_WAIT: Duration = Duration::from_secs(2);
/// Reads of what a refused client still sends, before it is hung up on.
const LAST_READS: usize = 64;

/// What every upgrade on one worker needs.
#[derive(Clone)]
pub(crate) struct Upgrades {
    pub(crate) worker: Worker,
    pub(crate) edge: EdgeState,
    pub(crate) limits: Arc<NodeLimits>,
    pub(crate) admission: Arc<Admission>,
}

/// Why a client is sent away after the upgrade. The order of the checks is that of protocol section 1.5.
struct Refusal {
    /// Whom it wanted, if it named an application that there is.
    app: Option<Arc<App>>,
    code: ErrorCode,
    reason: Cow<'static, str>,
}

impl Refusal {
    const fn new(code: ErrorCode, reason: &'static str) -> Self {
        Self { app: None, code, reason: Cow::Borrowed(reason) }
    }

    fn by(app: &Arc<App>, code: ErrorCode, reason: &'static str) -> Self {
        Self { app: Some(Arc::clone(app)), ..Self::new(code, reason) }
    }
}

impl Upgrades {
    /// Makes a socket a session, or tells the client why not. `early` are bytes behind the request,
    /// `unsent` are answers to requests before it.
    pub(crate) async fn take<S: Stream>(
        &self,
        head: &RequestHead,
        stream: S,
        early: BytesMut,
        unsent: BytesMut,
    ) {
        if !unsent.is_empty() {
            let sent = tokio::time::timeout(REFUSAL_WAIT, write_all(&stream, &unsent)).await;
            if !matches!(sent, Ok(Ok(()))) {
                return;
            }
        }
        let handshake = match handshake::accept(head) {
            Ok(handshake) => handshake,
            Err(error) => return say(&stream, &[error.answer()]).await,
        };
        let client = Client::of(head, S::SECURE, &self.edge.edge.trusted_proxies);
        let admitted = match self.admit(&client) {
            Ok(admitted) => admitted,
            Err(refused) => {
                let text = refused.to_string();
                log::debug!(address = shown(&client).as_str(), cause = text.as_str(); "refused before the upgrade");
                sighting::refused(self.worker.tap(), None, 503, &text);
                return say(&stream, &[unavailable(&text)]).await;
            }
        };
        match self.judge(head, &client, admitted) {
            Ok((app, library, admitted)) => {
                let Ok(socket) = SocketId::random() else {
                    log::error!("the system has no random numbers to give");
                    return say(&stream, &[unavailable("no random numbers")]).await;
                };
                log::debug!(socket:%, app = app.id.as_str(), address = shown(&client).as_str(); "connected");
                let accepted = Accepted {
                    app,
                    limits: Arc::clone(&self.limits),
                    client: library,
                    worker: self.worker.clone(),
                    wall: self.edge.wall,
                    admitted,
                    handshake,
                    early,
                };
                WsSession::start_on(stream, socket, accepted);
            }
            Err(refusal) => {
                let code = refusal.code.number();
                log::debug!(address = shown(&client).as_str(), code; "refused after the upgrade");
                let app = refusal.app.as_deref();
                sighting::refused(self.worker.tap(), app, code, &refusal.reason);
                let error = Frame::error(Some(refusal.code), &refusal.reason);
                let close = control::close(code, &refusal.reason);
                say(&stream, &[handshake, error.wire().clone(), close]).await;
            }
        }
    }

    fn admit(&self, client: &Client) -> Result<Admitted, NotAdmitted> {
        if !self.worker.is_serving() {
            return Err(NotAdmitted::Full);
        }
        self.admission.admit(client.address)
    }

    fn judge(
        &self,
        head: &RequestHead,
        client: &Client,
        mut admitted: Admitted,
    ) -> Result<(Arc<App>, ClientLibrary, Admitted), Refusal> {
        let query = Query::parse(head.uri.query().unwrap_or_default(), Plus::Literal);
        let parameter = |name| query.as_ref().and_then(|query| query.all(name).next());
        let key = self.key_of(head.uri.path())?;
        check_protocol(parameter("protocol"))?;
        let app = self.edge.node.apps().by_key(&key).filter(|app| {
            // an older key that has ended is a key that nobody knows
            app.credential(&key, self.edge.wall.unix_now()).is_some()
        });
        let app = app.ok_or_else(|| {
            let reason = Cow::Owned(format!("App key {key} does not exist"));
            Refusal { app: None, code: ErrorCode::UnknownApplication, reason }
        })?;
        if !app.enabled {
            return Err(Refusal::by(app, ErrorCode::ApplicationDisabled, "Application disabled"));
        }
        if app.tls_only && !client.secure {
            let reason = "Application only accepts SSL connections, reconnect using wss://";
            return Err(Refusal::by(app, ErrorCode::TlsRequired, reason));
        }
        if !client.comes_from(&app.allowed_origins) {
            return Err(Refusal::by(app, ErrorCode::Unauthorized, "Origin not allowed"));
        }
        let elsewhere = self.edge.node.connections_elsewhere(&app.id);
        admitted.join_app(app, elsewhere).map_err(|_| {
            Refusal::by(app, ErrorCode::OverQuota, "Application is over connection quota")
        })?;
        let library = ClientLibrary::of_query(parameter("client").unwrap_or_default());
        Ok((Arc::clone(app), library, admitted))
    }

    /// Returns the application key of `⟨prefix⟩/app/⟨key⟩`.
    fn key_of(&self, path: &str) -> Result<String, Refusal> {
        path.strip_prefix(self.edge.edge.path_prefix.as_str())
            .and_then(|path| path.strip_prefix("/app/"))
            .filter(|key| !key.is_empty() && !key.contains('/'))
            .and_then(|key| percent_decode(key, Plus::Literal))
            .map(Cow::into_owned)
            .ok_or_else(|| Refusal::new(ErrorCode::PathNotFound, "Path not found"))
    }
}

/// Returns a client's address for the log.
fn shown(client: &Client) -> String {
    client.address.map_or_else(|| "unknown".to_owned(), |address| address.to_string())
}

/// Accepts protocols 5 to 7, and none at all as 7 (protocol section 1.2).
fn check_protocol(protocol: Option<&str>) -> Result<(), Refusal> {
    match protocol {
        None | Some("5" | "6" | "7") => Ok(()),
        Some(_) => {
            Err(Refusal::new(ErrorCode::UnsupportedProtocol, "Unsupported protocol version"))
        }
    }
}

fn unavailable(text: &str) -> Bytes {
    let body = format!(r#"{{"error":"{text}","code":503}}"#);
    let length = body.len();
    Bytes::from(format!(
        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    ))
}

/// Writes all of it.
async fn write_all(stream: &impl Stream, bytes: &[u8]) -> io::Result<()> {
    let mut rest = bytes;
    poll_fn(|cx| {
        while !rest.is_empty() {
            match stream.write(&[IoSlice::new(rest)]) {
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(stream.poll_writable(cx))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        while !stream.flush()? {
            ready!(stream.poll_writable(cx))?;
        }
        Poll::Ready(Ok(()))
    })
    .await
}

/// Writes a last answer and waits, not for long, until the client has hung up: a socket that is closed
/// with unread bytes would take the answer with it.
async fn say(stream: &impl Stream, parts: &[Bytes]) {
    let talk = async {
        write_all(stream, &parts.concat()).await?;
        hung_up(stream).await
    };
    // who has not hung up by then is hung up on
    drop(tokio::time::timeout(REFUSAL_WAIT, talk).await);
}

/// Reads until the client has hung up, or has said more than one who listens would.
async fn hung_up(stream: &impl Stream) -> io::Result<()> {
    let mut scratch = [0; 1024];
    let mut reads = 0..LAST_READS;
    poll_fn(|cx| {
        while reads.next().is_some() {
            match stream.read(&mut scratch) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(stream.poll_readable(cx))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::task::Context;

    use micronotifier_actors::Wire;
    use micronotifier_actors::session::effect::Close;

    use super::*;

    /// A client that takes everything and never stops sending.
    struct Flood(Cell<usize>);

    impl Wire for Flood {
        fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
            Ok(slices.iter().map(|slice| slice.len()).sum())
        }

        fn flush(&self) -> io::Result<bool> {
            Ok(true)
        }

        fn close_frame(&self, _close: &Close) -> Bytes {
            Bytes::new()
        }
    }

    impl Stream for Flood {
        const SECURE: bool = false;

        fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.set(self.0.get() + 1);
            assert!(self.0.get() < 10_000, "nobody else has a turn any more");
            Ok(buffer.len())
        }

        fn poll_readable(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_writable(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[actix_rt::test]
    async fn a_refused_client_that_floods_is_hung_up_on() {
        let flood = Flood(Cell::new(0));
        say(&flood, &[Bytes::from_static(b"no")]).await;
        assert_eq!(flood.0.get(), LAST_READS);
    }
}
