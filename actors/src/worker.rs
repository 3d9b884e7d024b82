//! What a session on a worker thread uses to reach the node: its desk, and commands to channels.

use std::rc::Rc;
use std::sync::Arc;

use crate::channel::{Command, Join, Route};
use crate::config::App;
use crate::desk::Desk;
use crate::facts::NodeError;
use crate::metrics::Metrics;
use crate::protocol::{ChannelKey, ChannelName};
use crate::seat::Seat;
use crate::session::effect::{SignIn, Subscription, Whisper};
use crate::shared::Shared;
use crate::tap::Tap;
use crate::users::{Enter, Exit};

/// One worker thread's door to the node. Never leaves its thread.
#[derive(Clone)]
pub struct Worker {
    desk: Rc<Desk>,
    shared: Arc<Shared>,
}

impl Worker {
    pub(crate) fn new(desk: Rc<Desk>, shared: Arc<Shared>) -> Self {
        Self { desk, shared }
    }

    /// Returns the desk of this thread.
    pub fn desk(&self) -> &Rc<Desk> {
        &self.desk
    }

    /// Returns what is counted in the node.
    pub fn metrics(&self) -> &Metrics {
        self.shared.crew.metrics()
    }

    /// Returns where onlookers stand.
    pub fn tap(&self) -> &Tap {
        self.shared.crew.tap()
    }

    /// Tells whether the node takes connections.
    pub fn is_serving(&self) -> bool {
        self.shared.check_serving().is_ok()
    }

    /// Asks a channel to take a connection in. The answer comes on the data lane, or as a
    /// [`Notice::Refused`](crate::Notice::Refused).
    ///
    /// # Errors
    /// [`NodeError::Busy`] when too many wait already.
    pub fn subscribe(
        &self,
        app: &Arc<App>,
        seat: Seat,
        subscription: Subscription,
    ) -> Result<(), NodeError> {
        let Subscription { channel, attempt, member } = subscription;
        let key = ChannelKey { app: app.id.clone(), channel };
        let place = self.shared.registries.reserve_command(&key)?;
        let join = Join { seat, attempt, member, replies: None, place };
        self.shared.registries.route(Route {
            key,
            app: Arc::clone(app),
            command: Command::Join(join),
        });
        Ok(())
    }

    /// Ends a subscription of a connection that goes on.
    pub fn unsubscribe(&self, app: &Arc<App>, seat: Seat, channel: ChannelName) {
        self.send(app, channel, Command::Leave { seat, answer: true });
    }

    /// Ends a subscription of a connection that has ended.
    pub fn leave(&self, app: &Arc<App>, seat: Seat, channel: ChannelName) {
        self.send(app, channel, Command::Leave { seat, answer: false });
    }

    /// Has `subscription_succeeded` sent once more.
    pub fn resend(&self, app: &Arc<App>, seat: Seat, channel: ChannelName) {
        self.send(app, channel, Command::Resend { seat });
    }

    /// Sends a client event to the other subscribers of its channel.
    ///
    /// # Errors
    /// [`NodeError::Busy`] when too many events are under way; it was not sent.
    pub fn whisper(&self, app: &Arc<App>, seat: Seat, whisper: Whisper) -> Result<(), NodeError> {
        let key = ChannelKey { app: app.id.clone(), channel: whisper.channel.clone() };
        let place = self.shared.registries.reserve_event(&key)?;
        let command = Command::Whisper { seat, whisper, place: Some(place) };
        self.shared.registries.route(Route { key, app: Arc::clone(app), command });
        Ok(())
    }

    /// Signs a connection in. The answer comes on the data lane.
    ///
    /// # Errors
    /// [`NodeError`] when too many wait already.
    pub fn sign_in(&self, app: &Arc<App>, seat: Seat, sign_in: SignIn) -> Result<(), NodeError> {
        let users = self.shared.users_of(&app.id)?;
        let place = self.shared.registries.reserve_command(&app.id)?;
        users.post(Enter { app: Arc::clone(app), seat, sign_in, place });
        Ok(())
    }

    /// Lets the identity of a connection go that has ended.
    pub fn sign_out(&self, app: &Arc<App>, seat: Seat) {
        if let Ok(users) = self.shared.users_of(&app.id) {
            users.post(Exit { app: Arc::clone(app), seat });
        }
    }

    fn send(&self, app: &Arc<App>, channel: ChannelName, command: Command) {
        let key = ChannelKey { app: app.id.clone(), channel };
        self.shared.registries.route(Route { key, app: Arc::clone(app), command });
    }
}
