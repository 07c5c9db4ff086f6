//! Rotations: all requests with one idempotency key rotate once and get one answer, and a finished
//! rotation leaves one secret.

use std::collections::BTreeMap;

use super::{Facts, Violations};
use crate::ledger::Rotated;

pub(super) fn check(facts: &Facts<'_>, violations: &mut Violations) {
    let mut by_key: BTreeMap<&str, Vec<&Rotated>> = BTreeMap::new();
    for rotated in &facts.record.ledger.rotated {
        by_key.entry(&rotated.key).or_default().push(rotated);
    }
    for (key, rotated) in by_key {
        check_answers(key, &rotated, violations);
        check_carried_out_once(facts, key, rotated[0], violations);
    }
    check_finished(facts, violations);
}

fn check_answers(key: &str, rotated: &[&Rotated], violations: &mut Violations) {
    for answer in rotated {
        violations.unless(answer.body == rotated[0].body, || format!("{key}: two rotations got different answers"));
        let is_repeat = rotated.iter().any(|earlier| earlier.answered_ms < answer.began_ms);
        violations.unless(answer.replayed || !is_repeat, || {
            format!("{key}: the answer to a repeated rotation is not marked as replayed")
        });
    }
}

/// Checks that the secret has become the webhook's newest one exactly once.
fn check_carried_out_once(facts: &Facts<'_>, key: &str, rotated: &Rotated, violations: &mut Violations) {
    let states = facts.writes(rotated.webhook).iter().filter_map(|write| write.webhook.as_ref());
    let is_newest: Vec<_> = states.map(|webhook| webhook.secret.expose() == rotated.secret).collect();
    let times = is_newest.windows(2).filter(|pair| !pair[0] && pair[1]).count();
    violations.unless(times == 1, || format!("{key}: the rotation was carried out {times} times"));
}

/// Checks that every finished rotation has left the newest secret alone at some moment of the
/// request.
fn check_finished(facts: &Facts<'_>, violations: &mut Violations) {
    for finished in &facts.record.ledger.finished {
        let Some(answered_ms) = finished.answered_ms else { continue };
        let states = facts.states(finished.webhook, finished.began_ms, answered_ms);
        let is_finished = states.iter().flatten().any(|webhook| webhook.previous_secrets.is_empty());
        violations
            .unless(is_finished, || format!("{}: a finished rotation has left an earlier secret", finished.webhook));
    }
}
