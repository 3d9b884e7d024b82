//! The load of a run: thousands of clients, and backends at every node.

pub(crate) mod http;
pub(crate) mod publisher;
pub(crate) mod sign;
mod socket;
pub(crate) mod visitor;

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use self::publisher::Duty;
use self::sign::App;
use self::visitor::Habit;
use crate::Outcome;
use crate::log::Recorder;
use crate::names::Names;

/// How many clients connect in a second at the start.
const CONNECTS: u32 = 600;
/// Backends at each node.
const BACKENDS: u32 = 4;
/// Tenths of the clients that are in private channels, and in presence channels.
const TENTH: u32 = 10;
/// Subscribers of a public channel, and of a private one.
const AUDIENCE: u32 = 30;
/// Clients of a presence channel.
const ROOM: u32 = 50;
/// Clients who try to get where they may not.
const INTRUDERS: u32 = 12;
/// Clients who leave their channel and join it again.
const WANDERERS: u32 = 30;
/// Connections of a channel whose members churn that only look on.
const OBSERVERS: u32 = 2;
/// How long a churning member stays in or out, on average.
const STAY: Duration = Duration::from_secs(1);

/// How large the load is.
#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
pub struct Size {
    /// Sockets in all.
    pub sockets: u32,
    /// Events in a second over all nodes.
    pub rate: u32,
    /// Joins and leaves in a second; 0 = nobody churns.
    pub churn: u32,
    /// Channels that are silent but for what a scenario tells.
    pub tails: u32,
}

/// What all clients and backends of a run share.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) log: Recorder,
    pub(crate) app: App,
    pub(crate) names: Names,
    numbers: HashMap<String, u32>,
    nodes: Vec<SocketAddr>,
    /// Who is subscribed: connections and their ids, by channel.
    seats: Mutex<HashMap<u32, Vec<(u32, String)>>>,
    /// The ids of all sockets that were ever subscribed.
    sockets: Mutex<HashSet<String>>,
    /// Clients whose first subscription was answered.
    settled: Mutex<HashSet<u32>>,
    pub(crate) toggles: AtomicU64,
    pub(crate) over: watch::Receiver<bool>,
    pub(crate) moving: watch::Receiver<bool>,
    pub(crate) publishing: watch::Receiver<bool>,
}

impl Stage {
    pub(crate) fn node_at(&self, address: SocketAddr) -> Option<u32> {
        let index = self.nodes.iter().position(|node| *node == address)?;
        u32::try_from(index).ok()
    }

    pub(crate) fn address(&self, node: u32) -> Option<SocketAddr> {
        self.nodes.get(usize::try_from(node).ok()?).copied()
    }

    pub(crate) fn channel(&self, name: &str) -> Option<u32> {
        self.numbers.get(name).copied()
    }

    pub(crate) fn sit(&self, channel: u32, conn: u32, socket: &str) {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner).insert(socket.to_owned());
        self.seats().entry(channel).or_default().push((conn, socket.to_owned()));
    }

    pub(crate) fn leave(&self, channel: u32, conn: u32) {
        if let Some(seats) = self.seats().get_mut(&channel) {
            seats.retain(|(seat, _)| *seat != conn);
        }
    }

    /// Takes that a client was answered; a refusal is two answers, and one that lost its connection comes again.
    pub(crate) fn settle(&self, client: u32) {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner).insert(client);
    }

    fn settled(&self) -> usize {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Returns the ids of all sockets that were ever subscribed.
    pub(crate) fn sockets(&self) -> HashSet<String> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns anybody in a channel.
    pub(crate) fn seat(&self, channel: u32, rng: &mut StdRng) -> Option<(u32, String)> {
        let seats = self.seats();
        let here = seats.get(&channel).filter(|here| !here.is_empty())?;
        here.get(rng.random_range(0..here.len())).cloned()
    }

    fn seats(&self) -> MutexGuard<'_, HashMap<u32, Vec<(u32, String)>>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The load, running.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) stage: Arc<Stage>,
    pub(crate) moving: watch::Sender<bool>,
    pub(crate) publishing: watch::Sender<bool>,
    over: watch::Sender<bool>,
    visitors: JoinSet<()>,
    backends: JoinSet<()>,
    /// How many clients there are.
    clients: usize,
}

