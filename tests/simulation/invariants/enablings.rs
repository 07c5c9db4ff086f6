//! Enabling a webhook recovers or cancels what is held, and leaves failed deliveries as they are.

use domain::delivery::{Delivery, DeliveryStatus, Trigger, unattempted_status};
use domain::event::EventSummary;
use domain::event_type::EventType;
use domain::id::{DeliveryId, WebhookId};
use domain::webhook::Webhook;

use super::cancels::is_cancelled;
use super::deliveries::INVOCATION_MAX_MS;
use super::{Facts, Violations, filters};
use crate::ledger::Published;

/// A write that enabled a disabled webhook.
struct Enabling<'a> {
    at_ms: i64,
    after: &'a Webhook,
    is_cancel: bool,
}

pub(super) fn check(facts: &Facts<'_>, violations: &mut Violations) {
    for &webhook in facts.record.webhooks.keys() {
        for enabling in enablings(facts, webhook) {
            for published in &facts.record.ledger.published {
                let id = DeliveryId { event: published.id, webhook };
                if exists(facts, webhook, published) && published.answered_ms < enabling.at_ms {
                    check_delivery(facts, id, &enabling, published, violations);
                }
            }
        }
    }
}

/// Returns the writes that enabled the webhook.
fn enablings<'a>(facts: &'a Facts<'_>, webhook: WebhookId) -> Vec<Enabling<'a>> {
    let pairs = facts.writes(webhook).windows(2);
    let found = pairs.filter_map(|pair| {
        let (before, after) = (pair[0].webhook.as_ref()?, pair[1].webhook.as_ref()?);
        let is_cancel = before.held_cancelled != after.held_cancelled;
        let is_enabled = !before.is_enabled() && after.is_enabled();
        is_enabled.then_some(Enabling { at_ms: pair[1].at_ms, after, is_cancel })
    });
    found.collect()
}

/// Whether the webhook was registered and subscribed to the event throughout its publication, and has
/// been until the end.
fn exists(facts: &Facts<'_>, webhook: WebhookId, published: &Published) -> bool {
    let event_type: EventType = published.event_type.parse().expect("a type");
    let from_ms = published.key.as_ref().map_or(published.began_ms, |key| key.first_ms) - facts.plan.skew_ms;
    let is_of_account = |webhook: &&Webhook| webhook.account == published.account;
    let mut states = facts.states(webhook, from_ms, facts.end_ms).into_iter();
    states.all(|state| state.filter(is_of_account).is_some_and(|webhook| webhook.subscribes_to(&event_type)))
        && !facts.is_expired(published.id)
}

fn check_delivery(
    facts: &Facts<'_>,
    id: DeliveryId,
    enabling: &Enabling<'_>,
    published: &Published,
    violations: &mut Violations,
) {
    let at_ms = enabling.at_ms;
    let mut writes = facts.record.deliveries.iter().filter(|write| write.delivery.delivery == id);
    let before = writes.rfind(|write| write.at_ms < at_ms).map(|write| &write.delivery);
    let is_under_way = before.is_some_and(|delivery| delivery.lease.is_some());
    if is_under_way || is_cancelled(facts, id) {
        return;
    }
    // What a filter has excluded meanwhile may never have been enqueued, and a recovery leaves it out.
    let webhooks = facts.states(id.webhook, published.began_ms, facts.end_ms);
    if !webhooks.into_iter().flatten().all(|webhook| filters::passes(facts, webhook, id.event)) {
        return;
    }
    let status = shown(facts, id, published);
    match before.map(|delivery| delivery.status) {
        Some(DeliveryStatus::Delivered | DeliveryStatus::Cancelled) => {}
        Some(DeliveryStatus::Failed) => {
            let is_left = is_recovered_by_user(facts, id) || !is_sent_after(facts, id, at_ms + INVOCATION_MAX_MS);
            violations.unless(is_left, || format!("{id}: had failed, and was sent by the enabling at {at_ms} ms"));
        }
        None | Some(DeliveryStatus::Pending | DeliveryStatus::Held) if enabling.is_cancel => {
            let is_cancelled = status == Some(DeliveryStatus::Cancelled);
            violations.unless(is_cancelled || is_excused(facts, id, enabling), || {
                format!("{id}: is {status:?}, but the enabling at {at_ms} ms cancelled it")
            });
        }
        None | Some(DeliveryStatus::Pending | DeliveryStatus::Held) => {
            let is_sent = matches!(status, Some(DeliveryStatus::Delivered | DeliveryStatus::Failed));
            violations.unless(is_sent || !is_last(facts, id.webhook, enabling), || {
                format!("{id}: is {status:?}, but the enabling at {at_ms} ms recovers it")
            });
        }
    }
}

/// Returns the status that users see at the end.
fn shown(facts: &Facts<'_>, id: DeliveryId, published: &Published) -> Option<DeliveryStatus> {
    let webhook = facts.webhook(id.webhook)?;
    if let Some(delivery) = facts.deliveries.get(&id) {
        return Some(delivery.shown_status(Some(webhook)));
    }
    let event_type = published.event_type.parse().expect("a type");
    let passes_filter = filters::passes(facts, webhook, id.event);
    unattempted_status(webhook, &EventSummary { id: id.event, event_type, test: false }, passes_filter)
}

/// Whether the webhook has stayed enabled since, and nothing was cancelled earlier or later.
fn is_last(facts: &Facts<'_>, webhook: WebhookId, enabling: &Enabling<'_>) -> bool {
    let states = facts.states(webhook, enabling.at_ms, facts.end_ms);
    let stayed = states.iter().skip(1).all(|state| state.is_some_and(|state| state.epoch == enabling.after.epoch));
    stayed && enabling.after.is_enabled() && enabling.after.held_cancelled.is_none()
}

/// Whether a cancel has an excuse: an attempt of a worker that had read the webhook before its
/// disabling, or clocks that differ on whether the event was published before the enabling.
fn is_excused(facts: &Facts<'_>, id: DeliveryId, enabling: &Enabling<'_>) -> bool {
    let is_overtaken = scheduled(facts.deliveries.get(&id)).any(|started_ms| {
        (enabling.at_ms - facts.plan.skew_ms..=enabling.at_ms + INVOCATION_MAX_MS + facts.plan.skew_ms)
            .contains(&started_ms)
    });
    let cancelled_at = enabling.after.held_cancelled.map(|cancelled| cancelled.at);
    is_overtaken || cancelled_at.is_none_or(|at| at <= id.event.made_at())
}

/// Whether a user asked for a recovery of the webhook or a retry of the delivery.
fn is_recovered_by_user(facts: &Facts<'_>, id: DeliveryId) -> bool {
    facts.record.ledger.recoveries.iter().any(|recovery| recovery.webhook == id.webhook)
}

fn is_sent_after(facts: &Facts<'_>, id: DeliveryId, from_ms: i64) -> bool {
    scheduled(facts.deliveries.get(&id)).any(|started_ms| started_ms > from_ms + facts.plan.skew_ms)
}

/// Returns when the scheduled attempts began.
fn scheduled(delivery: Option<&Delivery>) -> impl Iterator<Item = i64> {
    let attempts = delivery.into_iter().flat_map(|delivery| &delivery.attempts);
    let scheduled = attempts.filter(|(trigger, _)| matches!(trigger, Trigger::Scheduled { .. }));
    scheduled.map(|(_, attempt)| attempt.started_at.unix_ms())
}
