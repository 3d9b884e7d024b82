//! Keeps what this node has told the cluster, and the lease under which it holds.
//!
//! Owns the ledger and one connection. Started by [`RedisMembership`](super::RedisMembership) on its
//! arbiter; told by the node's channels, tells the node by its sink. Its mailbox has no bound of its own:
//! joins and questions carry a place of the node, all else is bounded by live subscriptions. One batch is
//! under way at a time, so what is said of one user or channel keeps its order; what comes meanwhile goes
//! together in the next. A panic costs the incarnation: all is said again under a new one, after a pause that grows
//! while it panics again.

mod connection;
mod containment;
mod saying;

use std::collections::VecDeque;
use std::sync::Arc;

use actix::{Actor, AsyncContext as _, Context, Handler, Message};
use hashbrown::HashMap;
use redis::{RedisResult, Value};
use tokio::sync::oneshot;

use super::Task;
use super::answers::{self, Answer};
use super::client::Client;
use super::ledger::Ledger;
use crate::clock::{Clock, Moment};
use crate::mailbox::names::KEEPER;
use crate::mailbox::{Letter, Named};
use crate::membership::{Count, Enter, Leave, MembershipEvent, Outcome, ReportConnections, Vacate};
use crate::metrics::Alive;
use crate::protocol::AppId;

pub(super) use self::saying::news;

/// Who it is in the log.
pub(super) const WHO: &str = "membership keeper";
/// Most earlier incarnations that are kept until they can be let go: the leases of those before them end.
const FORMER: usize = 16;

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
#[expect(clippy::struct_excessive_bools, reason = "what is under way, each by itself")]
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
    /// A connection is being opened, or will be after a pause.
    connecting: bool,
    /// A renewal is under way.
    renewing: bool,
    /// A batch is under way, or its pause.
    saying: bool,
    /// Which run of which server the lease was last renewed by.
    run: Option<String>,
    /// Earlier incarnations that hold rows until this one has said all.
    former: VecDeque<Arc<str>>,
    connections: HashMap<AppId, u64>,
    /// Tries in vain to reach Redis, one after another.
    failures: u32,
    /// Panics that came soon after one another, and when the last did.
    panics: u32,
    panicked_at: Moment,
    reachable: bool,
    _alive: Alive,
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
            _alive: task.counters.living_keepers.enter(),
            task,
            clock: Clock::start(),
            ledger: Ledger::default(),
            client: None,
            generation: 0,
            standing: Standing::New,
            connecting: false,
            renewing: false,
            saying: false,
            run: None,
            former: VecDeque::new(),
            connections: HashMap::new(),
            failures: 0,
            panics: 0,
            panicked_at: Moment::default(),
            reachable: false,
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
        let asking = async move { client.ask::<Value>(renewal).await };
        Self::beside(ctx, asking, move |keeper, answer, ctx| {
            if keeper.generation == generation && keeper.incarnation == incarnation {
                keeper.renewed(answer, &told, ctx);
            }
        });
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
                    self.keep_former();
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

    /// Takes a new name, and says all again under it.
    fn begin_anew(&mut self, ctx: &mut Context<Self>) {
        if self.standing != Standing::Retired {
            self.rename();
            self.renew(ctx);
        }
    }

    /// Leaves what the present incarnation has said until the next one has said all.
    fn keep_former(&mut self) {
        if self.former.len() == FORMER {
            self.former.pop_front();
        }
        self.former.push_back(Arc::clone(&self.incarnation));
    }

    /// Takes a new name, of which Redis knows nothing.
    fn rename(&mut self) {
        self.task.counters.incarnations.add(1);
        self.last = Some(Arc::clone(&self.incarnation));
        self.incarnation = new_incarnation(&self.task.options.node);
        let (partition, incarnation) = (self.task.partition.index(), &self.incarnation);
        log::warn!(partition, incarnation:%; "membership: all is registered again");
        self.standing = Standing::New;
        self.renewing = false;
        self.ledger.start_anew();
    }

    /// Gives the incarnation up, and those before it.
    fn retire(&mut self, retire: Retire, ctx: &mut Context<Self>) {
        self.standing = Standing::Retired;
        let mut names = std::mem::take(&mut self.former);
        names.push_back(Arc::clone(&self.incarnation));
        let calls: Vec<_> = names.iter().map(|name| self.task.calls.retire(name)).collect();
        let client = self.client.clone();
        let telling = async move {
            if let Some(client) = client
                && client.send(&calls).await.is_err()
            {
                log::warn!("membership: redis does not know that this node has left");
            }
            // who has given up waiting needs no answer
            retire.done.send(()).unwrap_or_default();
        };
        Self::beside(ctx, telling, |_, (), _| {});
    }

    // --- wishes ---

    fn give_up(&mut self) {
        let patience = self.task.options.patience;
        for (key, ticket) in self.ledger.give_up(self.clock.now(), patience) {
            let outcome = Outcome::Unavailable;
            self.emit(MembershipEvent::Entered { key, ticket, outcome });
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
        self.guarded(ctx, Self::connect);
        ctx.run_interval(self.task.options.renew, |keeper, ctx| keeper.guarded(ctx, Self::renew));
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
        self.take(enter, ctx, |keeper, enter, ctx| {
            let now = keeper.clock.now();
            keeper.ledger.enter(enter, now);
            keeper.speak(ctx);
        });
    }
}

impl Handler<Letter<Leave>> for Keeper {
    type Result = ();

    fn handle(&mut self, leave: Letter<Leave>, ctx: &mut Self::Context) {
        self.take(leave, ctx, |keeper, leave, ctx| {
            keeper.ledger.leave(leave);
            keeper.speak(ctx);
        });
    }
}

impl Handler<Letter<Count>> for Keeper {
    type Result = ();

    fn handle(&mut self, count: Letter<Count>, ctx: &mut Self::Context) {
        self.take(count, ctx, |keeper, count, ctx| {
            // where there are members, they are counted
            if !count.key.channel.kind().capabilities().members {
                keeper.ledger.count(count.key, count.subscriptions);
                keeper.speak(ctx);
            }
        });
    }
}

impl Handler<Letter<Vacate>> for Keeper {
    type Result = ();

    fn handle(&mut self, vacate: Letter<Vacate>, ctx: &mut Self::Context) {
        self.take(vacate, ctx, |keeper, vacate, ctx| {
            keeper.ledger.vacate(&vacate.key);
            keeper.speak(ctx);
        });
    }
}

impl Handler<Letter<ReportConnections>> for Keeper {
    type Result = ();

    fn handle(&mut self, report: Letter<ReportConnections>, ctx: &mut Self::Context) {
        self.take(report, ctx, |keeper, report, _| keeper.connections.extend(report.connections));
    }
}

impl Handler<Letter<Retire>> for Keeper {
    type Result = ();

    fn handle(&mut self, retire: Letter<Retire>, ctx: &mut Self::Context) {
        self.take(retire, ctx, Self::retire);
    }
}
