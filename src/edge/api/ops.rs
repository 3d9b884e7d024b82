//! What the public port tells without a signature in the `micronotifier` mode: its applications.

use bytes::Bytes;
use serde::Serialize;

use super::{Call, to_json};
use crate::edge::error::ApiError;

#[derive(Serialize)]
struct AppList<'a> {
    applications: Vec<&'a str>,
}

/// Lists the applications by the names of the configuration, in its order:
///
/// ```json
/// {"applications":["testapp","testapp2"]}
/// ```
///
/// # Errors
/// None that a client can cause.
pub(crate) fn apps(call: &Call<'_>) -> Result<Bytes, ApiError> {
    let applications = call
        .state
        .node
        .apps()
        .iter()
        .map(|app| app.alias.as_ref().unwrap_or(&app.id).as_str())
        .collect();
    to_json(&AppList { applications })
}
