//! Failed attempts are retried by the schedule and never early. The webhook is disabled when the
//! fifth attempt has failed.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::harness::client::{Api, data, millis, number, text};
use crate::harness::receiver::{Answer, Received, Receiver};
use crate::harness::signature;
use crate::harness::stack::Stack;

/// Every retry is due one second after the previous attempt.
const SCHEDULE: &str = "0s,1s,1s,1s,1s";
/// The wait of that schedule, less one millisecond, the resolution of Hookline's clock.
const WAIT_MIN: Duration = Duration::from_millis(999);
/// More than the longest wait of that schedule and its jitter of 10 %. A retry that has not arrived
/// by then never does.
const WAIT_OVER: Duration = Duration::from_millis(2200);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_failed_attempts_disable_the_webhook() {
    let Some(stack) = Stack::with_schedule(SCHEDULE).await else { return };
    let api = stack.api();
    let (failing, watching) = (Receiver::answering(500).await, Receiver::answering(200).await);
    let webhook = api.register(&failing.url("/"), &["resource.created"]).await;
    let watcher = api.register(&watching.url("/"), &["webhook.disabled"]).await;

    let event = api.publish("resource.created").await.id();
    failing.wait_for_event(&event, 3).await;
    let waiting = api.publish("resource.created").await.id();
    let attempts = failing.wait_for_event(&event, 5).await;
    check_attempts(&attempts);
    for attempt in &attempts {
        signature::check(attempt, &webhook.secret);
    }

    let failed = api.delivery_when(&event, &webhook.id, |delivery| delivery["status"] == "failed").await;
    check_record(&failed);
    check_disabled(&api, &webhook.id, "failures").await;
    check_disabled_event(&watching, &watcher.secret, &webhook.id, &webhook.secret).await;

    let held = api.delivery_when(&waiting, &webhook.id, |delivery| delivery["status"] == "held").await;
    assert_eq!(held["next_attempt_at"], Value::Null, "{held:#}");
    let seen = failing.seen();
    failing.no_more_than(seen.len(), seen.last().expect("there were some").at + WAIT_OVER).await;
    assert_eq!(seen.iter().filter(|attempt| attempt.event() == event).count(), 5);
}

/// Checks five attempts of one event: numbered in order, none early, each with its own timestamp.
#[track_caller]
fn check_attempts(attempts: &[Arc<Received>]) {
    let numbers: Vec<_> = attempts.iter().map(|attempt| attempt.attempt()).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    for pair in attempts.windows(2) {
        let wait = pair[1].at - pair[0].at;
        assert!(wait >= WAIT_MIN, "attempt {} arrived after {wait:?}", pair[1].attempt());
        assert_eq!(pair[0].body, pair[1].body);
        assert!(timestamp(&pair[0]) < timestamp(&pair[1]), "two attempts have the same timestamp");
    }
}

fn timestamp(attempt: &Received) -> i64 {
    attempt.header("webhook-timestamp").parse().expect("whole seconds")
}

/// Checks what the API shows of a delivery that failed five times.
#[track_caller]
fn check_record(delivery: &Value) {
    let attempts = delivery["attempts"].as_array().expect("attempts");
    assert_eq!(attempts.len(), 5, "{delivery:#}");
    for (index, attempt) in attempts.iter().enumerate() {
        assert_eq!(attempt["number"], index + 1, "{delivery:#}");
        assert_eq!(attempt["status_code"], 500, "{delivery:#}");
        assert!(number(&attempt["duration_ms"]) < 5000, "{delivery:#}");
    }
    assert!(attempts.is_sorted_by_key(|attempt| millis(&attempt["started_at"])), "{delivery:#}");
    assert_eq!(delivery["next_attempt_at"], Value::Null, "{delivery:#}");
}

/// Waits until the webhook is disabled, and checks the reason.
async fn check_disabled(api: &Api, webhook: &str, reason: &str) {
    let shown = api.get_when(&format!("/v1/webhooks/{webhook}"), |webhook| webhook["status"] == "disabled").await;
    assert_eq!(shown["disabled_reason"], reason, "{shown:#}");
    assert!(millis(&shown["disabled_at"]) >= millis(&shown["created_at"]), "{shown:#}");
}

