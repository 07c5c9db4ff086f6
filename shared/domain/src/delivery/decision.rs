//! Decides what to do with a task.

use super::{Delivery, DeliveryStatus, Task, Trigger};
use crate::{endpoint_policy::EndpointUrl, event::Event, time::Timestamp, webhook::Webhook};

/// What to do with a task.
#[derive(Clone, Copy, Debug)]
pub enum Decision<'a> {
    /// Acquire the lease and make the attempt.
    Attempt(Ready<'a>),
    /// End the delivery without an attempt, with this status.
    End(DeliveryStatus),
    /// Another worker holds the lease: the task returns to its queue until this moment.
    Wait(Timestamp),
    /// The attempt is already recorded: make sure that its follow-up is durable.
    FollowUp,
    /// Nothing is left to do: the delivery has ended, or a newer task has replaced this one.
    Nothing,
}

/// The event and the webhook of a task, as they are now.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// Both exist.
    Ready(Ready<'a>),
    /// The webhook was deleted.
    Deleted,
    /// The event's retention has ended.
    Expired,
    /// Both exist, nothing was attempted yet, and the event does not pass the webhook's filter.
    FilteredOut,
}

/// What an attempt needs.
#[derive(Clone, Copy, Debug)]
pub struct Ready<'a> {
    /// The event to send.
    pub event: &'a Event,
    /// The webhook to send it to.
    pub webhook: &'a Webhook,
    /// The webhook's URL.
    pub url: &'a EndpointUrl,
}

impl<'a> Subject<'a> {
    /// Returns the subject of a task whose event and webhook exist. Nothing is sent to a polled webhook, as if it were deleted.
    pub fn of(event: &'a Event, webhook: &'a Webhook) -> Self {
        match &webhook.url {
            Some(url) => Self::Ready(Ready { event, webhook, url }),
            None => Self::Deleted,
        }
    }
}

impl Delivery {
    /// Decides what to do with `task` at `now`.
    pub fn decide<'a>(&self, task: &Task, subject: Subject<'a>, now: Timestamp) -> Decision<'a> {
        if self.attempts.contains_key(&task.trigger) {
            return Decision::FollowUp;
        }
        if let Some(lease) = self.live_lease(now) {
            return Decision::Wait(lease.until);
        }
        if !self.wants(task, now) {
            return Decision::Nothing;
        }
        let status = match subject {
            // The task was made by a worker that had read the webhook before the disabling. A webhook gets no event of its own.
            Subject::Ready(ready) if ready.webhook.is_subject_of(ready.event.id, &self.event_type) => {
                return Decision::Nothing;
            }
            Subject::Ready(ready) if self.is_left_alone(task, ready.webhook) => return Decision::Nothing,
            Subject::Ready(ready) if self.is_cancelled_by(ready.webhook) => DeliveryStatus::Cancelled,
            // A recovery's run was cancelled before it began: the delivery stays failed or held.
            Subject::Ready(ready) if task.is_cancelled_by(ready.webhook, &self.event_type) => return Decision::Nothing,
            Subject::Ready(ready) if !task.is_held_by(ready.webhook) => return Decision::Attempt(ready),
            Subject::Ready(_) => DeliveryStatus::Held,
            Subject::Deleted => DeliveryStatus::Cancelled,
            Subject::Expired => DeliveryStatus::Failed,
            // Nothing is written, so that the delivery shows nowhere.
            Subject::FilteredOut => return Decision::Nothing,
        };
        // A manual retry or a trial that cannot be made leaves the delivery as it is.
        let leaves_as_it_is = matches!(task.trigger, Trigger::Manual { .. } | Trigger::Trial { .. });
        if leaves_as_it_is { Decision::Nothing } else { Decision::End(status) }
    }

    /// Whether the delivery has failed, and `task` belongs to a recovery that leaves such deliveries alone. The recovery has not
    /// made the task for this delivery: a task from an earlier epoch has taken its run.
    fn is_left_alone(&self, task: &Task, webhook: &Webhook) -> bool {
        let Trigger::Scheduled { run, .. } = task.trigger else { return false };
        self.status == DeliveryStatus::Failed && webhook.leaves_failed_alone(run)
    }

    /// Whether the attempt that `task` asks for is still to be made at `now`, by this worker or by another.
    pub fn wants(&self, task: &Task, now: Timestamp) -> bool {
        !self.cancelled
            && !self.attempts.contains_key(&task.trigger)
            && match task.trigger {
                Trigger::Scheduled { run, step } => {
                    let is_next = self.status == DeliveryStatus::Pending && self.run == run && self.step + 1 == step;
                    let begins_run = step == 1 && self.run < run && self.is_recoverable(task.epoch, now);
                    is_next || begins_run
                }
                Trigger::Manual { .. } => self.status != DeliveryStatus::Cancelled,
                Trigger::Test => self.status == DeliveryStatus::Pending,
                Trigger::Trial { .. } => {
                    !self.is_test() && !matches!(self.status, DeliveryStatus::Delivered | DeliveryStatus::Cancelled)
                }
            }
    }
}

