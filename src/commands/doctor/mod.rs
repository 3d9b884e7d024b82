//! `doctor`: goes the way of a client, step by step, and says of each step that it is well or what to do.

mod certificate;
mod chain;
mod reach;
mod report;
mod round_trip;
mod silence;
mod talk;
mod upgrade;

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use awc::Client;

use crate::cli::{Doctor, Secret, TargetArguments};

use super::target::{Target, TargetError};
use super::{complain, refuse};
use report::{Report, Step};

/// A key that no application has: a server that speaks Pusher says so, after the upgrade.
const NOBODYS_KEY: &str = "micronotifier-doctor";

/// An option is wrong: what clap ends with.
const EXIT_OPTION: u8 = 2;

/// What is known of the application: how far the examination can go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Nothing,
    Key,
    Secret,
}

impl Known {
    /// A configuration that nobody named says nothing about a server elsewhere.
    fn of(file: Option<&Path>, arguments: &Doctor) -> Self {
        match (&arguments.app_key, &arguments.secret) {
            (Some(_), Some(_)) => Self::Secret,
            (Some(_), None) => Self::Key,
            (None, _) => {
                let is_named = file.is_some() || arguments.app.is_some() || arguments.url.is_none();
                if is_named { Self::Secret } else { Self::Nothing }
            }
        }
    }
}

/// Examines the way to a server. All is well: success.
pub(crate) fn run(file: Option<&Path>, arguments: &Doctor) -> ExitCode {
    let known = Known::of(file, arguments);
    let target = match Target::find(file, &target_arguments(arguments, known)) {
        Ok(target) => target,
        Err(TargetError::Settings(errors)) => return refuse(&errors),
        Err(error) => {
            complain(error);
            return ExitCode::from(EXIT_OPTION);
        }
    };
    actix_rt::System::new().block_on(async {
        let client = match target.client() {
            Ok(client) => client,
            Err(error) => {
                complain(error);
                return ExitCode::FAILURE;
            }
        };
        let mut report = Report::default();
        let visit = Visit { target: &target, client: &client, known, quick: arguments.quick };
        // `None` is a step that could not be passed, which the report has.
        visit.make(&mut report).await.unwrap_or_default();
        report.finish()
    })
}

fn target_arguments(arguments: &Doctor, known: Known) -> TargetArguments {
    // Where the secret is not known nothing is signed.
    let unused = || Secret::from(String::new());
    let (app_key, secret) = match known {
        Known::Nothing => (Some(NOBODYS_KEY.to_owned()), Some(unused())),
        Known::Key => (arguments.app_key.clone(), Some(unused())),
        Known::Secret => (arguments.app_key.clone(), arguments.secret.clone()),
    };
    TargetArguments {
        url: arguments.url.clone(),
        app: arguments.app.clone(),
        app_key,
        secret,
        ca: arguments.ca.clone(),
    }
}

/// Where to, by which of its addresses, and with what.
#[derive(Clone, Copy)]
struct Way<'v> {
    target: &'v Target,
    client: &'v Client,
    address: SocketAddr,
}

/// One examination.
struct Visit<'v> {
    target: &'v Target,
    client: &'v Client,
    known: Known,
    quick: bool,
}

impl Visit<'_> {
    /// Takes one step after the other, until one cannot be passed.
    async fn make(&self, report: &mut Report) -> Option<()> {
        let (host, port) = self.target.host_and_port();
        let addresses = report.tell(Step::Name, reach::resolve(&host, port).await)?;
        let answering = report.tell(Step::Tcp, reach::connect(&addresses).await)?;
        let address = if self.target.is_secure() {
            let roots = self.target.roots();
            report.tell(Step::Tls, certificate::examine(&answering, &host, roots).await)?
        } else {
            report.skip(Step::Tls, "not used: the address begins with http://");
            *answering.first()?
        };
        let way = Way { target: self.target, client: self.client, address };
        let opened = upgrade::open(way, self.known).await;
        let Some(mut talk) = report.tell(Step::Upgrade, opened)? else {
            for step in [Step::Subscribe, Step::Trigger, Step::Silence] {
                report.skip(step, "needs the key of an application: --app-key");
            }
            return Some(());
        };
        let is_signed = self.known == Known::Secret;
        let subscribed = round_trip::subscribe(&mut talk, self.target, is_signed).await;
        let channel = report.tell(Step::Subscribe, subscribed)?;
        if is_signed {
            let triggered = round_trip::trigger(way, &mut talk, &channel).await;
            report.tell(Step::Trigger, triggered)?;
        } else {
            report.skip(Step::Trigger, "needs the secret: in MICRONOTIFIER_SECRET, or --secret");
        }
        if self.quick {
            report.skip(Step::Silence, "left out: --quick");
            return Some(());
        }
        complain(format_args!(
            "silent for up to {} s, as clients are; --quick leaves this out",
            talk.activity_timeout().as_secs()
        ));
        report.tell(Step::Silence, silence::bear(&mut talk).await)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop")]

    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread;

    use actix_rt::task::spawn_blocking;

    use super::*;

    /// Answers one request with 404 and returns how it began.
    fn refuse_one(listener: &TcpListener) -> String {
        let (mut stream, _) = listener.accept().unwrap();
        let mut start = [0; 16];
        stream.read_exact(&mut start).unwrap();
        stream
            .write_all(b"HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            .unwrap();
        // until the client has read it
        stream.read_to_end(&mut Vec::new()).unwrap_or_default();
        String::from_utf8(start.to_vec()).unwrap()
    }

    #[actix_rt::test]
    async fn what_follows_goes_to_the_address_that_answered() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || [refuse_one(&listener), refuse_one(&listener)]);
        let text = |text: &str| Some(text.to_owned());
        let arguments = TargetArguments {
            url: text("http://nosuch.invalid"),
            app: text("1"),
            app_key: text("key"),
            secret: Some(Secret::from("secret".to_owned())),
            ca: None,
        };
        let target = Target::find(None, &arguments).unwrap();
        let client = target.client().unwrap();
        let way = Way { target: &target, client: &client, address };
        let opened = upgrade::open(way, Known::Key).await;
        assert!(opened.words.contains("no Pusher server at this path"), "{}", opened.words);
        let sent = round_trip::send(way, "a-channel").await.unwrap_err();
        assert!(sent.contains("the API has no application 1"), "{sent}");
        let asked = spawn_blocking(move || server.join().unwrap()).await.unwrap();
        assert_eq!(asked, ["GET /app/key?pro", "POST /apps/1/eve"]);
    }

    #[test]
    fn a_configuration_that_nobody_named_is_not_asked_about_another_server() {
        let doctor = |url: Option<&str>, app_key: Option<&str>, secret: Option<&str>| Doctor {
            url: url.map(str::to_owned),
            app: None,
            app_key: app_key.map(str::to_owned),
            secret: secret.map(|secret| Secret::from(secret.to_owned())),
            ca: None,
            quick: true,
        };
        let there = Some("https://push.example.com");
        let file = Path::new("node.json");
        for (known, file, arguments) in [
            (Known::Nothing, None, doctor(there, None, None)),
            (Known::Nothing, None, doctor(there, None, Some("s"))),
            (Known::Key, None, doctor(there, Some("k"), None)),
            (Known::Secret, None, doctor(there, Some("k"), Some("s"))),
            (Known::Secret, Some(file), doctor(there, None, None)),
            (Known::Secret, None, doctor(None, None, None)),
        ] {
            assert_eq!(Known::of(file, &arguments), known, "{arguments:?}");
        }
    }
}
