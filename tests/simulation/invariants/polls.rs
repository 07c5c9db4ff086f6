//! A client that polls receives every event that its webhook receives, whatever the clocks, and nothing else.

use std::collections::BTreeSet;

use domain::event_type::EventType;
use domain::id::EventId;
use domain::signature;
use domain::webhook::Webhook;
use local::provision::EVENTS;

use super::{Facts, Violations, filters};
use crate::faults::Kind;
use crate::ledger::{PolledRequest, PolledWebhook};

pub(super) fn check(facts: &Facts<'_>, violations: &mut Violations) {
    let Some(polled) = &facts.record.ledger.polled else { return };
    let webhook = facts.webhook(polled.webhook).expect("nobody deletes it");
    let mut received = BTreeSet::new();
    for request in &polled.received {
        received.extend(check_request(facts, webhook, request, violations));
    }
    for event in expected(facts, polled) {
        let must_arrive = wants(facts, webhook, event) && !facts.is_expired(event) && is_after(facts, polled, event);
        violations.unless(!must_arrive || received.contains(&event), || {
            format!("{event}: was never polled, although the client has read everything")
        });
    }
}

/// Checks a request. Returns its event.
fn check_request(
    facts: &Facts<'_>,
    webhook: &Webhook,
    request: &PolledRequest,
    violations: &mut Violations,
) -> Option<EventId> {
    let header = |name: &str| request.headers.get(name).map(String::as_str).unwrap_or_default();
    let event: EventId = header("webhook-id").parse().ok()?;
    let signature = signature::standard(
        [&webhook.secret],
        header("webhook-id"),
        header("webhook-timestamp").parse().unwrap_or_default(),
        request.body.as_bytes(),
    );
    violations
        .unless(header("webhook-signature") == signature, || format!("{event}: was polled with a wrong signature"));
    if let Some(stored) = facts.events.get(&event) {
        violations
            .unless(stored.has_payload(request.body.as_bytes()), || format!("{event}: was polled with another body"));
        violations.unless(!stored.test && wants(facts, webhook, event), || {
            format!("{event}: was polled, although the webhook does not receive it")
        });
    }
    Some(event)
}

/// Returns the events that were accepted: those with a 202, and those of messages, which are repeated until they are stored.
fn expected<'a>(facts: &'a Facts<'_>, polled: &'a PolledWebhook) -> impl Iterator<Item = EventId> {
    let published = facts.record.ledger.published.iter().filter(|published| published.account == polled.account);
    let is_redriven =
        facts.record.faults.iter().any(|fault| fault.kind == Kind::DeadLettered && fault.subject == EVENTS);
    // A redriven message may become a second event, and the first one may have been stored without its marker.
    let from_queue = facts.events.iter().filter(move |(_, event)| !is_redriven && event.is_from_queue());
    let from_queue = from_queue.filter(|(_, event)| event.account == polled.account);
    published.map(|published| published.id).chain(from_queue.map(|(id, _)| *id))
}

/// Whether the event was published after the client began.
fn is_after(facts: &Facts<'_>, polled: &PolledWebhook, event: EventId) -> bool {
    match polled.from_ms {
        None => polled.webhook.made_at() <= event.made_at(),
        Some(from_ms) => {
            let published = facts.record.ledger.published.iter().find(|published| published.id == event);
            let began_ms =
                published.map(|published| published.key.as_ref().map_or(published.began_ms, |key| key.first_ms));
            began_ms.unwrap_or(event.made_at().unix_ms() - facts.plan.skew_ms) > from_ms
        }
    }
}

fn wants(facts: &Facts<'_>, webhook: &Webhook, event: EventId) -> bool {
    let Some(stored) = facts.events.get(&event) else { return false };
    let event_type: EventType = stored.event_type.parse().expect("a type");
    webhook.wants(event, &event_type) && filters::passes(facts, webhook, event)
}
