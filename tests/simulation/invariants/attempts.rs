//! Attempts are numbered in order. None is sent twice without an excuse, none is early, and a run
//! has no more attempts than the retry schedule.

use std::time::Duration;

use domain::backoff::RETRY_AFTER_MAX;
use domain::delivery::{Attempt, Delivery, DeliveryStatus, LEASE_MAX, Trigger};
use domain::id::DeliveryId;
use domain::time::Timestamp;

use super::{Facts, Violations};
use crate::faults::Kind;
use crate::receivers::Post;

pub(super) fn check(facts: &Facts<'_>, violations: &mut Violations) {
    let posts = facts.posts();
    for (id, posts) in &posts {
        let delivery = facts.deliveries.get(id);
        check_numbers(facts, *id, posts, delivery, violations);
    }
    for (id, delivery) in &facts.deliveries {
        let posts = posts.get(id).map(Vec::as_slice).unwrap_or_default();
        check_record(*id, delivery, posts, violations);
        check_schedule(facts, delivery, posts, violations);
        check_end(facts, delivery, violations);
    }
}

/// Returns the number of the attempt, from 1.
fn number(post: &Post) -> u32 {
    post.header("x-webhook-attempt").parse().unwrap_or(0)
}

/// Checks that the numbers rise by one. A missing number must be of an attempt without an answer,
/// and a repeated one must have an excuse.
fn check_numbers(
    facts: &Facts<'_>,
    id: DeliveryId,
    posts: &[&Post],
    delivery: Option<&Delivery>,
    violations: &mut Violations,
) {
    let unsent = |number: u32| {
        let mut attempts = delivery.into_iter().flat_map(|delivery| delivery.attempts.values());
        attempts.any(|attempt| attempt.number == number && attempt.status_code.is_none())
    };
    let mut before: Option<&Post> = None;
    for &post in posts {
        let previous = before.map_or(0, number);
        let this = number(post);
        violations.unless(this >= previous && (previous + 1..this).all(unsent), || {
            format!("{id}: attempt {this} was sent after attempt {previous}")
        });
        if let Some(before) = before.filter(|before| number(before) == this) {
            let is_new_token = before.status == Some(401) && before.invocation == post.invocation;
            violations.unless(is_new_token || is_excused(facts, id, before, post), || {
                format!("{id}: attempt {this} was sent twice, by i{} and i{}", before.invocation, post.invocation)
            });
        }
        before = Some(post);
    }
}

/// Whether a fault kept the sender of `first` from recording it before `second` was sent: its
/// process died, or its calls about that delivery failed.
fn is_excused(facts: &Facts<'_>, id: DeliveryId, first: &Post, second: &Post) -> bool {
    let suffix = format!("/{}", id.event);
    facts.record.faults.iter().any(|fault| {
        let kills_process =
            matches!(fault.kind, Kind::CrashBefore | Kind::CrashAfter | Kind::CrashAfterPost | Kind::Hang);
        let is_of_delivery = fault.subject.starts_with("deliveries/")
            && fault.subject.ends_with(&suffix)
            && fault.subject.contains(&id.webhook.to_string());
        fault.invocation == Some(first.invocation)
            && (first.at_ms..=second.at_ms).contains(&fault.at_ms)
            && (kills_process || is_of_delivery)
    })
}

/// Checks that the recorded attempts, and the status `delivered`, agree with the requests that the
/// receiver got.
fn check_record(id: DeliveryId, delivery: &Delivery, posts: &[&Post], violations: &mut Violations) {
    for attempt in delivery.attempts.values() {
        let was_sent = posts.iter().any(|post| number(post) == attempt.number && post.status == attempt.status_code);
        violations.unless(attempt.status_code.is_none() || was_sent, || {
            format!("{id}: attempt {} is recorded but was never sent", attempt.number)
        });
    }
    let is_accepted = posts.iter().any(|post| post.is_accepted());
    violations.unless(delivery.status != DeliveryStatus::Delivered || is_accepted, || {
        format!("{id}: is delivered, but its receiver accepted no request")
    });
}

