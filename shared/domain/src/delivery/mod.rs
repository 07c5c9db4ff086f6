//! A delivery: one event on its way to one webhook. Every decision about it is a pure function of the stored delivery, the
//! task, the answer, the time and a random number.
//!
//! | file | decides |
//! |---|---|
//! | `decision.rs` | what to do with a task: attempt, wait, follow up, end the delivery, or nothing |
//! | `outcome.rs` | what an attempt's outcome leads to: the status, the next attempt, a disabling |
//! | `cancel.rs` | what a user's cancel does |
//! | `recovery.rs` | which deliveries a recovery sends |
//! | `trial.rs` | which deliveries a trial may send, and what it leads to |
//! | `reports.rs` | what is reported about failed attempts |
//! | `request.rs` | the headers of an attempt |
//! | `unattempted.rs` | the status of a delivery that is not stored yet |
//! | `view.rs` | a delivery as users see it |
//! | `task.rs`, `trigger.rs`, `attempt.rs` | what these functions work with |

mod attempt;
mod cancel;
mod decision;
#[cfg(test)]
pub(crate) mod fixtures;
mod outcome;
mod recovery;
mod reports;
pub mod request;
mod task;
mod trial;
mod trigger;
mod unattempted;
mod view;

pub use attempt::{Attempt, AttemptError, Attempted};
pub use cancel::Cancel;
pub use decision::{Decision, Ready, Subject};
pub use outcome::{FollowUp, Outcome};
pub use recovery::is_recovered;
pub use task::{RateSlot, Task};
pub use trigger::{InvalidTrigger, Trigger};
pub use unattempted::unattempted_status;
pub use view::DeliveryView;

use crate::{
    account::AccountId,
    event_type::EventType,
    id::DeliveryId,
    time::Timestamp,
    trace::TraceParent,
    webhook::{Webhook, options::TIMEOUT_MAX_S},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, str::FromStr, time::Duration};

/// The time that a receiver has for one attempt in all, unless its webhook sets another: DNS, connect, TLS, headers and body.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

/// The time that is kept for recording the attempt within its lease, with a margin for clock skew.
pub const RECORD_MARGIN: Duration = Duration::from_secs(5);

/// The time that is kept for writing the lease itself.
const LEASE_MARGIN: Duration = Duration::from_secs(5);

/// Returns how long a lease lasts: the write of the lease itself, the attempt, and its record.
pub const fn lease_for(attempt_timeout: Duration) -> Duration {
    LEASE_MARGIN.saturating_add(attempt_timeout).saturating_add(RECORD_MARGIN)
}

/// The longest lease: that of a webhook with the longest timeout.
pub const LEASE_MAX: Duration = lease_for(Duration::from_secs(TIMEOUT_MAX_S as u64));

/// How long a pending delivery may be overdue before it counts as stalled. A live task is received sooner: a schedule fires up
/// to a minute late and is retried within four minutes, and a message that failed is visible again within three minutes. Only a
/// task that waits for a rate slot may take longer.
pub const STALLED_AFTER: Duration = Duration::from_secs(30 * 60);

/// The most attempts that a delivery keeps. Recoveries and manual retries add further attempts, which push the oldest out.
pub const ATTEMPTS_KEPT: usize = 20;

/// The state of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryStatus {
    /// An attempt is due, now or later.
    Pending,
    /// The receiver answered 2xx.
    Delivered,
    /// The last attempt failed.
    Failed,
    /// It waits for a disabled webhook to be enabled.
    Held,
    /// A user cancelled it, its type was unsubscribed, or its webhook was deleted.
    Cancelled,
}

impl DeliveryStatus {
    /// Every status, in the order of the type.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Delivered, Self::Failed, Self::Held, Self::Cancelled];

    /// Returns the word in the API and in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Held => "held",
            Self::Cancelled => "cancelled",
        }
    }
}

impl FromStr for DeliveryStatus {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|status| status.as_str() == word).ok_or(())
    }
}

/// The time-bounded right of one worker to make an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Unique to one handling of one message.
    pub holder: String,
    /// When another worker may acquire it.
    pub until: Timestamp,
}

/// A delivery as it is stored. The lease of its first attempt writes it first, and each write is conditional on the version
/// that it was decided on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The account of the event and the webhook.
    pub account: AccountId,
    /// The delivery's id.
    pub delivery: DeliveryId,
    /// The event's type.
    pub event_type: EventType,
    /// Whether it was made for a test. Version 0.1 did not store this; see [`Delivery::is_test`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub test: bool,
    /// The trace of the event's publication, for the log lines of those that do not read the event. In a box, because most
    /// deliveries have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<Box<TraceParent>>,
    /// The stored status. [`Delivery::shown_status`] is the one that users see.
    pub status: DeliveryStatus,
    /// Whether a user cancelled it; see [`Delivery::cancel`]. The status stays as it was.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancelled: bool,
    /// The webhook's epoch when the task that last changed the status was made.
    #[serde(alias = "generation")]
    pub epoch: u32,
    /// The webhook's revision when the present run began.
    #[serde(default)]
    pub revision: u32,
    /// The present run of the schedule, as in [`Trigger::Scheduled`].
    #[serde(alias = "round")]
    pub run: i64,
    /// Attempts of this run that are recorded.
    pub step: u32,
    /// Attempts that were ever recorded.
    #[serde(alias = "made")]
    pub attempts_made: u32,
    /// The latest attempts, by their triggers.
    pub attempts: BTreeMap<Trigger, Attempt>,
    /// The lease of the worker that is making an attempt.
    #[serde(default, alias = "claim", skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// When the next attempt is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Timestamp>,
}

