//! Requests as receivers got them: the published bytes, signed by the secrets of that time, for a webhook that was enabled,
//! of the event's own account. And what users were answered.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hookline::signature;
use hookline::time::Timestamp;
use hookline::webhook::{PreviousSecret, Webhook};

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

fn check_payload(facts: &Facts<'_>, post: &Post, violations: &mut Violations) {
    let id = post.header("webhook-id");
    let event = id.parse().ok().and_then(|id| facts.events.get(&id));
    violations.unless(event.is_some_and(|event| event.payload == STANDARD.encode(&post.body)), || {
        format!("{id}: {} got other bytes than are stored", post.host)
    });
    let account = event.map(|event| event.account.as_str()).unwrap_or_default();
    violations
        .unless(post.host.contains(&format!(".{account}.")), || format!("{id}: of {account} reached {}", post.host));
}

/// The webhook was enabled, and at that URL, at some time since the sender began.
fn check_webhook(facts: &Facts<'_>, post: &Post, violations: &mut Violations) {
    let id = post.header("webhook-id");
    let is_test = id.parse().ok().and_then(|id| facts.events.get(&id)).is_some_and(|event| event.test);
    let sent_to = |webhook: &&Webhook| (webhook.is_enabled() || is_test) && host_of(webhook) == post.host;
    violations.unless(facts.states_for(post).iter().any(sent_to), || {
        format!("{id}: was sent to {}, which was disabled, deleted or elsewhere", post.host)
    });
}

/// An event is sent while it is kept, and to nobody who registered after it was published, unless a recovery asked for it.
fn check_age(facts: &Facts<'_>, post: &Post, violations: &mut Violations) {
    let (Some(id), Some(webhook)) = (facts.delivery_of(post), facts.hosts.get(&post.host)) else { return };
    let began_ms = facts.record.invocations[&post.invocation];
    let kept_until_ms = id.event.made_at().plus(facts.plan.retention).unix_ms();
    violations.unless(began_ms <= kept_until_ms + facts.plan.skew_ms, || format!("{id}: was sent after it expired"));
    let answered = facts.record.ledger.published.iter().find(|published| published.id == id.event);
    let registered_ms = facts.writes(*webhook)[0].at_ms;
    let mut recoveries = facts.record.ledger.recoveries.iter();
    let is_recovered = recoveries.any(|recovery| recovery.webhook == *webhook && recovery.began_ms <= post.at_ms);
    violations.unless(is_recovered || answered.is_none_or(|event| event.answered_ms >= registered_ms - 10_000), || {
        format!("{id}: was published before its webhook was registered")
    });
}

fn check_signatures(facts: &Facts<'_>, post: &Post, violations: &mut Violations) {
    let id = post.header("webhook-id");
    let timestamp_s: i64 = post.header("webhook-timestamp").parse().unwrap_or(0);
    let off_ms = (timestamp_s * 1000 - post.at_ms).abs();
    violations.unless(off_ms <= 1_100 + facts.plan.skew_ms, || format!("{id}: is stamped {off_ms} ms off"));
    let states = facts.states_for(post);
    // The stamp is in whole seconds: in the second in which an overlap ends, both ways are right.
    let moments = [timestamp_s * 1000, timestamp_s * 1000 + 999].map(Timestamp::from_unix_ms);
    let valid = |webhook: &Webhook, now: Timestamp| {
        let previous = promised_secrets(facts, webhook).into_iter().filter(|previous| now < previous.until);
        std::iter::once(webhook.secret.clone()).chain(previous.map(|one| one.secret)).collect::<Vec<_>>()
    };
    let of_body = states.iter().any(|webhook| {
        moments.iter().any(|now| {
            let oldest = valid(webhook, *now).pop();
            oldest.is_some_and(|oldest| signature::of_body(&oldest, &post.body) == post.header("x-webhook-signature"))
        })
    });
    violations.unless(of_body, || format!("{id}: {} got no signature by its oldest secret", post.host));
    let standard = states.iter().any(|webhook| {
        moments.iter().any(|now| {
            signature::standard(&valid(webhook, *now), id, timestamp_s, &post.body) == post.header("webhook-signature")
        })
    });
    violations.unless(standard, || format!("{id}: {} got other signatures than by its secrets", post.host));
}

/// The secrets of before that receivers were promised to go on with, newest first, in one of the webhook's states: each for as
/// long as the write said that replaced it, whatever later writes still know of it.
fn promised_secrets(facts: &Facts<'_>, state: &Webhook) -> Vec<PreviousSecret> {
    let states = facts.writes(state.id).iter().filter_map(|write| write.webhook.as_ref());
    let mut promised: Vec<PreviousSecret> = vec![];
    let mut present: Option<&Webhook> = None;
    for webhook in states {
        let is_rotated = present.is_some_and(|present| present.secret.expose() != webhook.secret.expose());
        match webhook.previous_secrets.first() {
            // A rotation without an overlap ends every secret of before.
            None if is_rotated => promised.clear(),
            Some(replaced) if is_rotated => promised.insert(0, replaced.clone()),
            // A rotation that is asked for again may shorten an overlap.
            _ => {
                for secret in &mut promised {
                    let mut still = webhook.previous_secrets.iter();
                    if let Some(still) = still.find(|still| still.secret.expose() == secret.secret.expose()) {
                        secret.until = secret.until.min(still.until);
                    }
                }
            }
        }
        if std::ptr::eq(webhook, state) {
            return promised;
        }
        present = Some(webhook);
    }
    promised
}

/// A published event is stored as it was answered; a key stands for one event while it is kept, and for another after.
fn check_answers(facts: &Facts<'_>, violations: &mut Violations) {
    let mut by_name: BTreeMap<&str, Vec<(i64, &Published)>> = BTreeMap::new();
    for published in &facts.record.ledger.published {
        let stored = facts.events.get(&published.id);
        violations.unless(stored.is_some_and(|event| event.payload == STANDARD.encode(&published.payload)), || {
            format!("{}: was answered and is not stored so", published.id)
        });
        if let Some(key) = &published.key {
            by_name.entry(&key.name).or_default().push((key.first_ms, published));
        }
    }
    for (name, uses) in by_name {
        for pair in uses.windows(2) {
            let [(first_ms, first), (second_ms, second)] = pair else { continue };
            violations.unless((first_ms == second_ms) == (first.payload == second.payload), || {
                format!("{name}: {} and {} by uses at {first_ms} and {second_ms}", first.id, second.id)
            });
            violations.unless(second.replayed == (first_ms == second_ms), || {
                format!("{name}: the answer for {} says replayed: {}", second.id, second.replayed)
            });
        }
    }
}
