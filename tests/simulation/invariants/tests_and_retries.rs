//! Tests and manual retries: each accepted request leads to an attempt.

use domain::delivery::{DeliveryStatus, Trigger};
use domain::webhook::Webhook;

use super::cancels::is_cancelled;
use super::{Facts, Violations, filters};

pub(super) fn check(facts: &Facts<'_>, violations: &mut Violations) {
    for request in &facts.record.ledger.tested {
        let delivery = facts.deliveries.get(&request.delivery);
        let ended = delivery.is_some_and(|delivery| {
            !delivery.attempts.is_empty()
                && matches!(delivery.status, DeliveryStatus::Delivered | DeliveryStatus::Failed)
        });
        let deleted =
            facts.states(request.delivery.webhook, request.began_ms, facts.end_ms).iter().any(Option::is_none);
        let excused = deleted || is_cancelled(facts, request.delivery) || facts.is_expired(request.delivery.event);
        violations.unless(ended || excused, || format!("{}: the test was not attempted", request.delivery));
    }
    for request in &facts.record.ledger.retried {
        let is_of_delivery = |other: &&crate::ledger::DeliveryRequest| other.delivery == request.delivery;
        let accepted = facts.record.ledger.retried.iter().filter(is_of_delivery).count();
        let attempts =
            facts.deliveries.get(&request.delivery).into_iter().flat_map(|delivery| delivery.attempts.keys());
        let made = attempts.filter(|trigger| matches!(trigger, Trigger::Manual { .. })).count();
        let states = facts.states(request.delivery.webhook, request.began_ms, facts.end_ms);
        let delivery = facts.deliveries.get(&request.delivery);
        // Unsubscribing cancels what is pending, and a manual retry with it.
        let is_wanted = |webhook: &Webhook| {
            filters::passes(facts, webhook, request.delivery.event)
                && delivery.is_none_or(|delivery| webhook.subscribes_to(&delivery.event_type))
        };
        let stayed_enabled =
            states.iter().all(|state| state.is_some_and(|webhook| webhook.is_enabled() && is_wanted(webhook)));
        let excused =
            !stayed_enabled || is_cancelled(facts, request.delivery) || facts.is_expired(request.delivery.event);
        violations.unless(made >= accepted || excused, || {
            format!("{}: {accepted} retries were accepted and {made} were attempted", request.delivery)
        });
    }
}
