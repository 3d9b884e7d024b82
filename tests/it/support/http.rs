//! HTTP/1.1 answers, read from a blocking stream.

use std::io::{Read, Write};

use serde_json::Value;

use super::stream::{Stream, is_end};

/// One answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Returns a header by its lower-case name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// Returns the body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// Returns the body as JSON, or fails.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Fails unless the answer is `{"error":"…","code":⟨status⟩}` with this status; returns the text.
    pub(crate) fn error(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.text());
        let kind = self.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("application/json"), "{self:?}");
        let body = self.json();
        assert_eq!(body["code"], status, "{body}");
        body["error"].as_str().expect("a text").to_owned()
    }
}

/// A connection that carries one request after another.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: Stream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Takes a stream that has carried nothing yet.
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// Sends any bytes.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends any bytes to a peer that may have ended the connection already; tells whether it took them.
    pub(crate) fn offer(&mut self, bytes: &[u8]) -> bool {
        match self.stream.write_all(bytes) {
            Ok(()) => true,
            Err(error) if is_end(&error) => false,
            Err(error) => panic!("{error}"),
        }
    }

    /// Sends a request and returns its answer.
    pub(crate) fn ask(&mut self, request: &[u8]) -> Answer {
        self.send(request);
        self.answer().expect("an answer")
    }

    /// Reads the next answer; `None` when the server ends the connection instead.
    pub(crate) fn answer(&mut self) -> Option<Answer> {
        let end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at;
            }
            if !self.fill() {
                assert!(self.buffer.is_empty(), "half an answer");
                return None;
            }
        };
        let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.lines();
        let first = lines.next().unwrap();
        let status = first.split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut answer = Answer { status, headers, body: Vec::new() };
        answer.body = self.body(&answer);
        Some(answer)
    }

    fn body(&mut self, answer: &Answer) -> Vec<u8> {
        if matches!(answer.status, 100..=199 | 204 | 304) {
            return Vec::new();
        }
        if answer.header("transfer-encoding") == Some("chunked") {
            return self.chunks();
        }
        let Some(length) = answer.header("content-length") else {
            while self.fill() {}
            return std::mem::take(&mut self.buffer);
        };
        self.take(length.parse().unwrap())
    }

    fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = loop {
                if let Some(at) = find(&self.buffer, b"\r\n") {
                    break self.take(at + 2);
                }
                assert!(self.fill(), "half a chunk");
            };
            let size = String::from_utf8(line).unwrap();
            let size = usize::from_str_radix(size.trim(), 16).unwrap();
            body.extend(self.take(size));
            assert_eq!(self.take(2), b"\r\n");
            if size == 0 {
                return body;
            }
        }
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            assert!(self.fill(), "the body is cut short");
        }
        self.buffer.drain(..count).collect()
    }

    /// Fails unless the server ends the connection without saying more.
    pub(crate) fn expect_end(&mut self) {
        let more = self.answer();
        assert!(more.is_none(), "{more:?}");
    }

    /// Reads once; `false` at the end of the connection.
    fn fill(&mut self) -> bool {
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => false,
            Ok(count) => {
                self.buffer.extend(&chunk[..count]);
                true
            }
            Err(error) if is_end(&error) => false,
            Err(error) => panic!("no answer in time: {error}"),
        }
    }

    /// Gives up the stream and what was read ahead.
    pub(crate) fn into_parts(self) -> (Stream, Vec<u8>) {
        (self.stream, self.buffer)
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
