//! A delivery that a user has cancelled is not attempted after the answer, other than by the attempt
//! that was under way. That attempt still counts.

use domain::id::DeliveryId;

use super::{Facts, Violations};
use crate::receivers::Post;

pub(super) fn check(facts: &Facts<'_>, violations: &mut Violations) {
    let all_posts = facts.posts();
    for cancelled in &facts.record.ledger.cancelled {
        let id = cancelled.delivery;
        let posts = all_posts.get(&id).map(Vec::as_slice).unwrap_or_default();
        if let Some(answered_ms) = cancelled.answered_ms {
            check_attempts(facts, id, posts, answered_ms, violations);
        }
        check_accepted(facts, id, posts, violations);
    }
}

/// Whether a user has cancelled the delivery.
pub(super) fn is_cancelled(facts: &Facts<'_>, id: DeliveryId) -> bool {
    let is_asked = facts.record.ledger.cancelled.iter().any(|cancelled| cancelled.delivery == id);
    is_asked && facts.deliveries.get(&id).is_some_and(|delivery| delivery.cancelled)
}

/// Checks that no request arrives after the answer, other than that of the lease beside the mark.
fn check_attempts(facts: &Facts<'_>, id: DeliveryId, posts: &[&Post], answered_ms: i64, violations: &mut Violations) {
    let mut states = facts.record.deliveries.iter().map(|write| &write.delivery);
    let marked = states.find(|delivery| delivery.delivery == id && delivery.cancelled);
    let Some(marked) = marked else {
        violations.0.push(format!("{id}: the cancel was answered, but the delivery was never marked"));
        return;
    };
    let lease_until_ms = marked.lease.as_ref().map(|lease| lease.until.unix_ms() + 2 * facts.plan.skew_ms);
    let after: Vec<_> = posts.iter().filter(|post| post.at_ms > answered_ms).collect();
    let is_under_way = |post: &&&Post| lease_until_ms.is_some_and(|until_ms| post.at_ms < until_ms);
    violations.unless(after.len() <= 1 && after.iter().all(is_under_way), || {
        format!("{id}: {} attempts were sent after the cancel was answered at {answered_ms} ms", after.len())
    });
}

/// Checks that an attempt that the receiver accepted makes the delivery delivered, unless a fault
/// hit its sender.
fn check_accepted(facts: &Facts<'_>, id: DeliveryId, posts: &[&Post], violations: &mut Violations) {
    let is_undisturbed =
        |post: &&&Post| !facts.record.faults.iter().any(|fault| fault.invocation == Some(post.invocation));
    let accepted = posts.iter().filter(|post| post.is_accepted()).find(is_undisturbed);
    let status = facts.deliveries.get(&id).map(|delivery| delivery.shown_status(facts.webhook(id.webhook)));
    violations.unless(accepted.is_none() || status == Some(domain::delivery::DeliveryStatus::Delivered), || {
        format!("{id}: its receiver accepted an attempt, but it is {status:?}")
    });
}
