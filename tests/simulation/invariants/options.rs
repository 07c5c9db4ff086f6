//! The options of webhooks: static headers, timeouts, access tokens, and which failures disable.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::delivery::{Attempt, Delivery, DeliveryStatus, Trigger};
use domain::id::WebhookId;
use domain::webhook::DisabledReason;
use domain::webhook::options::{Auth, DisableOn, Options};

use super::{Facts, Violations};
use crate::receivers::Post;

/// How much longer than its timeout an attempt may take, because the clock of its process is read
/// before and after it.
const SLACK: Duration = Duration::from_millis(100);

/// How long recording an attempt may take: the rest of its lease.
const RECORDED_WITHIN_MS: i64 = 60_000;

pub(super) fn check(facts: &Facts<'_>, violations: &mut Violations) {
    for post in &facts.record.posts {
        check_headers(facts, post, violations);
        check_token(facts, post, violations);
    }
    check_repeated_tokens(facts, violations);
    for delivery in facts.deliveries.values() {
        check_durations(facts, delivery, violations);
    }
    check_disablings(facts, violations);
}

/// Checks that a request carries the static headers of its webhook.
fn check_headers(facts: &Facts<'_>, post: &Post, violations: &mut Violations) {
    let has_all = |options: &Options| {
        options.headers.iter().all(|header| post.header(header.name.as_str()) == header.value.expose())
    };
    violations.unless(facts.states_for(post).iter().any(|webhook| has_all(&webhook.options)), || {
        format!("{}: {} did not get the static headers", post.header("webhook-id"), post.host)
    });
}

/// Checks that an access token was given to the account of the webhook.
fn check_token(facts: &Facts<'_>, post: &Post, violations: &mut Violations) {
    let authorization = post.header("authorization");
    let token = authorization.strip_prefix("Bearer ").unwrap_or_default();
    let is_right = facts.states_for(post).iter().any(|webhook| match &webhook.options.auth {
        Some(Auth::OAuth2(credentials)) => {
            let client = format!("{}:s3cret", credentials.client_id);
            let client = format!("Basic {}", STANDARD.encode(client));
            facts.record.tokens.iter().any(|issued| issued.token == token && issued.client == client)
        }
        _ => authorization.is_empty(),
    });
    violations.unless(is_right, || {
        format!("{}: was sent to {} with the token {token:?} of somebody else", post.header("webhook-id"), post.host)
    });
}

/// Checks that no attempt sends a token again that has just been refused, and that it tries at most
/// two.
fn check_repeated_tokens(facts: &Facts<'_>, violations: &mut Violations) {
    let key = |post: &Post| (post.invocation, facts.delivery_of(post), post.header("x-webhook-attempt").to_owned());
    let mut posts: Vec<&Post> = facts.record.posts.iter().filter(|post| post.status == Some(401)).collect();
    posts.sort_by_key(|post| (key(post), post.at_ms));
    for pair in posts.windows(2).filter(|pair| key(pair[0]) == key(pair[1])) {
        let tokens = [0, 1].map(|index| pair[index].header("authorization"));
        violations.unless(tokens[0] != tokens[1], || {
            format!("{}: the refused token {} was sent again", pair[0].header("webhook-id"), tokens[0])
        });
    }
    for three in posts.windows(3).filter(|posts| key(posts[0]) == key(posts[2])) {
        violations.0.push(format!("{}: one attempt was refused three times", three[0].header("webhook-id")));
    }
}

/// Checks that no attempt took longer than its webhook's timeout.
fn check_durations(facts: &Facts<'_>, delivery: &Delivery, violations: &mut Violations) {
    for attempt in delivery.attempts.values() {
        let (from_ms, skew_ms) = (attempt.started_at.unix_ms() - 50_000, facts.plan.skew_ms);
        let states = facts.states(delivery.delivery.webhook, from_ms - skew_ms, attempt.started_at.unix_ms() + skew_ms);
        let timeouts = states.into_iter().flatten().map(|webhook| webhook.options.attempt_timeout());
        let Some(longest) = timeouts.max() else { continue };
        let duration = Duration::from_millis(attempt.duration_ms);
        violations.unless(duration <= longest + SLACK, || {
            format!("{}: attempt {} took {duration:?} of {longest:?}", delivery.delivery, attempt.number)
        });
    }
}

