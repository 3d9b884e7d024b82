//! Opens a WebSocket as a client does and judges what comes first.

use std::time::Duration;

use actix_http::error::ParseError;
use awc::error::{ConnectError, SendRequestError, WsClientError};
use awc::http::StatusCode;
use micronotifier_actors::protocol::SocketId;
use serde_json::Value;
use tokio::time::timeout;

use crate::commands::socket::{Lost, Socket, describe};
use crate::commands::target::Target;

use super::report::Finding;
use super::talk::{ANSWER, Message, NoAnswer, Talk};
use super::{Known, Way};

/// What a client takes for the server's `activity_timeout` where it says none (pusher-js).
const USUAL_ACTIVITY: Duration = Duration::from_mins(2);
/// The longest that is tried.
const LONGEST_ACTIVITY: Duration = Duration::from_hours(1);

/// Opens a connection. `None` = the server speaks Pusher, and the key was not one to be taken.
pub(super) async fn open(way: Way<'_>, known: Known) -> Finding<Option<Talk>> {
    let Way { target, client, address } = way;
    let mut socket = match Socket::connect_at(client, target, Some(address)).await {
        Ok(socket) => socket,
        Err(error) => return Finding::stop(no_upgrade(target, known, &error)),
    };
    let text = match timeout(ANSWER, socket.next()).await {
        Ok(Ok(text)) => text,
        Ok(Err(lost)) => return Finding::stop(wordless(&lost, target.is_secure())),
        Err(_) => {
            return Finding::stop(format!(
                "the WebSocket opens, and then {}: a WebSocket server that is not Pusher's, or a proxy that holds back what it should pass on",
                NoAnswer::Silent.describe()
            ));
        }
    };
    let Some(message) = Message::parse(&text) else {
        return Finding::stop(stranger(&String::from_utf8_lossy(&text)));
    };
    match message.error() {
        Some((Some(4001), _)) if known == Known::Nothing => {
            Finding::well("a WebSocket passes, and the server speaks Pusher", None)
        }
        Some((code, words)) => Finding::stop(refusal(code, words, target.is_secure())),
        None => welcome(socket, &message),
    }
}

fn welcome(socket: Socket, message: &Message) -> Finding<Option<Talk>> {
    let id = SocketId::parse(message.text("socket_id"));
    let Some(id) = id.filter(|_| message.event == "pusher:connection_established") else {
        return Finding::stop(stranger(&format!("event {:?}", message.event)));
    };
    let promised = message
        .data
        .get("activity_timeout")
        .and_then(Value::as_u64)
        .map_or(USUAL_ACTIVITY, Duration::from_secs);
    let activity = promised.clamp(Duration::from_secs(1), LONGEST_ACTIVITY);
    let tried = if promised > activity {
        format!(", of which {} s are tried", activity.as_secs())
    } else {
        String::new()
    };
    let words = format!(
        "a WebSocket passes, the server knows the key; its activity_timeout is {} s{tried}",
        promised.as_secs()
    );
    Finding::well(words, Some(Talk::new(socket, id, activity)))
}

/// Says what to do about a first message that is an error (protocol section 1.3).
fn refusal(code: Option<u64>, words: &str, is_secure: bool) -> String {
    let remedy = match code {
        Some(4000) if is_secure => {
            "the application asks for TLS and the node does not know of it: let the proxy set X-Forwarded-Proto, and name the proxy in the node's trusted-proxies"
        }
        Some(4000) => "the application asks for TLS: use https://",
        Some(4001) => {
            "the server does not know the key: check --app-key, and that this is the right server"
        }
        Some(4003) => "the application is switched off (enabled) in the node's configuration",
        Some(4004) => {
            "the application has as many connections as it may: see its limits.max-connections"
        }
        Some(4005) => {
            "the path is not the node's: the address lacks its path-prefix, or has one too many, or the proxy cuts it off"
        }
        Some(4006..=4008) => {
            "the server does not take protocol 7, which today's clients speak: see that the proxy passes the query on as it is; else the server is too old, or no Pusher server"
        }
        Some(4100) => {
            "the server has more to do than it can, or more connections than it takes: try again, and see its load and its limits"
        }
        Some(4200) => {
            "the server is restarting, or sends clients to another node: try again, and ask its log if it stays so"
        }
        Some(4009) => "the application does not let this connection in: see its allowed-origins",
        _ => "the server refuses the connection",
    };
    let code = code.map(|code| format!(" {code}")).unwrap_or_default();
    format!("{remedy} (error{code}: {words})")
}

fn stranger(first: &str) -> String {
    let start: String = first.chars().take(80).collect();
    format!(
        "a WebSocket server answers that is not Pusher's (its first message: {start}): check host, port and path"
    )
}

