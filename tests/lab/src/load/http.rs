//! A backend's connection: HTTP/1.1, kept alive, made anew when it has ended.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::sign::App;
use crate::Outcome;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// A connection, or none yet.
#[derive(Debug)]
pub(crate) struct Http {
    address: SocketAddr,
    stream: Option<TcpStream>,
}

impl Http {
    pub(crate) fn to(address: SocketAddr) -> Self {
        Self { address, stream: None }
    }

    /// Asks for a path.
    pub(crate) async fn get(&mut self, path: &str) -> Outcome<Answer> {
        let address = self.address;
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n")).await
    }

    /// Asks the signed API.
    pub(crate) async fn get_signed(
        &mut self,
        app: &App,
        tail: &str,
        info: &str,
    ) -> Outcome<Answer> {
        let path = format!("/apps/{}{tail}", app.id);
        let query = app.query("GET", &path, None, info);
        self.get(&format!("{path}?{query}")).await
    }

    /// Triggers an event: sent once, whatever comes of it.
    pub(crate) async fn trigger(
        &mut self,
        app: &App,
        body: &str,
        key: Option<&str>,
    ) -> Outcome<Answer> {
        let path = format!("/apps/{}/events", app.id);
        let query = app.query("POST", &path, Some(body), "");
        let key = key.map(|key| format!("Idempotency-Key: {key}\r\n")).unwrap_or_default();
        let (address, length) = (self.address, body.len());
        self.ask(&format!(
            "POST {path}?{query} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n{key}\r\n{body}"
        ))
        .await
    }

    async fn ask(&mut self, request: &str) -> Outcome<Answer> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => timeout(PATIENCE, TcpStream::connect(self.address)).await??,
        };
        stream.set_nodelay(true)?;
        let answer = timeout(PATIENCE, converse(&mut stream, request)).await??;
        self.stream = Some(stream);
        Ok(answer)
    }
}

async fn converse(stream: &mut TcpStream, request: &str) -> Outcome<Answer> {
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    loop {
        if let Some(answer) = parse(&bytes)? {
            return Ok(answer);
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err("the connection ended".into());
        }
    }
}

/// Reads an answer with a `Content-Length`; `None` while it has not come whole.
fn parse(bytes: &[u8]) -> Outcome<Option<Answer>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let (head, body) = bytes.split_at_checked(end + 4).ok_or("no head")?;
    let head = std::str::from_utf8(head)?.to_ascii_lowercase();
    let status = head.split(' ').nth(1).ok_or("no status")?.parse()?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = length.map_or(Ok(0), |length| length.trim().parse())?;
    let Some(body) = body.get(..length) else {
        return Ok(None);
    };
    Ok(Some(Answer { status, body: String::from_utf8_lossy(body).into_owned() }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop")]

    use super::*;

    #[test]
    fn an_answer_is_known_only_when_it_is_whole() {
        let text = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}";
        for cut in 0..text.len() {
            assert!(parse(text.split_at(cut).0).unwrap().is_none());
        }
        let answer = parse(text).unwrap().unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (503, "{}"));
    }
}
