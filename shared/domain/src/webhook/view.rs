//! A webhook as users see it.

use super::{
    DisabledReason, Webhook, WebhookStatus,
    options::{AuthView, DisableOn, SignatureHeaderView},
};
use crate::{event_type::Subscription, filter::Filter, id::WebhookId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// How a webhook's events reach the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum DeliveryMode {
    /// Hookline sends them to the webhook's URL.
    Push,
    /// The receiver reads them with `GET /v1/webhooks/{id}/poll`.
    Poll,
}

impl DeliveryMode {
    /// Returns the mode of a webhook.
    pub fn of(webhook: &Webhook) -> Self {
        if webhook.is_polled() { Self::Poll } else { Self::Push }
    }
}

/// A webhook as users see it: everything but its secrets.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Webhook))]
pub struct WebhookView {
    /// The webhook's id, `wh_…`.
    pub id: WebhookId,
    /// How the events reach the receiver: they are sent to `url`, or polled.
    pub delivery: DeliveryMode,
    /// Where deliveries are sent. `null` if the events are polled.
    pub url: Option<String>,
    /// When a polled webhook is deleted by itself. `null` if it stays.
    pub expires_at: Option<String>,
    /// The event types that it receives: exact names, prefixes such as `resource.*`, or `*`.
    pub events: Vec<Subscription>,
    /// The user's description.
    pub description: Option<String>,
    /// Whether deliveries are sent.
    pub status: WebhookStatus,
    /// Why it is disabled, or `null` if it is enabled.
    pub disabled_reason: Option<DisabledReason>,
    /// When it was disabled, or `null` if it is enabled.
    pub disabled_at: Option<String>,
    /// The most deliveries a second, or `null` for no limit.
    pub rate_limit: Option<u32>,
    /// The headers that every delivery carries, by name. Values are not shown: each is `***`. `null` if there are none.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<BTreeMap<String, String>>))]
    pub headers: Option<BTreeMap<String, &'static str>>,
    /// How deliveries authenticate to the receiver. Credentials are not shown: each is `***`. `null` if they do not.
    pub auth: Option<AuthView>,
    /// The webhook's own retry schedule: the wait before each attempt, such as `5m`. `null` for the schedule of the deployment.
    pub retry_schedule: Option<Vec<String>>,
    /// The seconds that the receiver has for one attempt. `null` for the default of 5.
    pub timeout_seconds: Option<u32>,
    /// A further signature that deliveries carry, in a form that the receiver already verifies. `null` if there is none.
    pub signature_header: Option<SignatureHeaderView>,
    /// Which failed deliveries disable the webhook.
    pub disable_on: DisableOn,
    /// Whether the webhook is tried again by itself after failures have disabled it.
    pub auto_recover: bool,
    /// When a disabled webhook is tried next, rounded up to a whole second. `null` if it is not.
    pub next_trial_at: Option<String>,
    /// When the last of the earlier secrets stops signing, which may be over. `null` if no rotation has left one.
    pub overlap_ends_at: Option<String>,
    /// The event pattern that the payload must match, as it was sent, or `null` for every event.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub filter: Option<Box<RawValue>>,
    /// When it was registered.
    pub created_at: String,
    /// When it was last changed.
    pub updated_at: String,
}

impl WebhookView {
    /// Creates the view of `webhook`. `auto_recover` is what the deployment does with webhooks that leave the option open.
    pub fn new(webhook: &Webhook, auto_recover: bool) -> Self {
        let next_trial_at = webhook.awaited_trial().and_then(|trials| trials.due_at);
        Self {
            id: webhook.id,
            delivery: DeliveryMode::of(webhook),
            url: webhook.url.as_ref().map(ToString::to_string),
            expires_at: webhook.expires_at.map(|at| at.to_string()),
            events: webhook.events.clone(),
            description: webhook.description.clone(),
            status: webhook.status,
            disabled_reason: webhook.disabled_reason,
            disabled_at: webhook.disabled_at.map(|at| at.to_string()),
            rate_limit: webhook.rate_limit,
            headers: webhook.options.headers_shown(),
            auth: webhook.options.auth.as_ref().map(AuthView::from),
            retry_schedule: webhook.options.schedule_shown(),
            timeout_seconds: webhook.options.timeout_seconds,
            signature_header: webhook.options.signature_header.as_ref().map(SignatureHeaderView::from),
            disable_on: webhook.options.disable_on,
            auto_recover: webhook.options.auto_recover.unwrap_or(auto_recover),
            next_trial_at: next_trial_at.map(|at| at.rounded_up_to_second().to_string()),
            overlap_ends_at: webhook.overlap_ends_at().map(|at| at.to_string()),
            filter: webhook.filter.as_ref().and_then(Filter::to_json),
            created_at: webhook.created_at.to_string(),
            updated_at: webhook.updated_at.to_string(),
        }
    }
}
