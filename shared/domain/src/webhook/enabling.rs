//! Enabling a webhook: what is held is recovered or cancelled. Neither writes a delivery.
//!
//! A recovery needs a job, which is enqueued after the webhook is written. The webhook therefore keeps the recovery with a mark
//! whether its job is enqueued, so that a worker that dies in between loses nothing: `FinishEnabling`, a job that was enqueued
//! before, makes sure of it.
//!
//! A cancel raises the webhook's epoch once more. All that was pending or held before has an earlier epoch, and all that comes
//! later has this one, whatever the clocks say. Only a delivery that has no task and is not stored is judged by time.

use super::{RecoveryWindow, Webhook};
use crate::{
    event_type::EventType,
    id::EventId,
    time::{CLOCK_SKEW, Timestamp},
};
use serde::{Deserialize, Serialize};

/// What becomes of the held deliveries of a webhook that is enabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Held {
    /// They are sent, oldest first.
    Recover,
    /// They are cancelled.
    Cancel,
}

/// The recovery of what was held when the webhook was enabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldRecovery {
    /// The run, and the events that may be held: those since the registration.
    pub window: RecoveryWindow,
    /// Whether its job is enqueued.
    pub enqueued: bool,
    /// Whether it is spread over time, as the recovery that follows a trial is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paced: bool,
}

/// The enabling that cancelled what was held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldCancelled {
    /// The webhook's epoch after it. What was pending or held in an earlier epoch is cancelled.
    pub epoch: u32,
    /// When it happened.
    pub at: Timestamp,
}

impl Webhook {
    /// Enables the webhook at `now`, and recovers or cancels what is held. Does nothing if it is enabled already: nothing is
    /// held then. Nothing is ever held for a polled webhook: its client goes on at its own position.
    pub fn enable_with(&mut self, held: Held, now: Timestamp) {
        if self.is_enabled() {
            return;
        }
        self.enable(now);
        match held {
            _ if self.is_polled() => {}
            Held::Recover => {
                // A publisher's clock may be behind or ahead.
                let (first, last) = (self.created_at.minus(CLOCK_SKEW), now.plus(CLOCK_SKEW));
                let (first, last) = (EventId::first_at(first), EventId::first_at(last));
                let run = self.next_run(now);
                self.latest_run = run;
                let window = RecoveryWindow { run, first, last, include_failed: false, backfill: false };
                self.held_recovery = Some(HeldRecovery { window, enqueued: false, paced: false });
            }
            Held::Cancel => {
                self.epoch += 1;
                self.held_cancelled = Some(HeldCancelled { epoch: self.epoch, at: now });
            }
        }
    }

    /// Returns the recovery of what was held, if its job may not be enqueued yet.
    pub fn unenqueued_recovery(&self) -> Option<HeldRecovery> {
        self.held_recovery.filter(|recovery| !recovery.enqueued)
    }

    /// Marks the job of the recovery that begins `run` as enqueued.
    pub fn mark_enqueued(&mut self, run: i64) {
        if let Some(recovery) = self.held_recovery.as_mut().filter(|recovery| recovery.window.run == run) {
            recovery.enqueued = true;
        }
    }

    /// Whether the run of a delivery of `event_type` that began at `epoch` and `revision` has been cancelled, by enabling the
    /// webhook or by unsubscribing.
    pub fn has_cancelled(&self, event_type: &EventType, epoch: u32, revision: u32) -> bool {
        self.has_cancelled_epoch(epoch) || self.has_unsubscribed(event_type, epoch, revision)
    }

    /// Whether enabling the webhook has cancelled what was held in `epoch`.
    pub fn has_cancelled_epoch(&self, epoch: u32) -> bool {
        self.held_cancelled.is_some_and(|cancelled| epoch < cancelled.epoch)
    }

    /// Whether enabling the webhook has cancelled what was published at `moment` and never attempted.
    pub fn has_cancelled_events_of(&self, moment: Timestamp) -> bool {
        self.held_cancelled.is_some_and(|cancelled| moment < cancelled.at)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            DisabledReason,
            fixtures::{at, published, registered_at},
        },
        *,
    };

    fn disabled() -> Webhook {
        let mut webhook = registered_at(100, &["*"]);
        webhook.disable(DisabledReason::Manual, at(200));
        webhook
    }

    #[test]
    fn enabling_keeps_the_recovery_until_its_job_is_enqueued() {
        let mut webhook = disabled();
        webhook.enable_with(Held::Recover, at(300));
        let recovery = webhook.unenqueued_recovery().expect("a recovery");
        let window = recovery.window;
        assert_eq!((window.run, window.first, window.last), (300, published(0), published(5_300)));
        webhook.enable_with(Held::Cancel, at(400));
        assert_eq!(webhook.unenqueued_recovery(), Some(recovery), "it is enabled already");
        assert!(!webhook.has_cancelled_epoch(0));
        webhook.mark_enqueued(299);
        assert_eq!(webhook.unenqueued_recovery(), Some(recovery), "another run");
        webhook.mark_enqueued(300);
        assert_eq!((webhook.unenqueued_recovery(), webhook.recovery_of(published(150))), (None, Some(300)));
        webhook.disable(DisabledReason::Manual, at(500));
        assert_eq!(webhook.recovery_of(published(150)), None);
    }

    #[test]
    fn a_cancel_ends_every_earlier_epoch() {
        let mut webhook = disabled();
        webhook.enable_with(Held::Cancel, at(300));
        assert_eq!([0, 1, 2].map(|epoch| webhook.has_cancelled_epoch(epoch)), [true, true, false]);
        assert_eq!([299, 300].map(|ms| webhook.has_cancelled_events_of(at(ms))), [true, false]);
        webhook.disable(DisabledReason::Manual, at(400));
        webhook.enable_with(Held::Recover, at(500));
        assert_eq!([1, 2].map(|epoch| webhook.has_cancelled_epoch(epoch)), [true, false], "and stays so");
    }
}
