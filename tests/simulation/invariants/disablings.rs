//! Automatic disablings: each is announced once, to the account's other webhooks.

use domain::event_type;
use domain::webhook::DisabledReason;
use serde_json::Value;

use super::{Facts, Violations};

pub(super) fn check(facts: &Facts<'_>, violations: &mut Violations) {
    let announced: Vec<String> = facts
        .events
        .values()
        .filter(|event| event.event_type == event_type::WEBHOOK_DISABLED)
        .filter_map(|event| Some(event.payload()["data"]["object"]["id"].as_str()?.to_owned()))
        .collect();
    for (id, delivery) in &facts.deliveries {
        let event = facts.events.get(&id.event).filter(|event| event.event_type == event_type::WEBHOOK_DISABLED);
        let announced = event.map(|event| event.payload()["data"]["object"]["id"].clone());
        violations.unless(announced != Some(Value::String(id.webhook.to_string())), || {
            format!("{id}: announces a disabling to the disabled webhook itself, {:?}", delivery.status)
        });
    }
    for (id, writes) in &facts.record.webhooks {
        let states = writes.iter().filter_map(|write| write.webhook.as_ref());
        let mut epoch = 0;
        let mut automatic = 0;
        for state in states {
            if state.epoch > epoch && state.disabled_reason != Some(DisabledReason::Manual) {
                automatic += 1;
            }
            epoch = state.epoch;
        }
        let count = announced.iter().filter(|announced| **announced == id.to_string()).count();
        // A webhook may be deleted before its disabling is announced.
        let is_deleted = writes.last().is_some_and(|write| write.webhook.is_none());
        violations.unless(count == automatic || is_deleted && count < automatic, || {
            format!("{id}: was disabled {automatic} times and announced {count} times")
        });
    }
}
