//! `listen`: subscribes to channels and prints their events until it is interrupted or the server ends it for good.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use awc::error::WsClientError;
use awc::http::StatusCode;

use crate::cli::Listen;
use crate::visible::visible;

use super::follow::{Action, Follower, Member, PING, wait_after};
use super::socket::{Lost, Socket, describe};
use super::target::Target;
use super::{complain, say};

/// How long the server may take to answer a ping, or to send its first message.
const ANSWER: Duration = Duration::from_secs(30);

/// How one connection came to its end.
enum End {
    /// The server, or the network, closed it.
    Closed { code: Option<u16>, reason: String },
    /// There is nothing more to wait for.
    GaveUp,
    /// Nobody reads what is printed.
    NoReader,
}

impl From<Lost> for End {
    fn from(Lost { code, reason }: Lost) -> Self {
        Self::Closed { code, reason }
    }
}

/// Follows the channels. Interrupted: success; ended by the server: failure.
pub(crate) fn run(file: Option<&Path>, arguments: &Listen) -> ExitCode {
    let target = match Target::require(file, &arguments.target) {
        Ok(target) => target,
        Err(code) => return code,
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
        let end = match Socket::connect(&client, target).await {
            Ok(socket) => converse(socket, follower).await,
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

/// A node that is full answers 503 before the upgrade: worth another attempt.
fn is_overload(error: &WsClientError) -> bool {
    matches!(error, WsClientError::InvalidResponseStatus(StatusCode::SERVICE_UNAVAILABLE))
}

/// Reads until the connection ends. A silent server is pinged once, and then given up.
async fn converse(mut socket: Socket, follower: &mut Follower) -> End {
    let mut pinged = false;
    loop {
        let silence =
            if pinged || !follower.is_established() { ANSWER } else { follower.activity_timeout() };
        let text = match tokio::time::timeout(silence, socket.next()).await {
            Ok(Ok(text)) => text,
            Ok(Err(lost)) => return lost.into(),
            Err(_) if pinged || !follower.is_established() => {
                return Lost::because("the server is silent").into();
            }
            Err(_) => {
                pinged = true;
                if let Err(lost) = socket.send(PING.to_owned()).await {
                    return lost.into();
                }
                continue;
            }
        };
        pinged = false;
        let actions = follower.on_message(&String::from_utf8_lossy(&text));
        if let Some(end) = carry_out(&mut socket, actions).await {
            return end;
        }
    }
}

async fn carry_out(socket: &mut Socket, actions: Vec<Action>) -> Option<End> {
    for action in actions {
        match action {
            Action::Send(text) => {
                if let Err(lost) = socket.send(text).await {
                    return Some(lost.into());
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
