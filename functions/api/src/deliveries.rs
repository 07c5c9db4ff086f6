//! `/v1/deliveries/{id}` and `/v1/webhooks/{id}/deliveries`: read, list, retry and cancel deliveries.

#[cfg(test)]
use crate::openapi::requests;
use crate::{
    auth::Manager,
    body::Query,
    path::{Named, Path},
    problem::Problem,
    request_view::RequestView,
    state::ApiState,
    webhooks::find,
};
use application::{
    App,
    cancelling::{self, Cancelled},
    manual_retry,
};
use axum::{Json, extract::State, http::StatusCode};
use domain::{
    account::AccountId,
    delivery::{Delivery, DeliveryStatus, DeliveryView, Task},
    event_type::EventType,
    id::{DeliveryId, EventId, WebhookId},
    page::Page,
    webhook::Webhook,
};
use std::sync::Arc;
use store::{
    deliveries::{self, Listed, Versioned, Wanted},
    events, webhooks,
};

/// A delivery with its webhook, as they are now.
struct Found {
    /// The delivery. One that is not stored is as its first attempt would store it.
    delivery: Delivery,
    /// What is stored.
    stored: Versioned,
    view: DeliveryView,
    /// `None` if the webhook was deleted.
    webhook: Option<Webhook>,
}

/// Returns the account's delivery `id`, which may be stored, or not attempted yet and so derived from its event and webhook.
///
/// # Errors
/// 404 if the account has no such delivery.
async fn find_delivery(app: &App, account: &AccountId, id: DeliveryId) -> Result<Found, Problem> {
    let no_delivery = || Problem::not_found(DeliveryId::WHAT);
    let stored = deliveries::get(&app.store, account, id);
    let (stored, webhook) = futures::try_join!(stored, webhooks::get(&app.store, account, id.webhook))?;
    if let Some(delivery) = stored.delivery.clone() {
        let view = DeliveryView::new(&delivery, webhook.as_ref());
        return Ok(Found { delivery, stored, view, webhook });
    }
    let webhook = webhook.ok_or_else(no_delivery)?;
    let event = events::get(&app.store, account, id.event).await?.ok_or_else(no_delivery)?;
    let matcher = app.filters.matcher(Some(&event.payload));
    let view =
        DeliveryView::unattempted(&(&event).into(), &webhook, matcher.passes(&webhook)).ok_or_else(no_delivery)?;
    let delivery = Delivery::new(&Task::first(&webhook, event.id), event.event_type);
    Ok(Found { delivery, stored, view, webhook: Some(webhook) })
}

/// Read a delivery with its attempts
///
/// Answers 200 with the delivery and its latest 20 attempts. A delivery that waits for its first attempt has none. Fails with
/// 404 if the account has no such delivery.
#[cfg_attr(test, utoipa::path(
    get,
    path = "/v1/deliveries/{id}",
    operation_id = "readDelivery",
    tag = "Deliveries",
    security(("bearer" = ["manage"])),
    params(("id" = DeliveryId, Path, description = "The delivery's id.")),
    responses((status = 200, description = "The delivery.", body = DeliveryView)),
))]
pub(crate) async fn read(
    Manager(account): Manager,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<DeliveryId>,
) -> Result<Json<DeliveryView>, Problem> {
    Ok(Json(find_delivery(&state.app, &account, id).await?.view))
}

/// Read the request of a delivery
///
/// Answers 200 with the request that the next attempt would send if it were made now: the webhook's present URL and options, and the
/// event's bytes, with `***` for every secret and signature. Nothing is sent. Fails with 404 if the account has no such delivery, and
/// with 409 if its webhook was deleted or its event is no longer kept.
#[cfg_attr(test, utoipa::path(
    get,
    path = "/v1/deliveries/{id}/request",
    operation_id = "readDeliveryRequest",
    tag = "Deliveries",
    security(("bearer" = ["manage"])),
    params(("id" = DeliveryId, Path, description = "The delivery's id.")),
    responses((status = 200, description = "The request.", body = RequestView), (status = 409, description = "")),
))]
pub(crate) async fn request(
    Manager(account): Manager,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<DeliveryId>,
) -> Result<Json<RequestView>, Problem> {
    let app = &state.app;
    let Found { delivery, webhook, .. } = find_delivery(app, &account, id).await?;
    let webhook = webhook.ok_or_else(Problem::webhook_deleted)?;
    let event = events::get(&app.store, &account, id.event).await?.ok_or_else(Problem::event_not_kept)?;
    Ok(Json(RequestView::new(&webhook, &event, delivery.next_number(), app.clock.now())))
}

