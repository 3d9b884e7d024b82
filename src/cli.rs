//! The command line: what may be written, and which command it means.

mod bench;
mod doctor;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};

use crate::commands;
use crate::config::ServerConfig;

pub use bench::Bench;
pub use doctor::Doctor;

/// What an operator needs beside the list of commands.
const AFTER_HELP: &str = "\
Without a command it serves: on http://127.0.0.1:8111, with the operator's page on http://127.0.0.1:9111.
Every key but those inside lists may come from the environment: MICRONOTIFIER__PORT=8150,
MICRONOTIFIER__LOG__LEVEL=debug. All keys: docs/configuration.md.

Exit codes: 0 done; 1 failed; 2 not understood; 64 the configuration is wrong.";

/// A Pusher-compatible realtime node.
#[derive(Debug, Parser)]
#[command(name = "micronotifier", version, about, after_help = AFTER_HELP)]
struct CommandLine {
    /// Configuration file in JSON; without it, the built-in development configuration on localhost.
    #[arg(short, long = "config", value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the node; what happens without a command too.
    Serve,
    /// Says whether a configuration is right, or everything that is wrong with it.
    Check,
    /// Sends one event.
    Trigger(Trigger),
    /// Subscribes to channels and prints their events.
    Listen(Listen),
    /// Prints what passes through a node: events, deliveries, connections, subscriptions, errors.
    ///
    /// It asks the operator's port. A reader that is too slow misses something and is told how much; the node does not wait.
    Tap(Tap),
    /// Loads a node, or any server that speaks Pusher, and counts what arrives and how late.
    ///
    /// Sockets subscribe, signed triggers go out on a fixed schedule, and each delivery is accounted for: latency counts
    /// from when its event was due. Without options it loads the development node on this machine.
    ///
    /// A server refuses what exceeds its own limits, handshakes per second for one; refusals are counted by their cause.
    /// An interrupt (Ctrl-C) ends it early, with the report of what there is.
    ///
    /// Exit codes: 0 everything arrived once and in order; 1 something was refused, lost, doubled, disordered or not
    /// sent in time; 2 an option is wrong; 64 the configuration is wrong.
    Bench(Box<Bench>),
    /// Goes the way of a client to a server and says where it ends, and what to do about it.
    ///
    /// Name, TCP, TLS and its certificate, the upgrade through the proxy; with a key a subscription, and whether a
    /// connection lives through the silence that the server promises its clients; with the secret a signed event.
    ///
    /// Exit codes: 0 all is well; 1 something is to be done; 2 an option is wrong; 64 the configuration is wrong.
    Doctor(Doctor),
}

/// Which node and which application `trigger`, `listen` and `bench` mean.
#[derive(Debug, Clone, Args)]
pub struct TargetArguments {
    /// The node's address, its path prefix included; the configuration's by default.
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Application by id or name; the configuration's first by default.
    #[arg(long, value_name = "ID")]
    pub app: Option<String>,
    /// Key of an application that the configuration does not have.
    #[arg(long, value_name = "KEY", requires = "secret")]
    pub app_key: Option<String>,
    /// Its secret; better in the environment, where other users of the machine do not see it.
    #[arg(long, value_name = "SECRET", env = "MICRONOTIFIER_SECRET", hide_env_values = true)]
    pub secret: Option<Secret>,
    /// Certificates (PEM) to believe instead of the public ones.
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
}

/// A secret given on the command line. `Debug` does not show it.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Returns the secret.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(secret: String) -> Self {
        Self(secret)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

/// Arguments of `trigger`.
#[derive(Debug, Clone, Args)]
pub struct Trigger {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take it as help text")]
    pub target: TargetArguments,
    /// Connection that gets no copy.
    #[arg(long, value_name = "ID")]
    pub socket_id: Option<String>,
    /// Attributes of the channel to ask for, as the API takes them.
    #[arg(long, value_name = "NAMES")]
    pub info: Option<String>,
    /// Channel that gets the event.
    pub channel: String,
    /// Name of the event.
    pub event: String,
    /// Data of the event, sent byte for byte.
    pub data: String,
}

/// Arguments of `listen`.
#[derive(Debug, Clone, Args)]
pub struct Listen {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take it as help text")]
    pub target: TargetArguments,
    /// Who joins presence channels.
    #[arg(long, value_name = "ID")]
    pub user: Option<String>,
    /// What presence channels tell of that user, in JSON.
    #[arg(long, value_name = "JSON", requires = "user")]
    pub info: Option<String>,
    /// Prints a JSON object for each event.
    #[arg(long)]
    pub json: bool,
    /// Channels to subscribe to.
    #[arg(required = true, value_name = "CHANNEL")]
    pub channels: Vec<String>,
}

