//! `/v1/deliveries` and a webhook's deliveries: how each stands, with its attempts; one more attempt by hand.

#[cfg(test)]
use crate::openapi::requests;
use crate::{
    ApiState,
    auth::Manager,
    body::Query,
    page::Page,
    path::Path,
    problem::Problem,
    webhooks::{find, parse_id},
};
use axum::{Json, extract::State, http::StatusCode};
use hookline::{
    answer,
    app::App,
    delivery::{Attempt, Delivery, DeliveryStatus, Turn, Wakeup},
    event::EventSummary,
    event_type::EventType,
    id::{AccountId, DeliveryId, EventId, WebhookId},
    publishing, queue,
    store::{
        deliveries::{self as store, Listed, Wanted},
        events, webhooks,
    },
    webhook::Webhook,
};
use serde::Serialize;
use std::{sync::Arc, time::Duration};

/// A delivery as users see it.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Delivery))]
pub(crate) struct DeliveryView {
    pub(crate) id: DeliveryId,
    event_id: EventId,
    event_type: EventType,
    webhook_id: WebhookId,
    pub(crate) status: DeliveryStatus,
    attempts: Vec<AttemptView>,
    next_attempt_at: Option<String>,
    created_at: String,
}

/// An attempt as users see it.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Attempt))]
struct AttemptView {
    number: u32,
    started_at: String,
    duration_ms: u64,
    status_code: Option<u16>,
    error: Option<String>,
    response_body: Option<String>,
}

impl From<&Attempt> for AttemptView {
    fn from(attempt: &Attempt) -> Self {
        Self {
            number: attempt.number,
            started_at: attempt.started_at.to_string(),
            duration_ms: attempt.duration_ms,
            status_code: attempt.status_code,
            error: attempt.error.clone(),
            response_body: attempt.response_body.clone(),
        }
    }
}

impl DeliveryView {
    /// `delivery`, given its webhook as it is now.
    pub(crate) fn new(delivery: &Delivery, webhook: Option<&Webhook>) -> Self {
        let status = delivery.shown_status(webhook);
        let mut attempts: Vec<_> = delivery.attempts.values().collect();
        attempts.sort_by_key(|attempt| attempt.number);
        let next = delivery.next_attempt_at.filter(|_| status == DeliveryStatus::Pending);
        Self {
            id: delivery.delivery,
            event_id: delivery.delivery.event,
            event_type: delivery.event_type.clone(),
            webhook_id: delivery.delivery.webhook,
            status,
            attempts: attempts.into_iter().map(AttemptView::from).collect(),
            next_attempt_at: next.map(|next| next.rounded_up_to_second().to_string()),
            created_at: delivery.delivery.event.made_at().to_string(),
        }
    }

    /// The delivery of `event` to `webhook` before its first attempt has been claimed; none where the event is not its.
    pub(crate) fn before_claim(event: &EventSummary, webhook: &Webhook) -> Option<Self> {
        let status = publishing::status_before_claim(webhook, event)?;
        let untouched = Delivery::untouched(&Wakeup::first(webhook, event.id), event.event_type.clone());
        Some(Self { status, ..Self::new(&untouched, Some(webhook)) })
    }
}

impl DeliveryView {
    /// The bytes that it takes of an answer, its comma included.
    pub(crate) fn escaped_len(&self) -> usize {
        let json = serde_json::to_vec(self).expect("a view of texts and numbers is JSON");
        answer::escaped_len(&json) + 1
    }
}

/// A delivery with what it is made of, as it is now.
struct Found {
    view: DeliveryView,
    webhook: Option<Webhook>,
}

async fn find_delivery(app: &App, account: &AccountId, id: &str) -> Result<Found, Problem> {
    let no_delivery = || Problem::not_found("delivery");
    let id: DeliveryId = id.parse().map_err(|_| no_delivery())?;
    let stored = store::get(app, account, id);
    let (stored, webhook) = futures::try_join!(stored, webhooks::get(app, account, id.webhook))?;
    if let Some(delivery) = stored.delivery {
        return Ok(Found { view: DeliveryView::new(&delivery, webhook.as_ref()), webhook });
    }
    let webhook = webhook.ok_or_else(no_delivery)?;
    let event = events::get(app, account, id.event).await?.ok_or_else(no_delivery)?;
    let view = DeliveryView::before_claim(&(&event).into(), &webhook).ok_or_else(no_delivery)?;
    Ok(Found { view, webhook: Some(webhook) })
}

