//! What a user asked for by hand: a test is one attempt, and so is each retry.

use hookline::delivery::DeliveryStatus;
use hookline::webhook::Webhook;

use super::{Facts, Violations};

pub(super) fn check(facts: &Facts<'_>, violations: &mut Violations) {
    for asked in &facts.record.ledger.tested {
        let delivery = facts.deliveries.get(&asked.delivery);
        let ended = delivery.is_some_and(|delivery| {
            !delivery.attempts.is_empty()
                && matches!(delivery.status, DeliveryStatus::Delivered | DeliveryStatus::Failed)
        });
        let deleted = facts.states(asked.delivery.webhook, asked.began_ms, facts.end_ms).iter().any(Option::is_none);
        violations.unless(ended || deleted || facts.is_expired(asked.delivery.event), || {
            format!("{}: is a test that was not sent", asked.delivery)
        });
    }
    for asked in &facts.record.ledger.retried {
        let of_delivery = |other: &&crate::ledger::Asked| other.delivery == asked.delivery;
        let wanted = facts.record.ledger.retried.iter().filter(of_delivery).count();
        let attempts = facts.deliveries.get(&asked.delivery).into_iter().flat_map(|delivery| delivery.attempts.keys());
        let made = attempts.filter(|turn| turn.starts_with("manual.")).count();
        let states = facts.states(asked.delivery.webhook, asked.began_ms, facts.end_ms);
        let stayed = states.iter().all(|state| state.is_some_and(Webhook::is_enabled));
        violations.unless(made >= wanted || !stayed || facts.is_expired(asked.delivery.event), || {
            format!("{}: was to be retried {wanted} times and was {made} times", asked.delivery)
        });
    }
}
