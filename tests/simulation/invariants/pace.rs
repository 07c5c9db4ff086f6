//! A rate limit is kept: no more requests in any span of time than it allows, as far as the workers' clocks agree.

use hookline::id::WebhookId;

use super::{Facts, Violations};
use crate::receivers::Post;

/// The spans that requests are counted in: a second, less what a claim that is decided anew takes, and a longer one.
const SPANS_MS: [i64; 2] = [970, 5_000];
/// What `rate_limit` permits take.
const PERMITS_MS: i64 = 1_050;
/// How late after its permit a request may be: what the product allows, and two tries of the claim in between.
const LATE_MAX_MS: i64 = 80;

pub(super) fn check(facts: &Facts<'_>, violations: &mut Violations) {
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
