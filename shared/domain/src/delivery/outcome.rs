//! Decides what an attempt leads to: the delivery's status, the next attempt, or the disabling of the webhook.

use super::{Attempted, Delivery, DeliveryStatus, Task, Trigger};
use crate::{
    backoff::RetrySchedule,
    time::Timestamp,
    webhook::{DisabledReason, TrialOutcome},
};

/// What an attempt means for its delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The delivery's status after the attempt.
    pub status: DeliveryStatus,
    /// When the next attempt is due, if there is one.
    pub next_attempt_at: Option<Timestamp>,
}

/// What must be durable before a task may be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FollowUp {
    /// Nothing.
    Nothing,
    /// The task for the next attempt is enqueued or scheduled for this moment.
    Next(Task, Timestamp),
    /// The webhook is disabled, and the disabling announced.
    Disable(DisabledReason),
    /// The trial is ended: the webhook is enabled, or its next trial scheduled.
    EndTrial(TrialOutcome),
}

impl Delivery {
    /// Returns the outcome of an attempt that `trigger` asked for. `jitter` (0 to 1) spreads the next attempt.
    ///
    /// A scheduled attempt that fails is followed by the next step, until 410 or the last step fails the delivery. A manual
    /// attempt or a trial that fails changes nothing. A test has no second attempt. If a user has cancelled the delivery during the
    /// attempt, an attempt that fails is the last one.
    pub fn outcome(&self, trigger: &Trigger, attempted: &Attempted, schedule: &RetrySchedule, jitter: f64) -> Outcome {
        let Attempted { attempt, retry_after, ended_at } = attempted;
        let ended = |status| Outcome { status, next_attempt_at: None };
        if attempt.succeeded() {
            return ended(DeliveryStatus::Delivered);
        }
        match trigger {
            _ if self.cancelled => ended(DeliveryStatus::Cancelled),
            Trigger::Test => ended(DeliveryStatus::Failed),
            Trigger::Manual { .. } | Trigger::Trial { .. } => {
                Outcome { status: self.status, next_attempt_at: self.next_attempt_at }
            }
            Trigger::Scheduled { .. } if attempt.is_gone() => ended(DeliveryStatus::Failed),
            Trigger::Scheduled { step, .. } => match schedule.next(*step, *ended_at, *retry_after, jitter) {
                Some(due) => Outcome { status: DeliveryStatus::Pending, next_attempt_at: Some(due) },
                None => ended(DeliveryStatus::Failed),
            },
        }
    }

    /// Returns what follows from the recorded attempt of `task`. It returns the same every time, so that a repeated task can
    /// make sure that it is durable.
    pub fn follow_up(&self, task: &Task) -> FollowUp {
        let Some(attempt) = self.attempts.get(&task.trigger) else { return FollowUp::Nothing };
        match task.trigger {
            Trigger::Scheduled { run, step } if (run, step) == (self.run, self.step) => {
                match (self.status, self.next_attempt_at) {
                    (DeliveryStatus::Pending, Some(due)) => {
                        let trigger = Trigger::Scheduled { run, step: step + 1 };
                        let slow = attempt.timed_out();
                        FollowUp::Next(Task { trigger, slot: None, slow, ..task.clone() }, due)
                    }
                    (DeliveryStatus::Failed, _) if attempt.is_gone() => FollowUp::Disable(DisabledReason::Gone),
                    (DeliveryStatus::Failed, _) => FollowUp::Disable(DisabledReason::Failures),
                    _ => FollowUp::Nothing,
                }
            }
            Trigger::Manual { .. } if self.is_test() => FollowUp::Nothing,
            Trigger::Manual { .. } if attempt.is_gone() && self.status != DeliveryStatus::Cancelled => {
                FollowUp::Disable(DisabledReason::Gone)
            }
            Trigger::Trial { .. } => FollowUp::EndTrial(attempt.as_trial()),
            _ => FollowUp::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            Attempt, AttemptError,
            fixtures::{NOW, after, answered, attempt, manual, record, scheduled, test},
        },
        *,
    };
    use std::time::Duration;

    #[test]
    fn a_failure_is_followed_by_the_next_step() {
        let delivery = after(&[500]);
        let due = NOW.plus(Duration::from_secs(60));
        assert_eq!(delivery.follow_up(&scheduled(1)), FollowUp::Next(scheduled(2), due));
        assert_eq!(delivery.next_attempt_at, Some(due));
    }

    #[test]
    fn the_last_failure_disables_the_webhook_each_time_it_is_followed_up() {
        let delivery = after(&[500; 5]);
        assert_eq!(delivery.status, DeliveryStatus::Failed);
        for _ in 0..2 {
            assert_eq!(delivery.follow_up(&scheduled(5)), FollowUp::Disable(DisabledReason::Failures));
        }
        assert_eq!(delivery.follow_up(&scheduled(4)), FollowUp::Nothing);
    }

    #[test]
    fn success_ends_the_delivery_and_410_disables_the_webhook_at_once() {
        let delivered = after(&[500, 500, 204]);
        assert_eq!((delivered.status, delivered.attempts_made), (DeliveryStatus::Delivered, 3));
        assert_eq!(delivered.follow_up(&scheduled(3)), FollowUp::Nothing);
        assert_eq!(after(&[410]).follow_up(&scheduled(1)), FollowUp::Disable(DisabledReason::Gone));
    }

    #[test]
    fn a_redirect_and_an_incomplete_answer_are_failures() {
        assert_eq!(after(&[302]).status, DeliveryStatus::Pending);
        let incomplete = Attempt { error: Some(AttemptError::Timeout), ..answered(1, 200) };
        assert!(!incomplete.succeeded());
    }

    #[test]
    fn a_manual_retry_that_fails_changes_nothing() {
        let delivery = after(&[500]);
        let retried = attempt(delivery.clone(), &manual("a"), 500);
        assert_eq!((retried.status, retried.next_attempt_at), (delivery.status, delivery.next_attempt_at));
        assert_eq!(retried.attempts_made, 2);
        assert_eq!(attempt(delivery, &manual("a"), 200).status, DeliveryStatus::Delivered);
    }

    #[test]
    fn a_test_that_fails_disables_nothing() {
        let tested = Delivery::new(&test(), "user.created".parse().expect("a type"));
        let delivery = attempt(tested, &test(), 410);
        assert_eq!(delivery.status, DeliveryStatus::Failed);
        assert_eq!(delivery.follow_up(&test()), FollowUp::Nothing);
        let retried = attempt(delivery, &manual("a"), 410);
        assert_eq!(retried.follow_up(&manual("a")), FollowUp::Nothing, "nor does its manual retry");
    }

    #[test]
    fn after_a_timeout_the_next_task_goes_through_the_queue_for_slow_endpoints() {
        let timeout = Attempt { status_code: None, error: Some(AttemptError::Timeout), ..answered(1, 0) };
        let delivery = record(after(&[]), &scheduled(1), timeout);
        let FollowUp::Next(next, _) = delivery.follow_up(&scheduled(1)) else { panic!("no further attempt") };
        assert!(next.slow);
        let delivery = attempt(delivery, &next, 500);
        let FollowUp::Next(next, _) = delivery.follow_up(&next) else { panic!("no further attempt") };
        assert!(!next.slow);
    }
}
