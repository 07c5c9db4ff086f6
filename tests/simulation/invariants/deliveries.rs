//! Nothing is lost: a published event reaches every webhook that was enabled and subscribed, or its
//! delivery ends in a documented way.

use domain::delivery::{DeliveryStatus, Trigger};
use domain::id::{DeliveryId, EventId, WebhookId};
use domain::webhook::Webhook;
use local::provision::EVENTS;
use store::queues;

use super::cancels::is_cancelled;
use super::{Facts, StoredEvent, Violations, filters, options};
use crate::faults::Kind;
use crate::ledger::{Published, Recovery};

/// How long before an attempt its webhook may have been read: the function's timeout, and 5 s more.
pub(super) const INVOCATION_MAX_MS: i64 = 50_000;

/// An event that must reach its webhooks.
struct ExpectedEvent<'a> {
    event: EventId,
    event_type: &'a str,
    account: &'a str,
    /// With `to_ms`, a span of time. A webhook that was enabled and subscribed throughout must get
    /// the event.
    from_ms: i64,
    to_ms: i64,
}

pub(super) fn check(facts: &Facts<'_>, violations: &mut Violations) {
    for published in &facts.record.ledger.published {
        let expected = ExpectedEvent {
            event: published.id,
            event_type: &published.event_type,
            account: published.account.as_str(),
            // A replayed event may have been published at the first use of the key.
            from_ms: published.key.as_ref().map_or(published.began_ms, |key| key.first_ms),
            to_ms: published.answered_ms,
        };
        check_event(facts, &expected, violations);
        check_held(facts, published, violations);
    }
    // Events of producers inside AWS, and Hookline's own, come from a queue. Nobody got an answer
    // for them.
    let is_duplicated = |event: &StoredEvent| {
        let is_same = |other: &&StoredEvent| event.number().is_some() && other.number() == event.number();
        is_redriven(facts) && facts.events.values().filter(is_same).count() > 1
    };
    for (id, event) in facts.events.iter().filter(|(_, event)| event.is_from_queue() && !is_duplicated(event)) {
        let from_ms = id.made_at().minus(facts.skew()).unix_ms();
        let account = event.account.as_str();
        let (event_type, to_ms) = (event.event_type.as_str(), facts.end_ms);
        check_event(facts, &ExpectedEvent { event: *id, event_type, account, from_ms, to_ms }, violations);
    }
    check_produced(facts, violations);
    for delivery in facts.deliveries.values() {
        let webhook = facts.webhook(delivery.delivery.webhook);
        violations.unless(delivery.shown_status(webhook) != DeliveryStatus::Pending, || {
            format!("{}: is pending, but no task is left for it", delivery.delivery)
        });
    }
}

/// Checks that a delivery is held once its webhook was disabled: the run that the publication began
/// goes no further.
fn check_held(facts: &Facts<'_>, published: &Published, violations: &mut Violations) {
    // If the account has more webhooks than one page, the others may be read after the answer. If
    // the request is repeated, all may be.
    if published.key.is_some() || facts.record.webhooks.len() > queues::BATCH_MAX {
        return;
    }
    for (id, delivery) in facts.deliveries.iter().filter(|(id, _)| id.event == published.id) {
        let epochs = |from_ms, to_ms| {
            let states = facts.states(id.webhook, from_ms, to_ms).into_iter().flatten();
            states.map(|webhook| webhook.epoch).collect::<Vec<_>>()
        };
        let first = epochs(published.began_ms, published.answered_ms).into_iter().max();
        for (trigger, attempt) in delivery.attempts.iter().filter(|(trigger, _)| is_of_publication(trigger)) {
            let (at_ms, skew_ms) = (attempt.started_at.unix_ms(), facts.plan.skew_ms);
            let then = epochs(at_ms - INVOCATION_MAX_MS - skew_ms, at_ms + skew_ms).into_iter().min();
            violations.unless(first.is_none() || then <= first, || {
                format!("{id}: attempt {trigger} was sent although the webhook had been disabled since the publication")
            });
        }
    }
}

/// Whether the trigger belongs to the run that the publication began.
fn is_of_publication(trigger: &Trigger) -> bool {
    matches!(trigger, Trigger::Scheduled { run: 0, .. })
}

/// Whether a message of the `events` queue was redriven from its dead-letter queue.
fn is_redriven(facts: &Facts<'_>) -> bool {
    facts.record.faults.iter().any(|fault| fault.kind == Kind::DeadLettered && fault.subject == EVENTS)
}

