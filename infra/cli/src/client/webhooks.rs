//! Webhooks: list, register, read, change, delete and test them, rotate their secrets, recover what they missed.

use super::{
    Answer, Client, Error,
    call::Call,
    deliveries::Delivery,
    operation,
    page::{Page, Wanted},
};
use domain::{
    event_type::EventType,
    id::{RecoveryId, WebhookId},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// A webhook.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Webhook {
    pub(crate) id: String,
    pub(crate) url: Option<String>,
    pub(crate) events: Vec<String>,
    pub(crate) status: String,
    pub(crate) disabled_reason: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) created_at: String,
}

/// A webhook with its secret.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct WebhookWithSecret {
    #[serde(flatten)]
    pub(crate) webhook: Webhook,
    pub(crate) secret: String,
    pub(crate) standard_secret: String,
}

/// A webhook that was changed.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ChangedWebhook {
    #[serde(flatten)]
    pub(crate) webhook: Webhook,
    /// The recovery that enabling it began.
    pub(crate) recovery_id: Option<String>,
}

/// The body that registers a webhook, or changes one. A member that is `None` is left out.
#[derive(Clone, Debug, Default, Serialize)]
#[cfg_attr(test, derive(Deserialize), serde(deny_unknown_fields))]
pub(crate) struct WebhookFields {
    /// Only in a registration: `push` or `poll`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) delivery: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires_at: Option<Setting<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) events: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<String>,
    /// Only in a change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<String>,
    /// Only in a change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) held: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<Setting<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) filter: Option<Setting<Box<RawValue>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) headers: Option<Setting<Box<RawValue>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) auth: Option<Setting<Box<RawValue>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry_schedule: Option<Setting<Vec<String>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) timeout_seconds: Option<Setting<u32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) signature_header: Option<Setting<Box<RawValue>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rate_limit: Option<Setting<u32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) disable_on: Option<Setting<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) auto_recover: Option<Setting<bool>>,
}

/// What a webhook's option is set to.
#[derive(Clone, Debug)]
pub(crate) enum Setting<T> {
    /// This value.
    Value(T),
    /// The default, which is `null` in JSON.
    Default,
}

impl<T: Serialize> Serialize for Setting<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Value(value) => value.serialize(serializer),
            Self::Default => serializer.serialize_unit(),
        }
    }
}

#[cfg(test)]
impl<'de, T: Deserialize<'de>> Deserialize<'de> for Setting<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self::Value)
    }
}

/// A test delivery to make.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(Deserialize), serde(deny_unknown_fields))]
pub(crate) struct NewTestDelivery {
    pub(crate) webhook_id: WebhookId,
    pub(crate) event_type: EventType,
}

/// A rotation of a webhook's secret.
#[derive(Clone, Debug, Default, Serialize)]
#[cfg_attr(test, derive(Deserialize), serde(deny_unknown_fields))]
pub(crate) struct SecretRotation {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) overlap_seconds: Option<u32>,
}

/// A recovery to begin.
#[derive(Clone, Debug, Default, Serialize)]
#[cfg_attr(test, derive(Deserialize), serde(deny_unknown_fields))]
pub(crate) struct NewRecovery {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) include_failed: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) backfill: Option<bool>,
}

/// A recovery and its progress.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Recovery {
    pub(crate) id: String,
    pub(crate) status: String,
    pub(crate) since: String,
    pub(crate) until: String,
    pub(crate) looked_at: u64,
    pub(crate) sent: u64,
    pub(crate) started_at: String,
}

/// A page of the requests that a polled webhook would have been sent.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct PolledRequests {
    /// The requests, oldest first.
    pub(crate) data: Vec<PolledRequest>,
    /// The cursor of the next poll.
    pub(crate) next_cursor: String,
    /// Whether the next poll may return more at once.
    pub(crate) has_more: bool,
}

/// A request as it would have been sent.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct PolledRequest {
    /// The headers, by their names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    /// The exact body.
    pub(crate) body: String,
}

/// Where a poll reads. A cursor goes before `from`.
#[derive(Clone, Debug, Default)]
pub(crate) struct PollPosition {
    /// The cursor of the poll before.
    pub(crate) cursor: Option<String>,
    /// `now`, `start` or a time.
    pub(crate) from: Option<String>,
}

/// The health of a webhook.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct WebhookHealth {
    pub(crate) status: String,
    pub(crate) deliveries: u64,
    pub(crate) delivered_share: Option<f64>,
    pub(crate) attempts_per_delivery: Option<f64>,
    pub(crate) latency_ms: Latency,
    pub(crate) last_success_at: Option<String>,
    pub(crate) last_failure: Option<FailedAttempt>,
}

