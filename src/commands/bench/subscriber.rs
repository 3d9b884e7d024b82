//! One socket: connects, subscribes, and says what it gets.

use std::borrow::Cow;
use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use awc::Client;
use bytes::Bytes;
use micronotifier_actors::protocol::SocketId;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::shared::Shared;
use super::stamp::Stamp;
use super::tally::{Part, count};
use super::{EVENT, excerpt};
use crate::commands::follow::{PING, PONG, object, subscription};
use crate::commands::socket::{Lost, Socket, describe};
use crate::commands::target::Target;

/// How long the server may take for its greeting, for a subscription, and to answer a ping.
const ANSWER: Duration = Duration::from_secs(30);
/// Silence after which the server is pinged, where it names none: half of Pusher's 120 s, as all silences here.
const SILENCE: Duration = Duration::from_mins(1);

/// A message of the server. Borrowed, so that a delivery costs no allocation.
#[derive(Deserialize)]
struct Incoming<'m> {
    #[serde(borrow)]
    event: Cow<'m, str>,
    #[serde(borrow)]
    data: Option<&'m RawValue>,
}

#[derive(Deserialize)]
struct Text<'m>(#[serde(borrow)] Cow<'m, str>);

impl Incoming<'_> {
    /// Returns what the data holds, whether it comes as an object or as a text of one.
    fn object(&self) -> Value {
        let data = self.data.and_then(|data| serde_json::from_str(data.get()).ok());
        object(&data.unwrap_or(Value::Null))
    }

    /// Returns what an error or a refusal says.
    fn complaint(&self) -> String {
        let data = self.object();
        let said = |name| data.get(name).and_then(Value::as_str);
        let text = said("message").or(said("error")).unwrap_or("no reason given");
        let code = data.get("code").and_then(Value::as_u64);
        let code = code.map(|code| format!("{code}: ")).unwrap_or_default();
        format!("{code}{}", excerpt(text))
    }

    fn stamp(&self) -> Option<Stamp> {
        let data: Text<'_> = serde_json::from_str(self.data?.get()).ok()?;
        Stamp::read(&data.0)
    }
}

/// A subscribed socket.
pub(super) struct Opened {
    socket: Socket,
    silence: Duration,
    /// From the first packet to `pusher:connection_established`.
    pub(super) handshake: Duration,
    /// From `pusher:subscribe` to its success.
    pub(super) subscribe: Duration,
}

/// Connects and subscribes.
///
/// # Errors
/// The cause, in the same words for all sockets that have it.
pub(super) async fn open(
    client: &Client,
    target: &Target,
    shared: &Shared,
    channel: &str,
) -> Result<Opened, String> {
    let begin = shared.now();
    let mut socket =
        Socket::connect(client, target).await.map_err(|error| describe(target, &error))?;
    let greeting = expect(&mut socket, "pusher:connection_established").await?;
    let greeted = shared.now();
    let id = greeting.get("socket_id").and_then(Value::as_str).and_then(SocketId::parse);
    let id = id.ok_or("the server gave no socket id")?;
    let seconds = greeting.get("activity_timeout").and_then(Value::as_u64);
    let silence =
        seconds.map_or(SILENCE, |seconds| Duration::from_secs(seconds.clamp(1, 3600)) / 2);
    let message = subscription(&target.credential, id, channel, None);
    socket.send(message).await.map_err(|lost| end(&lost))?;
    expect(&mut socket, "pusher_internal:subscription_succeeded").await?;
    Ok(Opened {
        socket,
        silence,
        handshake: greeted.saturating_sub(begin),
        subscribe: shared.now().saturating_sub(greeted),
    })
}

/// Waits for an event and returns its data.
async fn expect(socket: &mut Socket, event: &str) -> Result<Value, String> {
    let late = |_| Err(format!("no {event} within {} s", ANSWER.as_secs()));
    timeout(ANSWER, find(socket, event)).await.unwrap_or_else(late)
}

