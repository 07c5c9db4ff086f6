//! Disabling and enabling a webhook.
//!
//! Each disabling raises the webhook's epoch, so that tasks made before it have no effect. A disabling by Hookline itself is
//! kept until it is announced, which publishes the event `webhook.disabled` to the account's other webhooks.

use super::Webhook;
use crate::{event_type, id::EventId, time::Timestamp};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// The most disablings that are kept: far more than can be unannounced at once.
const DISABLINGS_KEPT: usize = 8;

/// Whether deliveries are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum WebhookStatus {
    /// Deliveries are sent.
    Enabled,
    /// Deliveries are held until a user enables the webhook again.
    Disabled,
}

impl FromStr for WebhookStatus {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "enabled" => Ok(Self::Enabled),
            "disabled" => Ok(Self::Disabled),
            _ => Err("must be 'enabled' or 'disabled'"),
        }
    }
}

/// Why a webhook is disabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum DisabledReason {
    /// The last attempt of a delivery failed.
    Failures,
    /// The endpoint answered 410.
    Gone,
    /// A user disabled it.
    Manual,
}

impl DisabledReason {
    /// Returns the word in the API and in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failures => "failures",
            Self::Gone => "gone",
            Self::Manual => "manual",
        }
    }
}

/// A disabling by Hookline itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disabling {
    /// The webhook's epoch after the disabling.
    #[serde(alias = "generation")]
    pub epoch: u32,
    /// Why Hookline disabled the webhook.
    pub reason: DisabledReason,
    /// When it was disabled.
    pub at: Timestamp,
    /// Whether the job that publishes its announcement is enqueued.
    #[serde(default, alias = "told")]
    pub announced: bool,
    /// When a trial has enabled the webhook again, if one has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovered_at: Option<Timestamp>,
    /// Whether the job that publishes that is enqueued.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recovery_announced: bool,
}

impl Webhook {
    /// Whether deliveries are sent.
    pub fn is_enabled(&self) -> bool {
        self.status == WebhookStatus::Enabled
    }

    /// Disables the webhook at `now`. Does nothing if it is already disabled.
    pub fn disable(&mut self, reason: DisabledReason, now: Timestamp) {
        if self.is_enabled() {
            self.status = WebhookStatus::Disabled;
            self.disabled_reason = Some(reason);
            self.disabled_at = Some(now);
            self.epoch += 1;
            self.recoveries.clear();
            self.held_recovery = None;
            self.trials = None;
            self.updated_at = now;
            if reason != DisabledReason::Manual {
                self.disablings.push(Disabling {
                    epoch: self.epoch,
                    reason,
                    at: now,
                    announced: false,
                    recovered_at: None,
                    recovery_announced: false,
                });
                let over = self.disablings.len().saturating_sub(DISABLINGS_KEPT);
                self.disablings.drain(..over);
            }
        }
    }

    /// Enables the webhook at `now`, and leaves what is held as it is; see [`Webhook::enable_with`].
    pub fn enable(&mut self, now: Timestamp) {
        self.status = WebhookStatus::Enabled;
        self.disabled_reason = None;
        self.disabled_at = None;
        self.enabled_at = Some(now);
        self.recoveries.clear();
        self.held_recovery = None;
        self.trials = None;
        self.failing = None;
        self.updated_at = now;
    }

    /// Returns the webhook as it was right after `disabling`, whether or not it has been enabled since.
    #[must_use]
    pub fn as_disabled(&self, disabling: &Disabling) -> Self {
        let Disabling { epoch, reason, at, .. } = *disabling;
        let (status, disabled_reason, disabled_at) = (WebhookStatus::Disabled, Some(reason), Some(at));
        let trials = self.trials.clone().filter(|_| epoch == self.epoch);
        Self { status, disabled_reason, disabled_at, epoch, trials, updated_at: at, ..self.clone() }
    }

    /// Returns the webhook as it was right after a trial has enabled it at `at`.
    #[must_use]
    pub fn as_recovered(&self, at: Timestamp) -> Self {
        let (status, disabled_reason, disabled_at) = (WebhookStatus::Enabled, None, None);
        Self { status, disabled_reason, disabled_at, trials: None, updated_at: at, ..self.clone() }
    }

    /// Returns the id of the event that announces the disabling at `at` that began `epoch`. The id is always the same, so that
    /// announcing the disabling twice publishes one event.
    pub fn announcement(&self, epoch: u32, at: Timestamp) -> EventId {
        let seed = format!("{} {} {epoch}", event_type::WEBHOOK_DISABLED, self.id);
        EventId::derived(at, seed.as_bytes())
    }

    /// Returns the disablings that are not announced yet.
    pub fn unannounced(&self) -> impl Iterator<Item = &Disabling> {
        self.disablings.iter().filter(|disabling| !disabling.announced)
    }

    /// Returns the disablings whose recovery by a trial is not announced yet, and when it was.
    pub fn unannounced_recoveries(&self) -> impl Iterator<Item = (u32, Timestamp)> {
        let unannounced = self.disablings.iter().filter(|disabling| !disabling.recovery_announced);
        unannounced.filter_map(|disabling| Some((disabling.epoch, disabling.recovered_at?)))
    }

    /// Marks the disablings up to `epoch` as announced.
    pub fn mark_announced(&mut self, epoch: u32) {
        for disabling in self.disablings.iter_mut().filter(|disabling| disabling.epoch <= epoch) {
            disabling.announced = true;
        }
    }

    /// Marks the recovery from the disabling of `epoch` as announced.
    pub fn mark_recovery_announced(&mut self, epoch: u32) {
        for disabling in self.disablings.iter_mut().filter(|disabling| disabling.epoch == epoch) {
            disabling.recovery_announced = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::fixtures::{at, registered_at},
        *,
    };
    use crate::event_type::EventType;

    #[test]
    fn a_disabling_is_announced_only_to_the_other_webhooks() {
        let (mut disabled, other) = (registered_at(1, &["*"]), registered_at(2, &["*"]));
        for epoch in 1..=2 {
            disabled.disable(DisabledReason::Failures, at(7));
            let event = disabled.announcement(epoch, at(7));
            disabled.enable(at(8));
            assert!(!disabled.wants(event, &EventType::operational(event_type::WEBHOOK_DISABLED)), "{epoch}");
            assert!(other.wants(event, &EventType::operational(event_type::WEBHOOK_DISABLED)), "{epoch}");
        }
        let others = other.announcement(1, at(7));
        assert!(disabled.wants(others, &EventType::operational(event_type::WEBHOOK_DISABLED)));
    }

    #[test]
    fn enabling_a_webhook_keeps_its_unannounced_disablings() {
        let mut webhook = registered_at(1, &["*"]);
        for _ in 0..2 {
            webhook.disable(DisabledReason::Failures, at(7));
            webhook.enable(at(8));
        }
        let unannounced: Vec<_> = webhook.unannounced().copied().collect();
        assert_eq!(unannounced.iter().map(|one| one.epoch).collect::<Vec<_>>(), [1, 2]);
        let shown = webhook.as_disabled(&unannounced[0]);
        assert_eq!((shown.is_enabled(), shown.disabled_reason), (false, Some(DisabledReason::Failures)));
        webhook.mark_announced(1);
        assert_eq!(webhook.unannounced().map(|one| one.epoch).collect::<Vec<_>>(), [2]);
    }
}
