//! Nothing is lost: a published event reaches every webhook that was enabled and subscribed, or ends as the documents say.

use hookline::delivery::DeliveryStatus;
use hookline::id::{DeliveryId, EventId, WebhookId};
use hookline::queue;
use hookline::webhook::Webhook;

use local::provision::EVENTS;

use super::{Facts, StoredEvent, Violations};
use crate::faults::Kind;
use crate::ledger::Published;

/// How long before an attempt its webhook may have been read: the function's timeout, and a little.
const INVOCATION_MAX_MS: i64 = 35_000;

/// An event that must reach its webhooks.
struct Owed<'a> {
    event: EventId,
    event_type: &'a str,
    account: &'a str,
    /// A webhook that was enabled and subscribed throughout this time gets it.
    from_ms: i64,
    to_ms: i64,
}

pub(super) fn check(facts: &Facts<'_>, violations: &mut Violations) {
    for published in &facts.record.ledger.published {
        let owed = Owed {
            event: published.id,
            event_type: &published.event_type,
            account: published.account.as_str(),
            // What is answered again may have been published at the key's first use.
            from_ms: published.key.as_ref().map_or(published.began_ms, |key| key.first_ms),
            to_ms: published.answered_ms,
        };
        check_owed(facts, &owed, violations);
        check_held(facts, published, violations);
    }
    // Events of producers in AWS and of Hookline's own: the queue was given them, and nobody was answered.
    let made_anew = |event: &StoredEvent| {
        let same = |other: &&StoredEvent| event.number().is_some() && other.number() == event.number();
        is_redriven(facts) && facts.events.values().filter(same).count() > 1
    };
    for (id, event) in facts.events.iter().filter(|(_, event)| event.is_from_queue() && !made_anew(event)) {
        let from_ms = id.made_at().minus(facts.skew()).unix_ms();
        let account = event.account.as_str();
        let owed = Owed { event: *id, event_type: &event.event_type, account, from_ms, to_ms: facts.end_ms };
        check_owed(facts, &owed, violations);
    }
    check_produced(facts, violations);
    for delivery in facts.deliveries.values() {
        let webhook = facts.webhook(delivery.delivery.webhook);
        violations.unless(delivery.shown_status(webhook) != DeliveryStatus::Pending, || {
            format!("{} is pending and nothing is left to wake it", delivery.delivery)
        });
    }
}

/// What was on its way when its webhook was disabled is held: nothing but a recovery sends it.
fn check_held(facts: &Facts<'_>, published: &Published, violations: &mut Violations) {
    // Of a larger account a further page may be read, and of a repeated request all, after the answer.
    if published.key.is_some() || facts.record.webhooks.len() > queue::BATCH_MAX {
        return;
    }
    for (id, delivery) in facts.deliveries.iter().filter(|(id, _)| id.event == published.id) {
        let generation = |from_ms, to_ms| {
            let states = facts.states(id.webhook, from_ms, to_ms).into_iter().flatten();
            states.map(|webhook| webhook.generation).collect::<Vec<_>>()
        };
        let first = generation(published.began_ms, published.answered_ms).into_iter().max();
        for (turn, attempt) in delivery.attempts.iter().filter(|(turn, _)| turn.starts_with("0.")) {
            let (at_ms, skew_ms) = (attempt.started_at.unix_ms(), facts.plan.skew_ms);
            let then = generation(at_ms - INVOCATION_MAX_MS - skew_ms, at_ms + skew_ms).into_iter().min();
            violations.unless(first.is_none() || then <= first, || {
                format!("{id}: turn {turn} was sent though its webhook had been disabled since")
            });
        }
    }
}

/// Whether something was put back on the `events` queue.
fn is_redriven(facts: &Facts<'_>) -> bool {
    facts.record.faults.iter().any(|fault| fault.kind == Kind::DeadLettered && fault.subject == EVENTS)
}

/// A producer's message is one event, however often it comes. What is put back from a dead-letter queue is a new message to
/// SQS, and an idempotency key may have expired by then.
fn check_produced(facts: &Facts<'_>, violations: &mut Violations) {
    let redriven = is_redriven(facts);
    for produced in &facts.record.ledger.produced {
        let made =
            facts.events.values().filter(|event| event.is_from_queue() && event.number() == Some(produced.number));
        let made = made.count();
        violations.unless(made == 1 || made > 1 && redriven, || {
            format!("producer's event {}: became {made} events", produced.number)
        });
    }
}

fn check_owed(facts: &Facts<'_>, owed: &Owed<'_>, violations: &mut Violations) {
    for (&id, writes) in &facts.record.webhooks {
        let account = writes.iter().find_map(|write| Some(write.webhook.as_ref()?.account.as_str()));
        if account != Some(owed.account) {
            continue;
        }
        let states = facts.states(id, owed.from_ms, owed.to_ms);
        if states.iter().all(|state| state.is_some_and(|webhook| is_due(webhook, owed))) {
            check_delivery(facts, owed, id, violations);
        }
    }
}

fn is_due(webhook: &Webhook, owed: &Owed<'_>) -> bool {
    webhook.is_enabled() && owed.event_type.parse().is_ok_and(|event_type| webhook.subscribes_to(&event_type))
}

fn check_delivery(facts: &Facts<'_>, owed: &Owed<'_>, webhook: WebhookId, violations: &mut Violations) {
    let id = DeliveryId { event: owed.event, webhook };
    let later = facts.states(webhook, owed.from_ms, facts.end_ms);
    if later.iter().any(Option::is_none) || facts.is_expired(owed.event) {
        return; // Nobody is owed it any more.
    }
    let Some(delivery) = facts.deliveries.get(&id) else {
        violations.0.push(format!("{id}: never began, though the webhook was enabled and subscribed"));
        return;
    };
    let generations = later.iter().flatten().map(|webhook| webhook.generation);
    let was_disabled = generations.clone().min() != generations.max();
    let status = delivery.shown_status(facts.webhook(webhook));
    let must_be_delivered = !was_disabled || is_recovered(facts, owed, webhook);
    violations.unless(!must_be_delivered || status == DeliveryStatus::Delivered, || {
        format!("{id}: is {status:?} and must be delivered (disabled meanwhile: {was_disabled})")
    });
}

/// Whether a recovery was promised after the last disabling that covers the event.
fn is_recovered(facts: &Facts<'_>, owed: &Owed<'_>, webhook: WebhookId) -> bool {
    let recoveries = facts.record.ledger.recoveries.iter();
    recoveries.filter(|recovery| recovery.promised && recovery.webhook == webhook).any(|recovery| {
        let made_ms = owed.event.made_at().unix_ms();
        let until_ms = recovery.began_ms - facts.plan.skew_ms;
        let since = facts.states(webhook, recovery.began_ms, facts.end_ms);
        let generations = since.iter().flatten().map(|webhook| webhook.generation);
        let stayed = since.iter().flatten().all(|webhook| is_due(webhook, owed));
        let covers = (recovery.since_ms..until_ms).contains(&made_ms) && owed.to_ms.min(made_ms) <= recovery.began_ms;
        covers && stayed && generations.clone().min() == generations.max()
    })
}