/// Reads until an event comes, however much else does.
async fn find(socket: &mut Socket, event: &str) -> Result<Value, String> {
    loop {
        let text = socket.next().await.map_err(|lost| end(&lost))?;
        let Ok(message) = serde_json::from_slice::<Incoming<'_>>(&text) else {
            continue;
        };
        match message.event.as_ref() {
            "pusher:error" | "pusher:subscription_error" => return Err(message.complaint()),
            name if name == event => return Ok(message.object()),
            _ => {}
        }
    }
}

/// Says how a connection ended.
fn end(lost: &Lost) -> String {
    match lost.code {
        Some(code) => format!("closed {code}: {}", excerpt(&lost.reason)),
        None => excerpt(&lost.reason),
    }
}

/// What the sockets of a thread have in common.
pub(super) struct Crew {
    pub(super) shared: Arc<Shared>,
    pub(super) target: Arc<Target>,
    pub(super) client: Client,
    pub(super) part: Rc<RefCell<Part>>,
    /// When the first socket begins.
    pub(super) begin: Instant,
}

impl Crew {
    /// Lives the life of a socket: waits for its turn, subscribes, receives until the end.
    pub(super) async fn attend(self: Rc<Self>, number: u32) {
        let Self { shared, target, client, part, begin } = &*self;
        let index = number % shared.plan.channels;
        let Some(channel) = shared.channels.get(index as usize) else {
            return;
        };
        let rate = f64::from(shared.plan.connect_rate);
        sleep_until(*begin + Duration::from_secs_f64(f64::from(number) / rate)).await;
        let Ok(permit) = shared.handshakes.acquire().await else {
            return;
        };
        let opened = open(client, target, shared, &channel.name).await;
        drop(permit);
        let opened = match opened {
            Ok(opened) => opened,
            Err(cause) => {
                count(&mut part.borrow_mut().failed, cause, 1);
                shared.fail();
                return;
            }
        };
        let seat = {
            let mut part = part.borrow_mut();
            part.handshake.record(opened.handshake);
            part.subscribe.record(opened.subscribe);
            part.sit(index)
        };
        shared.join(channel);
        let cause = self.receive(opened, seat).await;
        count(&mut part.borrow_mut().closed, cause, 1);
        shared.leave(channel);
    }

    /// Counts events until the connection ends; returns the cause. A silent server is pinged once, and then given up.
    async fn receive(&self, opened: Opened, seat: usize) -> String {
        let Opened { mut socket, silence, .. } = opened;
        let (mut heard, mut pinged) = (false, false);
        let mut last_error = None;
        let mut alarm = pin!(sleep(silence));
        loop {
            tokio::select! {
                text = socket.next() => {
                    let answer = match text {
                        Ok(text) => self.take(&text, seat, &mut last_error),
                        Err(lost) => return last_error.unwrap_or_else(|| end(&lost)),
                    };
                    heard = true;
                    if let Some(answer) = answer
                        && let Err(lost) = socket.send(answer).await
                    {
                        return end(&lost);
                    }
                }
                () = &mut alarm => {
                    if !heard && pinged {
                        return "the server is silent".to_owned();
                    }
                    if !heard && let Err(lost) = socket.send(PING.to_owned()).await {
                        return end(&lost);
                    }
                    pinged = !heard;
                    heard = false;
                    alarm.as_mut().reset(Instant::now() + if pinged { ANSWER } else { silence });
                }
            }
        }
    }

    /// Takes one message; returns what is to be answered. Remembers the last error: some servers close without a code.
    fn take(&self, text: &Bytes, seat: usize, last_error: &mut Option<String>) -> Option<String> {
        let message: Incoming<'_> = serde_json::from_slice(text).ok()?;
        match message.event.as_ref() {
            EVENT => {
                let stamp = message.stamp()?;
                if self.part.borrow_mut().deliver(seat, &stamp, self.shared.now()) {
                    self.shared.deliver();
                }
                None
            }
            "pusher:ping" => Some(PONG.to_owned()),
            "pusher:error" => {
                *last_error = Some(message.complaint());
                None
            }
            _ => None,
        }
    }
}
