//! The requests that receivers got: the published bytes, signed with the secrets of that time, to
//! an enabled webhook of the event's own account. Also the answers that publishers got.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::signature;
use domain::time::Timestamp;
use domain::webhook::{PreviousSecret, Webhook};

use super::{Facts, Violations, host_of};
use crate::ledger::Published;
use crate::receivers::Post;

pub(super) fn check(facts: &Facts<'_>, violations: &mut Violations) {
    for post in &facts.record.posts {
        check_payload(facts, post, violations);
        check_webhook(facts, post, violations);
        check_signatures(facts, post, violations);
        check_age(facts, post, violations);
    }
    check_answers(facts, violations);
}

/// Checks that the body is the stored payload, and that the receiver belongs to the event's
/// account.
fn check_payload(facts: &Facts<'_>, post: &Post, violations: &mut Violations) {
    let id = post.header("webhook-id");
    let event = id.parse().ok().and_then(|id| facts.events.get(&id));
    violations.unless(event.is_some_and(|event| event.payload == STANDARD.encode(&post.body)), || {
        format!("{id}: {} got other bytes than the stored payload", post.host)
    });
    let account = event.map(|event| event.account.as_str()).unwrap_or_default();
    violations.unless(post.host.contains(&format!(".{account}.")), || {
        format!("{id}: an event of {account} reached {}", post.host)
    });
}

/// Checks that the webhook was enabled, or waited for a trial of this event, and had this host at some
/// time since the invocation of the sender began.
fn check_webhook(facts: &Facts<'_>, post: &Post, violations: &mut Violations) {
    let id = post.header("webhook-id");
    let is_test = id.parse().ok().and_then(|id| facts.events.get(&id)).is_some_and(|event| event.test);
    let is_tried = |webhook: &Webhook| {
        webhook.awaited_trial().and_then(|trials| trials.event).is_some_and(|event| event.to_string() == id)
    };
    let is_allowed = |webhook: &&Webhook| {
        (webhook.is_enabled() || is_test || is_tried(webhook)) && host_of(webhook).as_ref() == Some(&post.host)
    };
    violations.unless(facts.states_for(post).iter().any(is_allowed), || {
        format!("{id}: was sent to {}, whose webhook was disabled, deleted or had another host", post.host)
    });
}

/// Checks that an event is not sent after it has expired, and that only a backfill sends it to a
/// webhook that was registered later.
fn check_age(facts: &Facts<'_>, post: &Post, violations: &mut Violations) {
    let (Some(id), Some(webhook)) = (facts.delivery_of(post), facts.hosts.get(&post.host)) else { return };
    let began_ms = facts.record.invocations[&post.invocation];
    let kept_until_ms = id.event.made_at().plus(facts.plan.retention).unix_ms();
    violations.unless(began_ms <= kept_until_ms + facts.plan.skew_ms, || format!("{id}: was sent after it expired"));
    let published = facts.record.ledger.published.iter().find(|published| published.id == id.event);
    let registered_ms = facts.writes(*webhook)[0].at_ms;
    let mut recoveries = facts.record.ledger.recoveries.iter();
    let is_recovered =
        recoveries.any(|recovery| recovery.backfill && recovery.webhook == *webhook && recovery.began_ms <= post.at_ms);
    let is_after_registration = published.is_none_or(|published| published.answered_ms >= registered_ms - 10_000);
    violations.unless(is_recovered || is_after_registration, || {
        format!("{id}: was published before its webhook was registered")
    });
}

