//! `POST /v1/webhooks/test`: one attempt with a type's sample, through the real delivery path.

#[cfg(test)]
use crate::openapi::requests;
use crate::{
    ApiState,
    auth::Manager,
    body::SmallBody,
    deliveries::DeliveryView,
    problem::Problem,
    webhooks::{find, parse_id},
};
use axum::{Json, extract::State, http::StatusCode};
use hookline::{
    delivery::{Delivery, Turn, Wakeup},
    event::{Event, NewEvent},
    event_type::EventType,
    id::EventId,
    input, queue,
    store::{
        deliveries::{self, Versioned},
        event_types, events,
    },
};
use std::{sync::Arc, time::Duration};

/// Send a test delivery
///
/// One attempt with the type's sample: never retried, never counted towards disabling.
#[cfg_attr(test, utoipa::path(
    post,
    path = "/v1/webhooks/test",
    operation_id = "testWebhook",
    tag = "Webhooks",
    security(("bearer" = ["manage"])),
    request_body = requests::NewTest,
    responses(
        (status = 202, description = "The delivery.", body = DeliveryView),
        (status = 404, description = ""),
    ),
))]
pub(crate) async fn create(
    Manager(account): Manager,
    State(state): State<Arc<ApiState>>,
    body: SmallBody,
) -> Result<(StatusCode, Json<DeliveryView>), Problem> {
    let app = &state.app;
    let mut fields = body.fields()?;
    let webhook_id = fields.required("webhook_id", input::string);
    let event_type = fields.required("event_type", input::parsed::<EventType>);
    let entry = match &event_type {
        Some(event_type) => event_types::find(app, event_type).await?,
        None => None,
    };
    if event_type.is_some() && entry.is_none() {
        fields.fault("/event_type", "is not a known event type");
    }
    fields.finish()?;
    let (Some(webhook_id), Some(entry)) = (webhook_id, entry) else { return Err(Problem::invalid(vec![])) };
    let webhook = find(app, &account, parse_id(&webhook_id)?).await?;
    let sample =
        NewEvent { event_type: entry.name, object: entry.sample.object, previous_data: entry.sample.previous_data };
    let id = EventId::new(app.clock.now(), &app.random);
    let event = Event { test: true, ..Event::new(account, id, &sample) };
    let wakeup = Wakeup { turn: Turn::Test, ..Wakeup::first(&webhook, event.id) };
    let delivery = Delivery::untouched(&wakeup, event.event_type.clone());
    events::put(app, &event).await?;
    // Before the delivery is stored, so that it is never one that shows as pending and that nothing wakes.
    queue::send_wakeups(app, &[wakeup], Duration::ZERO).await?;
    // Where that is refused, the wake-up came first: the delivery is stored, and further on its way.
    let _ = deliveries::put(app, &Versioned::NONE, delivery.clone()).await?;
    Ok((StatusCode::ACCEPTED, Json(DeliveryView::new(&delivery, Some(&webhook)))))
}
