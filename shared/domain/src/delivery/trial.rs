//! Trials as attempts of deliveries: the task of a trial, which delivery it may send, and what its attempt leads to. The webhook
//! decides when there is a trial: `webhook/trials.rs`.

use super::{Attempt, Delivery, DeliveryStatus, Task, Trigger};
use crate::webhook::{TrialOutcome, Webhook};

impl Task {
    /// Returns the task of the trial that `webhook` waits for, if it does. Before the event is chosen, the task has the one that
    /// disabled the webhook.
    pub fn of_trial(webhook: &Webhook) -> Option<Self> {
        let trials = webhook.awaited_trial()?;
        let trigger = Trigger::Trial { epoch: webhook.epoch, number: trials.number };
        Some(Self { trigger, ..Self::first(webhook, trials.event.unwrap_or(trials.cause)) })
    }
}

impl Delivery {
    /// Whether a trial may send the delivery: it is no test, and neither delivered nor cancelled.
    pub fn may_be_tried(&self, webhook: &Webhook) -> bool {
        let shown = self.shown_status(Some(webhook));
        !self.is_test() && !matches!(shown, DeliveryStatus::Delivered | DeliveryStatus::Cancelled)
    }
}

impl Attempt {
    /// Returns what the attempt means if it is that of a trial. An answer of 4xx refuses the event itself, but for 408, 410 and 429.
    pub(super) fn as_trial(&self) -> TrialOutcome {
        match self.status_code.filter(|_| self.error.is_none()) {
            Some(200..=299) => TrialOutcome::Succeeded,
            Some(410) => TrialOutcome::Gone,
            Some(408 | 429) => TrialOutcome::Failed,
            Some(400..=499) => TrialOutcome::Refused,
            _ => TrialOutcome::Failed,
        }
    }
}
