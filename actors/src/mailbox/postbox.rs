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

    /// Posts a message. It is bounded as [`post`] says. One to an actor that is gone is counted apart, for nobody
    /// will take it.
    pub(crate) fn post<M: Named>(&self, message: M)
    where
        A: Handler<Letter<M>>,
        A::Context: ToEnvelope<A, Letter<M>>,
    {
        match self.mail.figures() {
            Some(mail) if !self.to.connected() => mail.count_undeliverable(),
            _ => post(&self.to, self.mail.seal(message)),
        }
    }
}

impl<M: Named> Postbox<Recipient<Letter<M>>> {
    /// As [`Self::post`], to whoever takes such a message.
    pub(crate) fn tell(&self, message: M) {
        match self.mail.figures() {
            Some(mail) if !self.to.connected() => mail.count_undeliverable(),
            _ => tell(&self.to, self.mail.seal(message)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop")]

    use actix::{ActorContext as _, Context, Message};

    use super::*;
    use crate::mailbox::{Mailbox, names};

    /// Takes one word and ends.
    struct Mayfly(Mail);

    impl Actor for Mayfly {
        type Context = Context<Self>;
    }

    #[derive(Message)]
    #[rtype(result = "()")]
    struct Word;

    impl Named for Word {
        fn index(&self) -> usize {
            0
        }
    }

    impl Handler<Letter<Word>> for Mayfly {
        type Result = ();

        fn handle(&mut self, word: Letter<Word>, ctx: &mut Self::Context) {
            self.0.done(self.0.open(&word));
            ctx.stop();
        }
    }

    #[actix_rt::test]
    async fn what_is_posted_to_nobody_does_not_wait() {
        let mail = Mail::new(names::SESSION, true);
        let mayfly = Mayfly(mail.clone()).start();
        let (posts, tells) = (
            Postbox::new(mayfly.clone(), mail.clone()),
            Postbox::new(mayfly.clone().recipient::<Letter<Word>>(), mail.clone()),
        );
        posts.post(Word);
        let gone = async {
            while mayfly.connected() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(10), gone).await.unwrap();
        posts.post(Word);
        tells.tell(Word);
        let counted = |mail: &Mailbox| (mail.depth(), mail.highest(), mail.undeliverable());
        assert_eq!(mail.figures().map(counted), Some((0, 1, 2)));
    }
}
