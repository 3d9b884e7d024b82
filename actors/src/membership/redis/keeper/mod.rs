//! Keeps what this node has told the cluster, and the lease under which it holds.
//!
//! Owns the ledger and one connection. Started by [`RedisMembership`](super::RedisMembership) on its
//! arbiter; told by the node's channels, tells the node by its sink. Its mailbox has no bound of its own:
//! joins and questions carry a place of the node, all else is bounded by live subscriptions. One batch is
//! under way at a time, so what is said of one user or channel keeps its order; what comes meanwhile goes
//! together in the next. A panic costs the incarnation: all is said again under a new one.

mod saying;

use std::sync::Arc;
use std::time::Duration;

use actix::fut::wrap_future;
use actix::{Actor, ActorFutureExt as _, AsyncContext as _, Context, Handler, Message};
use hashbrown::HashMap;
use redis::{RedisResult, Value};
use tokio::sync::oneshot;

use super::Task;
use super::answers::{self, Answer};
use super::client::{Client, ConnectError};
use super::ledger::Ledger;
use crate::clock::Clock;
use crate::lifeline::contain;
use crate::mailbox::names::KEEPER;
use crate::mailbox::{Letter, Named, Taken};
use crate::membership::{Count, Enter, Leave, MembershipEvent, Outcome, ReportConnections, Vacate};
use crate::protocol::AppId;

/// The first pause before another try to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Gives the incarnation up for good.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Retire {
    pub(super) done: oneshot::Sender<()>,
}

impl Named for Retire {
    fn index(&self) -> usize {
        const { KEEPER.index("retire") }
    }
}

// === State ===

/// See the module.
pub(super) struct Keeper {
    pub(super) task: Arc<Task>,
    clock: Clock,
    ledger: Ledger,
    /// The connection, while there is one.
    pub(super) client: Option<Client>,
    /// Its number: scripts refuse what an older one still has under way.
    generation: u64,
    incarnation: Arc<str>,
    /// The one before it, until Redis has heard that its connections are this one's.
    last: Option<Arc<str>>,
    standing: Standing,
    /// A renewal is under way.
    renewing: bool,
    /// A batch is under way, or its pause.
    saying: bool,
    /// Which run of which server the lease was last renewed by.
    run: Option<String>,
    /// Earlier incarnations that hold rows until this one has said all.
    former: Vec<Arc<str>>,
    connections: HashMap<AppId, u64>,
    failures: u32,
    reachable: bool,
}

/// What Redis knows of the incarnation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Nothing yet.
    New,
    /// It was admitted once; whether it still is has not been heard over this connection.
    Known,
    /// It lives.
    Alive,
    /// It was given up for good.
    Retired,
}

impl Keeper {
    pub(super) fn new(task: Arc<Task>) -> Self {
        Self {
            incarnation: new_incarnation(&task.options.node),
            last: None,
            task,
            clock: Clock::start(),
            ledger: Ledger::default(),
            client: None,
            generation: 0,
            standing: Standing::New,
            renewing: false,
            saying: false,
            run: None,
            former: Vec::new(),
            connections: HashMap::new(),
            failures: 0,
            reachable: false,
        }
    }

    /// Takes a message, and counts it.
    pub(super) fn open<M: Named>(&self, letter: &Letter<M>) -> Taken {
        self.task.counters.keepers.open(letter)
    }

    /// Counts how long a message took.
    pub(super) fn close(&self, taken: Taken) {
        self.task.counters.keepers.done(taken);
    }

    fn emit(&self, event: MembershipEvent) {
        (self.task.sink)(event);
    }

    // --- the connection ---

    fn connect(&mut self, ctx: &mut Context<Self>) {
        let task = Arc::clone(&self.task);
        let opening = async move { task.open_client().await };
        let opened = wrap_future(opening).map(Self::connected);
        ctx.spawn(opened);
    }

    fn connected(opened: Result<Client, ConnectError>, keeper: &mut Self, ctx: &mut Context<Self>) {
        match opened {
            Ok(client) => {
                keeper.client = Some(client);
                keeper.generation += 1;
                keeper.renew(ctx);
            }
            Err(error) => {
                if keeper.failures <= 1 {
                    let partition = keeper.task.partition.index();
                    log::warn!(partition, error:% = error; "membership: redis cannot be reached");
                }
                keeper.lose_touch(ctx);
            }
        }
    }

