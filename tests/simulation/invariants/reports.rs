//! Operational events: what happens to webhooks and deliveries is reported once, to the account's other
//! webhooks, if one of them subscribes.

use std::collections::BTreeMap;

use domain::account::AccountId;
use domain::delivery::{Delivery, DeliveryStatus, Task, Trigger};
use domain::event_type::{self, EventType};
use domain::id::{EventId, WebhookId};
use domain::webhook::Webhook;

use super::{Facts, Violations};

/// What a report is about.
struct Reported {
    account: AccountId,
    webhook: WebhookId,
    event_type: &'static str,
    /// When it was written.
    at_ms: i64,
    /// The webhook's epoch then.
    epoch: u32,
    /// The event whose delivery has failed. Once it has expired, its delivery fails without a further attempt, which is not reported.
    failed: Option<EventId>,
}

pub(super) fn check(facts: &Facts<'_>, violations: &mut Violations) {
    let reported = reported(facts);
    for (id, event) in facts.events.iter().filter(|(_, event)| event.is_operational() && !event.test) {
        let known = reported.get(id).is_some_and(|reported| reported.event_type == event.event_type);
        violations.unless(known, || format!("{id}: {} reports what has not happened", event.event_type));
    }
    for (id, reported) in &reported {
        let is_kept = !facts.is_expired(*id) && reported.failed.is_none_or(|event| !facts.is_expired(event));
        let must_be_stored = is_kept && is_heard(facts, *id, reported) && stays(facts, reported);
        violations.unless(!must_be_stored || facts.events.contains_key(id), || {
            format!("{}: {} at {} ms is not reported", reported.webhook, reported.event_type, reported.at_ms)
        });
    }
    for id in facts.deliveries.keys() {
        let about = reported.get(&id.event).map(|reported| reported.webhook);
        violations.unless(about != Some(id.webhook), || format!("{id}: is a report about its own webhook"));
    }
}

/// Returns what had to be reported, by the ids of the reports.
fn reported(facts: &Facts<'_>) -> BTreeMap<EventId, Reported> {
    let mut all = BTreeMap::new();
    for (webhook, writes) in &facts.record.webhooks {
        for write in writes {
            let Some(state) = &write.webhook else { continue };
            let mut add = |id: EventId, event_type| {
                let (account, epoch) = (state.account.clone(), state.epoch);
                let (webhook, at_ms) = (*webhook, write.at_ms);
                let reported = Reported { account, webhook, event_type, at_ms, epoch, failed: None };
                all.entry(id).or_insert(reported);
            };
            for disabling in &state.disablings {
                add(state.announcement(disabling.epoch, disabling.at), event_type::WEBHOOK_DISABLED);
                if let Some(at) = disabling.recovered_at {
                    add(state.recovery_report(disabling.epoch, at), event_type::WEBHOOK_RECOVERED);
                }
            }
            if let Some(failing) = state.failing {
                add(failing.report(*webhook), event_type::WEBHOOK_FAILING);
            }
        }
    }
    for write in &facts.record.deliveries {
        let delivery = &write.delivery;
        if let Some(id) = failure_report(delivery) {
            let (account, webhook) = (delivery.account.clone(), delivery.delivery.webhook);
            let (event_type, at_ms, epoch) = (event_type::DELIVERY_FAILED, write.at_ms, delivery.epoch);
            let failed = Some(delivery.delivery.event);
            all.entry(id).or_insert(Reported { account, webhook, event_type, at_ms, epoch, failed });
        }
    }
    all
}

fn failure_report(delivery: &Delivery) -> Option<EventId> {
    if delivery.status != DeliveryStatus::Failed {
        return None;
    }
    let task = Task {
        account: delivery.account.clone(),
        delivery: delivery.delivery,
        epoch: delivery.epoch,
        revision: delivery.revision,
        trigger: Trigger::Scheduled { run: delivery.run, step: delivery.step },
        slot: None,
        slow: false,
    };
    delivery.failure_report(&task)
}

/// Whether another webhook of the account has subscribed to the report ever since.
fn is_heard(facts: &Facts<'_>, id: EventId, reported: &Reported) -> bool {
    let event_type: EventType = reported.event_type.parse().expect("a type");
    let hears = |webhook: &Webhook| webhook.account == reported.account && webhook.wants(id, &event_type);
    facts.record.webhooks.keys().any(|other| {
        let states = facts.states(*other, reported.at_ms, facts.end_ms);
        states.into_iter().all(|state| state.is_some_and(hears))
    })
}

/// Whether the webhook exists until the end. What is reported about its deliveries, or about an epoch, may go unreported if the
/// webhook was disabled or enabled before a worker that had died was replaced.
fn stays(facts: &Facts<'_>, reported: &Reported) -> bool {
    let states = facts.states(reported.webhook, reported.at_ms, facts.end_ms);
    let exists = states.iter().skip(1).all(Option::is_some);
    let is_kept = [event_type::WEBHOOK_DISABLED, event_type::WEBHOOK_RECOVERED].contains(&reported.event_type);
    exists && (is_kept || states.iter().skip(1).flatten().all(|webhook| webhook.epoch == reported.epoch))
}
