//! One client: connects, subscribes to its channel, writes down what it hears, and comes back as pusher-js does.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;
use tokio::time::{Instant, sleep};

use super::Stage;
use super::socket::{Incoming, Socket};
use crate::log::{Micros, Record};

/// When pusher-js comes back after a connection that ended, but for the codes 4000 to 4099 and 4200 to 4299.
const RETURN: Duration = Duration::from_secs(1);
/// When it comes back after an upgrade that failed.
const TURNED: Duration = Duration::from_millis(14_800);

/// What a client does.
#[derive(Debug, Clone)]
pub(crate) struct Habit {
    pub(crate) client: u32,
    pub(crate) address: SocketAddr,
    /// The node behind the address, where it is no proxy's.
    pub(crate) node: Option<u32>,
    pub(crate) channel: u32,
    /// Who it is in a presence channel.
    pub(crate) user: Option<u32>,
    /// Its subscription is signed as it must be.
    pub(crate) may: bool,
    /// Comes back when its connection has ended.
    pub(crate) returns: bool,
    /// Leaves its channel and joins it again, so long apart on average, while that is allowed.
    pub(crate) toggles: Option<Duration>,
    /// Writes down who comes and goes.
    pub(crate) observes: bool,
}

/// How a visit ended.
enum End {
    /// The run is over.
    Over,
    /// The connection ended.
    Lost,
    /// There was no connection.
    Turned,
}

/// Lives the life of a client until the run is over.
pub(crate) async fn attend(stage: Arc<Stage>, habit: Habit, mut rng: StdRng) {
    loop {
        let wait = match Visit::begin(&stage, &habit, &mut rng).await {
            End::Over => return,
            End::Lost if !habit.returns => return,
            End::Lost => RETURN,
            End::Turned => TURNED,
        };
        let mut over = stage.over.clone();
        tokio::select! {
            () = sleep(wait) => {}
            _ = over.wait_for(|over| *over) => return,
        }
    }
}

/// One connection of a client.
struct Visit<'v> {
    stage: &'v Stage,
    habit: &'v Habit,
    conn: u32,
    is_subscribed: bool,
    /// Asked for, and not answered yet.
    is_asked: bool,
    /// Refused where it should not have been: asked again after a while.
    is_refused: bool,
}

impl<'v> Visit<'v> {
    async fn begin(stage: &'v Stage, habit: &'v Habit, rng: &mut StdRng) -> End {
        let mut socket = match Socket::connect(habit.address, &stage.app.key).await {
            Ok(socket) => socket,
            Err(status) => {
                let (at, client) = (stage.log.now(), habit.client);
                stage.log.note(Record::Turned { at, client, status });
                return End::Turned;
            }
        };
        let node = habit.node.or_else(|| stage.node_at(socket.node?)).unwrap_or(u32::MAX);
        let conn = stage.log.connection();
        stage.log.note(Record::Opened { at: stage.log.now(), conn, client: habit.client, node });
        let mut visit =
            Self { stage, habit, conn, is_subscribed: false, is_asked: false, is_refused: false };
        let why = visit.stay(&mut socket, rng).await;
        stage.leave(habit.channel, conn);
        let ours = why.is_none();
        if ours {
            // before the close is sent: it is not in force any more
            visit.note_end(ours, String::new());
            socket.close().await;
            return End::Over;
        }
        visit.note_end(ours, why.unwrap_or_default());
        End::Lost
    }

    fn note_end(&self, ours: bool, why: String) {
        let (at, conn) = (self.stage.log.now(), self.conn);
        self.stage.log.note(Record::Closed { at, conn, ours, why });
    }

