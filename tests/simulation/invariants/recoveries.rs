//! Recoveries put what was missed back on the queue oldest first.

use super::{Facts, Violations};

pub(super) fn check(facts: &Facts<'_>, violations: &mut Violations) {
    // A page that is repeated after a fault begins with older events again.
    if !facts.plan.is_faultless() {
        return;
    }
    for ((webhook, round), events) in &facts.record.recovered {
        violations.unless(events.is_sorted(), || format!("{webhook}: recovery {round} was not oldest first"));
    }
}
