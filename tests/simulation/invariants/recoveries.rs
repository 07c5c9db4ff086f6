//! Recoveries enqueue the missed events oldest first.

use super::{Facts, Violations};

pub(super) fn check(facts: &Facts<'_>, violations: &mut Violations) {
    // After a fault, a page may be repeated, and then begins with older events again.
    if !facts.plan.is_faultless() {
        return;
    }
    for ((webhook, run), events) in &facts.record.recovered {
        violations.unless(events.is_sorted(), || {
            format!("{webhook}: recovery {run} did not enqueue the oldest events first")
        });
    }
}