/// Checks the timestamp and both signatures.
fn check_signatures(facts: &Facts<'_>, post: &Post, violations: &mut Violations) {
    let id = post.header("webhook-id");
    let timestamp_s: i64 = post.header("webhook-timestamp").parse().unwrap_or(0);
    let difference_ms = (timestamp_s * 1000 - post.at_ms).abs();
    violations.unless(difference_ms <= 1_100 + facts.plan.skew_ms, || {
        format!("{id}: its timestamp is wrong by {difference_ms} ms")
    });
    let states = facts.states_for(post);
    // The timestamp is in whole seconds. In the second in which an overlap ends, the signatures may
    // be with or without the old secret.
    let moments = [timestamp_s * 1000, timestamp_s * 1000 + 999].map(Timestamp::from_unix_ms);
    let valid = |webhook: &Webhook, now: Timestamp| {
        let previous = promised_secrets(facts, webhook).into_iter().filter(|previous| now < previous.until);
        std::iter::once(webhook.secret.clone()).chain(previous.map(|one| one.secret)).collect::<Vec<_>>()
    };
    let has_body_hmac = states.iter().any(|webhook| {
        moments.iter().any(|now| {
            let oldest = valid(webhook, *now).pop();
            oldest.is_some_and(|oldest| signature::body_hmac(&oldest, &post.body) == post.header("x-webhook-signature"))
        })
    });
    violations.unless(has_body_hmac, || {
        format!("{id}: the body HMAC to {} was not made with the oldest valid secret", post.host)
    });
    let has_standard = states.iter().any(|webhook| {
        moments.iter().any(|now| {
            signature::standard(&valid(webhook, *now), id, timestamp_s, &post.body) == post.header("webhook-signature")
        })
    });
    violations.unless(has_standard, || {
        format!("{id}: the Standard Webhooks signatures to {} were not made with its valid secrets", post.host)
    });
}

/// Returns the previous secrets that receivers may still use in one state of the webhook, newest
/// first. Each is valid for as long as the rotation that replaced it promised, even if a later
/// write has forgotten it.
fn promised_secrets(facts: &Facts<'_>, state: &Webhook) -> Vec<PreviousSecret> {
    let states = facts.writes(state.id).iter().filter_map(|write| Some((write.at_ms, write.webhook.as_ref()?)));
    let is_being_finished = |at_ms| {
        let mut finished = facts.record.ledger.finished.iter().filter(|finished| finished.webhook == state.id);
        finished.any(|finished| finished.began_ms <= at_ms)
    };
    let mut promised: Vec<PreviousSecret> = vec![];
    let mut before: Option<&Webhook> = None;
    for (at_ms, webhook) in states {
        let is_rotated = before.is_some_and(|before| before.secret.expose() != webhook.secret.expose());
        match webhook.previous_secrets.first() {
            // A rotation without an overlap ends every previous secret.
            None if is_rotated || is_being_finished(at_ms) => promised.clear(),
            Some(replaced) if is_rotated => promised.insert(0, replaced.clone()),
            // A repeated rotation may shorten an overlap.
            _ => {
                for secret in &mut promised {
                    let mut kept = webhook.previous_secrets.iter();
                    if let Some(kept) = kept.find(|kept| kept.secret.expose() == secret.secret.expose()) {
                        secret.until = secret.until.min(kept.until);
                    }
                }
            }
        }
        if std::ptr::eq(webhook, state) {
            return promised;
        }
        before = Some(webhook);
    }
    promised
}

/// Checks that an accepted event is stored as it was answered. An idempotency key stands for one
/// event until it expires, and for another one after that.
fn check_answers(facts: &Facts<'_>, violations: &mut Violations) {
    let mut by_name: BTreeMap<&str, Vec<(i64, &Published)>> = BTreeMap::new();
    for published in &facts.record.ledger.published {
        let stored = facts.events.get(&published.id);
        violations.unless(stored.is_some_and(|event| event.payload == STANDARD.encode(&published.payload)), || {
            format!("{}: is not stored as it was answered", published.id)
        });
        if let Some(key) = &published.key {
            by_name.entry(&key.name).or_default().push((key.first_ms, published));
        }
    }
    for (name, uses) in by_name {
        for pair in uses.windows(2) {
            let [(first_ms, first), (second_ms, second)] = pair else { continue };
            violations.unless((first_ms == second_ms) == (first.answer == second.answer), || {
                format!("{name}: first used at {first_ms} and {second_ms} ms, gave {} and {}", first.id, second.id)
            });
            violations.unless(second.replayed == (first_ms == second_ms), || {
                format!("{name}: the answer for {} has replayed: {}", second.id, second.replayed)
            });
        }
    }
}