/// Retry a delivery now
///
/// Enqueues one attempt, outside the retry schedule. If it succeeds, the delivery becomes `delivered`. If it fails, status and
/// schedule stay as they are. Answers 202 with the delivery as it is before the attempt. Fails with 404 if the account has no
/// such delivery, and with 409 if an attempt is under way, if the delivery is cancelled, if its webhook is disabled or deleted,
/// or if its event is no longer kept.
#[cfg_attr(test, utoipa::path(
    post,
    path = "/v1/deliveries/{id}/retry",
    operation_id = "retryDelivery",
    tag = "Deliveries",
    security(("bearer" = ["manage"])),
    params(("id" = DeliveryId, Path, description = "The delivery's id.")),
    responses(
        (status = 202, description = "The delivery before the attempt.", body = DeliveryView),
        (status = 409, description = ""),
    ),
))]
pub(crate) async fn retry(
    Manager(account): Manager,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<DeliveryId>,
) -> Result<(StatusCode, Json<DeliveryView>), Problem> {
    let app = &state.app;
    let Found { delivery, view, webhook, .. } = find_delivery(app, &account, id).await?;
    let webhook = webhook.ok_or_else(Problem::webhook_deleted)?;
    if !webhook.is_enabled() {
        return Err(Problem::webhook_disabled());
    }
    if view.status == DeliveryStatus::Cancelled {
        return Err(Problem::conflict("The delivery is cancelled."));
    }
    if delivery.live_lease(app.clock.now()).is_some() {
        return Err(Problem::conflict("An attempt of the delivery is under way. Retry when it has ended."));
    }
    if events::get(&app.store, &account, view.id.event).await?.is_none() {
        return Err(Problem::event_not_kept());
    }
    manual_retry::enqueue(app, &webhook, view.id.event).await?;
    Ok((StatusCode::ACCEPTED, Json(view)))
}

/// Cancel a delivery
///
/// Cancels a delivery that is pending, held or failed, attempted or not: no task, manual retry or recovery attempts it again. If
/// an attempt is under way, it still ends: the delivery is `delivered` if the receiver accepts it. If not, it stays `cancelled`,
/// and its webhook is not disabled. Answers 200 with the delivery, also if it was cancelled before. Fails with 404 if the
/// account has no such delivery, and with 409 if it is delivered.
#[cfg_attr(test, utoipa::path(
    post,
    path = "/v1/deliveries/{id}/cancel",
    operation_id = "cancelDelivery",
    tag = "Deliveries",
    security(("bearer" = ["manage"])),
    params(("id" = DeliveryId, Path, description = "The delivery's id.")),
    responses((status = 200, description = "The delivery.", body = DeliveryView), (status = 409, description = "")),
))]
pub(crate) async fn cancel(
    Manager(account): Manager,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<DeliveryId>,
) -> Result<Json<DeliveryView>, Problem> {
    let Found { delivery, stored, webhook, .. } = find_delivery(&state.app, &account, id).await?;
    match cancelling::cancel(&state.app, delivery, stored).await? {
        Cancelled::Yes(delivery) => {
            tracing::info!(%account, delivery_id = %id, "delivery cancelled");
            Ok(Json(DeliveryView::new(&delivery, webhook.as_ref())))
        }
        Cancelled::Delivered => Err(Problem::conflict("The delivery is delivered.")),
    }
}

/// List a webhook's deliveries, newest first
///
/// Answers 200 with a page of the webhook's deliveries, including those that wait for their first attempt. A polled webhook has
/// none. Fails with 404 if the account has no such webhook, and with 422 if a parameter is invalid.
#[cfg_attr(test, utoipa::path(
    get,
    path = "/v1/webhooks/{id}/deliveries",
    operation_id = "listDeliveries",
    tag = "Deliveries",
    security(("bearer" = ["manage"])),
    params(
        ("id" = WebhookId, Path, description = "The webhook's id."),
        requests::Limit,
        ("cursor" = Option<EventId>, Query, description = "The `next_cursor` of the page before."),
        ("status" = Option<DeliveryStatus>, Query, description = "Lists only deliveries with this status."),
        ("event_type" = Option<EventType>, Query, description = "Lists only deliveries of events of this type."),
    ),
    responses((status = 200, description = "A page of deliveries.", body = Page<DeliveryView, EventId>)),
))]
pub(crate) async fn list(
    Manager(account): Manager,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<WebhookId>,
    mut query: Query,
) -> Result<Json<Page<DeliveryView, EventId>>, Problem> {
    let (limit, after) = (query.limit(), query.cursor());
    let fault = "must be pending, delivered, failed, held or cancelled";
    let status: Option<DeliveryStatus> = query.optional("status", fault);
    let event_type: Option<EventType> = query.parsed("event_type");
    query.finish()?;
    let webhook = find(&state.app, &account, id).await?;
    if webhook.is_polled() {
        return Ok(Json(Page { items: vec![], next: None }));
    }
    // Deliveries with other statuses are always stored.
    let unattempted = !matches!(status, Some(DeliveryStatus::Delivered | DeliveryStatus::Failed));
    let show = |listed: Listed| {
        let view = match listed {
            Listed::Stored(delivery) => Some(DeliveryView::new(&delivery, Some(&webhook))),
            Listed::Unattempted(event) => {
                let matcher = state.app.filters.matcher(event.payload.as_ref());
                DeliveryView::unattempted(&event.summary, &webhook, matcher.passes(&webhook))
            }
        };
        let is_wanted = |view: &DeliveryView| {
            status.is_none_or(|status| view.status == status)
                && event_type.as_ref().is_none_or(|event_type| view.event_type == *event_type)
        };
        view.filter(is_wanted)
    };
    let wanted = Wanted { after, limit, unattempted };
    let page = deliveries::list_all(&state.app.store, &webhook, wanted, show, DeliveryView::escaped_len).await?;
    Ok(Json(page))
}
