//! Where messages are posted: an actor's address, and how its mailbox is counted.

use actix::dev::ToEnvelope;
use actix::{Actor, Addr, Handler, Recipient};

use super::{Letter, Mail, Named};
use crate::door::{post, tell};

/// An actor's address, and what is counted of its mailbox.
#[derive(Debug, Clone)]
pub(crate) struct Postbox<T> {
    to: T,
    mail: Mail,
}

impl<T> Postbox<T> {
    pub(crate) fn new(to: T, mail: Mail) -> Self {
        Self { to, mail }
    }
}

impl<A: Actor> Postbox<Addr<A>> {
    /// Returns the address.
    pub(crate) fn to(&self) -> &Addr<A> {
        &self.to
    }

    /// Posts a message. It is bounded as [`post`] says.
    pub(crate) fn post<M: Named>(&self, message: M)
    where
        A: Handler<Letter<M>>,
        A::Context: ToEnvelope<A, Letter<M>>,
    {
        post(&self.to, self.mail.seal(message));
    }
}

impl<M: Named> Postbox<Recipient<Letter<M>>> {
    /// As [`Self::post`], to whoever takes such a message.
    pub(crate) fn tell(&self, message: M) {
        tell(&self.to, self.mail.seal(message));
    }
}