impl Load {
    /// Starts all clients, one after the other, and backends that wait for [`Self::publishing`].
    pub(crate) fn start(
        log: Recorder,
        app: App,
        size: Size,
        seed: u64,
        front: SocketAddr,
        nodes: Vec<SocketAddr>,
    ) -> Self {
        let (over, is_over) = watch::channel(false);
        let (moving, is_moving) = watch::channel(false);
        let (publishing, is_publishing) = watch::channel(false);
        let mut cast = Cast { front, nodes: nodes.clone(), ..Cast::new(front) };
        cast.fill(size);
        let Cast { names, habits, spoken, .. } = cast;
        let numbers = names.channels.iter().cloned().zip(0..).collect();
        let stage = Arc::new(Stage {
            log,
            app,
            names,
            numbers,
            seats: Mutex::default(),
            sockets: Mutex::default(),
            settled: Mutex::default(),
            toggles: AtomicU64::default(),
            over: is_over,
            moving: is_moving,
            publishing: is_publishing,
            nodes,
        });
        let clients = habits.len();
        let mut visitors = JoinSet::new();
        for (number, habit) in (0_u32..).zip(habits) {
            let rng = StdRng::seed_from_u64(seed ^ (u64::from(number) << 20));
            let (stage, turn) = (Arc::clone(&stage), Duration::from_secs(1) * number / CONNECTS);
            visitors.spawn(async move {
                sleep(turn).await;
                visitor::attend(stage, habit, rng).await;
            });
        }
        let mut backends = JoinSet::new();
        let count = u32::try_from(stage.nodes.len()).unwrap_or(1).max(1);
        let every = Duration::from_secs(1) * BACKENDS * count / size.rate.max(1);
        for (number, node) in (0..BACKENDS * count).zip((0..count).cycle()) {
            let rng = StdRng::seed_from_u64(seed ^ u64::from(number).rotate_left(52));
            // one in four insists
            let insists = number / count == 0;
            let duty = Duty { node, every, channels: spoken.clone(), insists };
            backends.spawn(publisher::publish(Arc::clone(&stage), duty, rng));
        }
        Self { stage, moving, publishing, over, visitors, backends, clients }
    }

    /// Waits until every client has been answered its first subscription.
    pub(crate) async fn settle(&self) -> Outcome<()> {
        for _ in 0..1200 {
            if self.stage.settled() >= self.clients {
                return Ok(());
            }
            sleep(Duration::from_millis(100)).await;
        }
        let here = self.stage.settled();
        Err(format!("only {here} of {} clients were subscribed within 120 s", self.clients).into())
    }

    /// Waits until what backends have under way is answered. They must have been told to stop.
    pub(crate) async fn finish_publishing(&mut self) {
        self.publishing.send_replace(false);
        sleep(Duration::from_secs(4)).await;
        self.backends.shutdown().await;
    }

    /// Ends all connections.
    pub(crate) async fn end(mut self) {
        self.over.send_replace(true);
        while self.visitors.join_next().await.is_some() {}
    }
}

/// Who plays what.
struct Cast {
    front: SocketAddr,
    nodes: Vec<SocketAddr>,
    names: Names,
    habits: Vec<Habit>,
    /// Channels that backends speak to.
    spoken: Vec<u32>,
}

impl Cast {
    fn new(front: SocketAddr) -> Self {
        let (names, habits, spoken) = (Names::default(), Vec::new(), Vec::new());
        Self { front, nodes: Vec::new(), names, habits, spoken }
    }

