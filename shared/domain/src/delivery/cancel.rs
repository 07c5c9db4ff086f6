//! A user's cancel: the delivery is not attempted again.

use super::{Delivery, DeliveryStatus};

/// What a cancel does to a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cancel {
    /// The delivery, marked as cancelled: it must be written.
    Mark(Delivery),
    /// The delivery is cancelled already.
    Done,
    /// The receiver has accepted the event, so nothing is left to cancel.
    Delivered,
}

impl Delivery {
    /// Decides what a user's cancel does. It sets a mark, and leaves the status and the lease as they are, for two workers:
    ///
    /// - The worker of an attempt that is under way. It finds its own lease beside the mark, and records the attempt on top of
    ///   it. The delivery ends as delivered or, if the attempt fails, as cancelled.
    /// - The worker of a repeated task whose attempt has failed the delivery. It must still disable the webhook and announce
    ///   that, because the first worker may have died in between.
    ///
    /// A first attempt that begins at the same time either sees the mark or wins: each of the two writes requires that the
    /// delivery is not stored yet.
    #[must_use]
    pub fn cancel(&self) -> Cancel {
        match self.status {
            DeliveryStatus::Delivered => Cancel::Delivered,
            _ if self.cancelled => Cancel::Done,
            _ => Cancel::Mark(Self { cancelled: true, ..self.clone() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            Decision, FollowUp, Lease, STALLED_AFTER, Subject, Task,
            fixtures::{LEASE, NOW, after, attempt, event, manual, recovery, scheduled, test, webhook},
        },
        *,
    };
    use crate::webhook::DisabledReason;

    fn cancelled(delivery: &Delivery) -> Delivery {
        let Cancel::Mark(marked) = delivery.cancel() else { panic!("{delivery:?} cannot be cancelled") };
        assert_eq!((marked.cancel(), marked.shown_status(Some(&webhook()))), (Cancel::Done, DeliveryStatus::Cancelled));
        marked
    }

    fn is_attempted(delivery: &Delivery, task: &Task) -> bool {
        let (event, webhook) = (event(), webhook());
        let subject = Subject::of(&event, &webhook);
        matches!(delivery.decide(task, subject, NOW.plus(LEASE)), Decision::Attempt(_))
    }

    #[test]
    fn a_cancelled_delivery_is_attempted_for_no_task() {
        let held = after(&[500]).ended(&scheduled(2), DeliveryStatus::Held);
        for delivery in [after(&[]), after(&[500]), held, after(&[500; 5]), after(&[410])] {
            let cancelled = cancelled(&delivery);
            for task in [scheduled(1), scheduled(2), recovery(9), manual("a"), test()] {
                assert!(!is_attempted(&cancelled, &task), "{} of {cancelled:?}", task.trigger);
            }
            assert!(!cancelled.is_recoverable(9, NOW) && !cancelled.is_stalled(NOW.plus(STALLED_AFTER * 100)));
        }
        assert_eq!(after(&[200]).cancel(), Cancel::Delivered);
    }

    #[test]
    fn an_attempt_that_is_under_way_ends_delivered_or_cancelled() {
        let steps = after(&[500; 4]);
        let lease = Lease { holder: "a".to_owned(), until: NOW.plus(LEASE) };
        for (delivery, task) in [(&steps, scheduled(5)), (&steps, manual("a")), (&after(&[]), test())] {
            let marked = cancelled(&delivery.clone().leased(&task, lease.clone()));
            assert_eq!(marked.lease.as_ref(), Some(&lease), "the worker must still find its lease");
            for status_code in [500, 410] {
                let failed = attempt(marked.clone(), &task, status_code);
                assert_eq!((failed.status, failed.next_attempt_at), (DeliveryStatus::Cancelled, None), "{task:?}");
                assert_eq!(failed.follow_up(&task), FollowUp::Nothing, "{task:?} disables nothing");
            }
            let delivered = attempt(marked, &task, 200);
            assert_eq!(delivered.shown_status(Some(&webhook())), DeliveryStatus::Delivered);
        }
    }

    #[test]
    fn a_disabling_that_a_failed_attempt_began_is_finished() {
        let failed = cancelled(&after(&[500; 5]));
        assert_eq!(failed.follow_up(&scheduled(5)), FollowUp::Disable(DisabledReason::Failures));
        let gone = cancelled(&attempt(after(&[500]), &manual("a"), 410));
        assert_eq!(gone.follow_up(&manual("a")), FollowUp::Disable(DisabledReason::Gone));
    }
}