/// Arguments of `tap`.
#[derive(Debug, Clone, Args)]
pub struct Tap {
    /// Address of the operator's port, such as `http://127.0.0.1:9111`; the configuration's by default.
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// The admin token; better in the environment, where other users of the machine do not see it.
    #[arg(long, value_name = "TOKEN", env = "MICRONOTIFIER_ADMIN_TOKEN", hide_env_values = true)]
    pub token: Option<Secret>,
    /// Certificates (PEM) to believe instead of the public ones, where a proxy adds TLS.
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Shows this application alone, by id or name.
    #[arg(long, value_name = "ID")]
    pub app: Option<String>,
    /// Shows this channel alone; with a `*` at its end, all that begin so.
    #[arg(long, value_name = "NAME")]
    pub channel: Option<String>,
    /// Shows these types alone: event, delivery, client-event, connection, disconnection, subscription,
    /// unsubscription, error.
    #[arg(long = "type", value_name = "TYPES", value_delimiter = ',')]
    pub types: Vec<String>,
    /// Prints a JSON object for each.
    #[arg(long)]
    pub json: bool,
}

/// Reads the command line and carries it out. `serve` runs the node until it is told to stop.
///
/// Exit codes: 0 done, 1 failed, 2 not understood, 64 the configuration is wrong.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    serve: impl FnOnce(ServerConfig) -> io::Result<()>,
) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let line = match CommandLine::try_parse_from(&arguments) {
        Ok(line) => line,
        Err(error) => {
            // Help and version go to standard output; there is nobody to tell if that is closed.
            error.print().unwrap_or_default();
            if let Some(line) = with_option(error.kind(), &arguments) {
                commands::complain(format_args!("\na configuration is given with -c: {line}"));
            }
            return u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from);
        }
    };
    let file = line.config.as_deref();
    match line.command.unwrap_or(Command::Serve) {
        Command::Serve => commands::serve::run(file, serve),
        Command::Check => commands::check::run(file),
        Command::Trigger(arguments) => commands::trigger::run(file, &arguments),
        Command::Listen(arguments) => commands::listen::run(file, &arguments),
        Command::Tap(arguments) => commands::tap::run(file, &arguments),
        Command::Bench(arguments) => commands::bench::run(file, &arguments),
        Command::Doctor(arguments) => commands::doctor::run(file, &arguments),
    }
}

/// Returns the line that was meant where a configuration stands in the place of a command, or after one.
fn with_option(kind: ErrorKind, arguments: &[OsString]) -> Option<String> {
    if !matches!(kind, ErrorKind::InvalidSubcommand | ErrorKind::UnknownArgument) {
        return None;
    }
    let (command, file) = match arguments {
        [_, file] => (String::new(), file),
        [_, option, file] if option.as_encoded_bytes().starts_with(b"-") => (String::new(), file),
        [_, command, file] => (format!("{} ", command.display()), file),
        _ => return None,
    };
    let path = Path::new(file);
    let is_meant = path.extension().is_some_and(|end| end == "json") || path.is_file();
    is_meant.then(|| format!("micronotifier {command}-c {}", path.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &str) -> CommandLine {
        CommandLine::try_parse_from(line.split(' ')).unwrap()
    }

    #[test]
    fn is_sound() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn the_file_stands_before_or_after_the_command() {
        for line in [
            "micronotifier -c a.json",
            "micronotifier -c a.json serve",
            "micronotifier serve -c a.json",
            "micronotifier --config a.json",
            "micronotifier check -c a.json",
        ] {
            assert_eq!(parse(line).config.as_deref(), Some(Path::new("a.json")), "{line}");
        }
        assert!(parse("micronotifier").command.is_none());
    }

    #[test]
    fn a_secret_never_shows() {
        let line = parse("micronotifier listen --app-key k --secret donotshow a b");
        let shown = format!("{line:?}");
        assert!(!shown.contains("donotshow"), "{shown}");
        let Some(Command::Listen(listen)) = line.command else {
            panic!("{shown}");
        };
        assert_eq!(listen.channels, ["a", "b"]);
        assert_eq!(listen.target.secret.unwrap().expose(), "donotshow");
    }
}
