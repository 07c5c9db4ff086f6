//! What is pending for a type when its webhook unsubscribes it is cancelled: neither an old task nor a
//! recovery attempts it, even if the type is subscribed again.

use domain::delivery::{Delivery, DeliveryStatus, Trigger};
use domain::event_type::EventType;
use domain::id::DeliveryId;
use domain::webhook::Webhook;
use store::queues;

use super::deliveries::INVOCATION_MAX_MS;
use super::{Facts, Violations};
use crate::ledger::Published;

pub(super) fn check(facts: &Facts<'_>, violations: &mut Violations) {
    // Webhooks beyond the first page may be read after the answer to the publisher.
    if facts.record.webhooks.len() > queues::BATCH_MAX {
        return;
    }
    for published in facts.record.ledger.published.iter().filter(|published| published.key.is_none()) {
        let event_type: EventType = published.event_type.parse().expect("a type");
        for (id, delivery) in facts.deliveries.iter().filter(|(id, _)| id.event == published.id) {
            for unsubscribed_ms in changes(facts, *id, &event_type, published) {
                if is_pending(facts, *id, &event_type, unsubscribed_ms) {
                    check_attempts(facts, *id, delivery, unsubscribed_ms, violations);
                }
            }
        }
    }
}

/// Returns when an enabled webhook unsubscribed the type, after the publication.
fn changes(facts: &Facts<'_>, id: DeliveryId, event_type: &EventType, published: &Published) -> Vec<i64> {
    let subscribes = |webhook: &Webhook| webhook.is_enabled() && webhook.subscribes_to(event_type);
    let gives_up = |webhook: &Webhook| webhook.is_enabled() && !webhook.subscribes_to(event_type);
    let pairs = facts.writes(id.webhook).windows(2);
    let found = pairs.filter(|pair| {
        let [before, after] = [&pair[0], &pair[1]].map(|write| write.webhook.as_ref());
        before.is_some_and(subscribes) && after.is_some_and(gives_up) && pair[1].at_ms > published.answered_ms
    });
    found.map(|pair| pair[1].at_ms).collect()
}

/// Whether the delivery was pending, and no attempt was under way: it was not attempted yet, or its
/// next attempt was due later, and no disabling held it. One that was never attempted exists only if the webhook
/// has been subscribed since the publication.
fn is_pending(facts: &Facts<'_>, id: DeliveryId, event_type: &EventType, at_ms: i64) -> bool {
    let mut before =
        facts.record.deliveries.iter().filter(|write| write.delivery.delivery == id && write.at_ms <= at_ms);
    let is_enabled_since = |from_ms| {
        let states = facts.states(id.webhook, from_ms, at_ms - 1);
        let is_sent = |webhook: &Webhook| webhook.is_enabled() && webhook.subscribes_to(event_type);
        states.iter().all(|state| state.is_some_and(is_sent))
    };
    match before.next_back().map(|write| &write.delivery) {
        None => is_enabled_since(id.event.made_at().unix_ms() - facts.plan.skew_ms),
        Some(delivery) => {
            let epoch = facts.states(id.webhook, at_ms, at_ms).last().and_then(|state| Some(state.as_ref()?.epoch));
            delivery.status == DeliveryStatus::Pending && delivery.lease.is_none() && epoch == Some(delivery.epoch)
        }
    }
}

/// Checks that no scheduled attempt began after the change, other than by a worker that had read the
/// webhook before it.
fn check_attempts(
    facts: &Facts<'_>,
    id: DeliveryId,
    delivery: &Delivery,
    unsubscribed_ms: i64,
    violations: &mut Violations,
) {
    let latest_ms = unsubscribed_ms + INVOCATION_MAX_MS + facts.plan.skew_ms;
    // A recovery judges a delivery that was never stored by the time of its event, which another clock than the change's has made.
    let is_near = unsubscribed_ms - id.event.made_at().unix_ms() <= facts.skew().as_millis() as i64;
    let late = delivery.attempts.iter().find(|(trigger, attempt)| {
        matches!(trigger, Trigger::Scheduled { run, .. } if *run == 0 || !is_near)
            && attempt.started_at.unix_ms() > latest_ms
    });
    violations.unless(late.is_none(), || {
        format!("{id}: attempt {late:?} was sent although its type was unsubscribed at {unsubscribed_ms} ms")
    });
}
