//! `Retry-After` on 429 and 503 can only delay the next attempt, by at most two hours. On other
//! statuses it is ignored.

use std::time::Duration;

use serde_json::Value;
use time::OffsetDateTime;

use crate::harness::client::{Api, millis};
use crate::harness::receiver::{Answer, Receiver};
use crate::harness::stack::Stack;

/// The longest delay that a receiver can ask for.
const TWO_HOURS_MS: i64 = 2 * 3600 * 1000;
/// The longest first wait of the default schedule, with its jitter.
const FIRST_WAIT_MAX_MS: i64 = 66_000;
/// The API may show times in whole seconds, and an attempt takes some milliseconds.
const SLACK_MS: i64 = 1500;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retry_after_delays_the_next_attempt_and_never_advances_it() {
    let Some(stack) = Stack::with_schedule("0s,1s,1s,1s,1s").await else { return };
    let api = stack.api();
    for (status, asked, least_ms) in [(503, "3", 3000), (429, "3", 3000), (503, "0", 999)] {
        let answers = vec![Answer::with(status, "Retry-After", asked), Answer::status(200)];
        let receiver = Receiver::in_turn(answers).await;
        let webhook = api.register(&receiver.url("/"), &["resource.created"]).await;
        api.publish("resource.created").await;
        let seen = receiver.wait_for(2).await;
        let wait = seen[1].at - seen[0].at;
        let least = Duration::from_millis(least_ms);
        assert!(wait >= least, "{status} with Retry-After: {asked} was retried after {wait:?}");
        assert_eq!(seen[1].attempt(), 2);
        api.delete(&format!("/v1/webhooks/{}", webhook.id)).await.expect(204);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_delay_is_bounded_and_an_invalid_value_is_ignored() {
    let Some(stack) = Stack::with_default_schedule().await else { return };
    let api = stack.api();
    let scheduled = 60_000 - SLACK_MS..=FIRST_WAIT_MAX_MS + SLACK_MS;
    for (status, asked, expected) in [
        (503, "600", 600_000 - SLACK_MS..=660_000 + SLACK_MS),
        (429, "600", 600_000 - SLACK_MS..=660_000 + SLACK_MS),
        (503, "10", scheduled.clone()),
        (503, "-600", scheduled.clone()),
        (503, "soon", scheduled.clone()),
        (503, "", scheduled.clone()),
        (500, "600", scheduled.clone()),
        (301, "600", scheduled.clone()),
        (503, "99999999999999999999999999", 60_000 - SLACK_MS..=TWO_HOURS_MS + FIRST_WAIT_MAX_MS + SLACK_MS),
        (503, "31536000", TWO_HOURS_MS - SLACK_MS..=TWO_HOURS_MS + FIRST_WAIT_MAX_MS + SLACK_MS),
    ] {
        let wait = wait_after(&api, Answer::with(status, "Retry-After", asked)).await;
        assert!(expected.contains(&wait), "{status} with Retry-After: {asked}: due after {wait} ms, not {expected:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retry_after_may_be_a_date() {
    let stack = Stack::start().await;
    let in_ten_minutes = OffsetDateTime::now_utc() + Duration::from_mins(10);
    let format = "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT";
    let format = time::format_description::parse_borrowed::<2>(format).expect("a date of HTTP (RFC 9110, 5.6.7)");
    let date = in_ten_minutes.format(&format).expect("a date of this century");
    let wait = wait_after(&stack.api(), Answer::with(503, "Retry-After", &date)).await;
    assert!((595_000..=665_000).contains(&wait), "Retry-After: {date}: due after {wait} ms");
}

/// The wait until the second attempt, in milliseconds, after the first was answered with `answer`.
async fn wait_after(api: &Api, answer: Answer) -> i64 {
    let receiver = Receiver::in_turn(vec![answer]).await;
    let webhook = api.register(&receiver.url("/"), &["resource.created"]).await;
    let event = api.publish("resource.created").await.id();
    let failed_once = |delivery: &Value| delivery["attempts"].as_array().is_some_and(|all| all.len() == 1);
    let delivery = api.delivery_when(&event, &webhook.id, failed_once).await;
    api.delete(&format!("/v1/webhooks/{}", webhook.id)).await.expect(204);
    millis(&delivery["next_attempt_at"]) - millis(&delivery["attempts"][0]["started_at"])
}
