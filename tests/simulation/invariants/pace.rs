//! A rate limit is kept: no more requests in any span of time than it allows, as far as the workers' clocks agree. And nobody
//! who has waited for a slot, and finds no permit when it comes, goes to the end of the line.

use hookline::id::WebhookId;

use super::{Facts, Violations};
use crate::receivers::Post;
use crate::world::PutBack;

/// The spans that requests are counted in: a second, less what a claim that is decided anew takes, and a longer one.
const SPANS_MS: [i64; 2] = [970, 5_000];
/// What `rate_limit` permits take.
const PERMITS_MS: i64 = 1_050;
/// How late after its permit a request may be: what the product allows, and two tries of the claim in between.
const LATE_MAX_MS: i64 = 80;

pub(super) fn check(facts: &Facts<'_>, violations: &mut Violations) {
    check_late(facts, violations);
    for &webhook in facts.record.webhooks.keys() {
        let paced: Vec<_> = facts.record.posts.iter().filter(|post| is_paced(facts, webhook, post)).collect();
        for (index, first) in paced.iter().enumerate() {
            for span_ms in SPANS_MS {
                let Some(limit) = limit(facts, webhook, first.at_ms, first.at_ms + span_ms) else { continue };
                let in_span =
                    paced[index..].iter().take_while(|post| post.at_ms < first.at_ms + span_ms).count() as i64;
                let permits_ms = span_ms + LATE_MAX_MS + 2 * facts.plan.skew_ms;
                // So many permits begin within that time.
                let most = (permits_ms * i64::from(limit) + PERMITS_MS - 1) / PERMITS_MS;
                violations.unless(in_span <= most, || {
                    format!("{webhook}: {in_span} requests within {span_ms} ms, at most {limit} a second are allowed")
                });
            }
        }
    }
}

/// What a task that has had its slot is sent back for at most: the permits of the next second are taken, and those of the
/// longest lead after a permit that was missed.
const SENT_BACK_MS: i64 = 6_000;

fn check_late(facts: &Facts<'_>, violations: &mut Violations) {
    let record = facts.record;
    for (index, back) in record.put_back.iter().enumerate() {
        let of_task = |other: &&PutBack| other.task.delivery == back.task.delivery && other.task.turn == back.task.turn;
        let Some(before) = record.put_back[..index].iter().rev().find(of_task) else { continue };
        let slot_ms = back.slot.at.unix_ms();
        // One that came early keeps its slot, and of two copies the other one may have it.
        if back.slot.requeues != before.slot.requeues + 1 || before.slot.at.unix_ms() > back.at_ms {
            continue;
        }
        let webhook = back.task.webhook();
        let Some(limit) = limit(facts, webhook, before.at_ms, back.at_ms) else { continue };
        let in_line = record.put_back.iter().filter(|other| {
            other.task.webhook() == webhook && other.slot.requeues > 1 && other.slot.at.unix_ms() >= back.at_ms
        });
        let permit_ms = PERMITS_MS / i64::from(limit) + 1;
        let most_ms = SENT_BACK_MS + (in_line.count() as i64 + 1) * permit_ms + 2 * facts.plan.skew_ms;
        violations.unless(slot_ms - back.at_ms <= most_ms, || {
            let wait_ms = slot_ms - back.at_ms;
            format!("{}: had its slot, and is sent back for {wait_ms} ms, at most {most_ms} ms", back.task.delivery)
        });
    }
}

/// The limit that held throughout.
fn limit(facts: &Facts<'_>, webhook: WebhookId, from_ms: i64, to_ms: i64) -> Option<u32> {
    let states = facts.states(webhook, from_ms - 60_000, to_ms);
    let limits: Vec<_> = states.iter().map(|state| state.and_then(|webhook| webhook.rate_limit)).collect();
    limits[0].filter(|_| limits.iter().all(|limit| *limit == limits[0]))
}

/// Whether the request was to be paced, and no fault lay between its permit and itself.
fn is_paced(facts: &Facts<'_>, webhook: WebhookId, post: &Post) -> bool {
    let is_test = post.header("webhook-id").parse().ok().and_then(|id| facts.events.get(&id));
    facts.hosts.get(&post.host) == Some(&webhook)
        && !is_test.is_some_and(|event| event.test)
        && !facts.record.faults.iter().any(|fault| fault.invocation == Some(post.invocation))
}