    /// Gives the connection up and opens another after a pause.
    fn lose_touch(&mut self, ctx: &mut Context<Self>) {
        self.client = None;
        self.renewing = false;
        self.saying = false;
        if self.standing == Standing::Alive {
            self.standing = Standing::Known;
        }
        self.ledger.lose_touch();
        self.set_reachable(false);
        self.task.counters.failures.add(1);
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(10));
        self.failures += 1;
        let pause = pause.min(self.task.options.reconnect);
        ctx.run_later(pause.mul_f64(rand::random_range(0.5..=1.0)), |keeper, ctx| {
            if keeper.standing != Standing::Retired {
                keeper.connect(ctx);
            }
        });
    }

    fn set_reachable(&mut self, reachable: bool) {
        if std::mem::replace(&mut self.reachable, reachable) != reachable {
            self.emit(MembershipEvent::Reachable(reachable));
        }
    }

    // --- the lease ---

    fn renew(&mut self, ctx: &mut Context<Self>) {
        let Some(client) = self.client.clone().filter(|_| !self.renewing) else {
            return;
        };
        if self.standing == Standing::Retired {
            return;
        }
        self.renewing = true;
        let new = self.standing == Standing::New;
        let writer = (&*self.incarnation, self.generation);
        let lease = self.task.options.lease;
        let (last, connections) = (self.last.as_deref(), self.connections.iter());
        let renewal = self.task.calls.renew(writer, lease, new, last, connections);
        let (generation, incarnation) = (self.generation, Arc::clone(&self.incarnation));
        let told = self.connections.clone();
        let renewed = wrap_future(async move { client.ask::<Value>(renewal).await });
        ctx.spawn(renewed.map(move |answer, keeper: &mut Self, ctx| {
            if keeper.generation == generation && keeper.incarnation == incarnation {
                keeper.guarded(ctx, |keeper, ctx| keeper.renewed(answer, &told, ctx));
            }
        }));
    }

    /// Takes the answer to a renewal that has told these connections.
    fn renewed(
        &mut self,
        answer: RedisResult<Value>,
        told: &HashMap<AppId, u64>,
        ctx: &mut Context<Self>,
    ) {
        if self.client.is_none() || self.standing == Standing::Retired {
            return;
        }
        self.renewing = false;
        match answer.and_then(answers::renewed) {
            Ok(Answer::Done(renewed)) => {
                self.task.counters.renewed(self.task.partition.index());
                let before = self.run.replace(renewed.run);
                if before.is_some() && before != self.run && self.standing != Standing::New {
                    // another server: it may lack what the old one had not passed on yet
                    self.former.push(Arc::clone(&self.incarnation));
                    return self.begin_anew(ctx);
                }
                self.standing = Standing::Alive;
                self.last = None;
                self.failures = 0;
                self.set_reachable(true);
                let elsewhere = |(app, all): (String, u64)| {
                    let app = AppId::new(&app);
                    let here = told.get(&app).copied().unwrap_or_default();
                    (app, all.saturating_sub(here))
                };
                let connections = renewed.connections.into_iter().map(elsewhere).collect();
                self.emit(MembershipEvent::Connections(connections));
                self.speak(ctx);
            }
            Ok(Answer::Gone) => self.begin_anew(ctx),
            Ok(Answer::Full | Answer::Refused) => self.lose_touch(ctx),
            Err(error) => {
                log::warn!(error:% = error; "membership: the lease was not renewed");
                self.lose_touch(ctx);
            }
        }
    }

    /// Takes a new name, of which Redis knows nothing, and says all again under it.
    fn begin_anew(&mut self, ctx: &mut Context<Self>) {
        if self.standing == Standing::Retired {
            return;
        }
        self.task.counters.incarnations.add(1);
        self.last = Some(Arc::clone(&self.incarnation));
        self.incarnation = new_incarnation(&self.task.options.node);
        let (partition, incarnation) = (self.task.partition.index(), &self.incarnation);
        log::warn!(partition, incarnation:%; "membership: all is registered again");
        self.standing = Standing::New;
        self.renewing = false;
        self.ledger.start_anew();
        self.renew(ctx);
    }

    // --- wishes ---

    fn give_up(&mut self) {
        let patience = self.task.options.patience;
        for (key, ticket) in self.ledger.give_up(self.clock.now(), patience) {
            let outcome = Outcome::Unavailable;
            self.emit(MembershipEvent::Entered { key, ticket, outcome });
        }
    }

    /// Carries out something; if it panics, the ledger is told anew from what is left of it.
    fn guarded(
        &mut self,
        ctx: &mut Context<Self>,
        work: impl FnOnce(&mut Self, &mut Context<Self>),
    ) {
        if contain("membership keeper", || work(self, ctx)).is_none() {
            self.task.counters.panics.add(1);
            self.saying = false;
            self.former.push(Arc::clone(&self.incarnation));
            self.begin_anew(ctx);
        }
    }
}