#[cfg(test)]
mod tests {
    use crate::{id::EventId, webhook::RecoveryWindow};

    use super::{
        super::{
            Lease, STALLED_AFTER,
            fixtures::{LEASE, NOW, after, attempt, event, manual, recovery, scheduled, test, webhook},
        },
        *,
    };
    use crate::webhook::{DisabledReason, Held};

    /// A decision in words, for an enabled webhook and a stored event.
    fn decide(delivery: &Delivery, task: &Task) -> String {
        decide_at(delivery, task, NOW)
    }

    fn decide_at(delivery: &Delivery, task: &Task, now: Timestamp) -> String {
        let (event, webhook) = (event(), webhook());
        words(delivery.decide(task, Subject::of(&event, &webhook), now))
    }

    fn words(decision: Decision<'_>) -> String {
        match decision {
            Decision::Attempt(_) => "attempt".to_owned(),
            Decision::End(status) => format!("end {}", status.as_str()),
            Decision::Wait(until) => format!("wait {}", until.unix_ms()),
            Decision::FollowUp => "follow up".to_owned(),
            Decision::Nothing => "nothing".to_owned(),
        }
    }

    #[test]
    fn only_the_next_step_is_attempted() {
        let delivery = after(&[500]);
        assert_eq!(decide(&delivery, &scheduled(1)), "follow up");
        assert_eq!(decide(&delivery, &scheduled(2)), "attempt");
        assert_eq!(decide(&delivery, &scheduled(3)), "nothing");
        assert_eq!(decide(&after(&[204]), &scheduled(2)), "nothing", "it is delivered");
    }

    #[test]
    fn a_task_waits_for_a_live_lease() {
        let until = NOW.plus(LEASE);
        let leased = after(&[]).leased(&scheduled(1), Lease { holder: "a".to_owned(), until });
        assert_eq!(decide(&leased, &scheduled(1)), format!("wait {}", until.unix_ms()));
        assert_eq!(decide_at(&leased, &scheduled(1), until), "attempt", "the lease has expired");
    }

    #[test]
    fn a_disabled_webhook_holds_a_deleted_one_cancels_and_an_expired_event_fails() {
        let (pending, event, mut webhook) = (after(&[500]), event(), webhook());
        webhook.epoch = 1;
        let disabled = Subject::of(&event, &webhook);
        let decide = |delivery: &Delivery, task: &Task, subject| words(delivery.decide(task, subject, NOW));
        assert_eq!(decide(&pending, &scheduled(2), disabled), "end held");
        assert_eq!(decide(&pending, &manual("a"), disabled), "attempt", "the webhook is enabled again");
        assert_eq!(decide(&after(&[]), &test(), disabled), "attempt", "a test is never held");
        assert_eq!(decide(&pending, &scheduled(2), Subject::Deleted), "end cancelled");
        assert_eq!(decide(&pending, &manual("a"), Subject::Deleted), "nothing", "it leaves the delivery as it is");
        assert_eq!(decide(&pending, &scheduled(2), Subject::Expired), "end failed");
        assert_eq!(decide(&after(&[200]), &scheduled(2), Subject::Expired), "nothing", "delivered stays delivered");
    }

    #[test]
    fn unsubscribing_cancels_the_run_that_is_pending() {
        let (pending, failed, event, mut webhook) = (after(&[500]), after(&[500; 5]), event(), webhook());
        let decide = |delivery: &Delivery, task: &Task, webhook: &Webhook| {
            words(delivery.decide(task, Subject::of(&event, webhook), NOW))
        };
        for entry in ["payment.*", "*"] {
            webhook.set_events(vec![entry.parse().expect("a subscription")], NOW);
            assert_eq!(pending.shown_status(Some(&webhook)), DeliveryStatus::Cancelled);
            assert_eq!(decide(&pending, &scheduled(2), &webhook), "end cancelled", "{entry}");
            assert_eq!(decide(&pending, &manual("a"), &webhook), "nothing", "{entry}");
            assert_eq!(decide(&after(&[]), &scheduled(1), &webhook), "end cancelled", "{entry}");
            assert_eq!(decide(&failed, &recovery(9), &webhook), "nothing", "the recovery had begun before");
        }
        let later = Task { revision: webhook.revision, ..recovery(9) };
        assert_eq!(decide(&pending, &later, &webhook), "nothing", "no recovery sends it");
        assert_eq!(decide(&failed, &later, &webhook), "attempt");
        assert_eq!(failed.shown_status(Some(&webhook)), DeliveryStatus::Failed);
        let tested = Delivery::new(&test(), "user.created".parse().expect("a type"));
        assert_eq!(decide(&tested, &test(), &webhook), "attempt", "a test needs no subscription");
    }