    fn fill(&mut self, size: Size) {
        let churners = size.churn * u32::try_from(STAY.as_secs()).unwrap_or(1);
        self.tails(size.tails);
        self.churn(churners);
        let left = size.sockets.saturating_sub(u32::try_from(self.habits.len()).unwrap_or(0));
        let members = (size.sockets / TENTH).min(left);
        self.presence(members);
        let private = size.sockets / TENTH;
        let channels = self.names.add("private-lab-", (private / AUDIENCE).max(1));
        self.crowd(&channels, private);
        for channel in channels.iter().cycle().take(usize::try_from(INTRUDERS).unwrap_or(0)) {
            let habit = Habit { may: false, ..self.habit(*channel) };
            self.habits.push(habit);
        }
        let left = size.sockets.saturating_sub(u32::try_from(self.habits.len()).unwrap_or(0));
        let public = self.names.add("lab-", (left / AUDIENCE).max(1));
        self.crowd(&public, left);
        for habit in
            self.habits.iter_mut().rev().step_by(7).take(usize::try_from(WANDERERS).unwrap_or(0))
        {
            habit.toggles = Some(Duration::from_secs(3));
        }
        self.spoken.extend(channels);
        self.spoken.extend(public);
    }

    fn habit(&self, channel: u32) -> Habit {
        Habit {
            client: u32::try_from(self.habits.len()).unwrap_or(u32::MAX),
            address: self.front,
            node: None,
            channel,
            user: None,
            may: true,
            returns: true,
            toggles: None,
            observes: false,
        }
    }

    /// Subscribers through the front, evenly over channels.
    fn crowd(&mut self, channels: &[u32], count: u32) {
        for (channel, _) in channels.iter().cycle().zip(0..count) {
            self.habits.push(self.habit(*channel));
        }
    }

    /// Members of presence channels, through the front. One in five is another connection of the one before;
    /// every second one stays away when its connection ends.
    fn presence(&mut self, count: u32) {
        let channels = self.names.add("presence-lab-", count.div_ceil(ROOM));
        for number in 0..count {
            let Some(channel) = channels.get(usize::try_from(number / ROOM).unwrap_or(0)) else {
                return;
            };
            let user = if number % 5 == 4 { number - 1 } else { number };
            let (user, returns) = (Some(user), user % 2 == 0);
            let habit = Habit { user, returns, observes: true, ..self.habit(*channel) };
            self.habits.push(habit);
        }
        self.spoken.extend(channels);
    }

    /// Members who come and go, each at a node, and observers of them at every node.
    fn churn(&mut self, count: u32) {
        let channels = self.names.add("presence-churn-", count.div_ceil(2 * ROOM));
        let nodes: Vec<(u32, SocketAddr)> = (0..).zip(self.nodes.clone()).collect();
        let mut user = 1_000_000;
        for channel in &channels {
            for (node, address) in nodes.iter().copied() {
                for _ in 0..OBSERVERS {
                    let here = Habit { address, node: Some(node), ..self.habit(*channel) };
                    self.habits.push(Habit { user: Some(user), observes: true, ..here });
                    user += 1;
                }
            }
        }
        for ((channel, (node, address)), _) in
            channels.iter().cycle().zip(nodes.iter().copied().cycle()).zip(0..count)
        {
            let here = Habit { address, node: Some(node), ..self.habit(*channel) };
            self.habits.push(Habit { user: Some(user), toggles: Some(STAY), ..here });
            user += 1;
        }
    }

    /// Two subscribers at every node of channels that nobody speaks to by himself.
    fn tails(&mut self, count: u32) {
        let nodes: Vec<(u32, SocketAddr)> = (0..).zip(self.nodes.clone()).collect();
        for channel in self.names.add("tail-", count) {
            for (node, address) in nodes.iter().copied().chain(nodes.iter().copied()) {
                let habit = Habit { address, node: Some(node), ..self.habit(channel) };
                self.habits.push(habit);
            }
        }
    }
}
