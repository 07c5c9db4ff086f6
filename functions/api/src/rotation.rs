//! `POST /v1/webhooks/{id}/rotate-secret`: a new secret, with a time in which the old ones sign too.

#[cfg(test)]
use crate::openapi::requests;
use crate::{
    ApiState,
    auth::Manager,
    body::SmallBody,
    path::Path,
    problem::Problem,
    webhooks::{WebhookWithSecret, parse_id, parse_secret},
};
use axum::{Json, extract::State};
use hookline::{
    input::{self, Faults},
    secret::Secret,
    store::webhooks,
    time::Timestamp,
    webhook::{SIGNING_SECRETS_MAX, SecretsFull, Webhook},
};
use serde_json::value::RawValue;
use std::{sync::Arc, time::Duration};

/// How long the replaced secret signs on unless the user says otherwise.
const OVERLAP: Duration = Duration::from_secs(24 * 60 * 60);
/// Longest overlap.
const OVERLAP_MAX_S: u64 = 7 * 24 * 60 * 60;

/// Rotate a webhook's secret
///
/// During the overlap `webhook-signature` carries a signature by each secret that is still valid, newest first, and
/// `X-Webhook-Signature` stays with the oldest. Four may be valid at once; no overlap ends all but the new one. The body may
/// be left out.
#[cfg_attr(test, utoipa::path(
    post,
    path = "/v1/webhooks/{id}/rotate-secret",
    operation_id = "rotateSecret",
    tag = "Webhooks",
    security(("bearer" = ["manage"])),
    params(("id" = hookline::id::WebhookId, Path)),
    request_body = Option<requests::Rotation>,
    responses(
        (status = 200, description = "The webhook, with its new secret.", body = WebhookWithSecret),
        (status = 409, description = ""),
    ),
))]
pub(crate) async fn rotate(
    Manager(account): Manager,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
    body: SmallBody,
) -> Result<Json<WebhookWithSecret>, Problem> {
    let app = &state.app;
    let id = parse_id(&id)?;
    let mut fields = body.fields_if_any()?;
    let secret = fields.optional("secret", parse_secret);
    let overlap = fields.optional("overlap_seconds", parse_overlap).unwrap_or(OVERLAP);
    fields.finish()?;
    let secret = secret.unwrap_or_else(|| Secret::generate(&app.random));
    let now = app.clock.now();
    let rotated = webhooks::change(app, &account, id, |webhook: &mut Webhook| {
        let rotated = webhook.rotate_secret(&secret, overlap, now);
        rotated.map_err(|SecretsFull { until }| Problem::conflict(too_many(until)))
    });
    let webhook = rotated.await?.ok_or_else(|| Problem::not_found("webhook"))?;
    tracing::info!(account = %account, webhook_id = %id, "secret rotated");
    Ok(Json((&webhook).into()))
}

fn too_many(until: Timestamp) -> String {
    format!(
        "{SIGNING_SECRETS_MAX} secrets are valid already. Rotate again when the next one ends, at {}, or with \
         'overlap_seconds' 0, which ends them all now.",
        until.rounded_up_to_second()
    )
}

fn parse_overlap(raw: &RawValue) -> Result<Duration, Faults> {
    match u64::try_from(input::integer(raw)?) {
        Ok(seconds @ 0..=OVERLAP_MAX_S) => Ok(Duration::from_secs(seconds)),
        _ => Err(format!("must be a whole number from 0 to {OVERLAP_MAX_S}").into()),
    }
}
