//! `POST /v1/webhooks/{id}/rotate-secret`: sets a new secret, with an overlap in which the old ones sign too.

#[cfg(test)]
use crate::openapi::requests;
use crate::{
    auth::Manager,
    body::SmallBody,
    fields,
    path::{Named, Path},
    problem::Problem,
    state::ApiState,
    webhooks::WebhookWithSecret,
};
use application::rotation::{self, Rotation, RotationError};
use axum::{Json, extract::State};
use domain::{
    id::WebhookId,
    input::{self, Faults, Fields, InputError},
    time::Timestamp,
    webhook::{SIGNING_SECRETS_MAX, SecretsFull},
};
use serde_json::value::RawValue;
use std::{sync::Arc, time::Duration};

/// The default overlap: how long the replaced secret goes on signing.
const OVERLAP: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest overlap, in seconds.
pub(crate) const OVERLAP_MAX_S: u64 = 7 * 24 * 60 * 60;

/// Rotate a webhook's secret
///
/// Sets a new secret. During the overlap the replaced secret signs too: `webhook-signature` carries a signature by each valid
/// secret, newest first, and `X-Webhook-Signature` is by the oldest valid one. An overlap of 0 ends all secrets but the new one
/// at once. The body may be left out. Answers 200 with the webhook and its new secret. Fails with 404 if the account has no
/// such webhook, and with 409 if 4 secrets are valid already.
#[cfg_attr(test, utoipa::path(
    post,
    path = "/v1/webhooks/{id}/rotate-secret",
    operation_id = "rotateSecret",
    tag = "Webhooks",
    security(("bearer" = ["manage"])),
    params(("id" = WebhookId, Path, description = "The webhook's id.")),
    request_body = Option<requests::Rotation>,
    responses(
        (status = 200, description = "The webhook with its new secret.", body = WebhookWithSecret),
        (status = 409, description = ""),
    ),
))]
pub(crate) async fn rotate(
    Manager(account): Manager,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<WebhookId>,
    body: SmallBody,
) -> Result<Json<WebhookWithSecret>, Problem> {
    let app = &state.app;
    let rotation = read_rotation(body.fields_if_any()?)?;
    let webhook = rotation::rotate(app, &account, id, rotation).await?;
    tracing::info!(%account, webhook_id = %id, "secret rotated");
    Ok(Json((&webhook).into()))
}

/// Reads `{secret?, overlap_seconds?}`.
fn read_rotation(mut fields: Fields) -> Result<Rotation, InputError> {
    let secret = fields.optional("secret", fields::secret);
    let overlap = fields.optional("overlap_seconds", overlap);
    fields.finish(|| Ok(Rotation { secret: secret?, overlap: overlap?.unwrap_or(OVERLAP) }))
}

impl From<RotationError> for Problem {
    fn from(error: RotationError) -> Self {
        match error {
            RotationError::NotFound => Self::not_found(WebhookId::WHAT),
            RotationError::Full(SecretsFull { until }) => Self::conflict(too_many(until)),
            RotationError::Store(error) => error.into(),
        }
    }
}

/// Returns the text of the 409 if no further secret may be added before `until`.
fn too_many(until: Timestamp) -> String {
    format!(
        "{SIGNING_SECRETS_MAX} secrets are valid already. Rotate again after one of them ends, at {}, or with \
         'overlap_seconds' 0, which ends them all now.",
        until.rounded_up_to_second()
    )
}

/// Reads an overlap in seconds, from 0 to [`OVERLAP_MAX_S`].
fn overlap(raw: &RawValue) -> Result<Duration, Faults> {
    match u64::try_from(input::integer(raw)?) {
        Ok(seconds @ 0..=OVERLAP_MAX_S) => Ok(Duration::from_secs(seconds)),
        _ => Err(format!("must be a whole number from 0 to {OVERLAP_MAX_S}").into()),
    }
}
