//! Deliveries that are not stored yet. Publishing an event writes no delivery, so the status before the first attempt is
//! derived.

use super::DeliveryStatus;
use crate::{event::EventSummary, time::Timestamp, webhook::Webhook};

/// Returns the status of the delivery of `event` to `webhook` before its first attempt, or `None` if there is no such
/// delivery. `passes_filter` is whether the event passes the webhook's present filter.
///
/// The delivery exists if the event passes the filter, and the webhook was registered and subscribed when the event was published
/// or has begun a recovery that sends the event. A test event has no such delivery, nor has the event that announces the
/// webhook's own disabling. A polled webhook has no deliveries.
///
/// It is cancelled if the type was unsubscribed since, while the webhook was enabled; it stays cancelled when the type is
/// subscribed again. It is also cancelled if the webhook was enabled since with a cancel of what was held. It is pending if the
/// webhook is enabled, and either has been, with the same filter, since before the event or has begun a recovery that sends the
/// event. Otherwise it is held: an earlier filter may have kept the event out, so that there is no task for it.
pub fn unattempted_status(webhook: &Webhook, event: &EventSummary, passes_filter: bool) -> Option<DeliveryStatus> {
    let EventSummary { id, event_type, test } = event;
    if *test || !passes_filter || webhook.is_polled() || webhook.is_subject_of(*id, event_type) {
        return None;
    }
    let published_at = id.made_at();
    let has_same_filter = |since| webhook.filter_changed_at.is_none_or(|changed_at| changed_at <= since);
    let is_wanted = webhook.subscribes_to(event_type);
    let is_subscribed_since = webhook.subscribed_at_publication(*id, event_type);
    if is_subscribed_since || webhook.was_subscribed_at_publication(*id, event_type) {
        let is_unsubscribed = !is_subscribed_since && webhook.has_unsubscribed_since(event_type, published_at);
        if is_unsubscribed || webhook.has_cancelled_events_of(published_at) {
            return Some(DeliveryStatus::Cancelled);
        }
        let is_newer = is_subscribed_since
            && webhook.enabled_at.is_none_or(|enabled_at| enabled_at <= published_at)
            && has_same_filter(published_at);
        let recovered_at = webhook.recovery_of(*id).map(Timestamp::from_unix_ms);
        let is_recovered = is_wanted && recovered_at.is_some_and(has_same_filter);
        let is_pending = webhook.is_enabled() && (is_newer || is_recovered);
        return Some(if is_pending { DeliveryStatus::Pending } else { DeliveryStatus::Held });
    }
    let run = Timestamp::from_unix_ms(webhook.adding_recovery_of(*id).filter(|_| is_wanted)?);
    if webhook.has_unsubscribed_since(event_type, run) {
        return None;
    }
    Some(if has_same_filter(run) { DeliveryStatus::Pending } else { DeliveryStatus::Held })
}

#[cfg(test)]
mod tests {
    use super::{super::fixtures::webhook, *};
    use crate::{
        event_type::{self, EventType},
        id::{EventId, WebhookId},
        time::Timestamp,
        webhook::{DisabledReason, Held, RecoveryWindow, Webhook},
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
        let status = |ms| unattempted_status(&registered(), &published(ms), true);
        assert_eq!([99, 100].map(status), [None, Some(DeliveryStatus::Pending)]);
    }

    #[test]
    fn a_disabling_holds_events_until_a_recovery_begins() {
        let mut webhook = registered();
        webhook.disable(DisabledReason::Manual, at(200));
        assert_eq!(unattempted_status(&webhook, &published(250), true), Some(DeliveryStatus::Held));
        webhook.enable(at(300));
        let statuses = |webhook: &Webhook| [250, 350].map(|ms| unattempted_status(webhook, &published(ms), true));
        assert_eq!(statuses(&webhook), [Some(DeliveryStatus::Held), Some(DeliveryStatus::Pending)]);
        webhook.add_recovery(RecoveryWindow {
            run: 7,
            first: EventId::first_at(at(50)),
            last: EventId::first_at(at(400)),
            include_failed: true,
            backfill: true,
        });
        assert_eq!(statuses(&webhook), [Some(DeliveryStatus::Pending); 2]);
        let before = unattempted_status(&webhook, &published(60), true);
        assert_eq!(
            before,
            Some(DeliveryStatus::Pending),
            "the recovery sends what was published before the registration"
        );
    }

