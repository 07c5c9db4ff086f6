//! `POST /v1/webhooks/{id}/rotate-secret` sets a new secret, with an overlap in which the old ones sign too, and
//! `…/rotate-secret/finish` ends the overlap.

#[cfg(test)]
use crate::openapi::requests;
use crate::{
    auth::Manager,
    body::SmallBody,
    fields, idempotency_key,
    path::{Named, Path},
    problem::Problem,
    state::ApiState,
    webhooks::WebhookWithSecret,
};
use application::rotation::{self, KeyUse, RotatedOnce, RotationError};
use axum::{
    Json,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use domain::{
    id::WebhookId,
    input::{self, Faults, Fields, InputError},
    time::Timestamp,
    webhook::{Rotation, SIGNING_SECRETS_MAX, SecretsFull, WebhookView},
};
use serde_json::{Map, Value, value::RawValue};
use std::{sync::Arc, time::Duration};

/// The default overlap: how long the replaced secret goes on signing.
const OVERLAP: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest overlap, in seconds.
pub(crate) const OVERLAP_MAX_S: u64 = 7 * 24 * 60 * 60;

/// Rotate a webhook's secret
///
/// Sets a new secret. During the overlap the replaced secret signs too: `webhook-signature` carries a signature by each valid
/// secret, newest first, and `X-Webhook-Signature` is by the oldest valid one. An overlap of 0 ends all secrets but the new one
/// at once. The body may be left out. Answers 200 with the webhook and its new secret. A repeat with the same `Idempotency-Key`
/// rotates nothing and gets the first answer again, with the same secret. Fails with 404 if the account has no such webhook,
/// with 409 if 4 secrets are valid already, and with 422 if the `Idempotency-Key` was used for another request. A refusal is
/// not kept with the key.
#[cfg_attr(test, utoipa::path(
    post,
    path = "/v1/webhooks/{id}/rotate-secret",
    operation_id = "rotateSecret",
    tag = "Webhooks",
    security(("bearer" = ["manage"])),
    params(("id" = WebhookId, Path, description = "The webhook's id."), requests::IdempotencyKey),
    request_body = Option<requests::Rotation>,
    responses(
        (
            status = 200,
            description = "The webhook with its new secret.",
            body = WebhookWithSecret,
            headers(("Idempotent-Replayed" = String, description = "`true` if this repeats the answer to an earlier request.")),
        ),
        (status = 409, description = ""),
    ),
))]
pub(crate) async fn rotate(
    Manager(account): Manager,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<WebhookId>,
    headers: HeaderMap,
    body: SmallBody,
) -> Result<Response, Problem> {
    let app = &state.app;
    let key = idempotency_key::read(&headers)?;
    let rotation = read_rotation(body.fields_if_any()?)?;
    let Some(key) = key else {
        let webhook = rotation::rotate(app, &account, id, rotation).await?;
        tracing::info!(%account, webhook_id = %id, "secret rotated");
        return Ok(Json(WebhookWithSecret::new(app.view(&webhook), &webhook.secret)).into_response());
    };
    let route = format!("/v1/webhooks/{id}/rotate-secret");
    let key_use = KeyUse { key: &key, parts: &[route.as_bytes(), &body.0] };
    let once = rotation::rotate_once(app, &account, id, key_use, rotation).await?;
    let (replayed, answer) = (once.replayed, answer(once));
    tracing::info!(%account, webhook_id = %id, replayed, "secret rotated");
    Ok(idempotency_key::mark_replayed(Json(answer).into_response(), replayed))
}

/// Returns the stored answer with the secret, which is not stored with it: the fields of a [`WebhookWithSecret`].
fn answer(RotatedOnce { webhook, secret, .. }: RotatedOnce) -> Map<String, Value> {
    let mut fields: Map<String, Value> = serde_json::from_str(&webhook).expect("a stored view is a JSON object");
    fields.insert("secret".to_owned(), secret.expose().into());
    fields.insert("standard_secret".to_owned(), secret.standard_form().into());
    fields
}

/// Finish a rotation
///
/// Ends the overlap of a rotation now: the newest secret alone signs from now on, in both signatures. May be repeated. Answers
/// 200 with the webhook. Fails with 404 if the account has no such webhook.
#[cfg_attr(test, utoipa::path(
    post,
    path = "/v1/webhooks/{id}/rotate-secret/finish",
    operation_id = "finishRotation",
    tag = "Webhooks",
    security(("bearer" = ["manage"])),
    params(("id" = WebhookId, Path, description = "The webhook's id.")),
    responses((status = 200, description = "The webhook.", body = WebhookView), (status = 409, description = "")),
))]
pub(crate) async fn finish(
    Manager(account): Manager,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<WebhookId>,
) -> Result<Json<WebhookView>, Problem> {
    let webhook = rotation::finish(&state.app, &account, id).await?;
    let webhook = webhook.ok_or_else(|| Problem::not_found(WebhookId::WHAT))?;
    tracing::info!(%account, webhook_id = %id, "rotation finished");
    Ok(Json(state.app.view(&webhook)))
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
            RotationError::KeyReused => Self::idempotency_key_reused(),
            RotationError::Full(SecretsFull { until }) => Self::conflict(too_many(until)),
            RotationError::Store(error) => error.into(),
        }
    }
}

/// Returns the text of the 409 if no further secret may be added before `until`.
fn too_many(until: Timestamp) -> String {
    format!(
        "{SIGNING_SECRETS_MAX} secrets are valid already. Rotate again after one of them ends, at {}, or finish the \
         rotation first, which ends all but the newest.",
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
