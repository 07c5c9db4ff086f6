//! Tests and manual retries: each accepted request leads to an attempt.

use domain::delivery::{DeliveryStatus, Trigger};
use domain::webhook::Webhook;

use super::{Facts, Violations};

pub(super) fn check(facts: &Facts<'_>, violations: &mut Violations) {
    for request in &facts.record.ledger.tested {
        let delivery = facts.deliveries.get(&request.delivery);
        let ended = delivery.is_some_and(|delivery| {
            !delivery.attempts.is_empty()
                && matches!(delivery.status, DeliveryStatus::Delivered | DeliveryStatus::Failed)
        });
        let deleted =
            facts.states(request.delivery.webhook, request.began_ms, facts.end_ms).iter().any(Option::is_none);
        violations.unless(ended || deleted || facts.is_expired(request.delivery.event), || {
            format!("{}: the test was not attempted", request.delivery)
        });
    }
    for request in &facts.record.ledger.retried {
        let is_of_delivery = |other: &&crate::ledger::DeliveryRequest| other.delivery == request.delivery;
        let accepted = facts.record.ledger.retried.iter().filter(is_of_delivery).count();
        let attempts =
            facts.deliveries.get(&request.delivery).into_iter().flat_map(|delivery| delivery.attempts.keys());
        let made = attempts.filter(|trigger| matches!(trigger, Trigger::Manual { .. })).count();
        let states = facts.states(request.delivery.webhook, request.began_ms, facts.end_ms);
        let stayed_enabled = states.iter().all(|state| state.is_some_and(Webhook::is_enabled));
        violations.unless(made >= accepted || !stayed_enabled || facts.is_expired(request.delivery.event), || {
            format!("{}: {accepted} retries were accepted and {made} were attempted", request.delivery)
        });
    }
}