/// Returns a name that no node has had: of characters that mean nothing in a pattern.
fn new_incarnation(node: &str) -> Arc<str> {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let node: String = node.chars().map(plain).collect();
    format!("{node}.{:016x}", rand::random::<u64>()).into()
}

// === Lifecycle ===

impl Actor for Keeper {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.connect(ctx);
        ctx.run_interval(self.task.options.renew, Self::renew);
        ctx.run_interval(self.task.options.refine, |keeper, ctx| {
            keeper.guarded(ctx, |keeper, ctx| {
                keeper.give_up();
                keeper.ledger.ripen();
                keeper.speak(ctx);
            });
        });
    }
}

// === Handlers ===

impl Handler<Letter<Enter>> for Keeper {
    type Result = ();

    fn handle(&mut self, enter: Letter<Enter>, ctx: &mut Self::Context) {
        let taken = self.open(&enter);
        let enter = enter.message;
        self.guarded(ctx, |keeper, ctx| {
            let now = keeper.clock.now();
            keeper.ledger.enter(enter, now);
            keeper.speak(ctx);
        });
        self.close(taken);
    }
}

impl Handler<Letter<Leave>> for Keeper {
    type Result = ();

    fn handle(&mut self, leave: Letter<Leave>, ctx: &mut Self::Context) {
        let taken = self.open(&leave);
        let leave = leave.message;
        self.guarded(ctx, |keeper, ctx| {
            keeper.ledger.leave(leave);
            keeper.speak(ctx);
        });
        self.close(taken);
    }
}

impl Handler<Letter<Count>> for Keeper {
    type Result = ();

    fn handle(&mut self, count: Letter<Count>, ctx: &mut Self::Context) {
        let taken = self.open(&count);
        let count = count.message;
        // where there are members, they are counted
        if !count.key.channel.kind().capabilities().members {
            self.guarded(ctx, |keeper, ctx| {
                keeper.ledger.count(count.key, count.subscriptions);
                keeper.speak(ctx);
            });
        }
        self.close(taken);
    }
}

impl Handler<Letter<Vacate>> for Keeper {
    type Result = ();

    fn handle(&mut self, vacate: Letter<Vacate>, ctx: &mut Self::Context) {
        let taken = self.open(&vacate);
        let vacate = vacate.message;
        self.guarded(ctx, |keeper, ctx| {
            keeper.ledger.vacate(&vacate.key);
            keeper.speak(ctx);
        });
        self.close(taken);
    }
}

impl Handler<Letter<ReportConnections>> for Keeper {
    type Result = ();

    fn handle(&mut self, report: Letter<ReportConnections>, _ctx: &mut Self::Context) {
        let taken = self.open(&report);
        let report = report.message;
        self.connections.extend(report.connections);
        self.close(taken);
    }
}

impl Handler<Letter<Retire>> for Keeper {
    type Result = ();

    fn handle(&mut self, retire: Letter<Retire>, ctx: &mut Self::Context) {
        let taken = self.open(&retire);
        let retire = retire.message;
        self.standing = Standing::Retired;
        let mut names = std::mem::take(&mut self.former);
        names.push(Arc::clone(&self.incarnation));
        let calls: Vec<_> = names.iter().map(|name| self.task.calls.retire(name)).collect();
        let client = self.client.clone();
        ctx.spawn(wrap_future(async move {
            if let Some(client) = client
                && client.send(&calls).await.is_err()
            {
                log::warn!("membership: redis does not know that this node has left");
            }
            // who has given up waiting needs no answer
            retire.done.send(()).unwrap_or_default();
        }));
        self.close(taken);
    }
}