/// Checks that a producer's message becomes one event, however often it is received. A redriven
/// message may become a second one: it is a new message to SQS, and its idempotency key may have
/// expired.
fn check_produced(facts: &Facts<'_>, violations: &mut Violations) {
    let redriven = is_redriven(facts);
    for produced in &facts.record.ledger.produced {
        let events =
            facts.events.values().filter(|event| event.is_from_queue() && event.number() == Some(produced.number));
        let count = events.count();
        violations.unless(count == 1 || count > 1 && redriven, || {
            format!("the producer's event {} became {count} events", produced.number)
        });
    }
}

/// Checks that the event reaches each webhook that must get it.
fn check_event(facts: &Facts<'_>, expected: &ExpectedEvent<'_>, violations: &mut Violations) {
    for (&id, writes) in &facts.record.webhooks {
        let account = writes.iter().find_map(|write| Some(write.webhook.as_ref()?.account.as_str()));
        if account != Some(expected.account) {
            continue;
        }
        let states = facts.states(id, expected.from_ms, expected.to_ms);
        if states.iter().all(|state| state.is_some_and(|webhook| gets(facts, webhook, expected))) {
            check_delivery(facts, expected, id, violations);
        }
    }
}

/// Whether a webhook in this state gets the event.
fn gets(facts: &Facts<'_>, webhook: &Webhook, expected: &ExpectedEvent<'_>) -> bool {
    !webhook.is_polled()
        && webhook.is_enabled()
        && subscribes(webhook, expected)
        && filters::passes(facts, webhook, expected.event)
}

fn subscribes(webhook: &Webhook, expected: &ExpectedEvent<'_>) -> bool {
    expected.event_type.parse().is_ok_and(|event_type| webhook.wants(expected.event, &event_type))
}

fn check_delivery(facts: &Facts<'_>, expected: &ExpectedEvent<'_>, webhook: WebhookId, violations: &mut Violations) {
    let id = DeliveryId { event: expected.event, webhook };
    let later = facts.states(webhook, expected.from_ms, facts.end_ms);
    if later.iter().any(Option::is_none) || facts.is_expired(expected.event) || is_cancelled(facts, id) {
        return; // The webhook was deleted, the event has expired, or a user has cancelled the delivery.
    }
    // What is held stays held when the type is unsubscribed; what is pending is cancelled.
    let is_kept = |webhook: &&Webhook| !webhook.is_enabled() || subscribes(webhook, expected);
    // An enabling may have cancelled what was held, which `enablings.rs` checks.
    let mut cancels = later.iter().flatten().map(|webhook| webhook.held_cancelled);
    let first = cancels.next();
    let is_same = cancels.all(|cancelled| Some(cancelled) == first);
    if !later.iter().flatten().all(is_kept) || !is_same {
        return;
    }
    let Some(delivery) = facts.deliveries.get(&id) else {
        // A filter that excludes the event when its first attempt is due ends it without a trace. A
        // later recovery sends it if the filter matches again.
        let passes = |webhook: &&Webhook| filters::passes(facts, webhook, expected.event);
        if !later.iter().flatten().all(passes) && !is_recovered(facts, expected, webhook) {
            return;
        }
        violations.0.push(format!("{id}: was never attempted, although the webhook was enabled and subscribed"));
        return;
    };
    let epochs = later.iter().flatten().map(|webhook| webhook.epoch);
    let was_disabled = epochs.clone().min() != epochs.max();
    let status = delivery.shown_status(facts.webhook(webhook));
    let must_be_delivered = !was_disabled || is_recovered(facts, expected, webhook);
    let is_tolerated = status == DeliveryStatus::Failed && options::is_tolerated(facts, delivery);
    violations.unless(!must_be_delivered || status == DeliveryStatus::Delivered || is_tolerated, || {
        format!("{id}: is {status:?} but must be delivered (webhook disabled meanwhile: {was_disabled})")
    });
}

/// Whether a recovery that covers the event was accepted after the last disabling.
fn is_recovered(facts: &Facts<'_>, expected: &ExpectedEvent<'_>, webhook: WebhookId) -> bool {
    let recoveries = facts.record.ledger.recoveries.iter();
    let is_whole = |recovery: &&Recovery| recovery.promised && recovery.include_failed;
    recoveries.filter(is_whole).filter(|recovery| recovery.webhook == webhook).any(|recovery| {
        let made_ms = expected.event.made_at().unix_ms();
        let until_ms = recovery.began_ms - facts.plan.skew_ms;
        let since = facts.states(webhook, recovery.began_ms, facts.end_ms);
        let epochs = since.iter().flatten().map(|webhook| webhook.epoch);
        let stayed = since.iter().flatten().all(|webhook| gets(facts, webhook, expected));
        let covers =
            (recovery.since_ms..until_ms).contains(&made_ms) && expected.to_ms.min(made_ms) <= recovery.began_ms;
        covers && stayed && epochs.clone().min() == epochs.max()
    })
}
