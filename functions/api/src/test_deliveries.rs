//! `POST /v1/webhooks/test`: sends a test delivery.

#[cfg(test)]
use crate::openapi::requests;
use crate::{
    auth::Manager, body::SmallBody, path::Named, problem::Problem, session::Only, state::ApiState, webhooks::find,
};
use application::test_delivery;
use axum::{Json, extract::State, http::StatusCode};
use domain::{delivery::DeliveryView, event_type::EventType, id::WebhookId, input};
use std::sync::Arc;
use store::event_types;

/// Send a test delivery
///
/// Enqueues one attempt with the sample of the event type, signed and recorded like any other. It is never retried and never
/// disables the webhook. It is sent even if the webhook is disabled or does not subscribe to the type. Answers 202 with the
/// delivery before its attempt. Fails with 404 if the account has no such webhook, with 409 if its events are polled, and with
/// 422 if the catalogue has no such type.
#[cfg_attr(test, utoipa::path(
    post,
    path = "/v1/webhooks/test",
    operation_id = "testWebhook",
    tag = "Webhooks",
    security(("bearer" = ["manage"])),
    request_body = requests::NewTest,
    responses(
        (status = 202, description = "The delivery before its attempt.", body = DeliveryView),
        (status = 404, description = ""),
        (status = 409, description = ""),
    ),
))]
pub(crate) async fn create(
    Manager(account): Manager,
    only: Only,
    State(state): State<Arc<ApiState>>,
    body: SmallBody,
) -> Result<(StatusCode, Json<DeliveryView>), Problem> {
    let app = &state.app;
    let mut fields = body.fields()?;
    let webhook_id = fields.required("webhook_id", input::string);
    let entry = match fields.required("event_type", input::parsed::<EventType>) {
        Ok(name) => match event_types::find(&app.store, &name).await? {
            Some(entry) => Ok(entry),
            None => Err(fields.fault("/event_type", "is not a known event type")),
        },
        Err(faulted) => Err(faulted),
    };
    let (webhook_id, entry) = fields.finish(|| Ok((webhook_id?, entry?)))?;
    let id = webhook_id.parse().ok().filter(|id| only.sees(*id)).ok_or_else(|| Problem::not_found(WebhookId::WHAT))?;
    let webhook = find(app, &account, id).await?;
    if webhook.is_polled() {
        return Err(Problem::polled("Publish an event and poll it."));
    }
    let delivery = test_delivery::send(app, &webhook, entry).await?;
    Ok((StatusCode::ACCEPTED, Json(DeliveryView::new(&delivery, Some(&webhook)))))
}
