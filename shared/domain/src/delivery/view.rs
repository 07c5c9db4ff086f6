//! A delivery as users see it.

use super::{Attempt, AttemptError, Delivery, DeliveryStatus, Task, unattempted_status};
use crate::{
    answer,
    event::EventSummary,
    event_type::EventType,
    id::{DeliveryId, EventId, WebhookId},
    webhook::Webhook,
};
use serde::Serialize;

/// A delivery: one event on its way to one webhook.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Delivery))]
pub struct DeliveryView {
    /// The delivery's id. It consists of the ids of the event and the webhook.
    pub id: DeliveryId,
    /// The event that is delivered.
    event_id: EventId,
    /// The event's type.
    pub event_type: EventType,
    /// The webhook that receives the event.
    webhook_id: WebhookId,
    /// Whether it is a test delivery.
    test: bool,
    /// The state of the delivery: `pending`, `delivered`, `failed`, `held` until its disabled webhook is enabled, or
    /// `cancelled` by a user, by enabling the webhook, or because its type was unsubscribed or its webhook deleted.
    pub status: DeliveryStatus,
    /// The latest attempts, at most 20, by ascending number.
    attempts: Vec<AttemptView>,
    /// When the next attempt is due, rounded up to a whole second. `null` unless the delivery is pending, or if its first
    /// attempt is due at once.
    next_attempt_at: Option<String>,
    /// When the event was published.
    created_at: String,
}

/// An attempt: one HTTP POST of a delivery.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Attempt))]
struct AttemptView {
    /// The attempt's number within the delivery, from 1.
    number: u32,
    /// When the attempt began.
    started_at: String,
    /// How long the attempt took, in milliseconds.
    duration_ms: u64,
    /// The receiver's HTTP status code. `null` if it sent none.
    status_code: Option<u16>,
    /// Why there was no complete answer. `null` if the answer was complete.
    error: Option<AttemptError>,
    /// The first 1 KiB of the body of the receiver's answer, as text. `null` if there was none.
    response_body: Option<String>,
}

impl From<&Attempt> for AttemptView {
    fn from(attempt: &Attempt) -> Self {
        Self {
            number: attempt.number,
            started_at: attempt.started_at.to_string(),
            duration_ms: attempt.duration_ms,
            status_code: attempt.status_code,
            error: attempt.error,
            response_body: attempt.response_body.clone(),
        }
    }
}

impl DeliveryView {
    /// Returns the view of a stored `delivery`. `webhook` is its webhook as it is now, or `None` if it was deleted.
    pub fn new(delivery: &Delivery, webhook: Option<&Webhook>) -> Self {
        let status = delivery.shown_status(webhook);
        let mut attempts: Vec<_> = delivery.attempts.values().collect();
        attempts.sort_by_key(|attempt| attempt.number);
        let next = delivery.next_attempt_at.filter(|_| status == DeliveryStatus::Pending);
        Self {
            id: delivery.delivery,
            event_id: delivery.delivery.event,
            event_type: delivery.event_type.clone(),
            webhook_id: delivery.delivery.webhook,
            test: delivery.is_test(),
            status,
            attempts: attempts.into_iter().map(AttemptView::from).collect(),
            next_attempt_at: next.map(|next| next.rounded_up_to_second().to_string()),
            created_at: delivery.delivery.event.made_at().to_string(),
        }
    }

    /// Returns the delivery of `event` to `webhook` before its first attempt, or `None` if there is no such delivery.
    /// `passes_filter` is whether the event passes the webhook's filter.
    pub fn unattempted(event: &EventSummary, webhook: &Webhook, passes_filter: bool) -> Option<Self> {
        let status = unattempted_status(webhook, event, passes_filter)?;
        let unattempted = Delivery::new(&Task::first(webhook, event.id), event.event_type.clone());
        Some(Self { status, ..Self::new(&unattempted, Some(webhook)) })
    }

    /// Returns how many escaped bytes the view takes in an answer, with its comma.
    pub fn escaped_len(&self) -> usize {
        let json = serde_json::to_vec(self).expect("a view of strings and numbers is JSON");
        answer::escaped_len(&json) + 1
    }
}