    /// Stays until the connection ends; `None` when the run is over.
    async fn stay(&mut self, socket: &mut Socket, rng: &mut StdRng) -> Option<String> {
        if self.habit.toggles.is_none() {
            if let Err(why) = self.subscribe(socket).await {
                return Some(why);
            }
        } else {
            self.stage.settle(self.habit.client);
        }
        let mut over = self.stage.over.clone();
        // not what it returns: that holds a lock
        let mut over = pin!(async { over.wait_for(|over| *over).await.map(drop) });
        let mut toggle = pin!(sleep(self.pause(rng)));
        loop {
            tokio::select! {
                // what has come is read before anything else is said
                biased;
                text = socket.next() => match text {
                    Ok(text) => {
                        let at = self.stage.log.now();
                        if self.take(at, &text) && let Err(why) = socket.send(PONG.to_owned()).await {
                            return Some(why);
                        }
                    }
                    Err(why) => return Some(why),
                },
                () = &mut toggle => {
                    toggle.as_mut().reset(Instant::now() + self.pause(rng));
                    let moves = *self.stage.moving.borrow();
                    let is_free = self.habit.toggles.is_some() && moves;
                    if (self.is_refused || is_free) && !self.is_asked
                        && let Err(why) = self.toggle(socket).await
                    {
                        return Some(why);
                    }
                }
                _ = &mut over => return None,
            }
        }
    }

    /// Returns how long until the next toggle, or until it looks whether it was refused.
    fn pause(&self, rng: &mut StdRng) -> Duration {
        self.habit.toggles.unwrap_or(RETURN).mul_f64(rng.random_range(0.5..1.5))
    }

    async fn toggle(&mut self, socket: &mut Socket) -> Result<(), String> {
        self.stage.toggles.fetch_add(1, Ordering::Relaxed);
        if !self.is_subscribed {
            return self.subscribe(socket).await;
        }
        self.is_subscribed = false;
        let (conn, channel) = (self.conn, self.habit.channel);
        self.stage.leave(channel, conn);
        self.stage.log.note(Record::Left { at: self.stage.log.now(), conn, channel });
        let name = self.stage.names.of(channel);
        let text = format!(r#"{{"event":"pusher:unsubscribe","data":{{"channel":"{name}"}}}}"#);
        socket.send(text).await
    }

    async fn subscribe(&mut self, socket: &mut Socket) -> Result<(), String> {
        let Habit { channel, user, may, .. } = *self.habit;
        let (at, conn) = (self.stage.log.now(), self.conn);
        (self.is_asked, self.is_refused) = (true, false);
        self.stage.log.note(Record::Asked { at, conn, channel, user, may });
        self.stage.sit(channel, conn, &socket.id);
        let name = self.stage.names.of(channel);
        socket.send(self.stage.app.subscribe(&socket.id, name, user, may)).await
    }

    /// Takes a message; tells whether it is a ping.
    fn take(&mut self, at: Micros, text: &str) -> bool {
        let (conn, log) = (self.conn, &self.stage.log);
        if !self.habit.observes && text.starts_with(r#"{"event":"pusher_internal:member_"#) {
            return false;
        }
        let Some(message) = Incoming::parse(text) else {
            // nobody sent this
            log.note(Record::Got { at, conn, channel: self.habit.channel, event: u64::MAX });
            return false;
        };
        let channel = self.stage.channel(&message.channel).unwrap_or(self.habit.channel);
        match message.event.as_ref() {
            "lab" => {
                let event = message.text().parse().unwrap_or(u64::MAX);
                log.note(Record::Got { at, conn, channel, event });
            }
            "pusher_internal:subscription_succeeded" => {
                let users = self.habit.observes.then(|| users(&message.object())).flatten();
                log.note(Record::Subscribed { at, conn, channel, users });
                (self.is_asked, self.is_subscribed) = (false, true);
                self.stage.settle(self.habit.client);
            }
            "pusher:subscription_error" | "pusher:error" => {
                log.note(Record::Refused { at, conn, channel });
                (self.is_asked, self.is_refused) = (false, self.habit.may && !self.is_subscribed);
                self.stage.leave(channel, conn);
                self.stage.settle(self.habit.client);
            }
            event @ ("pusher_internal:member_added" | "pusher_internal:member_removed") => {
                let came = event.ends_with("added");
                let user = message.object();
                let user = user.get("user_id").and_then(|user| user.as_str()?.parse().ok());
                let user = user.unwrap_or(u32::MAX);
                log.note(Record::Member { at, conn, channel, user, came });
            }
            "pusher:ping" => return true,
            _ => {}
        }
        false
    }
}

const PONG: &str = r#"{"event":"pusher:pong","data":{}}"#;

/// Returns who is present by a snapshot.
fn users(data: &serde_json::Value) -> Option<Vec<u32>> {
    let ids = data.get("presence")?.get("ids")?.as_array()?;
    ids.iter().map(|id| id.as_str()?.parse().ok()).collect()
}