impl Delivery {
    /// Creates a pending delivery without attempts, whose first run `task` begins.
    pub fn new(task: &Task, event_type: EventType) -> Self {
        let run = match task.trigger {
            Trigger::Scheduled { run, .. } => run,
            Trigger::Manual { .. } | Trigger::Test | Trigger::Trial { .. } => 0,
        };
        Self {
            account: task.account.clone(),
            delivery: task.delivery,
            event_type,
            test: task.trigger == Trigger::Test,
            trace: None,
            status: DeliveryStatus::Pending,
            cancelled: false,
            epoch: task.epoch,
            revision: task.revision,
            run,
            step: 0,
            attempts_made: 0,
            attempts: BTreeMap::new(),
            lease: None,
            next_attempt_at: None,
        }
    }

    /// Whether the delivery is a test. Earlier versions stored only the attempt, which says so too.
    pub fn is_test(&self) -> bool {
        self.test || self.attempts.contains_key(&Trigger::Test)
    }

    /// Returns the number of the next attempt.
    pub fn next_number(&self) -> u32 {
        self.attempts_made + 1
    }

    /// Returns the lease of the worker that is making an attempt at `now`, if one is.
    pub fn live_lease(&self, now: Timestamp) -> Option<&Lease> {
        self.lease.as_ref().filter(|lease| now < lease.until)
    }

    /// Returns the delivery with `lease` acquired for the attempt that `task` asks for: the write of
    /// [`Decision::Attempt`].
    #[must_use]
    pub fn leased(mut self, task: &Task, lease: Lease) -> Self {
        if let Trigger::Scheduled { run, step } = task.trigger {
            self.status = DeliveryStatus::Pending;
            self.run = run;
            self.step = step - 1;
            self.epoch = task.epoch;
            self.revision = task.revision;
            self.next_attempt_at = None;
        }
        self.lease = Some(lease);
        self
    }

    /// Returns the delivery with `status` instead of the attempt that `task` asks for: the write of [`Decision::End`].
    #[must_use]
    pub fn ended(mut self, task: &Task, status: DeliveryStatus) -> Self {
        self.status = status;
        self.epoch = task.epoch;
        self.revision = task.revision;
        self.next_attempt_at = None;
        self.lease = None;
        self
    }

    /// Returns the delivery with an attempt recorded, less the oldest attempt if there are more than [`ATTEMPTS_KEPT`].
    #[must_use]
    pub fn recorded(mut self, trigger: &Trigger, attempt: Attempt, outcome: Outcome) -> Self {
        if let Trigger::Scheduled { step, .. } = trigger {
            self.step = *step;
        }
        self.attempts_made = attempt.number;
        self.status = outcome.status;
        self.next_attempt_at = outcome.next_attempt_at;
        self.lease = None;
        self.attempts.insert(trigger.clone(), attempt);
        if self.attempts.len() > ATTEMPTS_KEPT {
            let oldest = self.attempts.iter().min_by_key(|(_, attempt)| attempt.number);
            if let Some(oldest) = oldest.map(|(trigger, _)| trigger.clone()) {
                self.attempts.remove(&oldest);
            }
        }
        self
    }

    /// Whether a recovery at the webhook's `epoch` sends the delivery again at `now`: it failed, a disabling holds it, or it
    /// is stalled. What a user cancelled is not sent again.
    pub fn is_recoverable(&self, epoch: u32, now: Timestamp) -> bool {
        if self.cancelled {
            return false;
        }
        match self.status {
            DeliveryStatus::Held | DeliveryStatus::Failed => true,
            DeliveryStatus::Pending => self.epoch < epoch || self.is_stalled(now),
            DeliveryStatus::Delivered | DeliveryStatus::Cancelled => false,
        }
    }

    /// Whether an attempt is due, now or later, and the delivery is not cancelled.
    pub fn is_pending(&self) -> bool {
        self.status == DeliveryStatus::Pending && !self.cancelled
    }

    /// Whether a pending delivery seems to have no live task: its next attempt, or else its lease, is overdue by more than
    /// [`STALLED_AFTER`]. Taking a live delivery for a stalled one is harmless: the new run makes the old run's tasks obsolete.
    pub fn is_stalled(&self, now: Timestamp) -> bool {
        let due = self.next_attempt_at.or(self.lease.as_ref().map(|lease| lease.until));
        self.is_pending() && due.is_none_or(|due| due.plus(STALLED_AFTER) <= now)
    }

