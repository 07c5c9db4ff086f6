//! A delivery as users see it.

use domain::{
    answer,
    delivery::{self, Attempt, Delivery, DeliveryStatus, Task},
    event::EventSummary,
    event_type::EventType,
    id::{DeliveryId, EventId, WebhookId},
    webhook::Webhook,
};
use serde::Serialize;

/// A delivery: one event on its way to one webhook.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Delivery))]
pub(crate) struct DeliveryView {
    /// The delivery's id. It consists of the ids of the event and the webhook.
    pub(crate) id: DeliveryId,
    /// The event that is delivered.
    event_id: EventId,
    /// The event's type.
    event_type: EventType,
    /// The webhook that receives the event.
    webhook_id: WebhookId,
    /// The state of the delivery: `pending`, `delivered`, `failed`, `held` until its disabled webhook is enabled and recovered,
    /// or `cancelled` because its webhook was deleted.
    pub(crate) status: DeliveryStatus,
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
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Attempt))]
struct AttemptView {
    /// The attempt's number within the delivery, from 1.
    number: u32,
    /// When the attempt began.
    started_at: String,
    /// How long the attempt took, in milliseconds.
    duration_ms: u64,
    /// The receiver's HTTP status code. `null` if it sent none.
    status_code: Option<u16>,
    /// Why there was no complete answer: `timeout`, `dns`, `forbidden_address`, `connect`, `tls`, `closed`, `protocol` or
    /// `unsupported_url`. `null` if the answer was complete.
    error: Option<String>,
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
            error: attempt.error.map(|error| error.as_str().to_owned()),
            response_body: attempt.response_body.clone(),
        }
    }
}

impl DeliveryView {
    /// Returns the view of a stored `delivery`. `webhook` is its webhook as it is now, or `None` if it was deleted.
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

    /// Returns the delivery of `event` to `webhook` before its first attempt, or `None` if there is no such delivery.
    pub(crate) fn unattempted(event: &EventSummary, webhook: &Webhook) -> Option<Self> {
        let status = delivery::unattempted_status(webhook, event)?;
        let unattempted = Delivery::new(&Task::first(webhook, event.id), event.event_type.clone());
        Some(Self { status, ..Self::new(&unattempted, Some(webhook)) })
    }

    /// Returns how many escaped bytes the view takes in an answer, with its comma.
    pub(crate) fn escaped_len(&self) -> usize {
        let json = serde_json::to_vec(self).expect("a view of strings and numbers is JSON");
        answer::escaped_len(&json) + 1
    }
}
