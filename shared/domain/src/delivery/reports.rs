//! What a recorded attempt says about its webhook and its delivery: that the webhook is failing, or that the delivery has failed.
//!
//! The deliveries of operational events say nothing, so that no event leads to another one without end.

use super::{Delivery, DeliveryStatus, Task, Trigger};
use crate::{
    event_type,
    id::EventId,
    webhook::{Failing, reports},
};

/// The attempt of a run whose failure shows that the webhook is failing.
const FAILING_STEP: u32 = 3;

impl Delivery {
    /// Returns how the recorded attempt of `task` shows that its webhook is failing, if it does: it is the third attempt of a run, and
    /// failed.
    pub fn failing(&self, task: &Task) -> Option<Failing> {
        let Trigger::Scheduled { run, step: FAILING_STEP } = task.trigger else { return None };
        let attempt = self.attempts.get(&task.trigger).filter(|attempt| !attempt.succeeded())?;
        let is_reported = !self.event_type.is_operational();
        is_reported.then(|| Failing { event: self.delivery.event, run, at: attempt.ended_at() })
    }

    /// Returns the id of the event that reports that the delivery has failed with the recorded attempt of `task`, the last one of
    /// its run, if it has.
    pub fn failure_report(&self, task: &Task) -> Option<EventId> {
        let Trigger::Scheduled { run, step } = task.trigger else { return None };
        let has_failed = self.status == DeliveryStatus::Failed && (run, step) == (self.run, self.step);
        let attempt = self.attempts.get(&task.trigger).filter(|_| has_failed && !self.event_type.is_operational())?;
        let subject = reports::subject(event_type::DELIVERY_FAILED, task.webhook());
        Some(EventId::about(attempt.ended_at(), &subject, &format!("{} {run}", self.delivery.event)))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::fixtures::{NOW, after, attempt, manual, scheduled, webhook},
        *,
    };
    use crate::event_type::EventType;

    #[test]
    fn the_third_attempt_that_fails_shows_that_the_webhook_is_failing() {
        let failing = |codes: &[u16]| after(codes).failing(&scheduled(codes.len() as u32));
        assert_eq!([failing(&[500; 2]), failing(&[500; 4]), failing(&[500, 500, 200])], [None; 3]);
        let shown = failing(&[500; 3]).expect("it fails");
        assert_eq!((shown.event, shown.run, shown.at.unix_ms()), (EventId::first_at(NOW), 0, 3));
        assert_eq!(attempt(after(&[500; 2]), &manual("a"), 500).failing(&manual("a")), None);
    }

    #[test]
    fn the_last_attempt_reports_that_the_delivery_has_failed() {
        let failed = after(&[500; 5]);
        let report = failed.failure_report(&scheduled(5)).expect("it failed");
        assert_eq!(failed.failure_report(&scheduled(5)), Some(report), "each time under the same id");
        assert_eq!(failed.failure_report(&scheduled(4)), None);
        assert_eq!(after(&[500; 4]).failure_report(&scheduled(4)), None);
        assert!(after(&[410]).failure_report(&scheduled(1)).is_some());
        let delivery_failed = EventType::operational(event_type::DELIVERY_FAILED);
        assert!(!webhook().wants(report, &delivery_failed), "its own webhook does not get the report");
    }

    #[test]
    fn the_delivery_of_an_operational_event_reports_nothing() {
        for name in event_type::OPERATIONAL {
            let operational = |codes: &[u16]| Delivery { event_type: EventType::operational(name), ..after(codes) };
            assert_eq!(operational(&[500; 3]).failing(&scheduled(3)), None, "{name}");
            assert_eq!(operational(&[500; 5]).failure_report(&scheduled(5)), None, "{name}");
        }
    }
}
