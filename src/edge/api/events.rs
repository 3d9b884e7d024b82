//! POST `/events` and `/batch_events`: the trigger.

use std::sync::Arc;

use bytes::Bytes;
use micronotifier_actors::config::App;
use micronotifier_actors::protocol::ChannelName;
use micronotifier_actors::{NodeError, Repeatable};

use super::publication::{Order, Wanted};
use super::{Call, empty_object, to_json};
use crate::edge::auth::Signed;
use crate::edge::error::ApiError;
use crate::edge::idempotency::{self, Fingerprint, Known};
use crate::edge::rate::Allowance;
use crate::edge::state::EdgeState;

/// Which of the two bodies it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// One event for many channels.
    Single,
    /// Many events, each for one channel.
    Batch,
}

/// The longest JSON escape of one byte, `\u0000`.
const ESCAPED_BYTE: usize = 6;
/// Room for white space, the other fields, and fields that are not ours.
const SLACK_BYTES: usize = 16 * 1024;

/// Returns the largest body of a trigger, in bytes: everything at its own limit and fully escaped.
pub(crate) fn trigger_bytes(app: &App) -> usize {
    let limits = &app.limits;
    let channel = limits.channel_name.saturating_mul(ESCAPED_BYTE);
    event_bytes(app).saturating_add(channel.saturating_mul(limits.channels_per_event))
}

/// Returns the largest body of a batch, in bytes.
pub(crate) fn batch_bytes(app: &App) -> usize {
    event_bytes(app).saturating_mul(app.limits.events_per_batch)
}

fn event_bytes(app: &App) -> usize {
    let text = app.limits.event_data_bytes.saturating_add(app.limits.event_name);
    text.saturating_mul(ESCAPED_BYTE).saturating_add(SLACK_BYTES)
}

/// Publishes what a body says, once for each idempotency key.
///
/// # Errors
/// 400, 413, 422, 429 and 503; then nothing was published, unless the node did not answer in time.
pub(crate) async fn publish(
    call: &Call<'_>,
    signed: Signed<'_>,
    form: Form,
) -> Result<Bytes, ApiError> {
    let Signed { app, body, .. } = signed;
    match idempotency::key_of(call.request.headers())? {
        None => carry_out(call.state, &app, &body, form, None).await,
        Some(key) => once(call.state, &key, app, body, form).await,
    }
}

async fn once(
    state: &EdgeState,
    key: &Arc<str>,
    app: Arc<App>,
    body: Bytes,
    form: Form,
) -> Result<Bytes, ApiError> {
    let endpoint = match form {
        Form::Single => "events",
        Form::Batch => "batch_events",
    };
    let request = Fingerprint::of(endpoint, &body);
    let ticket = loop {
        let now = state.clock.now();
        match state.idempotency.ask(&app.id, key, request, now) {
            Known::New(ticket) => break ticket,
            Known::Running(running) => running.ended().await,
            Known::Answered(answer) => return Ok(answer),
            Known::Unknown(ticket) if state.node.finds_repeats(&app) => break ticket,
            Known::Unknown(ticket) => {
                ticket.lose();
                return Err(ApiError::from(NodeError::TimedOut));
            }
            Known::Different => return Err(ApiError::KeyReused),
        }
    };
    // On its own, so that a client who hangs up and asks again still gets this answer.
    let (state, repeatable) = (state.clone(), request.repeatable(key));
    let work = actix_rt::spawn(async move {
        let answer = carry_out(&state, &app, &body, form, Some(repeatable)).await;
        match &answer {
            Ok(answer) => ticket.answer(answer.clone()),
            // the events may be out, and must not go out twice
            Err(ApiError::Node(NodeError::TimedOut)) => ticket.lose(),
            Err(_) => drop(ticket),
        }
        answer
    });
    work.await.unwrap_or(Err(ApiError::Internal))
}

/// Publishes what a body says, once more each time it is asked.
///
/// # Errors
/// As [`publish`], but 422.
pub(crate) async fn carry_out(
    state: &EdgeState,
    app: &Arc<App>,
    body: &[u8],
    form: Form,
    repeatable: Option<Repeatable>,
) -> Result<Bytes, ApiError> {
    let order = match form {
        Form::Single => Order::of_trigger(body, app)?,
        Form::Batch => Order::of_batch(body, app)?,
    };
    state.rates.take(
        &app.id,
        Allowance::Events,
        app.limits.backend_events_per_second,
        order.events.len(),
        state.clock.now(),
    )?;
    let metrics = state.node.metrics().of(&app.id);
    let count = order.events.len() as u64;
    if order.wanted == Wanted::Nothing {
        state.node.publish(app, order.events, repeatable).await?;
        metrics.published.add(count);
        return Ok(empty_object());
    }
    let channels: Vec<ChannelName> =
        order.events.iter().map(|event| event.channel.clone()).collect();
    let facts = state.node.publish_and_describe(app, order.events, repeatable).await?;
    metrics.published.add(count);
    to_json(&order.wanted.tell(app, channels, &facts))
}
