//! Recoveries enqueue the missed events oldest first, and their progress is counted once.

use std::collections::{BTreeMap, BTreeSet};

use domain::delivery::{DeliveryStatus, unattempted_status};
use domain::event::EventSummary;
use domain::id::{DeliveryId, EventId, RecoveryId, WebhookId};
use domain::recovery::{Recovery, RecoveryStatus};
use domain::time::CLOCK_SKEW;
use domain::webhook::Webhook;

use super::{Facts, StoredEvent, Violations, filters};
use crate::ledger::Reading;
use crate::world::{DeliveryWrite, RecoveryWrite};

pub(super) fn check(facts: &Facts<'_>, violations: &mut Violations) {
    // After a fault, a page may be repeated, and then begins with older events again.
    for ((webhook, run), events) in facts.record.recovered.iter().filter(|_| facts.plan.is_faultless()) {
        // Two requests at once may both enqueue the job of an enabling, so that its pages are repeated.
        let mut seen = BTreeSet::new();
        violations.unless(events.iter().filter(|event| seen.insert(**event)).is_sorted(), || {
            format!("{webhook}: recovery {run} did not enqueue the oldest events first")
        });
    }
    for (id, writes) in &facts.record.recoveries {
        check_writes(*id, writes, violations);
        let (Some(first), Some(last)) = (writes.first(), writes.last()) else { continue };
        if facts.is_expired(EventId::first_at(first.recovery.since)) {
            continue; // The record or some events of the window may be gone.
        }
        violations
            .unless(last.recovery.status != RecoveryStatus::Running, || format!("{id}: is left without a next job"));
        check_counts(facts, last, violations);
        if last.recovery.status == RecoveryStatus::Done {
            check_done(facts, first.at_ms, last, violations);
        }
        check_failed(facts, first.at_ms, last, violations);
    }
    check_readings(facts, violations);
}

/// Checks that each write is one job further, and that nothing follows the end.
fn check_writes(id: RecoveryId, writes: &[RecoveryWrite], violations: &mut Violations) {
    violations.unless(writes.first().is_none_or(|write| write.recovery.jobs == 0), || {
        format!("{id}: its first record is not its beginning")
    });
    for pair in writes.windows(2) {
        let (before, after) = (&pair[0].recovery, &pair[1].recovery);
        let goes_on = before.status == RecoveryStatus::Running
            && after.jobs == before.jobs + 1
            && after.after >= before.after
            && after.looked_at >= before.looked_at
            && after.sent >= before.sent;
        violations.unless(goes_on, || format!("{id}: its progress went from {before:?} to {after:?}"));
    }
}

/// The events of a recovery's window that its account has published, without tests.
fn events_of<'a>(facts: &'a Facts<'_>, write: &'a RecoveryWrite) -> impl Iterator<Item = (EventId, &'a StoredEvent)> {
    let Recovery { since, until, .. } = write.recovery;
    let window = EventId::first_at(since)..=EventId::first_at(until);
    let events = facts.events.iter().filter(move |(id, event)| window.contains(id) && !event.test);
    events.filter(|(_, event)| event.account == write.account).map(|(id, event)| (*id, event))
}

/// The webhook and the run of a recovery. The run is the moment at which it began.
fn run_of(recovery: &Recovery) -> (WebhookId, i64) {
    (recovery.webhook, recovery.id.made_at().unix_ms())
}

/// The events that the recovery has enqueued, each once.
fn enqueued(facts: &Facts<'_>, recovery: &Recovery) -> BTreeSet<EventId> {
    let events = facts.record.recovered.get(&run_of(recovery));
    events.into_iter().flatten().copied().collect()
}

/// The writes of the delivery of `event`, in order.
fn writes_of<'a>(facts: &'a Facts<'_>, event: EventId, webhook: WebhookId) -> impl Iterator<Item = &'a DeliveryWrite> {
    let id = DeliveryId { event, webhook };
    facts.record.deliveries.iter().filter(move |write| write.delivery.delivery == id)
}

