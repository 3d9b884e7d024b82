//! `tap`: prints what passes through a node, as its operator's port tells it, until it is interrupted or the node ends.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use awc::http::StatusCode;
use awc::http::header::AUTHORIZATION;
use futures_util::StreamExt as _;
use jiff::Timestamp;
use serde_json::Value;

use crate::cli::Tap;
use crate::config::{AdminConfig, ServerConfig};
use crate::visible::visible;

use super::target::{self, TargetError, split_url};
use super::{complain, load, refuse, say};

/// Longest line of the node, in bytes: an event's data and what is said of it.
const MAX_LINE: usize = 4 * 1024 * 1024;
/// Largest error that is read, in bytes.
const MAX_ERROR: usize = 64 * 1024;

/// Follows the tap. Interrupted, or nobody reads any more: success; refused or ended by the node: failure.
pub(crate) fn run(file: Option<&Path>, arguments: &Tap) -> ExitCode {
    let (url, token) = match place(file, arguments) {
        Ok(place) => place,
        Err(TargetError::Settings(errors)) => return refuse(&errors),
        Err(error) => {
            complain(error);
            return ExitCode::FAILURE;
        }
    };
    let url = format!("{url}/tap?{}", query(arguments));
    actix_rt::System::new().block_on(async {
        tokio::select! {
            code = follow(&url, &token, arguments) => code,
            _ = tokio::signal::ctrl_c() => ExitCode::SUCCESS,
        }
    })
}

/// Returns the address of the operator's port and the token: what is given, else what the configuration says.
fn place(file: Option<&Path>, arguments: &Tap) -> Result<(String, String), TargetError> {
    let config = load(file)?.config;
    let url = match &arguments.url {
        Some(url) => {
            let (secure, authority, prefix) =
                split_url(url).ok_or_else(|| TargetError::Url(url.clone()))?;
            format!("{}://{authority}{prefix}", if secure { "https" } else { "http" })
        }
        None => configured(&config).ok_or(TargetError::NoAdmin)?,
    };
    let token = match (&arguments.token, &arguments.url, config.admin) {
        (Some(token), _, _) => token.expose().to_owned(),
        // the token of the configuration is that of its own node
        (None, None, Some(admin)) => admin.token,
        _ => String::new(),
    };
    Ok((url, token))
}

fn configured(config: &ServerConfig) -> Option<String> {
    let AdminConfig { host, port, .. } = config.admin.as_ref()?;
    Some(format!("http://{}:{port}", target::reachable(host)))
}

fn query(arguments: &Tap) -> String {
    let types = arguments.types.join(",");
    let given = [
        ("app", arguments.app.as_deref()),
        ("channel", arguments.channel.as_deref()),
        ("type", Some(types.as_str())),
    ];
    let pairs = given.into_iter().filter_map(|(name, value)| {
        let value = value.filter(|value| !value.is_empty())?;
        Some(format!("{name}={}", encoded(value)))
    });
    pairs.collect::<Vec<_>>().join("&")
}

/// Writes every byte that means something in a query as `%XX`.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~*,".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            write!(encoded, "%{byte:02X}").unwrap_or_default();
        }
    }
    encoded
}

async fn follow(url: &str, token: &str, arguments: &Tap) -> ExitCode {
    let client = match target::client(arguments.ca.as_deref(), None) {
        Ok(client) => client,
        Err(error) => {
            complain(error);
            return ExitCode::FAILURE;
        }
    };
    let mut request = client.get(url);
    if !token.is_empty() {
        request = request.insert_header((AUTHORIZATION, format!("Bearer {token}")));
    }
    let mut answer = match request.send().await {
        Ok(answer) => answer,
        Err(error) => {
            complain(format_args!("no node answers on its operator's port: {error}"));
            return ExitCode::FAILURE;
        }
    };
    if answer.status() != StatusCode::OK {
        let body = answer.body().limit(MAX_ERROR).await.unwrap_or_default();
        complain(format_args!("{}: {}", answer.status(), visible(&String::from_utf8_lossy(&body))));
        return ExitCode::FAILURE;
    }
    complain("looking on");
    let mut lines = Lines::default();
    while let Some(Ok(bytes)) = answer.next().await {
        for line in lines.take(&bytes) {
            if print(&line, arguments.json).is_err() {
                return ExitCode::SUCCESS;
            }
        }
    }
    complain("the node has ended the tap");
    ExitCode::FAILURE
}

/// Prints one line of the stream, if it holds something.
fn print(line: &str, as_json: bool) -> std::io::Result<()> {
    let Some(data) = line.strip_prefix("data: ") else {
        return Ok(());
    };
    let Ok(value) = serde_json::from_str::<Value>(data) else {
        complain(format_args!("not understood: {}", visible(data)));
        return Ok(());
    };
    if let Some(dropped) = value.get("dropped") {
        complain(format_args!("too slow: {dropped} missed here"));
        return Ok(());
    }
    if as_json { say(value) } else { say(describe(&value)) }
}

/// Says in one line what passed.
fn describe(seen: &Value) -> String {
    let millis = seen.get("at").and_then(Value::as_i64).unwrap_or_default();
    let at = Timestamp::from_millisecond(millis).unwrap_or_default().strftime("%H:%M:%S%.3f");
    let field = |name: &str| seen.get(name).and_then(Value::as_str);
    let mut line = format!("{at} {:<14}", visible(field("type").unwrap_or("?")));
    let mut add = |text: &str| {
        line.push(' ');
        line.push_str(&visible(text));
    };
    for (name, label) in
        [("app", "app="), ("channel", ""), ("event", ""), ("socket", "socket="), ("user", "user=")]
    {
        if let Some(value) = field(name) {
            add(&format!("{label}{value}"));
        }
    }
    for name in ["code", "subscribers", "bytes"] {
        if let Some(value) = seen.get(name) {
            add(&format!("{name}={value}"));
        }
    }
    for name in ["text", "data"] {
        if let Some(value) = field(name) {
            add(value);
        }
    }
    line
}

/// Puts lines together from the pieces that arrive.
#[derive(Debug, Default)]
struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// Takes a piece and returns the lines that it completes. A line that is far too long is left out.
    fn take(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        let mut pieces = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            if self.rest.len().saturating_add(piece.len()) <= MAX_LINE {
                self.rest.extend_from_slice(piece);
            }
            if pieces.peek().is_some() {
                let line = std::mem::take(&mut self.rest);
                lines.push(String::from_utf8_lossy(&line).into_owned());
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_are_put_together() {
        let mut lines = Lines::default();
        assert!(lines.take(b"data: {\"a").is_empty());
        assert_eq!(lines.take(b"\":1}\n\n: st"), ["data: {\"a\":1}", ""]);
        assert_eq!(lines.take(b"ill\n"), [": still"]);
    }

    #[test]
    fn what_passed_is_one_line() {
        let event = json!({
            "at": 1_767_225_600_123_i64, "type": "event", "app": "1", "channel": "c", "event": "e",
            "bytes": 3, "data": "a\nb",
        });
        assert_eq!(describe(&event), "00:00:00.123 event          app=1 c e bytes=3 a\\u{a}b");
        let error = json!({"at": 0, "type": "error", "socket": "1.2", "code": 4009, "text": "no"});
        assert_eq!(describe(&error), "00:00:00.000 error          socket=1.2 code=4009 no");
    }

    #[test]
    fn what_is_wanted_goes_into_the_query() {
        assert_eq!(encoded("private-*,a b&c=é"), "private-*,a%20b%26c%3D%C3%A9");
    }
}
