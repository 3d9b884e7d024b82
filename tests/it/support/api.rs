//! A backend: signs requests of the HTTP API and sends them.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::apps::{TestApp, md5_hex};
use super::http::{Answer, Connection};
use super::stream::Stream;

/// Returns the seconds since 1970.
pub(crate) fn unix_now() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(elapsed.as_secs()).unwrap()
}

/// One request before it is signed.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) app: TestApp,
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) timestamp: String,
}

impl Call {
    /// A GET below `/apps/⟨id⟩`.
    pub(crate) fn get(app: TestApp, tail: &str) -> Self {
        Self {
            app,
            method: "GET",
            path: format!("/apps/{}{tail}", app.id),
            query: Vec::new(),
            headers: Vec::new(),
            body: None,
            timestamp: unix_now().to_string(),
        }
    }

    /// A POST below `/apps/⟨id⟩`.
    pub(crate) fn post(app: TestApp, tail: &str, body: &Value) -> Self {
        Self::post_text(app, tail, &body.to_string())
    }

    /// A POST with any body.
    pub(crate) fn post_text(app: TestApp, tail: &str, body: &str) -> Self {
        Self {
            method: "POST",
            body: Some(body.as_bytes().to_vec()),
            headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
            ..Self::get(app, tail)
        }
    }

    /// Adds a query parameter.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Takes another path than that of its application.
    pub(crate) fn on_path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// Signs with another time.
    pub(crate) fn at(mut self, timestamp: impl ToString) -> Self {
        self.timestamp = timestamp.to_string();
        self
    }

    /// Returns the query with everything that is signed, without the signature.
    pub(crate) fn signed_pairs(&self) -> Vec<(String, String)> {
        let mut pairs = vec![
            ("auth_key".to_owned(), self.app.key.to_owned()),
            ("auth_timestamp".to_owned(), self.timestamp.clone()),
            ("auth_version".to_owned(), "1.0".to_owned()),
        ];
        if let Some(body) = &self.body {
            pairs.push(("body_md5".to_owned(), md5_hex(body)));
        }
        pairs.extend(self.query.iter().cloned());
        pairs
    }

    /// Returns the text that these pairs sign.
    pub(crate) fn text_to_sign(&self, pairs: &[(String, String)]) -> String {
        let mut sorted: Vec<(String, String)> =
            pairs.iter().map(|(name, value)| (name.to_lowercase(), value.clone())).collect();
        sorted.sort_by(|left, right| left.0.cmp(&right.0));
        format!("{}\n{}\n{}", self.method, self.path, joined(&sorted))
    }

    /// Returns the query with its signature last.
    pub(crate) fn signed_query(&self) -> Vec<(String, String)> {
        let mut pairs = self.signed_pairs();
        let signature = self.app.sign(&self.text_to_sign(&pairs));
        pairs.push(("auth_signature".to_owned(), signature));
        pairs
    }

    /// Returns the signed request.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let query = joined(&self.signed_query());
        self.bytes_with(&query.replace('#', "%23").replace(' ', "%20"))
    }

    /// Returns the request with any query.
    pub(crate) fn bytes_with(&self, query: &str) -> Vec<u8> {
        let mut head = format!("{} {}?{query} HTTP/1.1\r\nHost: node\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let body = self.body.as_deref().unwrap_or_default();
        if self.body.is_some() {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        [head.as_bytes(), body].concat()
    }
}

/// Joins pairs as they stand, without escaping.
pub(crate) fn joined(pairs: &[(String, String)]) -> String {
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// A backend's connection, kept alive between requests.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) app: TestApp,
    pub(crate) connection: Connection,
}

impl Api {
    /// Opens the connection of an application's backend.
    pub(crate) fn new(app: TestApp, stream: Stream) -> Self {
        Self { app, connection: Connection::new(stream) }
    }

    /// Sends a signed request.
    pub(crate) fn call(&mut self, call: &Call) -> Answer {
        self.connection.ask(&call.bytes())
    }

    /// Sends a signed GET with query parameters.
    pub(crate) fn get(&mut self, tail: &str, query: &[(&str, &str)]) -> Answer {
        let mut call = Call::get(self.app, tail);
        for (name, value) in query {
            call = call.with(name, value);
        }
        self.call(&call)
    }

    /// Sends a signed POST.
    pub(crate) fn post(&mut self, tail: &str, body: &Value) -> Answer {
        self.call(&Call::post(self.app, tail, body))
    }

    /// Triggers one event and fails unless the answer is `200 {}`.
    pub(crate) fn trigger(&mut self, channel: &str, event: &str, data: &str) {
        let body = json!({"name": event, "channels": [channel], "data": data});
        let answer = self.post("/events", &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json(), json!({}));
    }
}
