//! A channel that panics is counted, gives up, and still answers what is on its way.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

use std::time::Duration;

use super::*;
use crate::config::{Apps, NodeConfig};
use crate::mailbox::names;
use crate::protocol::ChannelName;
use crate::protocol::sign::Credential;

/// Has a command panic.
#[derive(Message)]
#[rtype(result = "()")]
struct Sabotage;

impl Handler<Sabotage> for ChannelActor {
    type Result = ();

    fn handle(&mut self, _: Sabotage, _ctx: &mut Self::Context) {
        self.guarded(|_| panic!("sprung"));
    }
}

/// Stands for the registry.
struct Witness {
    mail: Mail,
    ended: Vec<Ended>,
}

impl Actor for Witness {
    type Context = Context<Self>;
}

impl Handler<Letter<ChannelEnded>> for Witness {
    type Result = ();

    fn handle(&mut self, ended: Letter<ChannelEnded>, _ctx: &mut Self::Context) {
        self.mail.done(self.mail.open(&ended));
        self.ended.push(ended.message.cause);
    }
}

#[derive(Message)]
#[rtype(result = "Vec<Ended>")]
struct TakeEnded;

impl Handler<TakeEnded> for Witness {
    type Result = Vec<Ended>;

    fn handle(&mut self, _: TakeEnded, _ctx: &mut Self::Context) -> Vec<Ended> {
        std::mem::take(&mut self.ended)
    }
}

#[actix_rt::test]
async fn a_channel_that_panics_is_counted_and_answers_until_it_is_retired() {
    let app = App::new("1", Credential::new("k", "s"));
    let config = NodeConfig::new(Apps::new([app]));
    let app = Arc::clone(config.apps.by_id("1").unwrap());
    let crew = Crew::new(&config);
    let (mail, to_registry) = (Mail::new(names::CHANNEL, true), Mail::new(names::REGISTRY, true));
    let witness = Witness { mail: to_registry.clone(), ended: Vec::new() }.start();
    let registrar = Registrar::new(witness.clone().recipient(), to_registry);
    let key = ChannelKey { app: app.id.clone(), channel: ChannelName::parse("c", 164).unwrap() };
    let channel = ChannelActor::new(key, 1, app, Arc::clone(&crew), mail.clone(), registrar);
    let channel = Postbox::new(channel.start(), mail.clone());

    channel.to().send(Sabotage).await.unwrap();
    let ended = witness.send(TakeEnded).await.unwrap();
    assert!(matches!(ended.as_slice(), [Ended::Failed]), "{ended:?}");
    let (facts, answer) = Answer::expected();
    channel.post(Command::Describe(facts));
    let facts = tokio::time::timeout(Duration::from_secs(10), answer).await.unwrap().unwrap();
    assert_eq!(facts, ChannelFacts::default());
    // another one finds it failed, and does nothing
    channel.to().send(Sabotage).await.unwrap();
    assert_eq!(crew.metrics().panics.channels.get(), 1);
    assert!(witness.send(TakeEnded).await.unwrap().is_empty());
    let figures = mail.figures().unwrap();
    assert_eq!((figures.depth(), figures.undeliverable()), (0, 0));

    channel.post(Retire);
    let gone = async {
        while channel.to().connected() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone).await.unwrap();
    assert_eq!(crew.metrics().actors.channels.get(), 0);
    channel.post(Command::Unwatch);
    assert_eq!((figures.depth(), figures.undeliverable()), (0, 1));
}
