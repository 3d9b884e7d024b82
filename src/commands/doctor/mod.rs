//! `doctor`: goes the way of a client, step by step, and says of each step that it is well or what to do.

mod certificate;
mod reach;
mod report;
mod round_trip;
mod silence;
mod talk;
mod upgrade;

use std::path::Path;
use std::process::ExitCode;

use awc::Client;

use crate::cli::{Doctor, Secret, TargetArguments};

use super::complain;
use super::target::Target;
use report::{Report, Step};

/// A key that no application has: a server that speaks Pusher says so, after the upgrade.
const NOBODYS_KEY: &str = "micronotifier-doctor";

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
    let target = match Target::require(file, &target_arguments(arguments, known)) {
        Ok(target) => target,
        Err(code) => return code,
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
        let address = report.tell(Step::Tcp, reach::connect(&addresses).await)?;
        if self.target.is_secure() {
            let roots = self.target.roots();
            report.tell(Step::Tls, certificate::examine(address, &host, roots).await)?;
        } else {
            report.skip(Step::Tls, "not used: the address begins with http://");
        }
        let opened = upgrade::open(self.client, self.target, self.known).await;
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
            let triggered =
                round_trip::trigger(self.client, self.target, &mut talk, &channel).await;
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
    use super::*;

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