/// Returns the scheduled attempts of a delivery: run, step, attempt.
fn scheduled(delivery: &Delivery) -> impl Iterator<Item = (i64, u32, &Attempt)> {
    delivery.attempts.iter().filter_map(|(trigger, attempt)| match trigger {
        Trigger::Scheduled { run, step } => Some((*run, *step, attempt)),
        Trigger::Manual { .. } | Trigger::Test | Trigger::Trial { .. } => None,
    })
}

/// Checks that no scheduled attempt is earlier than the retry schedule and `Retry-After` say.
fn check_schedule(facts: &Facts<'_>, delivery: &Delivery, posts: &[&Post], violations: &mut Violations) {
    for (run, step, attempt) in scheduled(delivery) {
        let Some((_, _, before)) = scheduled(delivery).find(|(r, s, _)| (*r, *s) == (run, step - 1)) else {
            continue;
        };
        // If two requests had this number, the one that was recorded.
        let began_ms = before.started_at.unix_ms();
        let difference_ms = |post: &Post| (post.at_ms - began_ms).abs();
        let post = posts.iter().filter(|post| number(post) == before.number && post.status == before.status_code);
        let post = post.min_by_key(|post| difference_ms(post));
        let retry_after = Duration::from_secs(post.and_then(|post| post.retry_after_s).unwrap_or(0));
        let retry_after = retry_after.min(RETRY_AFTER_MAX);
        let ended = before.started_at.plus(Duration::from_millis(before.duration_ms));
        let wait = facts.waits(delivery.delivery.webhook).get(step as usize - 1).copied().unwrap_or_default();
        let due = ended.plus(wait.max(retry_after));
        let started = attempt.started_at.plus(facts.skew());
        violations.unless(started >= due, || {
            format!("{}: attempt {} began early: {started}, due {due}", delivery.delivery, attempt.number)
        });
        check_is_not_late(facts, delivery, attempt, (before, due), violations);
    }
}

/// Checks that an attempt is not late in a seed without faults. Jitter adds up to a tenth, and a
/// message waits while all processes wait for receivers that hang.
fn check_is_not_late(
    facts: &Facts<'_>,
    delivery: &Delivery,
    attempt: &Attempt,
    (before, due): (&Attempt, Timestamp),
    violations: &mut Violations,
) {
    let mut states = facts.states(delivery.delivery.webhook, 0, facts.end_ms).into_iter().flatten();
    if !facts.plan.is_faultless() || states.any(|webhook| webhook.rate_limit.is_some()) {
        return;
    }
    let wait = due.since(before.started_at);
    let (due_ms, started_ms) = (due.unix_ms(), attempt.started_at.unix_ms());
    let waits = facts.record.busy_spans.iter().map(|span| span.end.min(started_ms) - span.start.max(due_ms));
    let waited = Duration::from_millis(waits.filter(|ms| *ms > 0).sum::<i64>().unsigned_abs());
    let latest = due.plus(wait / 10 + waited + Duration::from_secs(8));
    // A task that meets the lease of a manual retry returns when that lease would have ended, even if the retry ends sooner.
    let has_met_lease = delivery.attempts.values().any(|other| {
        let is_between = before.number < other.number && other.number < attempt.number;
        is_between && attempt.started_at <= other.started_at.plus(LEASE_MAX + Duration::from_secs(2))
    });
    violations.unless(attempt.started_at <= latest || has_met_lease, || {
        format!("{}: attempt {} began late: {}, due {due}", delivery.delivery, attempt.number, attempt.started_at)
    });
}

/// Checks that a failed delivery has had all its attempts, or that the receiver answered 410.
fn check_end(facts: &Facts<'_>, delivery: &Delivery, violations: &mut Violations) {
    let steps = facts.waits(delivery.delivery.webhook).len() as u32;
    violations.unless(scheduled(delivery).all(|(_, step, _)| (1..=steps).contains(&step)), || {
        format!("{}: has more attempts than the schedule", delivery.delivery)
    });
    let is_test = facts.events.get(&delivery.delivery.event).is_some_and(|event| event.test);
    if delivery.status == DeliveryStatus::Failed && !is_test && !facts.is_expired(delivery.delivery.event) {
        let gone = delivery.attempts.values().any(|attempt| attempt.status_code == Some(410));
        violations.unless(gone || delivery.step == steps, || {
            format!("{}: failed after {} of {steps} attempts", delivery.delivery, delivery.step)
        });
    }
}
