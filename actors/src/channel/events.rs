//! How a channel delivers: each event encoded once, then one message for each worker that listens.

use actix::Context;

use super::{ChannelActor, TERMINATED};
use crate::bridge::{Relay, Relayed};
use crate::door::Place;
use crate::errand::Errand;
use crate::facts::Publication;
use crate::membership::Position;
use crate::protocol::{Frame, SocketId, UserId};
use crate::seat::Seat;
use crate::session::effect::Whisper;
use crate::tap::{Details, Kind};

impl ChannelActor {
    pub(super) fn publish(&mut self, event: &Publication, place: Option<&Place>) {
        let frame = Frame::channel_event(&self.key.channel, &event.event, &event.data);
        if self.can.caches {
            let until = self.crew.now().after(self.app.limits.cache);
            self.cache.remember(frame.clone(), event.data.clone(), until);
        }
        self.fan_out(&frame, event.except, place);
        self.crew.tap().show(
            Kind::Delivery,
            Some(&self.key.app),
            Some(self.key.channel.as_str()),
            || Details {
                socket: event.except,
                subscribers: Some(self.listeners(event.except)),
                ..Details::of_event(&self.app, event.event.as_str(), &event.data)
            },
        );
    }

    pub(super) fn whisper(&mut self, seat: Seat, whisper: Whisper, place: Option<Place>) {
        let Some(subscriber) = self.subscribers.get(&seat.socket) else {
            return;
        };
        let Whisper { channel, event, data } = whisper;
        let user = subscriber.user.clone();
        let frame = Frame::client_event(&channel, &event, &data, user.as_ref());
        self.fan_out(&frame, Some(seat.socket), place.as_ref());
        self.show_whisper(Kind::ClientEvent, (&event, &data), seat.socket, user.as_ref());
        if let Some(bridge) = self.crew.bridge() {
            bridge.relay(Relay {
                key: self.key.clone(),
                body: Relayed::Whispered { event, data, user, socket: seat.socket },
                remember: None,
                to_self: false,
                once: None,
                done: None,
                place,
            });
        }
    }

    /// Does what is told. What has a position moves the mirror of who is there.
    pub(super) fn relayed(
        &mut self,
        body: Relayed,
        position: Option<&Position>,
        place: Option<&Place>,
        ctx: &mut Context<Self>,
    ) {
        // of a user's channel, what it is for is kept only while it is watched
        let position = position.filter(|_| !self.can.watched || self.watch.is_some());
        match body {
            Relayed::Published { event, data, except } => {
                let channel = self.key.channel.clone();
                self.publish(&Publication { channel, event, data, except }, place);
            }
            Relayed::Whispered { event, data, user, socket } => {
                let frame = Frame::client_event(&self.key.channel, &event, &data, user.as_ref());
                self.fan_out(&frame, Some(socket), place);
                self.show_whisper(Kind::Delivery, (&event, &data), socket, user.as_ref());
            }
            Relayed::Terminated => self.dismiss_all(TERMINATED),
            Relayed::Counted(counts) => self.counted(counts, ctx),
            Relayed::Joined(member) => {
                return position.into_iter().for_each(|at| self.came(at, &member, place, ctx));
            }
            Relayed::Left(user) => {
                return position.into_iter().for_each(|at| self.went(at, &user, place, ctx));
            }
            Relayed::Occupied => {
                return position.into_iter().for_each(|at| self.turned(at, true, ctx));
            }
            Relayed::Vacated => {
                return position.into_iter().for_each(|at| self.turned(at, false, ctx));
            }
            Relayed::Nothing => {}
            Relayed::Missing => {
                return position.into_iter().for_each(|at| self.missed(at, ctx));
            }
        }
        if let Some(position) = position {
            self.passed(position, ctx);
        }
    }

    fn show_whisper(
        &self,
        kind: Kind,
        (event, data): (&str, &str),
        from: SocketId,
        user: Option<&UserId>,
    ) {
        self.crew.tap().show(kind, Some(&self.key.app), Some(self.key.channel.as_str()), || {
            Details {
                socket: Some(from),
                user: user.cloned(),
                subscribers: Some(self.listeners(Some(from))),
                ..Details::of_event(&self.app, event, data)
            }
        });
    }

    /// Returns how many subscribers here get an event.
    fn listeners(&self, except: Option<SocketId>) -> usize {
        let left_out = except.is_some_and(|socket| self.subscribers.contains_key(&socket));
        self.subscribers.len() - usize::from(left_out)
    }

    /// Sends a frame to the courier of every worker that has subscribers.
    pub(super) fn fan_out(&self, frame: &Frame, except: Option<SocketId>, place: Option<&Place>) {
        for (worker, subscribers) in self.per_worker.iter().enumerate() {
            if *subscribers > 0 {
                let (channel, frame, place) = (self.id, frame.clone(), place.cloned());
                self.crew.send(worker, Errand::Deliver { channel, frame, except, place });
            }
        }
    }

    pub(super) fn errand(&self, seat: Seat, errand: Errand) {
        self.crew.send(usize::from(seat.worker), errand);
    }
}
