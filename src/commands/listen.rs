//! `listen`: subscribes to channels and prints their events until it is interrupted or the server ends it for good.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use actix_codec::Framed;
use actix_http::ws::Item;
use awc::error::WsClientError;
use awc::http::StatusCode;
use awc::ws::{CloseCode, Codec, Frame, Message};
use awc::{BoxedSocket, Client};
use futures_util::{SinkExt as _, StreamExt as _};

use crate::cli::Listen;
use crate::visible::visible;

use super::follow::{Action, Follower, Member, wait_after};
use super::target::{Target, TargetError};
use super::{complain, refuse, say};

/// Largest message that is taken, in bytes.
const MAX_MESSAGE: usize = 16 * 1024 * 1024;
/// How long the server may take to answer a ping, or to send its first message.
const ANSWER: Duration = Duration::from_secs(30);

type Connection = Framed<BoxedSocket, Codec>;

/// How one connection came to its end.
enum End {
    /// The server, or the network, closed it.
    Closed { code: Option<u16>, reason: String },
    /// There is nothing more to wait for.
    GaveUp,
    /// Nobody reads what is printed.
    NoReader,
}

/// Follows the channels. Interrupted: success; ended by the server: failure.
pub(crate) fn run(file: Option<&Path>, arguments: &Listen) -> ExitCode {
    let target = match Target::find(file, &arguments.target) {
        Ok(target) => target,
        Err(TargetError::Settings(errors)) => return refuse(&errors),
        Err(error) => {
            complain(error);
            return ExitCode::FAILURE;
        }
    };
    let follower = member(arguments).and_then(|member| {
        let credential = target.credential.clone();
        Follower::new(credential, arguments.channels.clone(), member, arguments.json)
    });
    let mut follower = match follower {
        Ok(follower) => follower,
        Err(problem) => {
            complain(problem);
            return ExitCode::FAILURE;
        }
    };
    actix_rt::System::new().block_on(async {
        tokio::select! {
            code = follow(&target, &mut follower) => code,
            _ = tokio::signal::ctrl_c() => ExitCode::SUCCESS,
        }
    })
}

fn member(arguments: &Listen) -> Result<Option<Member>, String> {
    let info = match &arguments.info {
        Some(text) => Some(serde_json::from_str(text).map_err(|error| format!("--info: {error}"))?),
        None => None,
    };
    Ok(arguments.user.clone().map(|id| Member { id, info }))
}

/// Connects, and connects again, as long as the server's close codes allow it.
async fn follow(target: &Target, follower: &mut Follower) -> ExitCode {
    let client = match target.client() {
        Ok(client) => client,
        Err(error) => {
            complain(error);
            return ExitCode::FAILURE;
        }
    };
    let mut was_connected = false;
    let mut failures = 0_u32;
    loop {
        follower.reset();
        let end = match connect(&client, target).await {
            Ok(connection) => converse(connection, follower).await,
            Err(error) if was_connected || is_overload(&error) => {
                End::Closed { code: None, reason: describe(target, &error) }
            }
            Err(error) => {
                complain(describe(target, &error));
                return ExitCode::FAILURE;
            }
        };
        failures = if follower.is_established() { 0 } else { failures.saturating_add(1) };
        was_connected |= follower.is_established();
        let (code, reason) = match end {
            End::Closed { code, reason } => (code.or(follower.last_error()), reason),
            End::GaveUp => return ExitCode::FAILURE,
            End::NoReader => return ExitCode::SUCCESS,
        };
        let shown = code.map(|code| format!(" {code}")).unwrap_or_default();
        let Some(wait) = wait_after(code, failures) else {
            complain(format_args!("closed{shown}: {}", visible(&reason)));
            return ExitCode::FAILURE;
        };
        complain(format_args!(
            "closed{shown}: {}; again in {} s",
            visible(&reason),
            wait.as_secs()
        ));
        tokio::time::sleep(wait).await;
    }
}

async fn connect(client: &Client, target: &Target) -> Result<Connection, WsClientError> {
    let request = client.ws(target.websocket()).max_frame_size(MAX_MESSAGE);
    let (_, connection) = request.connect().await?;
    Ok(connection)
}

/// A node that is full answers 503 before the upgrade: worth another attempt.
fn is_overload(error: &WsClientError) -> bool {
    matches!(error, WsClientError::InvalidResponseStatus(StatusCode::SERVICE_UNAVAILABLE))
}

fn describe(target: &Target, error: &WsClientError) -> String {
    match error {
        WsClientError::SendRequest(error) => target.unreachable(error),
        WsClientError::InvalidResponseStatus(status) => {
            format!("{}: {status} instead of a WebSocket", target.http(""))
        }
        other => format!("{}: {other}", target.http("")),
    }
}

/// Reads until the connection ends. A silent server is pinged once, and then given up.
async fn converse(mut connection: Connection, follower: &mut Follower) -> End {
    let mut pinged = false;
    let mut fragments = Vec::new();
    loop {
        let silence =
            if pinged || !follower.is_established() { ANSWER } else { follower.activity_timeout() };
        let frame = match tokio::time::timeout(silence, connection.next()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) => return lost(&error.to_string()),
            Ok(None) => return lost("the connection ended"),
            Err(_) if pinged || !follower.is_established() => return lost("the server is silent"),
            Err(_) => {
                pinged = true;
                let ping = Message::Text(r#"{"event":"pusher:ping","data":{}}"#.into());
                if connection.send(ping).await.is_err() {
                    return lost("the connection ended");
                }
                continue;
            }
        };
        pinged = false;
        let text = match frame {
            Frame::Text(bytes) => bytes.to_vec(),
            Frame::Continuation(item) => match gather(&mut fragments, item) {
                Some(whole) => whole,
                None => continue,
            },
            Frame::Ping(payload) => {
                if connection.send(Message::Pong(payload)).await.is_err() {
                    return lost("the connection ended");
                }
                continue;
            }
            Frame::Pong(_) | Frame::Binary(_) => continue,
            Frame::Close(reason) => {
                // The connection ends either way.
                connection.send(Message::Close(None)).await.unwrap_or_default();
                return End::Closed {
                    code: reason.as_ref().map(|reason| CloseCode::into(reason.code)),
                    reason: reason.and_then(|reason| reason.description).unwrap_or_default(),
                };
            }
        };
        let actions = follower.on_message(&String::from_utf8_lossy(&text));
        if let Some(end) = carry_out(&mut connection, actions).await {
            return end;
        }
    }
}

fn lost(reason: &str) -> End {
    End::Closed { code: None, reason: reason.to_owned() }
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

async fn carry_out(connection: &mut Connection, actions: Vec<Action>) -> Option<End> {
    for action in actions {
        match action {
            Action::Send(text) => {
                if connection.send(Message::Text(text.into())).await.is_err() {
                    return Some(lost("the connection ended"));
                }
            }
            Action::Print(line) => {
                if say(line).is_err() {
                    return Some(End::NoReader);
                }
            }
            Action::Note(line) => complain(line),
            Action::GiveUp => return Some(End::GaveUp),
        }
    }
    None
}
