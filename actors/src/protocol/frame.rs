//! Frames that a node sends: Pusher JSON, encoded once, with the WebSocket header in front.
//!
//! Server frames are unmasked, so one buffer serves every subscriber. Transports that frame
//! differently take [`Frame::payload`].

use bytes::Bytes;

use super::code::ErrorCode;
use super::name::{ChannelName, EventName, SocketId, UserId};

/// The largest WebSocket header of a server: two bytes and a 64-bit length.
const MAX_HEADER: usize = 10;

/// One encoded text frame. Cloning shares the buffer.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    bytes: Bytes,
    header: u8,
}

impl Frame {
    /// Returns the WebSocket frame: header and payload.
    pub fn wire(&self) -> &Bytes {
        &self.bytes
    }

    /// Returns the JSON text without a header.
    pub fn payload(&self) -> Bytes {
        self.bytes.slice(usize::from(self.header)..)
    }

    /// Returns the size on the wire in bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Tells whether there is nothing in it, which no constructor here produces.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// `{"event":"pusher:connection_established","data":"{\"socket_id\":\"1.2\",\"activity_timeout\":120}"}`
    pub fn connection_established(socket: SocketId, activity_timeout_seconds: u64) -> Self {
        let inner =
            format!(r#"{{"socket_id":"{socket}","activity_timeout":{activity_timeout_seconds}}}"#);
        Writer::event("pusher:connection_established").data(&inner)
    }

    /// `{"event":"pusher:ping","data":"{}"}`
    pub fn ping() -> Self {
        Writer::event("pusher:ping").data("{}")
    }

    /// `{"event":"pusher:pong","data":"{}"}`
    pub fn pong() -> Self {
        Writer::event("pusher:pong").data("{}")
    }

    /// `{"event":"pusher:error","data":{"code":4001,"message":"…"}}`: the one frame whose data is an object.
    pub fn error(code: Option<ErrorCode>, message: &str) -> Self {
        let mut writer = Writer::event("pusher:error");
        writer.raw(r#","data":{"code":"#);
        match code {
            Some(code) => writer.raw(&code.number().to_string()),
            None => writer.raw("null"),
        }
        writer.raw(r#","message":"#);
        writer.string(message);
        writer.raw("}}");
        writer.finish()
    }

    /// `{"event":"pusher_internal:subscription_succeeded","channel":"c","data":"{}"}`
    pub fn subscription_succeeded(channel: &ChannelName) -> Self {
        Writer::event("pusher_internal:subscription_succeeded").channel(channel).data("{}")
    }

    /// The same for a presence channel. `members` are pairs of a user id and its `user_info` as JSON text:
    /// `"data":"{\"presence\":{\"count\":1,\"ids\":[\"10\"],\"hash\":{\"10\":{\"name\":\"Ann\"}}}}"`
    pub fn presence_succeeded<'a>(
        channel: &ChannelName,
        members: impl Iterator<Item = (&'a UserId, &'a str)> + Clone,
    ) -> Self {
        let mut inner = Vec::with_capacity(256);
        inner.extend_from_slice(br#"{"presence":{"count":"#);
        inner.extend_from_slice(members.clone().count().to_string().as_bytes());
        inner.extend_from_slice(br#","ids":["#);
        for (index, (user, _)) in members.clone().enumerate() {
            if index > 0 {
                inner.push(b',');
            }
            write_string(&mut inner, user.as_str());
        }
        inner.extend_from_slice(br#"],"hash":{"#);
        for (index, (user, info)) in members.enumerate() {
            if index > 0 {
                inner.push(b',');
            }
            write_string(&mut inner, user.as_str());
            inner.push(b':');
            inner.extend_from_slice(info.as_bytes());
        }
        inner.extend_from_slice(b"}}}");
        Writer::event("pusher_internal:subscription_succeeded")
            .channel(channel)
            .data(&String::from_utf8_lossy(&inner))
    }

    /// `{"event":"pusher:subscription_error","channel":"c","data":"{\"type\":\"AuthError\",\"error\":\"…\",\"status\":401}"}`
    pub fn subscription_error(channel: &str, kind: &str, message: &str, status: u16) -> Self {
        let mut inner = Vec::with_capacity(96 + message.len());
        inner.extend_from_slice(br#"{"type":"#);
        write_string(&mut inner, kind);
        inner.extend_from_slice(br#","error":"#);
        write_string(&mut inner, message);
        inner.extend_from_slice(format!(r#","status":{status}}}"#).as_bytes());
        Writer::event("pusher:subscription_error")
            .channel_text(channel)
            .data(&String::from_utf8_lossy(&inner))
    }

    /// `{"event":"pusher_internal:subscription_error","channel":"c","data":"⟨message⟩"}`, which .NET clients wait for.
    pub fn dotnet_subscription_error(channel: &str, message: &str) -> Self {
        Writer::event("pusher_internal:subscription_error").channel_text(channel).data(message)
    }

    /// `{"event":"pusher_internal:member_added","channel":"c","data":"{\"user_id\":\"2\",\"user_info\":{…}}"}`
    pub fn member_added(channel: &ChannelName, user: &UserId, info: &str) -> Self {
        let mut inner = Vec::with_capacity(64 + info.len());
        inner.extend_from_slice(br#"{"user_id":"#);
        write_string(&mut inner, user.as_str());
        inner.extend_from_slice(br#","user_info":"#);
        inner.extend_from_slice(info.as_bytes());
        inner.push(b'}');
        Writer::event("pusher_internal:member_added")
            .channel(channel)
            .data(&String::from_utf8_lossy(&inner))
    }

    /// `{"event":"pusher_internal:member_removed","channel":"c","data":"{\"user_id\":\"2\"}"}`
    pub fn member_removed(channel: &ChannelName, user: &UserId) -> Self {
        let mut inner = br#"{"user_id":"#.to_vec();
        write_string(&mut inner, user.as_str());
        inner.push(b'}');
        Writer::event("pusher_internal:member_removed")
            .channel(channel)
            .data(&String::from_utf8_lossy(&inner))
    }

    /// `{"event":"my-event","channel":"c","data":"⟨data as the publisher gave it⟩"}`
    pub fn channel_event(channel: &ChannelName, event: &EventName, data: &str) -> Self {
        let mut writer = Writer::with_capacity(
            64 + event.as_str().len() + channel.as_str().len() + data.len() + data.len() / 4,
        );
        writer.begin(event.as_str());
        writer.channel(channel).data(data)
    }

    /// As [`Self::channel_event`]; on presence channels with the sender's `user_id` behind `data`.
    pub fn client_event(
        channel: &ChannelName,
        event: &str,
        data: &str,
        sender: Option<&UserId>,
    ) -> Self {
        let mut writer = Writer::event(event).channel(channel);
        writer.raw(r#","data":"#);
        writer.string(data);
        if let Some(sender) = sender {
            writer.raw(r#","user_id":"#);
            writer.string(sender.as_str());
        }
        writer.raw("}");
        writer.finish()
    }

    /// `{"event":"pusher:cache_miss","channel":"cache-c","data":"{}"}`
    pub fn cache_miss(channel: &ChannelName) -> Self {
        Writer::event("pusher:cache_miss").channel(channel).data("{}")
    }

    /// `{"event":"pusher_internal:subscription_count","channel":"c","data":"{\"subscription_count\":20}"}`
    pub fn subscription_count(channel: &ChannelName, count: u64) -> Self {
        Writer::event("pusher_internal:subscription_count")
            .channel(channel)
            .data(&format!(r#"{{"subscription_count":{count}}}"#))
    }

    /// `{"event":"pusher:signin_success","data":"{\"user_data\":\"…\"}"}`, the user data as it was received.
    pub fn signin_success(user_data: &str) -> Self {
        let mut inner = br#"{"user_data":"#.to_vec();
        write_string(&mut inner, user_data);
        inner.push(b'}');
        Writer::event("pusher:signin_success").data(&String::from_utf8_lossy(&inner))
    }

    /// `{"event":"pusher_internal:watchlist_events","data":"{\"events\":[{\"name\":\"online\",\"user_ids\":[\"u1\"]}]}"}`;
    /// an empty list is left out.
    pub fn watchlist_events(online: &[UserId], offline: &[UserId]) -> Self {
        let mut inner = br#"{"events":["#.to_vec();
        let mut first = true;
        for (name, users) in [("online", online), ("offline", offline)] {
            if users.is_empty() {
                continue;
            }
            if !first {
                inner.push(b',');
            }
            first = false;
            inner.extend_from_slice(format!(r#"{{"name":"{name}","user_ids":["#).as_bytes());
            for (index, user) in users.iter().enumerate() {
                if index > 0 {
                    inner.push(b',');
                }
                write_string(&mut inner, user.as_str());
            }
            inner.extend_from_slice(b"]}");
        }
        inner.extend_from_slice(b"]}");
        Writer::event("pusher_internal:watchlist_events").data(&String::from_utf8_lossy(&inner))
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Frame({} bytes)", self.len())
    }
}

/// Writes the JSON behind a gap that the header is put into once the length is known.
struct Writer {
    buffer: Vec<u8>,
}

impl Writer {
    fn with_capacity(capacity: usize) -> Self {
        let mut buffer = Vec::with_capacity(MAX_HEADER + capacity);
        buffer.extend_from_slice(&[0; MAX_HEADER]);
        Self { buffer }
    }

    fn event(name: &str) -> Self {
        let mut writer = Self::with_capacity(160);
        writer.begin(name);
        writer
    }

    fn begin(&mut self, name: &str) {
        self.raw(r#"{"event":"#);
        self.string(name);
    }

    fn channel(self, channel: &ChannelName) -> Self {
        self.channel_text(channel.as_str())
    }

    fn channel_text(mut self, channel: &str) -> Self {
        self.raw(r#","channel":"#);
        self.string(channel);
        self
    }

    fn data(mut self, data: &str) -> Frame {
        self.raw(r#","data":"#);
        self.string(data);
        self.raw("}");
        self.finish()
    }

    fn raw(&mut self, text: &str) {
        self.buffer.extend_from_slice(text.as_bytes());
    }

    fn string(&mut self, text: &str) {
        write_string(&mut self.buffer, text);
    }

    fn finish(mut self) -> Frame {
        const FIN_TEXT: u8 = 0x81;
        let length = self.buffer.len() - MAX_HEADER;
        let mut header = Vec::with_capacity(MAX_HEADER);
        header.push(FIN_TEXT);
        match (u8::try_from(length), u16::try_from(length)) {
            (Ok(short @ 0..=125), _) => header.push(short),
            (_, Ok(medium)) => {
                header.push(126);
                header.extend_from_slice(&medium.to_be_bytes());
            }
            _ => {
                header.push(127);
                header.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        let start = MAX_HEADER - header.len();
        if let Some(gap) = self.buffer.get_mut(start..MAX_HEADER) {
            gap.copy_from_slice(&header);
        }
        // a header has at most MAX_HEADER bytes, so its length fits
        let header = u8::try_from(header.len()).unwrap_or_default();
        Frame { bytes: Bytes::from(self.buffer).slice(start..), header }
    }
}

/// Appends a JSON string literal.
fn write_string(buffer: &mut Vec<u8>, text: &str) {
    if serde_json::to_writer(&mut *buffer, text).is_err() {
        // writing a string into memory cannot fail; were it to, the frame stays valid JSON
        buffer.extend_from_slice(b"\"\"");
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation,
        reason = "a test may stop"
    )]

    use super::*;

    fn text(frame: &Frame) -> String {
        String::from_utf8_lossy(&frame.payload()).into_owned()
    }

    #[test]
    fn the_header_tells_the_payload_length() {
        for size in [0, 1, 80, 125, 126, 1000, 65_535, 65_536, 70_000] {
            let channel = ChannelName::parse("c", 164).unwrap();
            let event = EventName::parse("e", 200).unwrap();
            let frame = Frame::channel_event(&channel, &event, &"x".repeat(size));
            let wire = frame.wire();
            let (header, length) = match wire[1] {
                126 => (4, usize::from(u16::from_be_bytes([wire[2], wire[3]]))),
                127 => (10, u64::from_be_bytes(wire[2..10].try_into().unwrap()) as usize),
                short => (2, usize::from(short)),
            };
            assert_eq!(wire.len(), header + length);
            assert_eq!(frame.payload().len(), length);
            assert_eq!(wire[0], 0x81);
        }
    }

    #[test]
    fn frames_read_as_the_protocol_prints_them() {
        let channel = ChannelName::parse("presence-foo", 164).unwrap();
        let user = UserId::member("1").unwrap();
        let other = UserId::member("2").unwrap();
        let members = [(&user, r#"{"name":"Ann"}"#), (&other, "{}")];
        assert_eq!(
            text(&Frame::presence_succeeded(&channel, members.into_iter())),
            r#"{"event":"pusher_internal:subscription_succeeded","channel":"presence-foo","data":"{\"presence\":{\"count\":2,\"ids\":[\"1\",\"2\"],\"hash\":{\"1\":{\"name\":\"Ann\"},\"2\":{}}}}"}"#
        );
        assert_eq!(
            text(&Frame::connection_established(SocketId::new(131_160, 155_806_628), 120)),
            r#"{"event":"pusher:connection_established","data":"{\"socket_id\":\"131160.155806628\",\"activity_timeout\":120}"}"#
        );
        assert_eq!(
            text(&Frame::error(None, "Existing subscription to channel my-channel")),
            r#"{"event":"pusher:error","data":{"code":null,"message":"Existing subscription to channel my-channel"}}"#
        );
        assert_eq!(
            text(&Frame::client_event(&channel, "client-typing", r#"{"n":1}"#, Some(&other))),
            r#"{"event":"client-typing","channel":"presence-foo","data":"{\"n\":1}","user_id":"2"}"#
        );
        assert_eq!(
            text(&Frame::watchlist_events(&[user], &[other])),
            r#"{"event":"pusher_internal:watchlist_events","data":"{\"events\":[{\"name\":\"online\",\"user_ids\":[\"1\"]},{\"name\":\"offline\",\"user_ids\":[\"2\"]}]}"}"#
        );
        assert_eq!(
            text(&Frame::signin_success(r#"{"id":"12345"}"#)),
            r#"{"event":"pusher:signin_success","data":"{\"user_data\":\"{\\\"id\\\":\\\"12345\\\"}\"}"}"#
        );
    }
}