    /// Whether the webhook has cancelled the delivery, which needs no write: it was pending when its type was unsubscribed, or
    /// held when the webhook was enabled with a cancel. A test needs no subscription and is never held.
    pub fn is_cancelled_by(&self, webhook: &Webhook) -> bool {
        match self.status {
            _ if self.is_test() => false,
            DeliveryStatus::Pending => webhook.has_cancelled(&self.event_type, self.epoch, self.revision),
            DeliveryStatus::Held => webhook.has_cancelled_epoch(self.epoch),
            DeliveryStatus::Delivered | DeliveryStatus::Failed | DeliveryStatus::Cancelled => false,
        }
    }

    /// Returns the status that users see, given the webhook as it is now (`None` if it was deleted). A delivery that was
    /// pending when its webhook was disabled shows as held. One that was pending when its type was unsubscribed, held when
    /// the webhook was enabled with a cancel, or pending or held when it was deleted, shows as cancelled. None of this needs a write. One that a user cancelled shows as
    /// cancelled, even while its last attempt is under way.
    pub fn shown_status(&self, webhook: Option<&Webhook>) -> DeliveryStatus {
        match (self.status, webhook) {
            (DeliveryStatus::Delivered, _) => DeliveryStatus::Delivered,
            _ if self.cancelled => DeliveryStatus::Cancelled,
            (DeliveryStatus::Pending | DeliveryStatus::Held, None) => DeliveryStatus::Cancelled,
            (_, Some(webhook)) if self.is_cancelled_by(webhook) => DeliveryStatus::Cancelled,
            (DeliveryStatus::Pending, Some(webhook)) if self.epoch < webhook.epoch => DeliveryStatus::Held,
            (status, _) => status,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        fixtures::{LEASE, NOW, after, attempt, manual, scheduled, test, webhook},
        *,
    };

    #[test]
    fn only_the_latest_attempts_are_kept() {
        let mut delivery = after(&[500; 5]);
        for nonce in 0..ATTEMPTS_KEPT {
            delivery = attempt(delivery, &manual(&nonce.to_string()), 500);
        }
        assert_eq!((delivery.attempts.len(), delivery.attempts_made as usize), (ATTEMPTS_KEPT, ATTEMPTS_KEPT + 5));
        assert_eq!(delivery.attempts.values().map(|attempt| attempt.number).min(), Some(6));
    }

    #[test]
    fn a_stalled_delivery_is_recoverable_and_a_waiting_one_is_not() {
        let pending = after(&[500]);
        let overdue = pending.next_attempt_at.expect("a further attempt").plus(STALLED_AFTER);
        assert!(!pending.is_recoverable(0, overdue.minus(Duration::from_millis(1))), "its task may still be received");
        assert!(pending.is_recoverable(0, overdue));
        let leased = after(&[]).leased(&scheduled(1), Lease { holder: "a".to_owned(), until: NOW.plus(LEASE) });
        assert!(!leased.is_stalled(NOW.plus(LEASE)) && leased.is_stalled(NOW.plus(LEASE + STALLED_AFTER)));
        assert!(!after(&[204]).is_stalled(overdue), "a delivery that has ended never stalls");
    }

    #[test]
    fn pending_is_shown_as_held_after_a_disabling_and_as_cancelled_after_a_deletion() {
        let (pending, mut webhook) = (after(&[500]), webhook());
        assert_eq!(pending.shown_status(Some(&webhook)), DeliveryStatus::Pending);
        webhook.epoch = 1;
        assert_eq!(pending.shown_status(Some(&webhook)), DeliveryStatus::Held);
        assert_eq!(pending.shown_status(None), DeliveryStatus::Cancelled);
        assert_eq!(after(&[200]).shown_status(None), DeliveryStatus::Delivered);
    }

    #[test]
    fn a_delivery_of_version_0_1_is_read() {
        let mut delivery = attempt(attempt(after(&[500]), &manual("0a"), 500), &test(), 200);
        delivery.lease = Some(Lease { holder: "a".to_owned(), until: NOW });
        delivery.trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().ok().map(Box::new);
        let json = serde_json::to_value(&delivery).expect("JSON");
        assert_eq!(serde_json::from_value::<Delivery>(json).expect("a delivery"), delivery);
        delivery.trace = None;
        let mut json = serde_json::to_value(&delivery).expect("JSON");
        let item = json.as_object_mut().expect("an object");
        assert_eq!(
            item["attempts"].as_object().expect("attempts").keys().collect::<Vec<_>>(),
            ["0.1", "manual.0a", "test"]
        );
        for (new, before) in [("epoch", "generation"), ("run", "round"), ("attempts_made", "made"), ("lease", "claim")]
        {
            let value = item.remove(new).expect(new);
            item.insert(before.to_owned(), value);
        }
        let read = serde_json::from_value::<Delivery>(json).expect("a delivery");
        assert!(read.is_test() && !read.test, "the attempt shows that it is a test");
        assert_eq!(read, delivery);
    }
}