    #[test]
    fn enabling_recovers_or_cancels_what_is_held() {
        let statuses = |webhook: &Webhook| [250, 350].map(|ms| unattempted_status(webhook, &published(ms), true));
        let enabled = |held| {
            let mut webhook = registered();
            subscribe(&mut webhook, "user.created", 220);
            webhook.disable(DisabledReason::Manual, at(240));
            webhook.enable_with(held, at(300));
            webhook
        };
        assert_eq!(statuses(&enabled(Held::Recover)), [Some(DeliveryStatus::Pending); 2]);
        let mut webhook = enabled(Held::Cancel);
        assert_eq!(statuses(&webhook), [Some(DeliveryStatus::Cancelled), Some(DeliveryStatus::Pending)]);
        let recovery = RecoveryWindow {
            run: 400,
            first: EventId::first_at(at(50)),
            last: EventId::first_at(at(400)),
            include_failed: true,
            backfill: true,
        };
        webhook.add_recovery(recovery);
        assert_eq!(statuses(&webhook)[0], Some(DeliveryStatus::Cancelled), "no recovery sends it");
        let mut webhook = registered();
        subscribe(&mut webhook, "payment.*", 150);
        webhook.disable(DisabledReason::Manual, at(240));
        subscribe(&mut webhook, "*", 280);
        webhook.enable_with(Held::Recover, at(300));
        assert_eq!(
            unattempted_status(&webhook, &published(250), true),
            None,
            "it was not subscribed, so it was not held"
        );
    }

    fn subscribe(webhook: &mut Webhook, entry: &str, ms: i64) {
        webhook.set_events(vec![entry.parse().expect("a subscription")], at(ms));
    }

    #[test]
    fn unsubscribing_cancels_what_is_pending_and_leaves_what_is_held() {
        let status = |webhook: &Webhook, ms| unattempted_status(webhook, &published(ms), true);
        let recovery = RecoveryWindow {
            run: 900,
            first: EventId::first_at(at(50)),
            last: EventId::first_at(at(800)),
            include_failed: true,
            backfill: true,
        };
        let mut webhook = registered();
        for (entry, ms) in [("payment.*", 200), ("*", 300)] {
            subscribe(&mut webhook, entry, ms);
            assert_eq!([150, 250].map(|ms| status(&webhook, ms)), [Some(DeliveryStatus::Cancelled), None], "{entry}");
        }
        webhook.add_recovery(recovery);
        let statuses = [150, 250].map(|ms| status(&webhook, ms));
        assert_eq!(
            statuses,
            [DeliveryStatus::Cancelled, DeliveryStatus::Pending].map(Some),
            "a recovery adds the other"
        );
        subscribe(&mut webhook, "payment.*", 1000);
        subscribe(&mut webhook, "*", 1100);
        assert_eq!([150, 250].map(|ms| status(&webhook, ms)), [Some(DeliveryStatus::Cancelled), None]);

        let mut webhook = registered();
        webhook.disable(DisabledReason::Manual, at(200));
        subscribe(&mut webhook, "payment.*", 300);
        assert_eq!([150, 250].map(|ms| status(&webhook, ms)), [Some(DeliveryStatus::Held); 2]);
        subscribe(&mut webhook, "*", 400);
        webhook.enable(at(500));
        assert_eq!(
            [150, 250, 350].map(|ms| status(&webhook, ms)),
            [Some(DeliveryStatus::Held), Some(DeliveryStatus::Held), None]
        );
        webhook.add_recovery(recovery);
        assert_eq!([150, 250, 350].map(|ms| status(&webhook, ms)), [Some(DeliveryStatus::Pending); 3]);
    }

    #[test]
    fn a_test_and_the_webhooks_own_disabling_have_no_delivery() {
        let webhook = Webhook { epoch: 1, ..registered() };
        let test = EventSummary { test: true, ..published(150) };
        assert_eq!(unattempted_status(&webhook, &test, true), None);
        let own = EventSummary {
            id: webhook.announcement(1, at(150)),
            event_type: EventType::operational(event_type::WEBHOOK_DISABLED),
            test: false,
        };
        assert_eq!(unattempted_status(&webhook, &own, true), None);
    }

    #[test]
    fn an_event_that_an_earlier_filter_may_have_kept_out_is_held_until_a_recovery() {
        let mut webhook = registered();
        assert_eq!(unattempted_status(&webhook, &published(150), false), None);
        let recovery = |run| RecoveryWindow {
            run,
            first: EventId::first_at(at(100)),
            last: EventId::first_at(at(400)),
            include_failed: true,
            backfill: true,
        };
        webhook.add_recovery(recovery(180));
        webhook.set_filter(serde_json::from_str("\"{}\"").expect("a text"), at(200));
        webhook.set_filter(webhook.filter.clone(), at(300));
        let statuses = |webhook: &Webhook| [150, 250].map(|ms| unattempted_status(webhook, &published(ms), true));
        assert_eq!(statuses(&webhook), [Some(DeliveryStatus::Held), Some(DeliveryStatus::Pending)]);
        webhook.add_recovery(recovery(350));
        assert_eq!(statuses(&webhook), [Some(DeliveryStatus::Pending); 2]);
    }
}
