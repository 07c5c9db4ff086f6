//! Receivers that misbehave cost an attempt and nothing more: they are given up in time, not followed, and cut short.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::api::{Api, number, text};
use crate::process::{Options, Stack};
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_an_answer_is_recorded_as_what_it_is() {
    let stack = Stack::start().await;
    let api = stack.api();
    let large = Box::leak(format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(5000)).into_boxed_str()).as_bytes();
    for (bytes, status_code, error) in [
        (b"SSH-2.0-OpenSSH_9.2\r\n".as_slice(), Value::Null, "protocol"),
        (b"HTTP/1.1 200 OK\r\nx\0: y\r\n\r\n", Value::Null, "protocol"),
        (large, Value::Null, "protocol"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab", 200.into(), "closed"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 200.into(), "protocol"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n", Value::Null, "closed"),
    ] {
        let (attempt, status) = first_attempt(&api, Answer::Bytes(bytes)).await;
        assert_eq!((&attempt["status_code"], attempt["error"].as_str()), (&status_code, Some(error)), "{attempt:#}");
        assert_eq!(status, "pending", "{attempt:#}");
    }
    if let Some(address) = api.base().strip_prefix("http://") {
        // The process itself speaks plain HTTP, on whose port TLS is asked for.
        let (attempt, _) = attempt_at(&api, &format!("https://{address}/")).await;
        assert_eq!(attempt["error"], "tls", "{attempt:#}");
    }
}

/// A burst that would have twice as many requests under way as one endpoint may have: the rest of them waits, and what
/// goes elsewhere does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_for_a_hanging_receiver_leaves_it_its_share_and_no_more() {
    const BATCHES: usize = 6;
    const UNDER_WAY_MAX: usize = 256;
    let Some(stack) = Stack::with(Options::default()).await else { return };
    let api = stack.api();
    let (hanging, steady) = (Receiver::in_turn(vec![Answer::Hang]).await, Receiver::answering(200).await);
    api.register(&hanging.url("/"), &["user.created"]).await;
    api.register(&steady.url("/"), &["user.created"]).await;
    let event = json!({ "type": "user.created", "data": { "object": {} } });
    for _ in 0..BATCHES {
        api.post("/v1/events/batch", &json!({ "events": vec![&event; 100] })).await.expect(202);
    }
    steady.wait_for(BATCHES * 100).await;
    let seen = hanging.seen();
    let first = seen.first().map_or_else(Instant::now, |request| request.at);
    let at_first = seen.iter().filter(|request| request.at < first + Duration::from_millis(4900)).count();
    assert!((1..=UNDER_WAY_MAX).contains(&at_first), "{at_first} requests were under way at once");
}