fn wordless(lost: &Lost, is_secure: bool) -> String {
    match lost.code {
        Some(code) => refusal(Some(code.into()), &lost.reason, is_secure),
        None => format!(
            "the WebSocket opens and ends without a word ({}): ask the logs of the proxy and of the server",
            lost.reason
        ),
    }
}

fn no_upgrade(target: &Target, known: Known, error: &WsClientError) -> String {
    match error {
        WsClientError::InvalidResponseStatus(status) => {
            let guess = if known == Known::Nothing && status.is_client_error() {
                "; if this is what the server says of a key that it does not know, give it one with --app-key"
            } else {
                ""
            };
            format!("{} (HTTP {}){guess}", instead(*status), status.as_u16())
        }
        WsClientError::InvalidUpgradeHeader
        | WsClientError::InvalidConnectionHeader(_)
        | WsClientError::MissingConnectionHeader
        | WsClientError::MissingWebSocketAcceptHeader
        | WsClientError::InvalidChallengeResponse(..) => format!(
            "the answer to the handshake is not a WebSocket server's ({error}): no Pusher server, or a proxy that rewrites it"
        ),
        WsClientError::SendRequest(
            SendRequestError::Connect(ConnectError::Disconnected)
            | SendRequestError::Send(_)
            | SendRequestError::Response(ParseError::Io(_)),
        ) => {
            let hint = if target.is_secure() { "" } else { ": try https://, if it expects TLS" };
            format!("the server closes the connection without an answer to the handshake{hint}; else ask the log of what listens there: a proxy that lets no WebSocket pass, or that does not reach the node")
        }
        WsClientError::SendRequest(SendRequestError::Connect(ConnectError::Timeout)) => {
            "the address answered a moment ago, and now no connection comes about: too many connections or too few threads there, or a firewall that counts attempts".to_owned()
        }
        WsClientError::SendRequest(SendRequestError::Connect(_)) => describe(target, error),
        WsClientError::SendRequest(SendRequestError::Timeout) => {
            "the connection opens and no answer to the handshake comes: the server hangs, or the proxy before it cannot reach it".to_owned()
        }
        WsClientError::SendRequest(cause) => {
            let hint = if target.is_secure() { "" } else { ", or expects TLS: try https://" };
            format!("what answers is no HTTP server{hint} ({cause})")
        }
        WsClientError::Protocol(cause) => format!("the WebSocket breaks at once: {cause}"),
    }
}

/// Says what an HTTP status in place of the upgrade means.
fn instead(status: StatusCode) -> &'static str {
    match status.as_u16() {
        426 => {
            "the proxy does not pass the upgrade on: nginx needs proxy_http_version 1.1, proxy_set_header Upgrade $http_upgrade and proxy_set_header Connection $connection_upgrade; a load balancer WebSocket support"
        }
        300..=399 => {
            "a redirect, which clients of Pusher do not follow: give clients the address it leads to (https:// for http://, mostly)"
        }
        400 => {
            "the handshake does not arrive as it was sent, or the port expects TLS: try https://, and see what the proxy does with the headers Upgrade and Connection"
        }
        401 | 403 => {
            "something before the node lets nobody in: an access rule, a firewall of the proxy; the node itself refuses in other ways"
        }
        404 | 405 => {
            "no Pusher server at this path: check host, port, the path prefix, and which paths the proxy passes on (/app and /apps are needed)"
        }
        429 => "the proxy counts too many requests of this address",
        502 | 504 => {
            "the proxy does not reach the node: is the node running, at the address that the proxy has?"
        }
        503 => {
            "full, starting or shutting down: see limits.max-connections and limits.handshakes-per-second of the node, and the limits of the proxy"
        }
        200..=299 => {
            "a web server that is not Pusher's, or a proxy that drops the upgrade (nginx: proxy_http_version 1.1 and the headers Upgrade and Connection)"
        }
        _ => "the server cannot answer: ask its log and the proxy's",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_that_refuses_has_its_own_remedy() {
        for (code, is_secure, words) in [
            (4000, true, "X-Forwarded-Proto"),
            (4000, false, "use https://"),
            (4001, true, "--app-key"),
            (4003, true, "switched off"),
            (4004, true, "max-connections"),
            (4005, true, "path-prefix"),
            (4009, true, "allowed-origins"),
            (4006, true, "protocol 7"),
            (4007, true, "protocol 7"),
            (4008, true, "protocol 7"),
            (4100, true, "more to do than it can"),
            (4200, true, "restarting"),
            (4321, true, "refuses the connection"),
        ] {
            let told = refusal(Some(code), "its words", is_secure);
            assert!(told.contains(words), "{told}");
            assert!(told.ends_with(&format!("(error {code}: its words)")), "{told}");
        }
    }
}