/// Checks that no event was counted twice. A fan-out takes a webhook that was registered up to
/// `CLOCK_SKEW` after the event's time, because a publisher's clock may be behind.
fn check_counts(facts: &Facts<'_>, last: &RecoveryWrite, violations: &mut Violations) {
    let Recovery { id, looked_at, sent, .. } = last.recovery;
    let skewed = RecoveryWrite {
        recovery: Recovery { since: last.recovery.since.minus(CLOCK_SKEW), ..last.recovery.clone() },
        ..last.clone()
    };
    let (events, enqueued) = (events_of(facts, &skewed).count() as u64, enqueued(facts, &last.recovery).len() as u64);
    violations.unless(looked_at <= events, || format!("{id}: looked at {looked_at} of {events} events"));
    violations.unless(sent <= enqueued, || format!("{id}: claims {sent} sent, but enqueued {enqueued}"));
}

/// Checks that a recovery that is done has enqueued every event of its window to whose delivery nothing had happened.
fn check_done(facts: &Facts<'_>, began_ms: i64, last: &RecoveryWrite, violations: &mut Violations) {
    let (webhook, enqueued) = (last.recovery.webhook, enqueued(facts, &last.recovery));
    let stored: BTreeSet<_> = {
        let published = facts.record.ledger.published.iter();
        published.filter(|published| published.answered_ms <= began_ms).map(|published| published.id).collect()
    };
    let states = facts.states(webhook, began_ms, last.at_ms);
    for (id, event) in events_of(facts, last).filter(|(id, _)| stored.contains(id)) {
        let event_type = event.event_type.parse().expect("a type");
        let summary = EventSummary { id, event_type, test: false };
        let is_wanted = |webhook: &Webhook| {
            let shown = unattempted_status(webhook, &summary, filters::passes(facts, webhook, id));
            webhook.wants(id, &summary.event_type)
                && matches!(shown, Some(DeliveryStatus::Pending | DeliveryStatus::Held))
        };
        if !states.iter().flatten().all(|webhook| is_wanted(webhook)) {
            continue;
        }
        let was_attempted = writes_of(facts, id, webhook).any(|write| write.at_ms <= last.at_ms);
        violations.unless(was_attempted || enqueued.contains(&id), || {
            format!("{}: is done, but did not enqueue {id}", last.recovery.id)
        });
    }
}

/// Checks that a recovery without failed deliveries has enqueued none that had failed before it began.
fn check_failed(facts: &Facts<'_>, began_ms: i64, last: &RecoveryWrite, violations: &mut Violations) {
    let Recovery { id, webhook, include_failed, .. } = last.recovery;
    let runs = facts.record.recoveries.values().filter_map(|writes| Some(run_of(&writes.first()?.recovery)));
    let is_alone = runs.filter(|run| *run == run_of(&last.recovery)).count() == 1;
    if include_failed || !is_alone {
        return;
    }
    for event in enqueued(facts, &last.recovery) {
        let before = writes_of(facts, event, webhook).filter(|write| write.at_ms < began_ms).last();
        violations.unless(before.is_none_or(|write| write.delivery.status != DeliveryStatus::Failed), || {
            format!("{id}: enqueued {event}, whose delivery had failed")
        });
    }
}

/// Checks that what users read of a recovery never goes back.
fn check_readings(facts: &Facts<'_>, violations: &mut Violations) {
    let mut by_id: BTreeMap<RecoveryId, Vec<&Reading>> = BTreeMap::new();
    for reading in &facts.record.ledger.readings {
        by_id.entry(reading.id).or_default().push(reading);
    }
    let count = |reading: &Reading, name: &str| reading.shown[name].as_u64();
    for (id, readings) in by_id {
        for (index, later) in readings.iter().enumerate() {
            let earlier = readings[..index].iter().filter(|earlier| earlier.answered_ms < later.began_ms);
            for earlier in earlier {
                let goes_on = ["looked_at", "sent"].iter().all(|name| count(earlier, name) <= count(later, name))
                    && (earlier.shown["status"] == "running" || later.shown["status"] != "running");
                violations.unless(goes_on, || format!("{id}: was shown as {}, then as {}", earlier.shown, later.shown));
            }
        }
    }
}