/// The scheduled attempts of the delivery's last run.
fn last_run(delivery: &Delivery) -> impl Iterator<Item = &Attempt> {
    let of_run = |trigger: &Trigger| matches!(trigger, Trigger::Scheduled { run, .. } if *run == delivery.run);
    delivery.attempts.iter().filter(move |(trigger, _)| of_run(trigger)).map(|(_, attempt)| attempt)
}

/// Whether another delivery to the webhook has succeeded after the first attempt of this delivery's
/// run began, as far as clocks can tell, and the webhook tolerates the failure therefore.
pub(super) fn is_tolerated(facts: &Facts<'_>, delivery: &Delivery) -> bool {
    let Some(began) = last_run(delivery).map(|attempt| attempt.started_at).min() else { return false };
    let webhook = delivery.delivery.webhook;
    let mut states = facts.states(webhook, 0, facts.end_ms).into_iter().flatten();
    let mut others =
        facts.deliveries.iter().filter(|(id, _)| id.webhook == webhook && id.event != delivery.delivery.event);
    states.any(|webhook| webhook.options.disable_on == DisableOn::NoSuccess)
        && others.any(|(_, other)| other.has_succeeded_since(began.minus(facts.skew())))
}

/// Checks that a webhook that tolerates single failures was disabled for failures only by a delivery
/// during whose attempts no other succeeded.
fn check_disablings(facts: &Facts<'_>, violations: &mut Violations) {
    for (id, writes) in &facts.record.webhooks {
        let mut epoch = 0;
        for write in writes {
            let Some(state) = &write.webhook else { continue };
            let is_new = state.epoch > epoch && state.disabled_reason == Some(DisabledReason::Failures);
            epoch = state.epoch;
            if !is_new || state.options.disable_on != DisableOn::NoSuccess {
                continue;
            }
            violations.unless(may_be_disabled(facts, *id, write.at_ms), || {
                format!("{id}: was disabled although each failed delivery was followed by a success of another")
            });
        }
    }
}

/// Whether, at `at_ms`, a delivery had failed since whose first attempt no other had succeeded. A
/// success counts once it has had the time to be recorded.
fn may_be_disabled(facts: &Facts<'_>, webhook: WebhookId, at_ms: i64) -> bool {
    let of_webhook = |delivery: &&Delivery| delivery.delivery.webhook == webhook;
    let states = facts.record.deliveries.iter().map(|write| &write.delivery).filter(of_webhook);
    let mut failed = states.filter(|delivery| delivery.status == DeliveryStatus::Failed);
    failed.any(|failed| {
        let Some(began) = last_run(failed).map(|attempt| attempt.started_at).min() else { return false };
        let is_before = began.unix_ms() <= at_ms + facts.plan.skew_ms;
        let counts = began.plus(facts.skew()).unix_ms()..at_ms - RECORDED_WITHIN_MS - facts.plan.skew_ms;
        // A task may come back from the dead letters after the deliveries that succeeded have expired.
        let is_kept = |other: &&Delivery| {
            other.delivery.event.made_at().plus(facts.plan.retention).unix_ms() > at_ms + facts.plan.skew_ms
        };
        let others = facts.deliveries.values().filter(of_webhook).filter(|other| other.delivery != failed.delivery);
        let mut others = others.filter(is_kept);
        is_before
            && !others.any(|other| {
                other.attempts.iter().any(|(trigger, attempt)| {
                    let ended_ms =
                        attempt.started_at.unix_ms() + i64::try_from(attempt.duration_ms).unwrap_or(i64::MAX / 2);
                    *trigger != Trigger::Test && attempt.succeeded() && counts.contains(&ended_ms)
                })
            })
    })
}
