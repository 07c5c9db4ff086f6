//! `POST /v1/webhooks/{id}/recover`: begins a recovery; the `publish` function walks it.

#[cfg(test)]
use crate::openapi::requests;
use crate::{
    ApiState,
    auth::Manager,
    body::SmallBody,
    path::Path,
    problem::Problem,
    webhooks::{find, parse_id},
};
use axum::{Json, extract::State, http::StatusCode};
use hookline::{
    id::{EventId, WebhookId},
    input::{self, Faults},
    queue::{self, Job, Recover},
    store::webhooks,
    time::Timestamp,
    webhook::RecoveryWindow,
};
use serde::Serialize;
use serde_json::value::RawValue;
use std::{sync::Arc, time::Duration};

/// How far a recovery without an end reaches beyond now: an event that was published before it by another worker's clock is
/// in it, if that clock is ahead by no more.
const CLOCK_SKEW: Duration = Duration::from_secs(5);

/// A recovery that has begun.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct Recovery {
    webhook_id: WebhookId,
    since: String,
    until: String,
}

/// Recover a webhook's deliveries
///
/// Re-sends every subscribed event of the time that was not delivered.
#[cfg_attr(test, utoipa::path(
    post,
    path = "/v1/webhooks/{id}/recover",
    operation_id = "recoverWebhook",
    tag = "Webhooks",
    security(("bearer" = ["manage"])),
    params(("id" = WebhookId, Path)),
    request_body = requests::NewRecovery,
    responses(
        (status = 202, description = "It has begun.", body = Recovery),
        (status = 409, description = ""),
    ),
))]
pub(crate) async fn recover(
    Manager(account): Manager,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
    body: SmallBody,
) -> Result<(StatusCode, Json<Recovery>), Problem> {
    let app = &state.app;
    let now = app.clock.now();
    let webhook = find(app, &account, parse_id(&id)?).await?;
    let mut fields = body.fields()?;
    let since = fields.required("since", parse_time);
    let until = fields.optional("until", parse_time);
    if since.is_some_and(|since| since >= until.unwrap_or(now)) {
        fields.fault("/since", "must be before 'until', and in the past");
    }
    fields.finish()?;
    let Some(since) = since else { return Err(Problem::invalid(vec![])) };
    if !webhook.is_enabled() {
        return Err(disabled());
    }
    let until = until.unwrap_or_else(|| now.plus(CLOCK_SKEW));
    let window =
        RecoveryWindow { round: now.unix_ms(), first: EventId::first_at(since), last: EventId::first_at(until) };
    // Before the job: nothing that it sends may still show as held.
    let noted = webhooks::change(app, &account, webhook.id, |webhook| {
        if !webhook.is_enabled() {
            return Err(disabled());
        }
        webhook.note_recovery(window);
        Ok(())
    });
    let webhook = noted.await?.ok_or_else(|| Problem::not_found("webhook"))?;
    let job = Recover::begin(&webhook, window);
    queue::send_job(app, &account, &Job::Recover(job)).await?;
    tracing::info!(account = %account, webhook_id = %webhook.id, %since, %until, "recovery begun");
    let begun = Recovery { webhook_id: webhook.id, since: since.to_string(), until: until.to_string() };
    Ok((StatusCode::ACCEPTED, Json(begun)))
}

fn disabled() -> Problem {
    Problem::conflict("The webhook is disabled: enable it first.")
}

fn parse_time(raw: &RawValue) -> Result<Timestamp, Faults> {
    Ok(Timestamp::parse_rfc3339(&input::string(raw)?)?)
}
