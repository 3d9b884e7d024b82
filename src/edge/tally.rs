//! Counts the API calls of each application, and shows those that fail.

use bytes::Bytes;

use super::api::Call;
use super::body::RequestBody;
use super::{ApiError, Endpoint, auth, sighting};

/// Counts a call by its outcome, if its path names one of the applications.
///
/// Of a refused call the size of the answer is not counted.
pub(super) fn count(
    call: &Call<'_>,
    endpoint: Endpoint<'_>,
    body: &RequestBody,
    outcome: &Result<Bytes, ApiError>,
) {
    let app = endpoint.app().and_then(|id| auth::app_by_id(call, id).ok());
    if let Err(error) = outcome {
        sighting::api_error(call.state.node.tap(), app.as_deref(), error);
    }
    let Some(app) = app else {
        return;
    };
    let metrics = call.state.node.metrics().of(&app.id);
    let calls = match endpoint {
        Endpoint::Trigger { .. } | Endpoint::Batch { .. } => &metrics.triggers,
        _ => &metrics.queries,
    };
    metrics.api_request_bytes.add(body.bytes_read() as u64);
    match outcome {
        Ok(answer) => {
            calls.add(200);
            metrics.api_response_bytes.add(answer.len() as u64);
        }
        Err(error) => {
            calls.add(error.status().as_u16());
            if matches!(error, ApiError::Unauthorized(_)) {
                metrics.signature_failures.add(1);
            }
        }
    }
}
