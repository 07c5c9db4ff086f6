//! A webhook as users see it.

use super::{DisabledReason, Webhook, WebhookStatus};
use crate::{event_type::Subscription, id::WebhookId};
use serde::Serialize;

/// A webhook as users see it: everything but its secrets.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Webhook))]
pub struct WebhookView {
    /// The webhook's id, `wh_…`.
    pub id: WebhookId,
    /// Where deliveries are sent.
    pub url: String,
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
    /// When it was registered.
    pub created_at: String,
    /// When it was last changed.
    pub updated_at: String,
}

impl From<&Webhook> for WebhookView {
    fn from(webhook: &Webhook) -> Self {
        Self {
            id: webhook.id,
            url: webhook.url.to_string(),
            events: webhook.events.clone(),
            description: webhook.description.clone(),
            status: webhook.status,
            disabled_reason: webhook.disabled_reason,
            disabled_at: webhook.disabled_at.map(|at| at.to_string()),
            rate_limit: webhook.rate_limit,
            created_at: webhook.created_at.to_string(),
            updated_at: webhook.updated_at.to_string(),
        }
    }
}
