//! Exactly the events that match a webhook's filter arrive. That they all arrive is checked in
//! `deliveries.rs`; here, that no other one does, and that nothing is stored for it.

use domain::id::EventId;
use domain::webhook::Webhook;

use super::{Facts, Violations};
use crate::receivers::Post;
use crate::users::filters;

pub(super) fn check(facts: &Facts<'_>, violations: &mut Violations) {
    let is_test = |event: EventId| facts.events.get(&event).is_some_and(|event| event.test);
    // A first attempt that did not reach its receiver is not seen here, and a filter does not end what has begun.
    let has_begun_here = |posts: &[&Post]| posts[0].header("x-webhook-attempt") == "1";
    for (id, posts) in facts.posts().iter().filter(|(id, posts)| !is_test(id.event) && has_begun_here(posts)) {
        let states = facts.states_for(posts[0]);
        violations.unless(states.iter().any(|webhook| passes(facts, webhook, id.event)), || {
            format!("{id}: was sent, although the webhook's filter excluded it at the first attempt")
        });
    }
    for id in facts.deliveries.keys().filter(|id| !is_test(id.event)) {
        let from_ms = id.event.made_at().minus(facts.skew()).unix_ms();
        let states = facts.states(id.webhook, from_ms, facts.end_ms);
        violations.unless(states.iter().flatten().any(|webhook| passes(facts, webhook, id.event)), || {
            format!("{id}: is stored, although the webhook's filter has always excluded it")
        });
    }
}

/// Whether the event passes the webhook's filter. An event that has expired is taken to pass.
pub(super) fn passes(facts: &Facts<'_>, webhook: &Webhook, event: EventId) -> bool {
    let (Some(filter), Some(event)) = (&webhook.filter, facts.events.get(&event)) else { return true };
    filters::passes(filter.as_str(), &event.payload())
}
