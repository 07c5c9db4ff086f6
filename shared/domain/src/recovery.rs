//! A recovery as it is requested, stored and shown: its window and its progress. `webhook/recovery.rs` keeps the windows that
//! decide about deliveries, and `job.rs` has the job that carries a recovery out.

use crate::{
    id::{EventId, RecoveryId, WebhookId},
    job::Recover,
    time::{CLOCK_SKEW, Timestamp},
    webhook::{RecoveryWindow, Webhook},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A recovery to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewRecovery {
    /// The beginning of the window. The default is the webhook's registration, and with `backfill` the oldest event that is
    /// kept.
    pub since: Option<Timestamp>,
    /// The end of the window. The default is [`CLOCK_SKEW`] from now, because the clocks of workers differ.
    pub until: Option<Timestamp>,
    /// Whether failed deliveries are sent again.
    pub include_failed: bool,
    /// Whether events from before the webhook's registration are sent.
    pub backfill: bool,
}

impl Default for NewRecovery {
    /// Everything since the registration that is not delivered.
    fn default() -> Self {
        Self { since: None, until: None, include_failed: true, backfill: false }
    }
}

/// The window has no moment in it, because it ends before the webhook was registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the window ends before the webhook was registered")]
pub struct EmptyWindow;

impl NewRecovery {
    /// Returns the window of the recovery of `webhook` that begins at `now`, when events are kept for `retention`. Without
    /// `backfill` the window begins at the registration if `since` is earlier.
    ///
    /// A publisher's clock may be behind, so a delivery may exist for an event whose time is up to [`CLOCK_SKEW`] before the
    /// registration. A window that begins at the registration therefore includes that time.
    ///
    /// # Errors
    /// The window would end before it begins.
    pub fn window(
        &self,
        webhook: &Webhook,
        now: Timestamp,
        retention: Duration,
    ) -> Result<RecoveryWindow, EmptyWindow> {
        let registered = webhook.created_at;
        let asked = self.since.unwrap_or_else(|| now.minus(retention));
        let since = if self.backfill { asked } else { asked.max(registered) };
        let until = self.until.unwrap_or_else(|| now.plus(CLOCK_SKEW).max(since));
        if until < since {
            return Err(EmptyWindow);
        }
        let is_cut = !self.backfill && since == registered;
        let first = if is_cut { registered.minus(CLOCK_SKEW) } else { since };
        Ok(RecoveryWindow {
            run: webhook.next_run(now),
            first: EventId::first_at(first),
            last: EventId::first_at(until),
            include_failed: self.include_failed,
            backfill: self.backfill,
        })
    }
}

/// How far a recovery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum RecoveryStatus {
    /// Events of the window are still to be looked at.
    Running,
    /// All deliveries of the recovery are enqueued.
    Done,
    /// The webhook was disabled or deleted meanwhile, so the rest was not enqueued.
    Stopped,
}

/// A recovery as it is stored.
///
/// A recovery is a chain of jobs. Each job reads this record, and writes it once, when its tasks are enqueued and before the
/// next job is. The write is conditional on `jobs`, the number of jobs before it. So the progress of a job is counted once,
/// however often its message is received, and a late repeat changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// Its id, which was made when the recovery began.
    pub id: RecoveryId,
    /// The webhook that is recovered.
    pub webhook: WebhookId,
    /// The webhook's epoch when the recovery began.
    pub epoch: u32,
    /// The beginning of the window.
    pub since: Timestamp,
    /// The end of the window.
    pub until: Timestamp,
    /// Whether failed deliveries are sent again.
    pub include_failed: bool,
    /// Whether events from before the webhook's registration are sent.
    pub backfill: bool,
    /// How far it is, as its jobs know it.
    pub status: RecoveryStatus,
    /// How many jobs have recorded their progress.
    pub jobs: u32,
    /// The last event that was looked at.
    pub after: Option<EventId>,
    /// How many events of the window were looked at.
    pub looked_at: u64,
    /// How many of them were enqueued.
    pub sent: u64,
    /// When it ended, if it has.
    pub ended_at: Option<Timestamp>,
}

/// What one job of a recovery has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    /// How far the recovery is after it.
    pub status: RecoveryStatus,
    /// The last event that was looked at.
    pub after: Option<EventId>,
    /// How many events were looked at.
    pub looked_at: u64,
    /// How many of them were enqueued.
    pub sent: u64,
}

impl Recovery {
    /// Creates the record of the recovery `id`, which `job` begins.
    pub fn begun_by(id: RecoveryId, job: &Recover) -> Self {
        let since = job.first.made_at();
        Self {
            id,
            webhook: job.webhook,
            epoch: job.epoch,
            since: if job.backfill { since } else { since.max(job.webhook.made_at()) },
            until: job.last.made_at(),
            include_failed: job.include_failed,
            backfill: job.backfill,
            status: RecoveryStatus::Running,
            jobs: 0,
            after: None,
            looked_at: 0,
            sent: 0,
            ended_at: None,
        }
    }

