//! One node's side of the membership, and somebody who hears all that is published.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytestring::ByteString;
use micronotifier_actors::Member;
use micronotifier_actors::membership::redis::{Connect, Locate, Options, RedisMembership};
use micronotifier_actors::membership::{
    Admission, Announcer, Enter, Leave, MembershipEvent, MembershipHandle, Outcome, Ticket,
};
use micronotifier_actors::protocol::{AppId, ChannelKey, ChannelName, UserId};
use serde_json::{Value, json};

use super::server::{DEADLINE, Server};

/// Makes the texts that nodes tell each other.
struct Envelopes {
    node: String,
    trap: Arc<AtomicBool>,
}

impl Envelopes {
    fn text(&self, kind: &str, key: &ChannelKey, rest: [Option<&str>; 2]) -> String {
        let [user, info] = rest;
        let (app, channel) = (key.app.as_str(), key.channel.as_str());
        json!({"v": 1, "n": self.node, "k": kind, "a": app, "c": channel, "u": user, "d": info})
            .to_string()
    }
}

impl Announcer for Envelopes {
    fn joined(&self, key: &ChannelKey, member: &Member) -> String {
        self.text("joined", key, [Some(member.user.as_str()), Some(&member.info)])
    }

    fn left(&self, key: &ChannelKey, user: &UserId) -> String {
        self.text("left", key, [Some(user.as_str()), None])
    }

    fn occupied(&self, key: &ChannelKey) -> Option<String> {
        assert!(!self.trap.load(Ordering::Relaxed), "sprung");
        is_told(key).then(|| self.text("occupied", key, [None, None]))
    }

    fn vacated(&self, key: &ChannelKey) -> Option<String> {
        is_told(key).then(|| self.text("vacated", key, [None, None]))
    }

    fn data_of(&self, _key: &ChannelKey, told: &str) -> Option<ByteString> {
        assert!(!self.trap.load(Ordering::Relaxed), "sprung");
        let told: Value = serde_json::from_str(told).ok()?;
        told["d"].as_str().map(ByteString::from)
    }
}

/// The occupancy of a channel that tells of members is not told of itself.
fn is_told(key: &ChannelKey) -> bool {
    !key.channel.kind().capabilities().members
}

pub(crate) struct Node {
    pub(crate) membership: RedisMembership,
    pub(crate) handle: MembershipHandle,
    events: Receiver<MembershipEvent>,
    tickets: AtomicU64,
    way: Arc<Mutex<Option<redis::Client>>>,
    /// While it is set, the text for a channel that is occupied cannot be made, nor the event be read that one
    /// remembers: both panic.
    pub(crate) trap: Arc<AtomicBool>,
    /// How often a connection was opened, or could not be.
    pub(crate) connections: Arc<AtomicU64>,
}

/// Returns options whose lease outlasts a busy machine, while the dead are looked for all the time.
pub(crate) fn options() -> Options {
    Options {
        renew: Duration::from_millis(200),
        lease: Duration::from_millis(1500),
        sweep: Duration::from_millis(50),
        refine: Duration::from_millis(20),
        reconnect: Duration::from_millis(200),
        patience: DEADLINE,
        ..Options::default()
    }
}

impl Node {
    pub(crate) fn start(server: &Server) -> Self {
        Self::start_with(server, options(), None)
    }

    pub(crate) fn start_with(
        server: &Server,
        options: Options,
        user: Option<(&str, &str)>,
    ) -> Self {
        let way = Arc::new(Mutex::new(Some(server.client(user))));
        let (trap, connections) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let connect: Connect = {
            let (way, connections) = (Arc::clone(&way), Arc::clone(&connections));
            Arc::new(move |_| {
                connections.fetch_add(1, Ordering::Relaxed);
                let client = way.lock().unwrap().clone();
                Box::pin(async move {
                    let client = client.ok_or("the way to redis is cut")?;
                    Ok(client.get_multiplexed_async_connection().await?)
                })
            })
        };
        let (sender, events) = channel();
        let locate: Locate = {
            let way = Arc::clone(&way);
            Arc::new(move |_| {
                let client = way.lock().unwrap().clone();
                Box::pin(async move {
                    let client = client.ok_or("the way to redis is cut")?;
                    Ok(client.get_connection_info().clone())
                })
            })
        };
        let announcer = Arc::new(Envelopes { node: options.node.clone(), trap: Arc::clone(&trap) });
        // a node may outlive its test's interest in it
        let sink = Arc::new(move |event| drop(sender.send(event)));
        let membership = RedisMembership::start(options, connect, locate, announcer, sink);
        let handle = membership.handle();
        Self { membership, handle, events, tickets: AtomicU64::new(0), way, trap, connections }
    }

    /// Leads new connections to another server, or nowhere.
    pub(crate) fn lead_to(&self, server: Option<&Server>) {
        *self.way.lock().unwrap() = server.map(|server| server.client(None));
    }

    /// Sends a wish to join without waiting, and does not ask for the roster.
    pub(crate) fn wish(&self, key: &ChannelKey, user: &str, limit: usize) -> Ticket {
        self.enter(key, user, limit, false)
    }

    fn enter(&self, key: &ChannelKey, user: &str, limit: usize, roster: bool) -> Ticket {
        let number = self.tickets.fetch_add(1, Ordering::Relaxed);
        let ticket = Ticket { life: 1, number };
        let member = member(user);
        self.handle.enter(Enter { key: key.clone(), ticket, member, limit, roster });
        ticket
    }

