//! One connection of the floor: a backend's or, once upgraded, a client's.

use std::io::{self, Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem::find;
use mio::net::TcpStream;
use sha1::{Digest as _, Sha1};

/// What every server appends to the client's key (RFC 6455, section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const ACCEPTED: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}";

/// What a connection wants of the others.
pub(crate) enum Heard {
    Subscribe { channel: String },
    Event { channel: String, frame: Vec<u8> },
}

pub(crate) struct Peer {
    socket: TcpStream,
    unread: Vec<u8>,
    unsent: Vec<u8>,
    is_upgraded: bool,
}

impl Peer {
    pub(crate) fn new(socket: TcpStream) -> Self {
        Self { socket, unread: Vec::new(), unsent: Vec::new(), is_upgraded: false }
    }

    /// Writes bytes with one system call; what the socket does not take waits.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        if !self.unsent.is_empty() {
            self.unsent.extend_from_slice(bytes);
            return;
        }
        let count = self.socket.write(bytes).unwrap_or(0);
        let rest = bytes.get(count..).unwrap_or_default();
        self.unsent.extend_from_slice(rest);
    }

    /// Writes and reads what the socket allows; `false` when the connection is over.
    pub(crate) fn pump(&mut self, id: usize, buffer: &mut [u8], found: &mut Vec<Heard>) -> bool {
        if !self.unsent.is_empty() {
            let unsent = std::mem::take(&mut self.unsent);
            self.send(&unsent);
        }
        loop {
            match self.socket.read(buffer) {
                Ok(0) => return false,
                Ok(count) => {
                    let fresh = buffer.get(..count).unwrap_or_default();
                    self.unread.extend_from_slice(fresh);
                    while self.take_one(id, found).is_some() {}
                }
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
        }
    }

    /// Takes one request or frame in; `None` while it is not whole, or makes no sense.
    fn take_one(&mut self, id: usize, found: &mut Vec<Heard>) -> Option<()> {
        if self.is_upgraded {
            return self.take_frame(found);
        }
        let end = find(&self.unread, b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(self.unread.get(..end)?).to_string();
        if head.starts_with("GET /app/") {
            let answer = handshake(header(&head, "sec-websocket-key:")?, id);
            self.is_upgraded = true;
            self.unread.drain(..end + 4);
            self.send(&answer);
        } else {
            let length = header(&head, "content-length:").map_or(Some(0), |text| text.parse().ok());
            let body = end + 4..(end + 4).checked_add(length?)?;
            let text = String::from_utf8_lossy(self.unread.get(body.clone())?).to_string();
            self.unread.drain(..body.end);
            found.push(event(&text));
            self.send(ACCEPTED);
        }
        Some(())
    }

    fn take_frame(&mut self, found: &mut Vec<Heard>) -> Option<()> {
        let (&[_, second], rest) = self.unread.split_first_chunk()?;
        let (length, header) = match second & 0x7f {
            126 => (usize::from(u16::from_be_bytes(*rest.first_chunk()?)), 8),
            short => (usize::from(short), 6),
        };
        let key = self.unread.get(header - 4..header)?;
        let masked = self.unread.get(header..header + length)?;
        let payload: Vec<u8> =
            masked.iter().zip(key.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        self.unread.drain(..header + length);
        let text = String::from_utf8_lossy(&payload).to_string();
        if text.contains("pusher:subscribe") {
            let channel = field(&text, "\"channel\"")?.to_owned();
            self.send(&frame(&format!(
                r#"{{"event":"pusher_internal:subscription_succeeded","channel":"{channel}","data":"{{}}"}}"#
            )));
            found.push(Heard::Subscribe { channel });
        }
        Some(())
    }
}

/// Returns the answer to an upgrade and `pusher:connection_established`.
fn handshake(key: &str, id: usize) -> Vec<u8> {
    let mut digest = Sha1::new();
    digest.update(key.as_bytes());
    digest.update(GUID);
    let accept = STANDARD.encode(digest.finalize());
    let mut answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
    .into_bytes();
    answer.extend(frame(&format!(
        r#"{{"event":"pusher:connection_established","data":"{{\"socket_id\":\"{id}.1\",\"activity_timeout\":120}}"}}"#
    )));
    answer
}

/// Makes the frame of a trigger. Its data is expected without escapes, and goes out as it came.
fn event(body: &str) -> Heard {
    let channel = field(body, "\"channels\"").unwrap_or_default();
    let data = field(body, "\"data\"").unwrap_or_default();
    let frame = frame(&format!(r#"{{"event":"ev","channel":"{channel}","data":"{data}"}}"#));
    Heard::Event { channel: channel.to_owned(), frame }
}

fn frame(payload: &str) -> Vec<u8> {
    let mut frame = vec![0x81];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ 0..126), _) => frame.push(short),
        (_, Ok(medium)) => {
            frame.push(126);
            frame.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            frame.push(127);
            frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload.as_bytes());
    frame
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let line = |line: &'h str| {
        let (start, value) = line.split_at_checked(name.len())?;
        start.eq_ignore_ascii_case(name).then(|| value.trim())
    };
    head.lines().find_map(line)
}

/// Returns the first string behind a name in JSON text.
fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(name)?;
    let value = rest.trim_start_matches(['"', ':', ' ', '[']);
    value.split_once('"').map(|(value, _)| value)
}