    /// Returns the record after its next job, which ended at `now`.
    #[must_use]
    pub fn after_pass(&self, pass: &Pass, now: Timestamp) -> Self {
        Self {
            status: pass.status,
            jobs: self.jobs + 1,
            after: pass.after,
            looked_at: self.looked_at + pass.looked_at,
            sent: self.sent + pass.sent,
            ended_at: Some(now).filter(|_| pass.status != RecoveryStatus::Running),
            ..self.clone()
        }
    }

    /// Returns the status that users see, given the webhook as it is now (`None` if it was deleted), and when the recovery
    /// ended. One whose webhook was disabled or deleted is stopped, even before a job has noticed. The moment of a deletion is
    /// not known, nor that of a disabling before the present one.
    pub fn shown(&self, webhook: Option<&Webhook>) -> (RecoveryStatus, Option<Timestamp>) {
        match webhook {
            _ if self.status != RecoveryStatus::Running => (self.status, self.ended_at),
            Some(webhook) if webhook.is_enabled() && webhook.epoch == self.epoch => (self.status, None),
            webhook => {
                let ended_it = webhook.filter(|webhook| webhook.epoch == self.epoch + 1);
                (RecoveryStatus::Stopped, ended_it.and_then(|webhook| webhook.disabled_at))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::{
        DisabledReason,
        fixtures::{at, registered_at},
    };

    const RETENTION: Duration = Duration::from_secs(1);

    /// The window as it is shown, of a webhook that was registered at `registered`, when the recovery begins at 12,000.
    fn window(registered: i64, new: NewRecovery) -> Result<(i64, i64), EmptyWindow> {
        let webhook = registered_at(registered, &["*"]);
        let window = new.window(&webhook, at(12_000), RETENTION)?;
        let begun = Recovery::begun_by(RecoveryId::first_at(at(12_000)), &Recover::of_window(&webhook, window));
        let is_cut = !new.backfill && begun.since == webhook.created_at;
        let first = if is_cut { begun.since.minus(CLOCK_SKEW) } else { begun.since };
        assert_eq!(window.first, EventId::first_at(first), "clocks may differ at the registration");
        Ok((begun.since.unix_ms(), begun.until.unix_ms()))
    }

    #[test]
    fn a_window_begins_at_the_registration_or_the_oldest_event_kept() {
        let all = NewRecovery::default();
        assert_eq!(window(11_500, all), Ok((11_500, 17_000)));
        assert_eq!(window(10_500, all), Ok((11_000, 17_000)), "older events are not kept");
        assert_eq!(window(11_500, NewRecovery { backfill: true, ..all }), Ok((11_000, 17_000)));
    }

    #[test]
    fn a_window_begins_before_the_registration_only_with_backfill() {
        let early = NewRecovery { since: Some(at(9_200)), until: Some(at(9_800)), ..NewRecovery::default() };
        assert_eq!(window(9_500, early), Ok((9_500, 9_800)));
        assert_eq!(window(9_500, NewRecovery { backfill: true, ..early }), Ok((9_200, 9_800)));
        assert_eq!(window(9_100, early), Ok((9_200, 9_800)));
        assert_eq!(window(9_900, early), Err(EmptyWindow));
        assert_eq!(window(9_900, NewRecovery { backfill: true, ..early }), Ok((9_200, 9_800)));
    }

    /// A recovery that has begun, and its webhook.
    fn begun() -> (Recovery, Webhook) {
        let webhook = registered_at(100, &["*"]);
        let window = NewRecovery::default().window(&webhook, at(2000), RETENTION).expect("a window");
        let job = Recover::of_window(&webhook, window);
        (Recovery::begun_by(RecoveryId::first_at(at(2000)), &job), webhook)
    }

    #[test]
    fn the_progress_adds_up() {
        let (begun, _) = begun();
        let after = Some(EventId::first_at(at(1500)));
        let pass = Pass { status: RecoveryStatus::Running, after, looked_at: 500, sent: 3 };
        let first = begun.after_pass(&pass, at(2100));
        assert_eq!((first.jobs, first.after, first.looked_at, first.sent, first.ended_at), (1, after, 500, 3, None));
        let last = Pass { status: RecoveryStatus::Done, after: None, looked_at: 7, sent: 2 };
        let done = first.after_pass(&last, at(2200));
        assert_eq!((done.jobs, done.looked_at, done.sent), (2, 507, 5));
        assert_eq!(done.shown(None), (RecoveryStatus::Done, Some(at(2200))), "what is done stays done");
    }

    #[test]
    fn a_recovery_stops_with_its_webhook() {
        let (recovery, mut webhook) = begun();
        assert_eq!(recovery.shown(Some(&webhook)), (RecoveryStatus::Running, None));
        assert_eq!(recovery.shown(None), (RecoveryStatus::Stopped, None));
        webhook.disable(DisabledReason::Manual, at(2050));
        assert_eq!(recovery.shown(Some(&webhook)), (RecoveryStatus::Stopped, Some(at(2050))));
        webhook.enable(at(2060));
        assert_eq!(recovery.shown(Some(&webhook)), (RecoveryStatus::Stopped, None), "enabling does not continue it");
        webhook.disable(DisabledReason::Manual, at(2070));
        assert_eq!(recovery.shown(Some(&webhook)), (RecoveryStatus::Stopped, None), "a later disabling");
    }
}