/// Read a delivery, with its attempts
#[cfg_attr(test, utoipa::path(
    get,
    path = "/v1/deliveries/{id}",
    operation_id = "readDelivery",
    tag = "Deliveries",
    security(("bearer" = ["manage"])),
    params(("id" = DeliveryId, Path)),
    responses((status = 200, description = "The delivery.", body = DeliveryView)),
))]
pub(crate) async fn read(
    Manager(account): Manager,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
) -> Result<Json<DeliveryView>, Problem> {
    Ok(Json(find_delivery(&state.app, &account, &id).await?.view))
}

/// Attempt a delivery once more
///
/// One attempt now, outside the schedule.
#[cfg_attr(test, utoipa::path(
    post,
    path = "/v1/deliveries/{id}/retry",
    operation_id = "retryDelivery",
    tag = "Deliveries",
    security(("bearer" = ["manage"])),
    params(("id" = DeliveryId, Path)),
    responses(
        (status = 202, description = "The delivery before that attempt.", body = DeliveryView),
        (status = 409, description = ""),
    ),
))]
pub(crate) async fn retry(
    Manager(account): Manager,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<DeliveryView>), Problem> {
    let app = &state.app;
    let Found { view, webhook } = find_delivery(app, &account, &id).await?;
    let webhook = webhook.ok_or_else(|| Problem::conflict("The delivery's webhook was deleted."))?;
    if !webhook.is_enabled() {
        return Err(Problem::conflict("The delivery's webhook is disabled: enable it first."));
    }
    if events::get(app, &account, view.id.event).await?.is_none() {
        return Err(Problem::conflict("The delivery's event is no longer kept."));
    }
    let nonce = hex::encode(app.random.bytes::<5>());
    let turn = Turn::Manual { nonce };
    let wakeup = Wakeup { turn, ..Wakeup::first(&webhook, view.event_id) };
    queue::send_wakeups(app, &[wakeup], Duration::ZERO).await?;
    Ok((StatusCode::ACCEPTED, Json(view)))
}

/// List a webhook's deliveries, newest first
#[cfg_attr(test, utoipa::path(
    get,
    path = "/v1/webhooks/{id}/deliveries",
    operation_id = "listDeliveries",
    tag = "Deliveries",
    security(("bearer" = ["manage"])),
    params(
        ("id" = WebhookId, Path),
        requests::Limit,
        ("cursor" = Option<EventId>, Query, description = "The `next_cursor` of the page before."),
        ("status" = Option<DeliveryStatus>, Query, description = "Only those that stand like this."),
    ),
    responses((status = 200, description = "A page of deliveries.", body = Page<DeliveryView>)),
))]
pub(crate) async fn list(
    Manager(account): Manager,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
    mut query: Query,
) -> Result<Json<Page<DeliveryView>>, Problem> {
    let (limit, after) = (query.limit(), query.cursor());
    let fault = "must be pending, delivered, failed, held or cancelled";
    let status: Option<DeliveryStatus> = query.optional("status", fault);
    query.finish()?;
    let webhook = find(&state.app, &account, parse_id(&id)?).await?;
    // Whatever else a delivery is, it was attempted, or at least put aside.
    let unattempted = matches!(status, None | Some(DeliveryStatus::Pending | DeliveryStatus::Held));
    let show = |listed: Listed| {
        let view = match listed {
            Listed::Stored(delivery) => Some(DeliveryView::new(&delivery, Some(&webhook))),
            Listed::Unattempted(event) => DeliveryView::before_claim(&event, &webhook),
        };
        view.filter(|view| status.is_none_or(|status| view.status == status))
    };
    let wanted = Wanted { after, limit, unattempted };
    let page = store::list_all(&state.app, &webhook, wanted, show, DeliveryView::escaped_len).await?;
    Ok(Json(Page::new(page.items, page.next)))
}
