//! Deliveries that are not stored yet. Publishing an event writes no delivery, so the status before the first attempt is
//! derived.

use super::DeliveryStatus;
use crate::{event::EventSummary, webhook::Webhook};

/// Returns the status of the delivery of `event` to `webhook` before its first attempt, or `None` if there is no such
/// delivery.
///
/// The delivery exists if the webhook still wants the event, and either was registered and subscribed when the event was
/// published or has begun a recovery that sends it. A test event has no such delivery.
///
/// It is pending if the webhook is enabled, and either has been since before the event or has begun a recovery that sends the
/// event. Otherwise it is held.
pub fn unattempted_status(webhook: &Webhook, event: &EventSummary) -> Option<DeliveryStatus> {
    if event.test || !webhook.wants(event.id, &event.event_type) {
        return None;
    }
    let is_recovered = webhook.recovery_of(event.id).is_some();
    if !is_recovered && !webhook.subscribed_at_publication(event.id, &event.event_type) {
        return None;
    }
    let is_newer = webhook.enabled_at.is_none_or(|enabled_at| enabled_at <= event.id.made_at());
    let is_pending = webhook.is_enabled() && (is_newer || is_recovered);
    Some(if is_pending { DeliveryStatus::Pending } else { DeliveryStatus::Held })
}

#[cfg(test)]
mod tests {
    use super::{super::fixtures::webhook, *};
    use crate::{
        event_type::EventType,
        id::{EventId, WebhookId},
        time::Timestamp,
        webhook::{DisabledReason, RecoveryWindow, Webhook},
    };

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(ms)
    }

    fn published(ms: i64) -> EventSummary {
        let event_type = "user.created".parse().expect("a type");
        EventSummary { id: EventId::first_at(at(ms)), event_type, test: false }
    }

    /// A webhook that was registered at 100, for all events.
    fn registered() -> Webhook {
        Webhook { id: WebhookId::first_at(at(100)), created_at: at(100), ..webhook() }
    }

    #[test]
    fn an_event_after_the_registration_is_pending_and_one_before_it_has_no_delivery() {
        let status = |ms| unattempted_status(&registered(), &published(ms));
        assert_eq!([99, 100].map(status), [None, Some(DeliveryStatus::Pending)]);
    }

    #[test]
    fn a_disabling_holds_events_until_a_recovery_begins() {
        let mut webhook = registered();
        webhook.disable(DisabledReason::Manual, at(200));
        assert_eq!(unattempted_status(&webhook, &published(250)), Some(DeliveryStatus::Held));
        webhook.enable(at(300));
        let statuses = |webhook: &Webhook| [250, 350].map(|ms| unattempted_status(webhook, &published(ms)));
        assert_eq!(statuses(&webhook), [Some(DeliveryStatus::Held), Some(DeliveryStatus::Pending)]);
        webhook.add_recovery(RecoveryWindow {
            run: 7,
            first: EventId::first_at(at(50)),
            last: EventId::first_at(at(400)),
        });
        assert_eq!(statuses(&webhook), [Some(DeliveryStatus::Pending); 2]);
        let before = unattempted_status(&webhook, &published(60));
        assert_eq!(
            before,
            Some(DeliveryStatus::Pending),
            "the recovery sends what was published before the registration"
        );
    }

    #[test]
    fn a_test_and_the_webhooks_own_disabling_have_no_delivery() {
        let webhook = Webhook { epoch: 1, ..registered() };
        let test = EventSummary { test: true, ..published(150) };
        assert_eq!(unattempted_status(&webhook, &test), None);
        let own = EventSummary {
            id: webhook.announcement(1, at(150)),
            event_type: EventType::webhook_disabled(),
            test: false,
        };
        assert_eq!(unattempted_status(&webhook, &own), None);
    }
}
