//! The portal: a link begins one session, in its time, and a session that is over shows nothing.

use std::collections::BTreeMap;

use super::Violations;
use crate::ledger::{Exchange, Sight};
use crate::world::World;

/// Checks the links and sessions of all users. Returns the violations.
pub(crate) fn check(world: &World) -> Vec<String> {
    let mut violations = Violations::default();
    let ledger = &world.record().ledger;
    let mut by_code: BTreeMap<&str, Vec<&Exchange>> = BTreeMap::new();
    for exchange in &ledger.exchanges {
        by_code.entry(&exchange.code).or_default().push(exchange);
    }
    for exchanges in by_code.values() {
        check_link(world, exchanges, &mut violations);
    }
    for sight in &ledger.sights {
        check_sight(world, sight, &mut violations);
    }
    violations.0
}

fn check_link(world: &World, exchanges: &[&Exchange], violations: &mut Violations) {
    let begun: Vec<_> = exchanges.iter().filter(|exchange| exchange.has_begun).collect();
    violations.unless(begun.len() <= 1, || format!("a link has begun {} sessions", begun.len()));
    for exchange in begun {
        let is_in_time = exchange.began_ms < exchange.until_ms + tolerance_ms(world);
        violations.unless(is_in_time, || "a link that has expired has begun a session".to_owned());
    }
    let in_time = exchanges.iter().filter(|exchange| exchange.answered_ms < exchange.until_ms).count();
    let has_begun = exchanges.iter().any(|exchange| exchange.has_begun);
    violations
        .unless(!world.plan.is_faultless() || in_time == 0 || has_begun, || "a link begins no session".to_owned());
}

fn check_sight(world: &World, sight: &Sight, violations: &mut Violations) {
    let has_seen = sight.status == 200;
    let is_late = sight.began_ms >= sight.until_ms + tolerance_ms(world);
    violations.unless(!has_seen || !is_late, || "a session goes on after its time".to_owned());
    violations.unless(!has_seen || sight.ended_ms.is_none(), || "a session goes on after its end".to_owned());
    let is_open = sight.answered_ms < sight.until_ms && sight.ended_ms.is_none();
    let shows = has_seen || sight.status == 404 && sight.bound_to.is_some();
    violations.unless(!world.plan.is_faultless() || !is_open || shows, || {
        format!("a session shows nothing, but a {}", sight.status)
    });
    let is_bound = sight.bound_to.is_none_or(|bound| sight.webhooks.iter().all(|webhook| *webhook == bound));
    violations.unless(is_bound, || "a session shows a webhook that it is not bound to".to_owned());
}

/// Returns by how much a shown time may be wrong, in milliseconds: the clocks of two processes differ, and an answer shows whole
/// seconds.
fn tolerance_ms(world: &World) -> i64 {
    2 * world.plan.skew_ms + 1_000
}
