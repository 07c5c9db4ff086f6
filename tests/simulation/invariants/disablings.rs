//! Disablings by failure: each is told once to the account's other webhooks.

use hookline::event_type;
use hookline::webhook::DisabledReason;
use serde_json::Value;

use super::{Facts, Violations};

pub(super) fn check(facts: &Facts<'_>, violations: &mut Violations) {
    let told: Vec<String> = facts
        .events
        .values()
        .filter(|event| event.event_type == event_type::WEBHOOK_DISABLED)
        .filter_map(|event| Some(event.payload()["data"]["object"]["id"].as_str()?.to_owned()))
        .collect();
    for (id, delivery) in &facts.deliveries {
        let event = facts.events.get(&id.event).filter(|event| event.event_type == event_type::WEBHOOK_DISABLED);
        let about = event.map(|event| event.payload()["data"]["object"]["id"].clone());
        violations.unless(about != Some(Value::String(id.webhook.to_string())), || {
            format!("{id}: tells a webhook of its own disabling, {:?}", delivery.status)
        });
    }
    for (id, writes) in &facts.record.webhooks {
        let states = writes.iter().filter_map(|write| write.webhook.as_ref());
        let mut generation = 0;
        let mut by_failure = 0;
        for state in states {
            if state.generation > generation && state.disabled_reason != Some(DisabledReason::Manual) {
                by_failure += 1;
            }
            generation = state.generation;
        }
        let told = told.iter().filter(|told| **told == id.to_string()).count();
        // One that was deleted before it was told of is nobody's concern any more.
        let is_deleted = writes.last().is_some_and(|write| write.webhook.is_none());
        violations.unless(told == by_failure || is_deleted && told < by_failure, || {
            format!("{id}: was disabled {by_failure} times and told of {told}")
        });
    }
}
