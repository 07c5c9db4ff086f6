//! `POST /v1/signatures/debug`: why the signatures of a received request hold or do not hold.

#[cfg(test)]
use crate::openapi::requests;
use crate::{auth::Manager, body::DiagnosisBody, path::Named, problem::Problem, session::Only, state::ApiState};
use application::diagnosis::{self, DiagnosisError};
use axum::{Json, extract::State};
use domain::{
    diagnosis::{Diagnosis, DiagnosisRequest},
    id::WebhookId,
};
use std::sync::Arc;
use telemetry::metrics;

/// Debug a request's signatures
///
/// Says for each signature of a request that a receiver got whether it holds and, if not, exactly what happened. A diagnosis is never a
/// guess: something reproduces the signature, or makes the received body of the stored one. If `webhook-id` names an event of the
/// account, its exact bytes and its recorded attempts are used; otherwise what was sent alone. The secrets of the account's webhooks
/// are tried, and never shown. Answers 200 with the findings. Fails with 404 if the account has no such webhook, with 422 if the body
/// breaks rules, and with 429 if the account asks too often.
#[cfg_attr(test, utoipa::path(
    post,
    path = "/v1/signatures/debug",
    operation_id = "debugSignatures",
    tag = "Webhooks",
    security(("bearer" = ["manage"])),
    request_body = requests::ReceivedRequest,
    responses(
        (status = 200, description = "What was found.", body = Diagnosis),
        (status = 404, description = ""),
    ),
))]
pub(crate) async fn debug(
    Manager(account): Manager,
    Only(only): Only,
    State(state): State<Arc<ApiState>>,
    body: DiagnosisBody,
) -> Result<Json<Diagnosis>, Problem> {
    let request = DiagnosisRequest::parse(&body.0)?;
    let diagnosis = diagnosis::debug(&state.app, &account, only, request).await?;
    tracing::info!(%account, valid = diagnosis.valid, "signatures debugged");
    Ok(Json(diagnosis))
}

impl From<DiagnosisError> for Problem {
    fn from(error: DiagnosisError) -> Self {
        match error {
            DiagnosisError::NoWebhook => Self::not_found(WebhookId::WHAT),
            DiagnosisError::TooMany(wait) => {
                metrics::throttled("diagnosis", 1);
                Self::too_many_diagnoses(wait)
            }
            DiagnosisError::Store(error) => error.into(),
        }
    }
}