/// Checks that the account's other webhook receives `webhook.disabled` with the disabled webhook
/// and without its secret.
async fn check_disabled_event(watching: &Receiver, watcher_secret: &str, webhook: &str, secret: &str) {
    let request = &watching.wait_for(1).await[0];
    assert_eq!(request.header("x-webhook-event"), "webhook.disabled");
    signature::check(request, watcher_secret);
    let event: Value = serde_json::from_slice(&request.body).expect("a JSON body");
    assert_eq!(event["type"], "webhook.disabled");
    assert_eq!(event["data"]["object"]["id"], webhook, "{event:#}");
    assert_eq!(event["data"]["object"]["disabled_reason"], "failures", "{event:#}");
    assert!(!event.to_string().contains(secret), "{event:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_success_on_the_third_attempt_ends_the_retries_and_keeps_the_webhook_enabled() {
    let Some(stack) = Stack::with_schedule(SCHEDULE).await else { return };
    let api = stack.api();
    let receiver = Receiver::in_turn([500, 503, 200].map(Answer::status).to_vec()).await;
    let webhook = api.register(&receiver.url("/"), &["resource.created"]).await;
    let event = api.publish("resource.created").await.id();

    let seen = receiver.wait_for(3).await;
    assert_eq!(seen.iter().map(|attempt| attempt.attempt()).collect::<Vec<_>>(), [1, 2, 3]);
    let delivery = api.delivery_when(&event, &webhook.id, |delivery| delivery["status"] == "delivered").await;
    let codes: Vec<_> = delivery["attempts"].as_array().expect("attempts").iter().map(|a| &a["status_code"]).collect();
    assert_eq!(codes, [500, 503, 200]);
    assert_eq!(delivery["next_attempt_at"], Value::Null);
    receiver.no_more_than(3, seen[2].at + WAIT_OVER).await;
    let shown = api.get(&format!("/v1/webhooks/{}", webhook.id)).await.expect(200);
    assert_eq!((&shown["status"], &shown["disabled_reason"]), (&"enabled".into(), &Value::Null));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_of_different_deliveries_do_not_add_up() {
    let Some(stack) = Stack::with_schedule(SCHEDULE).await else { return };
    let api = stack.api();
    // Each of six events fails once and then arrives: six failures, but never five of one delivery.
    let receiver =
        Receiver::scripted(|_, request| Answer::status(if request.attempt() == 1 { 500 } else { 200 })).await;
    let webhook = api.register(&receiver.url("/"), &["resource.created"]).await;
    for _ in 0..6 {
        api.publish("resource.created").await;
    }
    receiver.wait_for(12).await;
    let path = format!("/v1/webhooks/{}/deliveries", webhook.id);
    let all_delivered =
        |page: &Value| data(page).iter().filter(|delivery| delivery["status"] == "delivered").count() == 6;
    api.get_when(&path, all_delivered).await;
    let shown = api.get(&format!("/v1/webhooks/{}", webhook.id)).await.expect(200);
    assert_eq!(shown["status"], "enabled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_retry_of_the_default_schedule_waits_one_minute_plus_at_most_ten_percent() {
    let Some(stack) = Stack::with_default_schedule().await else { return };
    let api = stack.api();
    let receiver = Receiver::answering(500).await;
    let webhook = api.register(&receiver.url("/"), &["resource.created"]).await;
    for _ in 0..5 {
        let event = api.publish("resource.created").await.id();
        let failed_once = |delivery: &Value| delivery["attempts"].as_array().is_some_and(|all| all.len() == 1);
        let delivery = api.delivery_when(&event, &webhook.id, failed_once).await;
        assert_eq!(delivery["status"], "pending", "{delivery:#}");
        let attempt = &delivery["attempts"][0];
        let wait = millis(&delivery["next_attempt_at"]) - millis(&attempt["started_at"]);
        // The API may show both times in whole seconds.
        let longest = 66_000 + number(&attempt["duration_ms"]) + 1000;
        assert!((59_000..=longest).contains(&wait), "the second attempt is due after {wait} ms: {delivery:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_410_disables_the_webhook_at_once() {
    let Some(stack) = Stack::with_schedule(SCHEDULE).await else { return };
    let api = stack.api();
    let receiver = Receiver::answering(410).await;
    let webhook = api.register(&receiver.url("/"), &["resource.created"]).await;
    let event = api.publish("resource.created").await.id();

    check_disabled(&api, &webhook.id, "gone").await;
    let delivery = api.delivery_when(&event, &webhook.id, |delivery| delivery["status"] != "pending").await;
    assert!(["failed", "held"].contains(&text(&delivery["status"]).as_str()), "{delivery:#}");
    assert_eq!(delivery["attempts"][0]["status_code"], 410, "{delivery:#}");
    let seen = receiver.wait_for(1).await;
    receiver.no_more_than(1, seen[0].at + WAIT_OVER).await;
}