    /// Waits for the answer to a wish; other events are passed over.
    pub(crate) fn answer(&self, ticket: Ticket) -> Outcome {
        self.wait(|event| match event {
            MembershipEvent::Entered { ticket: answered, outcome, .. } if answered == ticket => {
                Some(outcome)
            }
            _ => None,
        })
    }

    /// Joins and waits until it is done.
    pub(crate) fn join(&self, key: &ChannelKey, user: &str) -> (Ticket, Admission) {
        let ticket = self.enter(key, user, 100, true);
        match self.answer(ticket) {
            Outcome::Admitted(admission) => (ticket, admission),
            refused => panic!("{user} was not let in: {refused:?}"),
        }
    }

    pub(crate) fn leave(&self, key: &ChannelKey, ticket: Ticket, user: &str) {
        let user = UserId::member(user).unwrap();
        self.handle.leave(Leave { key: key.clone(), ticket, user });
    }

    /// Waits for the first event that `wanted` takes.
    pub(crate) fn wait<T>(&self, mut wanted: impl FnMut(MembershipEvent) -> Option<T>) -> T {
        let end = Instant::now() + DEADLINE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let event = self.events.recv_timeout(left).expect("an event in time");
            if let Some(found) = wanted(event) {
                return found;
            }
        }
    }

    /// Returns the events that have come and were not waited for.
    pub(crate) fn heard(&self) -> impl Iterator<Item = MembershipEvent> {
        self.events.try_iter()
    }

    pub(crate) fn wait_for(&self, wanted: &MembershipEvent) {
        self.wait(|event| (event == *wanted).then_some(()));
    }
}

pub(crate) fn key(channel: &str) -> ChannelKey {
    key_of("app", channel)
}

pub(crate) fn key_of(app: &str, channel: &str) -> ChannelKey {
    let channel = ChannelName::parse(channel, 164).unwrap();
    ChannelKey { app: AppId::new(app), channel }
}

pub(crate) fn member(user: &str) -> Member {
    let info = json!({ "of": user }).to_string();
    Member { user: UserId::member(user).unwrap(), info: info.into() }
}

/// Everything that is published, in its order.
pub(crate) struct Topic {
    told: Receiver<Told>,
    thread: Option<std::thread::JoinHandle<()>>,
    client: redis::Client,
}

/// Something that was published.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    /// The epoch and the serial; empty if it has none.
    pub(crate) position: (String, String),
    pub(crate) topic: String,
    pub(crate) envelope: Value,
}

impl Told {
    pub(crate) fn kind(&self) -> &str {
        self.envelope["k"].as_str().unwrap()
    }

    pub(crate) fn app(&self) -> &str {
        self.envelope["a"].as_str().unwrap()
    }

    pub(crate) fn channel(&self) -> &str {
        self.envelope["c"].as_str().unwrap()
    }

    pub(crate) fn user(&self) -> &str {
        self.envelope["u"].as_str().unwrap_or_default()
    }
}

/// What ends the listening.
const END: &str = r#"::{"k":"end","c":""}"#;

impl Topic {
    pub(crate) fn listen(server: &Server) -> Self {
        let (sender, told) = channel();
        let (ready, listening) = channel();
        let mut connection = server.connection();
        let thread = std::thread::spawn(move || {
            let mut all = connection.as_pubsub();
            all.psubscribe("mn:*").unwrap();
            ready.send(()).unwrap();
            while pass_on(&mut all, &sender) {}
        });
        listening.recv().unwrap();
        Self { told, thread: Some(thread), client: server.client(None) }
    }

    /// Returns all that was published and not yet taken.
    pub(crate) fn rest(mut self) -> Vec<Told> {
        self.end();
        self.told.try_iter().collect()
    }

    fn end(&mut self) {
        if let Some(thread) = self.thread.take() {
            let mut redis = self.client.get_connection().unwrap();
            redis::cmd("PUBLISH").arg("mn:end").arg(END).exec(&mut redis).unwrap();
            thread.join().unwrap();
        }
    }
}

/// Passes one message on; `false` at the end.
fn pass_on(all: &mut redis::PubSub<'_>, sender: &Sender<Told>) -> bool {
    let Ok(message) = all.get_message() else {
        return false; // the server is gone
    };
    let text: String = message.get_payload().unwrap();
    if text == END {
        return false;
    }
    let mut parts = text.splitn(3, ':');
    let mut next = || parts.next().unwrap().to_owned();
    let position = (next(), next());
    let envelope = serde_json::from_str(&next()).unwrap();
    let topic = message.get_channel_name().to_owned();
    sender.send(Told { position, topic, envelope }).is_ok()
}

/// Counts comings less goings of each user, and checks that they take turns.
pub(crate) fn present<'t>(
    told: impl IntoIterator<Item = &'t Told>,
    channel: &str,
) -> BTreeMap<String, bool> {
    let mut present = BTreeMap::new();
    for told in told.into_iter().filter(|told| told.channel() == channel) {
        let comes = match told.kind() {
            "joined" => true,
            "left" => false,
            _ => continue,
        };
        let before = present.insert(told.user().to_owned(), comes).unwrap_or(false);
        assert_ne!(before, comes, "twice {} of {}", told.kind(), told.user());
    }
    present.retain(|_, here| *here);
    present
}
