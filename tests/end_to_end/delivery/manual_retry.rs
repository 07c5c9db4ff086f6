//! A manual retry: one attempt now, outside the schedule.

use serde_json::{Value, json};

use crate::harness::client::{number, text};
use crate::harness::receiver::{Answer, Receiver};
use crate::harness::stack::Stack;

/// The number of attempts recorded.
fn attempts(delivery: &Value) -> usize {
    delivery["attempts"].as_array().map_or(0, Vec::len)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manual_retry_makes_one_attempt_now_and_does_not_change_the_schedule() {
    let stack = Stack::start().await;
    let api = stack.api();
    let answers = [500, 502, 200, 200].map(Answer::status).to_vec();
    let receiver = Receiver::in_turn(answers).await;
    let webhook = api.register(&receiver.url("/"), &["user.created"]).await;
    let event = api.publish("user.created").await.id();
    let first = api.delivery_when(&event, &webhook.id, |delivery| attempts(delivery) == 1).await;
    let path = format!("/v1/deliveries/{}", text(&first["id"]));

    api.send_text(reqwest::Method::POST, &format!("{path}/retry"), "").await.expect(202);
    let second = api.get_when(&path, |delivery| attempts(delivery) == 2).await;
    assert_eq!(second["status"], "pending");
    assert_eq!(second["next_attempt_at"], first["next_attempt_at"], "the manual retry changed the schedule");

    api.send_text(reqwest::Method::POST, &format!("{path}/retry"), "").await.expect(202);
    let third = api.get_when(&path, |delivery| attempts(delivery) == 3).await;
    assert_eq!((&third["status"], &third["next_attempt_at"]), (&json!("delivered"), &Value::Null));
    let numbers: Vec<_> = receiver.seen().iter().map(|request| request.attempt()).collect();
    assert_eq!(numbers, [1, 2, 3]);

    let health = api.get(&format!("/v1/webhooks/{}/health", webhook.id)).await.expect(200);
    assert_eq!((health["delivered_share"].as_f64(), health["attempts_per_delivery"].as_f64()), (Some(1.0), Some(3.0)));
    assert_eq!(number(&health["last_failure"]["status_code"]), 502);
    assert!(health["last_success_at"].is_string() && health["latency_ms"]["p95"].is_u64());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_of_a_disabled_or_deleted_webhook_cannot_be_retried() {
    let stack = Stack::start().await;
    let api = stack.api();
    let receiver = Receiver::answering(200).await;
    let webhook = api.register(&receiver.url("/"), &["user.created"]).await;
    let event = api.publish("user.created").await.id();
    let delivery = api.delivery_when(&event, &webhook.id, |delivery| delivery["status"] == "delivered").await;
    let retry = format!("/v1/deliveries/{}/retry", text(&delivery["id"]));
    api.patch(&format!("/v1/webhooks/{}", webhook.id), &json!({ "status": "disabled" })).await.expect(200);
    api.send_text(reqwest::Method::POST, &retry, "").await.problem(409);
    api.delete(&format!("/v1/webhooks/{}", webhook.id)).await.expect(204);
    api.send_text(reqwest::Method::POST, &retry, "").await.problem(409);
    let still = api.get(&format!("/v1/deliveries/{}", text(&delivery["id"]))).await.expect(200);
    assert_eq!(still["status"], "delivered", "the delivery stays delivered");
    assert_eq!(receiver.seen().len(), 1);
}
