//! Rate limits are kept: no span of time contains more requests than allowed, as far as the clocks
//! of the processes agree. A task that has waited for its slot, and then finds no permit, goes
//! ahead of all other waiting tasks.

use domain::id::WebhookId;

use super::{Facts, Violations};
use crate::receivers::Post;
use crate::world::Requeued;

/// The spans in which requests are counted: a second, less the time of a
/// repeated lease write, and a longer one.
const SPANS_MS: [i64; 2] = [970, 5_000];
/// The time that `rate_limit` permits take.
const PERMITS_MS: i64 = 1_050;
/// How late after its permit a request may be: what Hookline allows, and two tries to
/// acquire the lease.
const LATE_MAX_MS: i64 = 80;

pub(super) fn check(facts: &Facts<'_>, violations: &mut Violations) {
    check_returning_tasks(facts, violations);
    for &webhook in facts.record.webhooks.keys() {
        let limited: Vec<_> = facts.record.posts.iter().filter(|post| is_limited(facts, webhook, post)).collect();
        for (index, first) in limited.iter().enumerate() {
            for span_ms in SPANS_MS {
                let Some(limit) = limit(facts, webhook, first.at_ms, first.at_ms + span_ms) else { continue };
                let in_span =
                    limited[index..].iter().take_while(|post| post.at_ms < first.at_ms + span_ms).count() as i64;
                let permits_ms = span_ms + LATE_MAX_MS + 2 * facts.plan.skew_ms;
                // The number of permits that begin within that time.
                let most = (permits_ms * i64::from(limit) + PERMITS_MS - 1) / PERMITS_MS;
                violations.unless(in_span <= most, || {
                    format!("{webhook}: {in_span} requests within {span_ms} ms, but the limit is {limit} a second")
                });
            }
        }
    }
}

/// The longest wait of a task that finds no permit after its slot, if no other task is ahead of it:
/// the permits of the next second are reserved, and, after a missed permit, those of the longest
/// lead.
const WAIT_AFTER_SLOT_MS: i64 = 6_000;

/// Checks how long a task waits that returns in its slot and finds no permit.
fn check_returning_tasks(facts: &Facts<'_>, violations: &mut Violations) {
    let record = facts.record;
    for (index, requeued) in record.requeued.iter().enumerate() {
        let Requeued { at_ms, task, slot } = requeued;
        let of_task = |other: &&Requeued| other.task.delivery == task.delivery && other.task.trigger == task.trigger;
        let Some(before) = record.requeued[..index].iter().rev().find(of_task) else { continue };
        let slot_ms = slot.at.unix_ms();
        // A task that returns early keeps its slot. If the message was duplicated, the other copy
        // may have used the slot.
        if slot.requeues != before.slot.requeues + 1 || before.slot.at.unix_ms() > *at_ms {
            continue;
        }
        let webhook = task.webhook();
        let Some(limit) = limit(facts, webhook, before.at_ms, *at_ms) else { continue };
        let ahead = record.requeued.iter().filter(|other| {
            other.task.webhook() == webhook && other.slot.requeues > 1 && other.slot.at.unix_ms() >= *at_ms
        });
        let permit_ms = PERMITS_MS / i64::from(limit) + 1;
        let most_ms = WAIT_AFTER_SLOT_MS + (ahead.count() as i64 + 1) * permit_ms + 2 * facts.plan.skew_ms;
        let wait_ms = slot_ms - at_ms;
        violations.unless(wait_ms <= most_ms, || {
            format!("{}: waits {wait_ms} ms more after its slot, but at most {most_ms} ms are allowed", task.delivery)
        });
    }
}

/// Returns the rate limit, if it was the same throughout.
fn limit(facts: &Facts<'_>, webhook: WebhookId, from_ms: i64, to_ms: i64) -> Option<u32> {
    let states = facts.states(webhook, from_ms - 60_000, to_ms);
    let limits: Vec<_> = states.iter().map(|state| state.and_then(|webhook| webhook.rate_limit)).collect();
    limits[0].filter(|_| limits.iter().all(|limit| *limit == limits[0]))
}

/// Whether the request was subject to the rate limit, and no fault hit its invocation. The limit
/// counts attempts when they begin. A request with an access token follows later, once the token is
/// there, so it is not judged.
fn is_limited(facts: &Facts<'_>, webhook: WebhookId, post: &Post) -> bool {
    let event = post.header("webhook-id").parse().ok().and_then(|id| facts.events.get(&id));
    facts.hosts.get(&post.host) == Some(&webhook)
        && !event.is_some_and(|event| event.test)
        && post.header("authorization").is_empty()
        && !facts.record.faults.iter().any(|fault| fault.invocation == Some(post.invocation))
}
