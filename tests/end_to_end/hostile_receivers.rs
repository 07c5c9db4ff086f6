//! Receivers that misbehave cost an attempt and nothing more: they are given up in time, not followed, and cut short.

use serde_json::Value;

use crate::api::{Api, number, text};
use crate::process::Stack;
use crate::receiver::{Answer, Receiver};

/// The first attempt of a new event at a receiver that answers so, and the delivery's status after it.
async fn first_attempt(api: &Api, answer: Answer) -> (Value, String) {
    let receiver = Receiver::in_turn(vec![answer]).await;
    attempt_at(api, &receiver.url("/")).await
}

async fn attempt_at(api: &Api, url: &str) -> (Value, String) {
    let webhook = api.register(url, &["resource.created"]).await;
    let event = api.publish("resource.created").await.id();
    let tried = |delivery: &Value| delivery["attempts"].as_array().is_some_and(|all| all.len() == 1);
    let delivery = api.delivery_when(&event, &webhook.id, tried).await;
    (delivery["attempts"][0].clone(), text(&delivery["status"]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_hangs_is_given_up_after_five_seconds() {
    let stack = Stack::start().await;
    let (attempt, status) = first_attempt(&stack.api(), Answer::Hang).await;
    assert_eq!((attempt["error"].as_str(), status.as_str()), (Some("timeout"), "pending"), "{attempt:#}");
    assert_eq!(attempt["status_code"], Value::Null, "{attempt:#}");
    assert!((4900..6000).contains(&number(&attempt["duration_ms"])), "{attempt:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_seconds_are_for_the_body_too() {
    let stack = Stack::start().await;
    let (attempt, status) = first_attempt(&stack.api(), Answer::HangInBody).await;
    assert_eq!((attempt["error"].as_str(), status.as_str()), (Some("timeout"), "pending"), "{attempt:#}");
    assert!((4900..6000).contains(&number(&attempt["duration_ms"])), "{attempt:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endless_body_is_cut_and_its_status_counts() {
    let stack = Stack::start().await;
    let (attempt, status) = first_attempt(&stack.api(), Answer::EndlessBody).await;
    assert_eq!(status, "delivered", "{attempt:#}");
    assert_eq!(attempt["status_code"], 200, "{attempt:#}");
    assert!(number(&attempt["duration_ms"]) < 4900, "it is cut by size, not by time: {attempt:#}");
    let kept = text(&attempt["response_body"]);
    assert!(!kept.is_empty() && kept.len() <= 1024, "{} bytes are kept", kept.len());
    assert!(kept.starts_with("xxx"), "{kept}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_is_a_failure_and_not_followed() {
    let stack = Stack::start().await;
    let elsewhere = Receiver::answering(200).await;
    for code in [301, 302, 303, 307, 308] {
        let api = stack.api();
        let answer = Answer::with(code, "Location", &elsewhere.url("/elsewhere"));
        let (attempt, status) = first_attempt(&api, answer).await;
        assert_eq!((&attempt["status_code"], status.as_str()), (&code.into(), "pending"), "{attempt:#}");
    }
    assert!(elsewhere.seen().is_empty(), "a redirect was followed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_connection_and_a_closed_port_are_failures_with_a_reason() {
    let stack = Stack::start().await;
    let (attempt, status) = first_attempt(&stack.api(), Answer::Drop).await;
    assert_eq!((&attempt["status_code"], status.as_str()), (&Value::Null, "pending"), "{attempt:#}");
    assert!(!text(&attempt["error"]).is_empty());

    let closed = Receiver::answering(200).await.url("/");
    let (attempt, status) = attempt_at(&stack.api(), &closed).await;
    assert_eq!((&attempt["status_code"], status.as_str()), (&Value::Null, "pending"), "{attempt:#}");
    assert!(!text(&attempt["error"]).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_statuses_than_2xx_are_failures() {
    let stack = Stack::start().await;
    for code in [400, 401, 404, 418, 500, 599] {
        let (attempt, status) = first_attempt(&stack.api(), Answer::status(code)).await;
        assert_eq!((&attempt["status_code"], status.as_str()), (&code.into(), "pending"), "{attempt:#}");
    }
    for code in [200, 201, 204, 299] {
        let (attempt, status) = first_attempt(&stack.api(), Answer::status(code)).await;
        assert_eq!((&attempt["status_code"], status.as_str()), (&code.into(), "delivered"), "{attempt:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hanging_receiver_does_not_delay_another() {
    let stack = Stack::start().await;
    let (hanging, steady) = (Receiver::in_turn(vec![Answer::Hang]).await, Receiver::answering(200).await);
    let slow = stack.api().register(&hanging.url("/"), &["resource.created"]).await;
    stack.api().register(&steady.url("/"), &["resource.created"]).await;
    let first = stack.api().publish("resource.created").await.id();
    for _ in 1..10 {
        stack.api().publish("resource.created").await;
    }
    steady.wait_for(10).await;
    let delivery = stack.api().delivery(&first, &slow.id).await;
    let attempts = delivery["attempts"].as_array().expect("attempts");
    let over = attempts.iter().any(|attempt| attempt["error"] == "timeout");
    assert!(!over, "ten deliveries waited until a hanging one had been given up: {delivery:#}");
}
