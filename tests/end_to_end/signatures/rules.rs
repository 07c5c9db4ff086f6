//! The rules of the route: its body, its limits, its rate.

use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::Method;
use serde_json::{Value, json};

use super::seen::{Seen, codes};
use crate::harness::receiver::Receiver;
use crate::harness::router::{ApiProcess, body_of};
use crate::harness::stack::Stack;
use crate::harness::world::World;

const PATH: &str = "/v1/signatures/debug";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_of_the_body_is_named() {
    let stack = Stack::start().await;
    let api = stack.api();
    for (body, faults) in [
        (json!({}), &["/body", "/headers"][..]),
        (json!({ "headers": {}, "body": "", "body_base64": "" }), &["/body_base64"]),
        (json!({ "headers": { "a": 1, "b": [1, "c"] }, "body": 1 }), &["/body", "/headers/a", "/headers/b/0"]),
        (json!({ "headers": [], "body_base64": "?" }), &["/body_base64", "/headers"]),
        (
            json!({ "headers": {}, "body": "", "secret": "short", "received_at": "now", "computed": 1, "webhook_id": 1, "x": 1 }),
            &["/computed", "/received_at", "/secret", "/webhook_id", "/x"],
        ),
        (json!({ "headers": { "webhook-signature": vec!["v1,a"; 17] }, "body": "" }), &["/headers"]),
        (json!({ "headers": { "x": "y".repeat(16 * 1024 + 1) }, "body": "" }), &["/headers"]),
    ] {
        assert_eq!(api.post(PATH, &body).await.faults(), faults, "{body}");
    }
    api.send_text(Method::POST, PATH, "{").await.problem(400);
    api.send(Method::POST, PATH, Some(("text/plain", b"{}".to_vec()))).await.problem(415);
    api.with_idempotency_key("key").post(PATH, &json!({ "headers": {}, "body": "" })).await.problem(400);
    let sized = |bytes: usize| {
        let frame = json!({ "headers": {}, "body": "" }).to_string().len();
        json!({ "headers": {}, "body": "x".repeat(bytes - frame) })
    };
    assert_eq!(api.post(PATH, &sized(1024 * 1024)).await.expect(200)["findings"][0]["code"], "signature_missing");
    api.post(PATH, &sized(1024 * 1024 + 1)).await.problem(413);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_and_bodies_are_taken_in_every_form() {
    let stack = Stack::start().await;
    let (api, receiver) = (stack.api(), Receiver::answering(200).await);
    let webhook = api.register(&receiver.url("/"), &["*"]).await;
    let event = api.publish("user.created").await.id();
    let seen = Seen::of(&receiver.wait_for_event(&event, 1).await[0]);
    let renamed = |rename: fn(&str) -> String| {
        let headers = seen.headers.iter().map(|(name, value)| (rename(name), value.clone()));
        Seen { headers: headers.collect(), ..seen.clone() }
    };
    let wsgi = renamed(|name| format!("HTTP_{}", name.to_uppercase().replace('-', "_")));
    let arrays = seen.headers.iter().map(|(name, value)| (name.clone(), json!([value])));
    let arrays = Seen { headers: arrays.collect(), ..seen.clone() };
    for seen in [&seen, &wsgi, &arrays, &renamed(str::to_uppercase)] {
        let mut described = seen.description();
        assert_eq!(api.post(PATH, &described).await.expect(200)["valid"], true, "{described:#}");
        described["webhook_id"] = webhook.id.as_str().into();
        described["body_base64"] = BASE64.encode(&seen.body).into();
        described["body"] = Value::Null;
        assert_eq!(api.post(PATH, &described).await.expect(200)["valid"], true, "{described:#}");
    }
    // Two entries, in one value and in two.
    let entry = seen.header("webhook-signature");
    for value in [json!(format!("v1,AAAA {entry}")), json!(["v1,AAAA", entry])] {
        let answer = seen.clone().with("webhook-signature", value).debug(&api).await;
        assert_eq!(
            (&answer["valid"], codes(&answer, "webhook-signature")),
            (&json!(true), vec!["unexplained".to_owned(), "valid".to_owned()])
        );
    }
}

#[tokio::test]
async fn an_account_that_asks_too_often_is_told_to_wait() {
    let world = World::new().await;
    let token = world.platform_token().await;
    let processes = [(); 2].map(|()| ApiProcess::new(&world.api, &token));
    let ask = async |process: &ApiProcess| process.send("POST", PATH, r#"{"headers":{},"body":""}"#).await;
    let mut answered = 0;
    let refusal = loop {
        let answer = ask(&processes[answered % 2]).await;
        if answer.status() != StatusCode::OK {
            break answer;
        }
        answered += 1;
    };
    // A burst of six seconds, and one more whose slot begins now. Both processes share it.
    assert_eq!(answered, 61);
    assert_eq!(refusal.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refusal.headers()["content-type"], "application/problem+json");
    let wait: u64 = refusal.headers()["retry-after"].to_str().expect("text").parse().expect("seconds");
    assert_eq!(body_of(refusal).await["type"], "urn:hookline:problem:too-many-requests");

    assert_eq!(ask(&processes[0].with_account("another")).await.status(), StatusCode::OK, "each account has its own");
    let event = json!({ "type": "user.created", "data": { "object": {} } });
    assert_eq!(processes[0].ask("POST", "/v1/events", &event).await.0, 202, "publishing has its own limit");
    world.wait(std::time::Duration::from_secs(wait));
    assert_eq!(ask(&processes[0]).await.status(), StatusCode::OK);
}
