//! One subscription, and one signed event that has to come by it.

use awc::http::StatusCode;
use micronotifier_actors::protocol::SocketId;
use serde_json::json;
use tokio::time::Instant;

use crate::commands::answer::refused;
use crate::commands::follow::subscription;
use crate::commands::target::Target;

use super::Way;
use super::report::Finding;
use super::talk::{ANSWER, Message, NoAnswer, Talk};

const EVENT: &str = "micronotifier-doctor";
/// Largest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// A channel that the examination has to itself.
#[derive(Debug)]
pub(super) struct Room {
    name: String,
    is_subscribed: bool,
}

/// Subscribes to a channel of its own, a private one where the secret is known.
pub(super) async fn subscribe(talk: &mut Talk, target: &Target, is_signed: bool) -> Finding<Room> {
    let kind = if is_signed { "private-" } else { "" };
    let name = format!("{kind}micronotifier-doctor-{}", unlike_any(talk.id()));
    let text = subscription(&target.credential, talk.id(), &name, None);
    let asked = async {
        talk.send(text).await?;
        talk.until(|message| verdict(message, &name)).await
    };
    match asked.await {
        Ok(Ok(())) => {
            let how = if is_signed { "the server takes the signature" } else { "not signed" };
            Finding::well(format!("{name}, {how}"), Room { name, is_subscribed: true })
        }
        Ok(Err(refusal)) => {
            Finding::flaw(not_let_in(&refusal), Room { name, is_subscribed: false })
        }
        Err(NoAnswer::Silent) => Finding::stop(format!(
            "{}: what clients send does not reach the server, or it is overloaded",
            NoAnswer::Silent.describe()
        )),
        Err(lost) => Finding::stop(lost.describe()),
    }
}

/// The digits of a connection's id: no other has them.
fn unlike_any(socket: SocketId) -> String {
    socket.to_string().replace('.', "-")
}

/// Tells what a message says of the subscription; `None` = it speaks of something else.
fn verdict(message: &Message, channel: &str) -> Option<Result<(), String>> {
    let is_here = message.channel == channel;
    match message.event.as_str() {
        "pusher_internal:subscription_succeeded" if is_here => Some(Ok(())),
        "pusher:subscription_error" if is_here => Some(Err(message.text("error").to_owned())),
        // what hosted Pusher says of a wrong signature
        "pusher:error" => Some(Err(message.text("message").to_owned())),
        _ => None,
    }
}

/// Says what to do about a refused subscription. The server's words about a signature hold the one that was sent, which
/// is not shown.
fn not_let_in(refusal: &str) -> String {
    if refusal.to_ascii_lowercase().contains("signature") {
        let start = refusal.split(':').next().unwrap_or_default();
        return format!("the secret is not the one that the server has for this key ({start})");
    }
    format!("the server refuses the channel: {refusal}")
}

/// Sends an event by the HTTP API and waits for it.
pub(super) async fn trigger(way: Way<'_>, talk: &mut Talk, room: &Room) -> Finding<()> {
    let began = Instant::now();
    if let Err(problem) = send(way, &room.name).await {
        return Finding::flaw(problem, ());
    }
    let answered = began.elapsed().as_millis();
    if !room.is_subscribed {
        return Finding::well(
            format!("the API took it in {answered} ms; nobody was subscribed to see it come"),
            (),
        );
    }
    let came = talk
        .until(|message| (message.event == EVENT && message.channel == room.name).then_some(()))
        .await;
    match came {
        Ok(()) => Finding::well(
            format!(
                "the API took it in {answered} ms, and it came after {} ms",
                began.elapsed().as_millis()
            ),
            (),
        ),
        Err(NoAnswer::Silent) => Finding::flaw(
            format!(
                "the API took the event, and it did not come in {} s: /apps and /app lead to different servers, or to nodes that do not share a Redis",
                ANSWER.as_secs()
            ),
            (),
        ),
        Err(lost) => Finding::stop(lost.describe()),
    }
}

/// Sends an event to a channel; the error says what to do.
pub(super) async fn send(way: Way<'_>, channel: &str) -> Result<(), String> {
    let Way { target, client, address } = way;
    let body = json!({ "name": EVENT, "channels": [channel], "data": "from micronotifier doctor" })
        .to_string();
    let path = target.signed_path("events", &body);
    let request = client.post(target.http(&path)).address(address).content_type("application/json");
    let mut answer = request.send_body(body).await.map_err(|error| target.unreachable(&error))?;
    let status = answer.status();
    let text = match answer.body().limit(MAX_ANSWER).await {
        Ok(bytes) => String::from_utf8_lossy(&bytes).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    if status == StatusCode::OK { Ok(()) } else { Err(refused(status, &text, &target.app_id)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_that_was_refused_is_not_shown() {
        let told =
            not_let_in("Invalid signature: Expected HMAC SHA256 hex digest of 1.2:c, but got abc");
        assert!(told.contains("Invalid signature") && !told.contains("abc"), "{told}");
    }
}
