//! A rate limit is kept: no more requests in any span of time than it allows, as far as the workers' clocks agree.

use hookline::id::WebhookId;

use super::{Facts, Violations};
use crate::receivers::Post;

/// The span that requests are counted in.
const SPAN_MS: i64 = 5_000;
/// How far a request may be from its slot: what the product allows, and the calls between the slot and the request.
const OFF_SLOT_MS: i64 = 150;

pub(super) fn check(facts: &Facts<'_>, violations: &mut Violations) {
    for &webhook in facts.record.webhooks.keys() {
        let paced: Vec<_> = facts.record.posts.iter().filter(|post| is_paced(facts, webhook, post)).collect();
        for (index, first) in paced.iter().enumerate() {
            let Some(limit) = limit(facts, webhook, first.at_ms, first.at_ms + SPAN_MS) else { continue };
            let in_span = paced[index..].iter().take_while(|post| post.at_ms < first.at_ms + SPAN_MS).count() as i64;
            let slack_ms = 2 * OFF_SLOT_MS + 2 * facts.plan.skew_ms;
            let most = (SPAN_MS + slack_ms) * i64::from(limit) / 1000 + 1;
            violations.unless(in_span <= most, || {
                format!("{webhook}: {in_span} requests within {SPAN_MS} ms, at most {limit} a second are allowed")
            });
        }
    }
}

/// The limit that held throughout.
fn limit(facts: &Facts<'_>, webhook: WebhookId, from_ms: i64, to_ms: i64) -> Option<u32> {
    let states = facts.states(webhook, from_ms - 60_000, to_ms);
    let limits: Vec<_> = states.iter().map(|state| state.and_then(|webhook| webhook.rate_limit)).collect();
    limits[0].filter(|_| limits.iter().all(|limit| *limit == limits[0]))
}

/// Whether the request was to be paced, and no fault lay between its slot and itself.
fn is_paced(facts: &Facts<'_>, webhook: WebhookId, post: &Post) -> bool {
    let is_test = post.header("webhook-id").parse().ok().and_then(|id| facts.events.get(&id));
    facts.hosts.get(&post.host) == Some(&webhook)
        && !is_test.is_some_and(|event| event.test)
        && !facts.record.faults.iter().any(|fault| fault.invocation == Some(post.invocation))
}