/// How long attempts took, in milliseconds.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Latency {
    pub(crate) p50: Option<u64>,
    pub(crate) p95: Option<u64>,
}

/// A failed attempt.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct FailedAttempt {
    pub(crate) at: String,
    pub(crate) delivery_id: String,
    pub(crate) status_code: Option<u16>,
    pub(crate) error: Option<String>,
}

impl Client {
    /// Lists webhooks, newest first.
    pub(crate) async fn list_webhooks(
        &self,
        status: Option<&str>,
        page: &Wanted,
    ) -> Result<Answer<Page<Webhook>>, Error> {
        self.call(Call::new(operation::LIST_WEBHOOKS).query("status", status).page(page)).await
    }

    /// Registers a webhook. `body` is [`WebhookFields`] or the user's own JSON.
    pub(crate) async fn create_webhook(&self, body: &impl Serialize) -> Result<Answer<WebhookWithSecret>, Error> {
        self.call(Call::new(operation::CREATE_WEBHOOK).body(body)).await
    }

    /// Reads a webhook.
    pub(crate) async fn read_webhook(&self, id: WebhookId) -> Result<Answer<Webhook>, Error> {
        self.call(Call::new(operation::READ_WEBHOOK).id(id)).await
    }

    /// Changes a webhook. `body` is [`WebhookFields`] or the user's own JSON.
    pub(crate) async fn update_webhook(
        &self,
        id: WebhookId,
        body: &impl Serialize,
    ) -> Result<Answer<ChangedWebhook>, Error> {
        self.call(Call::new(operation::UPDATE_WEBHOOK).id(id).body(body)).await
    }

    /// Deletes a webhook.
    pub(crate) async fn delete_webhook(&self, id: WebhookId) -> Result<Answer<()>, Error> {
        self.call(Call::new(operation::DELETE_WEBHOOK).id(id)).await
    }

    /// Makes a test delivery.
    pub(crate) async fn test_webhook(&self, body: &NewTestDelivery) -> Result<Answer<Delivery>, Error> {
        self.call(Call::new(operation::TEST_WEBHOOK).body(body)).await
    }

    /// Replaces a webhook's secret, with an overlap. The same key always gives the same secret.
    pub(crate) async fn rotate_secret(
        &self,
        id: WebhookId,
        body: &SecretRotation,
        idempotency_key: &str,
    ) -> Result<Answer<WebhookWithSecret>, Error> {
        let call = Call::new(operation::ROTATE_SECRET).id(id).body(body);
        self.call(call.idempotency_key(idempotency_key)).await
    }

    /// Ends the overlap of a rotation.
    pub(crate) async fn finish_rotation(&self, id: WebhookId) -> Result<Answer<Webhook>, Error> {
        self.call(Call::new(operation::FINISH_ROTATION).id(id)).await
    }

    /// Begins a recovery: sends again what was not delivered.
    pub(crate) async fn recover_webhook(&self, id: WebhookId, body: &NewRecovery) -> Result<Answer<Recovery>, Error> {
        self.call(Call::new(operation::RECOVER_WEBHOOK).id(id).body(body)).await
    }

    /// Lists the recoveries of a webhook, newest first.
    pub(crate) async fn list_recoveries(&self, id: WebhookId, page: &Wanted) -> Result<Answer<Page<Recovery>>, Error> {
        self.call(Call::new(operation::LIST_RECOVERIES).id(id).page(page)).await
    }

    /// Reads a recovery.
    pub(crate) async fn read_recovery(&self, id: WebhookId, recovery: RecoveryId) -> Result<Answer<Recovery>, Error> {
        self.call(Call::new(operation::READ_RECOVERY).id(id).id(recovery)).await
    }

    /// Polls a webhook.
    pub(crate) async fn poll_webhook(
        &self,
        id: WebhookId,
        position: &PollPosition,
        limit: Option<u32>,
    ) -> Result<Answer<PolledRequests>, Error> {
        let call = Call::new(operation::POLL_WEBHOOK).id(id).query("limit", limit);
        let call = call.query("cursor", position.cursor.as_deref()).query("from", position.from.as_deref());
        self.call(call).await
    }

    /// Reads the health of a webhook.
    pub(crate) async fn read_health(&self, id: WebhookId) -> Result<Answer<WebhookHealth>, Error> {
        self.call(Call::new(operation::READ_HEALTH).id(id)).await
    }
}
