//! `POST /v1/webhooks/{id}/recover`: begins a recovery. The `publish` function carries it out.

#[cfg(test)]
use crate::openapi::requests;
use crate::{
    auth::Manager,
    body::SmallBody,
    fields,
    path::{Named, Path},
    problem::Problem,
    state::ApiState,
    webhooks::find,
};
use application::{
    Error,
    recovery::{self, BeginError},
};
use axum::{Json, extract::State, http::StatusCode};
use domain::{
    id::WebhookId,
    input::{Fields, InputError},
    time::Timestamp,
};
use serde::Serialize;
use std::sync::Arc;

/// A recovery that has begun.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct Recovery {
    /// The webhook that is recovered.
    webhook_id: WebhookId,
    /// The beginning of the window.
    since: String,
    /// The end of the window. If the request has no `until`, it is 5 seconds after the request, because the clocks of workers
    /// differ.
    until: String,
}

/// Recover a webhook's deliveries
///
/// Sends every event that was published in the window, that the webhook subscribes to now, and that is not delivered: held,
/// failed, never sent, or pending and overdue by more than 30 minutes. Each begins a new run of the retry schedule. The oldest
/// are enqueued first. The window may begin before the webhook was registered. Other pending deliveries are left alone. Answers
/// 202 with the window when the recovery has begun. Fails with 404 if the account has no such webhook, and with 409 if the
/// webhook is disabled.
#[cfg_attr(test, utoipa::path(
    post,
    path = "/v1/webhooks/{id}/recover",
    operation_id = "recoverWebhook",
    tag = "Webhooks",
    security(("bearer" = ["manage"])),
    params(("id" = WebhookId, Path, description = "The webhook's id.")),
    request_body = requests::NewRecovery,
    responses(
        (status = 202, description = "The recovery has begun.", body = Recovery),
        (status = 409, description = ""),
    ),
))]
pub(crate) async fn recover(
    Manager(account): Manager,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<WebhookId>,
    body: SmallBody,
) -> Result<(StatusCode, Json<Recovery>), Problem> {
    let app = &state.app;
    let webhook = find(app, &account, id).await?;
    let Window { since, until } = Window::read(body.fields()?, app.clock.now())?;
    let begun = recovery::begin(app, &account, webhook.id, since, until).await?;
    tracing::info!(%account, webhook_id = %id, since = %begun.since, until = %begun.until, "recovery begun");
    let view = Recovery { webhook_id: id, since: begun.since.to_string(), until: begun.until.to_string() };
    Ok((StatusCode::ACCEPTED, Json(view)))
}

/// The window of the request. Without `until`, it ends now, or a few seconds later for events of workers whose clocks are ahead.
struct Window {
    since: Timestamp,
    until: Option<Timestamp>,
}

impl Window {
    fn read(mut fields: Fields, now: Timestamp) -> Result<Self, InputError> {
        let since = fields.required("since", fields::time);
        let until = fields.optional("until", fields::time);
        let end = until.as_ref().ok().copied().flatten().unwrap_or(now);
        if since.as_ref().is_ok_and(|since| *since >= end) {
            fields.fault("/since", "must be before 'until', which is now by default");
        }
        fields.finish(|| Ok(Self { since: since?, until: until? }))
    }
}

impl From<BeginError> for Problem {
    fn from(error: BeginError) -> Self {
        match error {
            BeginError::NotFound => Self::not_found(WebhookId::WHAT),
            BeginError::Disabled => Self::conflict("The webhook is disabled. Enable it first."),
            BeginError::Failed(Error::Store(error)) => error.into(),
            BeginError::Failed(error) => error.into(),
        }
    }
}
