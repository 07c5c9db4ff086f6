//! Misbehaving receivers cost one attempt and nothing more: attempts time out, redirects are not
//! followed, bodies are cut.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::client::{Api, number, text};
use crate::harness::receiver::{Answer, Receiver};
use crate::harness::stack::{Options, Stack};

/// Publishes an event to a receiver that gives this answer; returns the first attempt and the
/// delivery's status after it.
async fn first_attempt(api: &Api, answer: Answer) -> (Value, String) {
    let receiver = Receiver::in_turn(vec![answer]).await;
    attempt_at(api, &receiver.url("/")).await
}

/// As [`first_attempt`], at any URL.
async fn attempt_at(api: &Api, url: &str) -> (Value, String) {
    let webhook = api.register(url, &["resource.created"]).await;
    let event = api.publish("resource.created").await.id();
    let tried = |delivery: &Value| delivery["attempts"].as_array().is_some_and(|all| all.len() == 1);
    let delivery = api.delivery_when(&event, &webhook.id, tried).await;
    (delivery["attempts"][0].clone(), text(&delivery["status"]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_at_a_hanging_receiver_times_out_after_five_seconds() {
    let stack = Stack::start().await;
    let (attempt, status) = first_attempt(&stack.api(), Answer::Hang).await;
    assert_eq!((attempt["error"].as_str(), status.as_str()), (Some("timeout"), "pending"), "{attempt:#}");
    assert_eq!(attempt["status_code"], Value::Null, "{attempt:#}");
    assert!((4900..6000).contains(&number(&attempt["duration_ms"])), "{attempt:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_timeout_includes_the_body() {
    let stack = Stack::start().await;
    let (attempt, status) = first_attempt(&stack.api(), Answer::HangInBody).await;
    assert_eq!((attempt["error"].as_str(), status.as_str()), (Some("timeout"), "pending"), "{attempt:#}");
    assert!((4900..6000).contains(&number(&attempt["duration_ms"])), "{attempt:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endless_body_is_cut_and_the_status_counts() {
    let stack = Stack::start().await;
    let (attempt, status) = first_attempt(&stack.api(), Answer::EndlessBody).await;
    assert_eq!(status, "delivered", "{attempt:#}");
    assert_eq!(attempt["status_code"], 200, "{attempt:#}");
    assert!(number(&attempt["duration_ms"]) < 4900, "the body was cut by the timeout, not by its size: {attempt:#}");
    let kept = text(&attempt["response_body"]);
    assert!(!kept.is_empty() && kept.len() <= 1024, "{} bytes are kept", kept.len());
    assert!(kept.starts_with("xxx"), "{kept}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_is_a_failure_and_is_not_followed() {
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
async fn a_closed_connection_and_a_closed_port_are_failures_with_an_error() {
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
async fn only_2xx_statuses_are_successes() {
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
    let timed_out = attempts.iter().any(|attempt| attempt["error"] == "timeout");
    assert!(!timed_out, "the deliveries waited for the attempt at the hanging receiver: {delivery:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalid_response_is_recorded_with_its_error() {
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
        // The port of the process speaks plain HTTP, so a TLS handshake with it fails.
        let (attempt, _) = attempt_at(&api, &format!("https://{address}/")).await;
        assert_eq!(attempt["error"], "tls", "{attempt:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hanging_receiver_takes_only_its_share_of_the_concurrent_requests() {
    /// Batches of a hundred events: more than twice the requests that may be in flight to one
    /// endpoint.
    const BATCHES: usize = 6;
    const IN_FLIGHT_MAX: usize = 256;
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
    let concurrent = seen.iter().filter(|request| request.at < first + Duration::from_millis(4900)).count();
    assert!((1..=IN_FLIGHT_MAX).contains(&concurrent), "{concurrent} requests were in flight at once");
}