    #[test]
    fn enabling_with_a_cancel_ends_what_was_pending_or_held_and_nothing_else() {
        let (event, mut webhook) = (event(), webhook());
        let decide = |delivery: &Delivery, task: &Task, webhook: &Webhook| {
            words(delivery.decide(task, Subject::of(&event, webhook), NOW))
        };
        let held = after(&[500]).ended(&scheduled(2), DeliveryStatus::Held);
        webhook.disable(DisabledReason::Manual, NOW);
        webhook.enable_with(Held::Cancel, NOW);
        let late = Task { epoch: 2, ..recovery(9) };
        for (delivery, task, expected) in [
            (after(&[500]), scheduled(2), "end cancelled"),
            (after(&[]), scheduled(1), "end cancelled"),
            (held.clone(), late.clone(), "end cancelled"),
            (held, manual("a"), "nothing"),
            (after(&[500; 5]), recovery(7), "nothing"),
            (after(&[500; 5]), late.clone(), "attempt"),
        ] {
            assert_eq!(decide(&delivery, &task, &webhook), expected, "{task:?}");
        }
        let made_while_disabled = Task { epoch: 1, ..scheduled(1) };
        let unstored = Delivery::new(&made_while_disabled, "user.created".parse().expect("a type"));
        assert_eq!(decide(&unstored, &made_while_disabled, &webhook), "end cancelled");
        webhook.disable(DisabledReason::Manual, NOW);
        let held_again = after(&[500; 5]).ended(&late, DeliveryStatus::Held);
        assert_eq!(held_again.shown_status(Some(&webhook)), DeliveryStatus::Held, "a later disabling holds it");
    }

    #[test]
    fn a_held_delivery_waits_for_a_recovery() {
        let held = after(&[500]).ended(&scheduled(2), DeliveryStatus::Held);
        assert_eq!(decide(&held, &scheduled(2)), "nothing");
        assert_eq!(decide(&held, &recovery(7)), "attempt");
        let retried = attempt(held, &manual("a"), 500);
        assert_eq!(retried.status, DeliveryStatus::Held, "a manual retry that fails changes nothing");
        assert_eq!(decide(&retried, &recovery(7)), "attempt");
    }

    #[test]
    fn a_recovery_attempts_only_what_is_not_delivered() {
        let mut failed = after(&[500; 5]);
        assert_eq!(decide(&failed, &recovery(9)), "attempt");
        failed.run = 9;
        assert_eq!(decide(&failed, &recovery(9)), "nothing", "the run is over");
        assert_eq!(decide(&failed, &recovery(8)), "nothing", "an older run");
        assert_eq!(decide(&after(&[200]), &recovery(9)), "nothing");
        assert_eq!(decide(&after(&[500]), &recovery(9)), "nothing", "its own run goes on");
        let missed = Delivery::new(&recovery(9), "user.created".parse().expect("a type"));
        assert_eq!(decide(&missed, &recovery(9)), "attempt", "published while the webhook was disabled");
    }

    #[test]
    fn a_recovery_without_failed_deliveries_leaves_them_alone() {
        let (event, mut webhook) = (event(), webhook());
        let later = EventId::first_at(event.id.made_at().plus(LEASE));
        webhook.add_recovery(RecoveryWindow {
            run: 8,
            first: event.id,
            last: event.id,
            include_failed: true,
            backfill: false,
        });
        webhook.recoveries.push(RecoveryWindow {
            run: 9,
            first: event.id,
            last: later,
            include_failed: false,
            backfill: false,
        });
        let decide =
            |delivery: &Delivery, task: &Task| words(delivery.decide(task, Subject::of(&event, &webhook), NOW));
        let failed = after(&[500; 5]);
        assert_eq!(decide(&failed, &recovery(9)), "nothing");
        assert_eq!(decide(&failed, &recovery(8)), "attempt");
        assert_eq!(decide(&failed, &manual("a")), "attempt");
        assert_eq!(decide(&after(&[500]).ended(&scheduled(2), DeliveryStatus::Held), &recovery(9)), "attempt");
    }

    #[test]
    fn a_recovery_attempts_a_stalled_delivery() {
        let pending = after(&[500]);
        let overdue = pending.next_attempt_at.expect("a further attempt").plus(STALLED_AFTER);
        assert_eq!(decide_at(&pending, &recovery(9), overdue), "attempt");
    }

    #[test]
    fn a_manual_retry_is_attempted_once_and_leaves_the_schedule_alone() {
        let delivery = attempt(after(&[500]), &manual("a"), 500);
        assert_eq!(decide(&delivery, &manual("a")), "follow up");
        assert_eq!(decide(&delivery, &scheduled(2)), "attempt");
        let delivered = attempt(delivery, &manual("b"), 200);
        assert_eq!(decide(&delivered, &scheduled(2)), "nothing");
    }

    #[test]
    fn a_first_attempt_that_the_filter_excludes_is_not_made() {
        for task in [scheduled(1), recovery(7), manual("a")] {
            let delivery = Delivery::new(&task, "user.created".parse().expect("a type"));
            assert_eq!(words(delivery.decide(&task, Subject::FilteredOut, NOW)), "nothing", "{}", task.trigger);
        }
    }

    #[test]
    fn a_test_that_has_ended_is_not_attempted() {
        let ended = after(&[]).ended(&test(), DeliveryStatus::Failed);
        assert_eq!(decide(&ended, &test()), "nothing");
    }
}
