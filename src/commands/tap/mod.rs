//! `tap`: prints what passes through a node, as its operator's port tells it, until it is interrupted or the node ends.

mod lines;

use std::fmt::{Display, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use awc::error::{PayloadError, SendRequestError};
use awc::http::StatusCode;
use awc::http::header::AUTHORIZATION;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use tokio::time::timeout;

use crate::cli::Tap;
use crate::config::{AdminConfig, ServerConfig};
use crate::visible::visible;

use self::lines::{Lines, Told};
use super::target::{self, TargetError, split_url};
use super::{complain, load, refuse, say};

/// Largest error that is read, in bytes.
const MAX_ERROR: usize = 64 * 1024;
/// How long the node may say nothing at all: three times as long as it ever waits before a sign of life.
const SILENCE: Duration = Duration::from_secs(45);

/// Why there is no stream.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error("no node answers on its operator's port: {0}")]
    Unreachable(SendRequestError),
    #[error("what answers speaks no TLS: try an address that begins with http://")]
    NoTls,
    #[error(
        "that is not an operator's port: it is admin-port of the configuration, 9111 where nothing else is said"
    )]
    NoOperator,
    #[error("{status}: {text}")]
    Status { status: StatusCode, text: String },
}

/// How a stream came to its end.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum End {
    #[error("nobody reads what is printed")]
    NoReader,
    #[error("the node has ended the tap")]
    Ended,
    #[error("nothing has come for {} seconds, not even a sign of life: the node cannot be reached", .0.as_secs())]
    Silent(Duration),
    #[error("the connection to the node is lost: {0}")]
    Lost(String),
}

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
    let end = match open(url, token, arguments.ca.as_deref(), target::ANSWER).await {
        Ok(mut stream) => {
            complain("looking on");
            read(&mut stream, SILENCE, arguments.json).await
        }
        Err(refused) => {
            complain(refused);
            return ExitCode::FAILURE;
        }
    };
    match end {
        End::NoReader => ExitCode::SUCCESS,
        end => {
            complain(end);
            ExitCode::FAILURE
        }
    }
}

/// Asks for the stream; the node must answer within `wait`.
async fn open(
    url: &str,
    token: &str,
    ca: Option<&Path>,
    wait: Duration,
) -> Result<impl Stream<Item = Result<Bytes, PayloadError>> + Unpin, Refused> {
    let mut request = target::client(ca, wait)?.get(url);
    if !token.is_empty() {
        request = request.insert_header((AUTHORIZATION, format!("Bearer {token}")));
    }
    let answer = request.send().await.map_err(|error| {
        if target::speaks_no_tls(&error) { Refused::NoTls } else { Refused::Unreachable(error) }
    })?;
    let status = answer.status();
    match status {
        StatusCode::OK => return Ok(answer),
        StatusCode::NOT_FOUND => return Err(Refused::NoOperator),
        _ => {}
    }
    let body = answer.timeout(wait).body().limit(MAX_ERROR).await.unwrap_or_default();
    let text = visible(&String::from_utf8_lossy(&body)).into_owned();
    Err(Refused::Status { status, text })
}

/// Prints what the stream tells, until it ends or nothing comes for `silence`.
async fn read<E: Display>(
    stream: &mut (impl Stream<Item = Result<Bytes, E>> + Unpin),
    silence: Duration,
    as_json: bool,
) -> End {
    let mut lines = Lines::new(as_json);
    loop {
        let bytes = match timeout(silence, stream.next()).await {
            Ok(Some(Ok(bytes))) => bytes,
            Ok(Some(Err(error))) => return End::Lost(error.to_string()),
            Ok(None) => return End::Ended,
            Err(_) => return End::Silent(silence),
        };
        for told in lines.take(&bytes) {
            match told {
                Told::Note(line) => complain(line),
                Told::Passed(line) if say(&line).is_err() => return End::NoReader,
                Told::Passed(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop")]

    use std::io;
    use std::net::TcpListener;

    use futures_util::stream;

    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    #[actix_rt::test]
    async fn who_takes_the_connection_and_says_nothing_is_given_up() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/tap?", silent.local_addr().unwrap());
        let refused = open(&url, "", None, SOON).await.err().unwrap();
        assert!(matches!(refused, Refused::Unreachable(SendRequestError::Timeout)), "{refused}");
    }

    #[actix_rt::test]
    async fn it_is_said_how_the_stream_ended() {
        let sign = Ok(Bytes::from_static(b": still there\n\n"));
        let lost = Err(io::Error::other("no route"));
        let mut broken = stream::iter([sign, lost]);
        let end = read(&mut broken, SOON, false).await;
        assert_eq!(end, End::Lost("no route".to_owned()));
        let mut whole = stream::empty::<Result<_, io::Error>>();
        assert_eq!(read(&mut whole, SOON, false).await, End::Ended);
        let mut silent = stream::pending::<Result<_, io::Error>>();
        assert_eq!(read(&mut silent, SOON, false).await, End::Silent(SOON));
    }

    #[test]
    fn what_is_wanted_goes_into_the_query() {
        assert_eq!(encoded("private-*,a b&c=é"), "private-*,a%20b%26c%3D%C3%A9");
    }
}
