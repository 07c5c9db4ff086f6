//! The message that asks for one attempt.

use super::Trigger;
use crate::{
    account::AccountId,
    event_type::EventType,
    id::{DeliveryId, EventId, WebhookId},
    time::Timestamp,
    webhook::Webhook,
};
use serde::{Deserialize, Serialize};

/// An attempt task: a message on a deliveries queue, or the input of a schedule. Every pending delivery has one, until its
/// attempt is recorded and the next task is enqueued.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Task {
    /// The delivery's account.
    pub account: AccountId,
    /// The delivery.
    pub delivery: DeliveryId,
    /// The webhook's epoch when the task was made.
    #[serde(alias = "generation")]
    pub epoch: u32,
    /// The webhook's revision when the run began.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub revision: u32,
    /// Which attempt the task asks for.
    #[serde(alias = "turn")]
    pub trigger: Trigger,
    /// The rate slot that the task waits for, if the webhook's rate limit has requeued it.
    #[serde(flatten)]
    pub slot: Option<RateSlot>,
    /// Whether the task goes through the queue for slow endpoints.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub slow: bool,
}

/// When a rate-limited task returns from the queue. In JSON its fields are among the task's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RateSlot {
    /// When the task returns.
    #[serde(rename = "slot")]
    pub at: Timestamp,
    /// How often the rate limit has requeued the task.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub requeues: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Task {
    /// Creates the task for the first attempt of `event` to `webhook`.
    pub fn first(webhook: &Webhook, event: EventId) -> Self {
        Self {
            account: webhook.account.clone(),
            delivery: DeliveryId { event, webhook: webhook.id },
            epoch: webhook.epoch,
            revision: webhook.revision,
            trigger: Trigger::FIRST,
            slot: None,
            slow: false,
        }
    }

    /// Returns the task's webhook.
    pub fn webhook(&self) -> WebhookId {
        self.delivery.webhook
    }

    /// Returns the recovery's task for the same delivery, if the webhook was disabled, enabled and recovered after this task
    /// was made. There is none if this task was cancelled before, or if the recovery does not send events of this type.
    ///
    /// The recovery may have missed the event, which can be stored after the recovery has read its page. This task is then
    /// the only one for the delivery. If the recovery did see the event, the two tasks have the same trigger.
    #[must_use]
    pub fn recovered(&self, webhook: &Webhook, event_type: &EventType) -> Option<Self> {
        let is_scheduled = matches!(self.trigger, Trigger::Scheduled { .. });
        if !is_scheduled || !webhook.is_enabled() || webhook.epoch == self.epoch {
            return None;
        }
        if self.is_cancelled_by(webhook, event_type) || !webhook.subscribes_to(event_type) {
            return None;
        }
        let run = webhook.recovery_of(self.delivery.event)?;
        let trigger = Trigger::Scheduled { run, step: 1 };
        Some(Self { epoch: webhook.epoch, revision: webhook.revision, trigger, slot: None, ..self.clone() })
    }

    /// Whether the webhook has cancelled the task's run since the task was made. A manual retry and a test belong to no run.
    pub(super) fn is_cancelled_by(&self, webhook: &Webhook, event_type: &EventType) -> bool {
        let is_scheduled = matches!(self.trigger, Trigger::Scheduled { .. });
        is_scheduled && webhook.has_cancelled(event_type, self.epoch, self.revision)
    }

    /// Whether the delivery is held, because the webhook is disabled or was disabled after the task was made. A test never is.
    pub(super) fn is_held_by(&self, webhook: &Webhook) -> bool {
        match self.trigger {
            Trigger::Scheduled { .. } => !webhook.is_enabled() || webhook.epoch != self.epoch,
            Trigger::Manual { .. } => !webhook.is_enabled(),
            Trigger::Test | Trigger::Trial { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_of_version_0_1_is_read() {
        let (event, webhook) = ("0".repeat(26), "1".repeat(26));
        let before = format!(
            r#"{{"account":"acme","delivery":"dlv_{event}{webhook}","generation":3,
            "turn":{{"scheduled":{{"round":7,"step":2}}}},"slot":1739874600000,"requeues":1,"slow":true}}"#
        );
        let task: Task = serde_json::from_str(&before).expect("a task");
        let slot = RateSlot { at: Timestamp::from_unix_ms(1_739_874_600_000), requeues: 1 };
        assert_eq!((task.epoch, task.slot, task.slow), (3, Some(slot), true));
        assert_eq!(task.trigger, Trigger::Scheduled { run: 7, step: 2 });
        let written = serde_json::to_string(&task).expect("JSON");
        assert_eq!(serde_json::from_str::<Task>(&written).expect("a task"), task);
        assert!(written.contains(r#""epoch":3,"trigger":"7.2""#), "{written}");
    }
}
