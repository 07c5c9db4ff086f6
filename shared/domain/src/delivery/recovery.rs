//! Which deliveries a recovery sends.

use super::{Delivery, DeliveryStatus, unattempted_status};
use crate::{event::EventSummary, time::Timestamp, webhook::Webhook};

/// Whether a recovery sends `event` at `now`. Its `webhook` wants the event, and the event passes the filter. `stored` is the
/// delivery, if one is stored.
///
/// It sends what was never attempted, and each stored delivery that is recoverable. What is cancelled stays so: by a user, by
/// unsubscribing, even if the type is subscribed again, or by enabling the webhook. A recovery of what is `held_only` leaves out
/// failed deliveries, and adds no delivery.
pub fn is_recovered(
    webhook: &Webhook,
    event: &EventSummary,
    stored: Option<&Delivery>,
    held_only: bool,
    now: Timestamp,
) -> bool {
    match stored {
        Some(delivery) => {
            let is_left_out = held_only && delivery.status == DeliveryStatus::Failed;
            delivery.is_recoverable(webhook.epoch, now) && !delivery.is_cancelled_by(webhook) && !is_left_out
        }
        None => match unattempted_status(webhook, event, true) {
            Some(status) => status != DeliveryStatus::Cancelled,
            None => !held_only,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            STALLED_AFTER, Task,
            fixtures::{NOW, after, event, scheduled, webhook},
        },
        *,
    };
    use crate::{
        id::EventId,
        webhook::{DisabledReason, Held},
    };

    #[test]
    fn a_recovery_sends_what_is_neither_delivered_nor_cancelled() {
        let (event, mut webhook) = (EventSummary::from(&event()), webhook());
        let late = NOW.plus(STALLED_AFTER * 10);
        let sends = |webhook: &Webhook, stored| is_recovered(webhook, &event, stored, false, late);
        let (stalled, failed, delivered) = (after(&[500]), after(&[500; 5]), after(&[200]));
        assert!(sends(&webhook, None) && sends(&webhook, Some(&stalled)) && sends(&webhook, Some(&failed)));
        assert!(!sends(&webhook, Some(&delivered)));
        for entry in ["payment.*", "*"] {
            webhook.set_events(vec![entry.parse().expect("a subscription")], late);
        }
        assert!(!sends(&webhook, None) && !sends(&webhook, Some(&stalled)), "unsubscribing has cancelled them");
        assert!(sends(&webhook, Some(&failed)));
        let later = Task::first(&webhook, event.id);
        let stalled = Delivery { revision: later.revision, ..stalled.clone() };
        assert!(sends(&webhook, Some(&stalled)), "its run began after the type was subscribed again");
    }

    #[test]
    fn the_recovery_of_an_enabling_sends_only_what_was_held() {
        let (event, mut webhook) = (EventSummary::from(&event()), webhook());
        let (pending, failed) = (after(&[500]), after(&[500; 5]));
        let held = pending.clone().ended(&scheduled(2), DeliveryStatus::Held);
        let sends = |webhook: &Webhook, stored| is_recovered(webhook, &event, stored, true, NOW);
        webhook.disable(DisabledReason::Manual, NOW);
        let mut cancelled = webhook.clone();
        webhook.enable_with(Held::Recover, NOW);
        assert_eq!([None, Some(&pending), Some(&held)].map(|stored| sends(&webhook, stored)), [true; 3]);
        assert!(!sends(&webhook, Some(&failed)));
        let older = EventSummary { id: EventId::first_at(NOW), ..event.clone() };
        let registered_later = Webhook { created_at: NOW.plus(STALLED_AFTER), ..webhook.clone() };
        assert!(!is_recovered(&registered_later, &older, None, true, NOW), "it has no delivery");
        assert!(is_recovered(&registered_later, &older, None, false, NOW), "another recovery adds one");
        cancelled.enable_with(Held::Cancel, NOW.plus(STALLED_AFTER));
        assert_eq!([None, Some(&pending), Some(&held)].map(|stored| sends(&cancelled, stored)), [false; 3]);
        assert!(is_recovered(&cancelled, &event, Some(&failed), false, NOW), "a failed delivery stays as it is");
    }
}
