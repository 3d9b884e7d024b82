//! `trigger`: signs one event as a backend does (protocol sections 6.2 and 6.4), sends it, prints the answer.

use std::path::Path;
use std::process::ExitCode;

use awc::http::StatusCode;
use serde_json::json;

use crate::cli::Trigger;
use crate::visible::visible;

use super::answer::refused;
use super::target::Target;
use super::{complain, say};

/// Largest answer that is read, in bytes.
const MAX_ANSWER: usize = 1024 * 1024;

/// Sends the event. Succeeds if the node took it.
pub(crate) fn run(file: Option<&Path>, arguments: &Trigger) -> ExitCode {
    match Target::require(file, &arguments.target) {
        Ok(target) => actix_rt::System::new().block_on(send(&target, arguments)),
        Err(code) => code,
    }
}

async fn send(target: &Target, arguments: &Trigger) -> ExitCode {
    let client = match target.client() {
        Ok(client) => client,
        Err(error) => {
            complain(error);
            return ExitCode::FAILURE;
        }
    };
    let body = body(arguments);
    let path = target.signed_path("events", &body);
    let request = client.post(target.http(&path)).content_type("application/json").send_body(body);
    let mut answer = match request.await {
        Ok(answer) => answer,
        Err(error) => {
            complain(target.unreachable(&error));
            return ExitCode::FAILURE;
        }
    };
    let status = answer.status();
    let text = match answer.body().limit(MAX_ANSWER).await {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => {
            complain(format_args!("the answer cannot be read: {error}"));
            return ExitCode::FAILURE;
        }
    };
    if status == StatusCode::OK {
        return say(visible(&text)).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    complain(visible(&refused(status, text.trim_end(), &target.app_id)));
    ExitCode::FAILURE
}

fn body(arguments: &Trigger) -> String {
    let mut body = json!({
        "name": arguments.event,
        "channels": [arguments.channel],
        "data": arguments.data,
    });
    for (name, value) in [("socket_id", &arguments.socket_id), ("info", &arguments.info)] {
        if let (Some(value), Some(fields)) = (value, body.as_object_mut()) {
            fields.insert(name.to_owned(), json!(value));
        }
    }
    body.to_string()
}
