//! The options of a webhook, as its receiver sees them: headers, authentication, a further
//! signature, the webhook's own timeout and retry schedule, and which failures disable it.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::client::{data, number, text};
use crate::harness::receiver::{Answer, Receiver};
use crate::harness::signature::body_signature;
use crate::harness::stack::Stack;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn static_headers_and_credentials_arrive() {
    let stack = Stack::start().await;
    let receiver = Receiver::answering(200).await;
    let basic = json!({ "type": "basic", "username": "ada", "password": "hunter2 ü" });
    let body = json!({
        "url": receiver.url("/"), "events": ["*"], "auth": basic,
        "headers": { "X-Api-Key": "k3y", "X-Tenant": "acme corp", "Accept": "text/plain" },
    });
    let webhook = stack.api().register_as(&body).await;
    stack.api().publish("user.created").await;
    let request = &receiver.wait_for(1).await[0];
    assert_eq!(request.header("authorization"), "Basic YWRhOmh1bnRlcjIgw7w=");
    let headers = ["x-api-key", "x-tenant", "accept"].map(|name| request.header(name));
    assert_eq!(headers, ["k3y", "acme corp", "text/plain"]);

    let path = format!("/v1/webhooks/{}", webhook.id);
    let bearer = json!({ "type": "bearer", "token": "t0ken" });
    stack.api().patch(&path, &json!({ "auth": bearer, "headers": { "x-api-key": "***" } })).await.expect(200);
    let second = stack.api().publish("user.created").await.id();
    let request = &receiver.wait_for_event(&second, 1).await[0];
    assert_eq!((request.header("authorization"), request.header("x-api-key")), ("Bearer t0ken", "k3y"));
    assert!(!request.headers.contains_key("x-tenant"));

    stack.api().patch(&path, &json!({ "auth": null, "headers": null })).await.expect(200);
    let third = stack.api().publish("user.created").await.id();
    let request = &receiver.wait_for_event(&third, 1).await[0];
    assert!(!request.headers.contains_key("authorization") && !request.headers.contains_key("x-api-key"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_further_signature_has_the_receivers_form_and_stays_with_the_oldest_secret() {
    let stack = Stack::start().await;
    let receiver = Receiver::answering(200).await;
    let signature = json!({ "name": "X-Sig", "content": "{timestamp}.{id}.{body}", "value": "t={timestamp},v1={hex}" });
    let body = json!({
        "url": receiver.url("/"), "events": ["*"], "secret": "the-first-secret", "signature_header": signature,
    });
    let webhook = stack.api().register_as(&body).await;
    let path = format!("/v1/webhooks/{}", webhook.id);
    let rotate = format!("{path}/rotate-secret");
    for rotated in [false, true] {
        if rotated {
            stack.api().post(&rotate, &json!({})).await.expect(200);
        }
        let event = stack.api().publish("user.created").await.id();
        let request = &receiver.wait_for_event(&event, 1).await[0];
        let timestamp = request.header("webhook-timestamp");
        let signed = [format!("{timestamp}.{event}.").as_bytes(), &request.body].concat();
        let expected = format!("t={timestamp},v1={}", body_signature("the-first-secret", &signed));
        assert_eq!(request.header("x-sig"), expected, "rotated: {rotated}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_has_its_own_timeout_and_schedule() {
    let stack = Stack::start().await;
    let receiver = Receiver::in_turn(vec![Answer::Hang, Answer::status(500)]).await;
    let body = json!({
        "url": receiver.url("/"), "events": ["*"], "timeout_seconds": 1, "retry_schedule": ["1s", "1s"],
    });
    let webhook = stack.api().register_as(&body).await;
    let published = Instant::now();
    let event = stack.api().publish("user.created").await.id();
    let seen = receiver.wait_for(2).await;
    assert!(seen[0].at >= published + Duration::from_secs(1), "the first wait is a second");
    let delivery = stack.api().delivery_when(&event, &webhook.id, |delivery| delivery["status"] == "failed").await;
    assert_eq!(delivery["attempts"][0]["error"], "timeout");
    let duration_ms = number(&delivery["attempts"][0]["duration_ms"]);
    assert!((1000..4000).contains(&duration_ms), "{duration_ms} ms");
    receiver.no_more_than(2, Instant::now() + Duration::from_millis(1500)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_after_more_than_five_seconds_is_a_success_for_a_longer_timeout() {
    let stack = Stack::start().await;
    let receiver = Receiver::in_turn(vec![Answer::status(200).after_ms(5_500)]).await;
    let body = json!({ "url": receiver.url("/"), "events": ["*"], "timeout_seconds": 20 });
    let webhook = stack.api().register_as(&body).await;
    let event = stack.api().publish("user.created").await.id();
    let delivery = stack.api().delivery_when(&event, &webhook.id, |delivery| delivery["status"] == "delivered").await;
    assert!(number(&delivery["attempts"][0]["duration_ms"]) >= 5_500, "{delivery:#}");
    receiver.no_more_than(1, Instant::now() + Duration::from_millis(100)).await;
}

/// Publishes 201 events of which the receiver takes all but the first, and returns the webhook when
/// all of them have ended.
async fn with_one_bad_event(disable_on: &str) -> Value {
    let stack = Stack::start().await;
    let api = stack.api();
    let receiver = Receiver::scripted(|_, request| {
        let is_bad = String::from_utf8_lossy(&request.body).contains(r#""bad":true"#);
        Answer::status(if is_bad { 400 } else { 200 })
    })
    .await;
    let body = json!({
        "url": receiver.url("/"), "events": ["*"], "retry_schedule": ["0s", "3s"], "disable_on": disable_on,
    });
    let webhook = api.register_as(&body).await;
    let bad = json!({ "type": "user.created", "data": { "object": { "bad": true } } });
    let bad = api.publish_as(&bad).await.id();
    let good = json!({ "type": "user.created", "data": { "object": {} } });
    for _ in 0..2 {
        api.post("/v1/events/batch", &json!({ "events": vec![&good; 100] })).await.expect(202);
    }
    receiver.wait_for(202).await;
    api.delivery_when(&bad, &webhook.id, |delivery| delivery["status"] == "failed").await;
    let page = api.get(&format!("/v1/webhooks/{}/deliveries?limit=100", webhook.id)).await.expect(200);
    assert_eq!(data(&page).len(), 100);
    let path = format!("/v1/webhooks/{}", webhook.id);
    if disable_on == "failed_delivery" {
        return api.get_when(&path, |webhook| webhook["status"] == "disabled").await;
    }
    // The decision comes after the record of the failure. What is published now arrives if the
    // webhook stayed enabled.
    let later = api.publish("user.updated").await.id();
    receiver.wait_for_event(&later, 1).await;
    api.get(&path).await.expect(200)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_bad_event_does_not_disable_a_webhook_that_takes_all_others() {
    let webhook = with_one_bad_event("no_success").await;
    assert_eq!((text(&webhook["status"]), &webhook["disabled_reason"]), ("enabled".to_owned(), &Value::Null));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_bad_event_disables_a_webhook_by_default() {
    let webhook = with_one_bad_event("failed_delivery").await;
    assert_eq!(webhook["disabled_reason"], "failures");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_success_at_all_disables_the_webhook() {
    let stack = Stack::start().await;
    let receiver = Receiver::answering(500).await;
    let body = json!({
        "url": receiver.url("/"), "events": ["*"], "retry_schedule": ["0s", "1s"], "disable_on": "no_success",
    });
    let webhook = stack.api().register_as(&body).await;
    stack.api().publish("user.created").await;
    let path = format!("/v1/webhooks/{}", webhook.id);
    let shown = stack.api().get_when(&path, |webhook| webhook["status"] == "disabled").await;
    assert_eq!(shown["disabled_reason"], "failures");
}
