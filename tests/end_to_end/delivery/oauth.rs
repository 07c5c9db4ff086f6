//! OAuth 2 client credentials: tokens are requested, kept and replaced, and no server of tokens can
//! harm a delivery beyond its own attempt.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::client::{Registered, number, text};
use crate::harness::receiver::{Answer, Received, Receiver};
use crate::harness::stack::Stack;

/// A server whose tokens are `t1`, `t2` and so on, each with these further members of the answer.
async fn token_server(rest: &'static str) -> Receiver {
    Receiver::scripted(move |before, _| {
        Answer::Reply(200, vec![], format!(r#"{{"access_token":"t{}","token_type":"bearer"{rest}}}"#, before + 1))
    })
    .await
}

async fn register(stack: &Stack, receiver: &Receiver, server: &Receiver) -> Registered {
    let auth = json!({
        "type": "oauth2", "token_url": server.url("/token?tenant=1"), "client_id": "my client",
        "client_secret": "p%ss word", "scope": "hooks:write audit",
    });
    let body = json!({
        "url": receiver.url("/"), "events": ["*"], "auth": auth, "timeout_seconds": 1, "retry_schedule": ["0s"],
    });
    stack.api().register_as(&body).await
}

fn token(request: &Received) -> &str {
    request.header("authorization")
}

/// Publishes an event, and returns its only attempt.
async fn attempt(stack: &Stack, webhook: &Registered) -> Value {
    let event = stack.api().publish("user.created").await.id();
    let has_ended = |delivery: &Value| ["delivered", "failed"].contains(&text(&delivery["status"]).as_str());
    let delivery = stack.api().delivery_when(&event, &webhook.id, has_ended).await;
    assert_eq!(delivery["attempts"].as_array().map(Vec::len), Some(1), "{delivery:#}");
    delivery["attempts"][0].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_token_is_requested_for_many_deliveries() {
    let stack = Stack::start().await;
    let (receiver, server) = (Receiver::answering(200).await, token_server(r#","expires_in":3600"#).await);
    register(&stack, &receiver, &server).await;
    let event = json!({ "type": "user.created", "data": { "object": {} } });
    stack.api().post("/v1/events/batch", &json!({ "events": vec![&event; 30] })).await.expect(202);
    let seen = receiver.wait_for(30).await;
    assert!(seen.iter().all(|request| token(request) == "Bearer t1"));
    let requests = server.seen();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].path, "/token?tenant=1");
    assert_eq!(requests[0].header("content-type"), "application/x-www-form-urlencoded");
    assert_eq!(requests[0].body, b"grant_type=client_credentials&scope=hooks%3Awrite+audit");
    // my+client:p%25ss+word
    assert_eq!(requests[0].header("authorization"), "Basic bXkrY2xpZW50OnAlMjVzcyt3b3Jk");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_token_is_replaced_once_within_the_attempt() {
    let stack = Stack::start().await;
    let server = token_server(r#","expires_in":1e99"#).await;
    // It accepts each token once: the second use gets a 401.
    let uses = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&uses);
    let receiver = Receiver::scripted(move |_, _| {
        Answer::status(if counter.fetch_add(1, Ordering::SeqCst) == 1 { 401 } else { 200 })
    })
    .await;
    let webhook = register(&stack, &receiver, &server).await;
    assert_eq!(attempt(&stack, &webhook).await["status_code"], 200);
    assert_eq!(attempt(&stack, &webhook).await["status_code"], 200);
    let tokens: Vec<_> = receiver.seen().iter().map(|request| token(request).to_owned()).collect();
    assert_eq!(tokens, ["Bearer t1", "Bearer t1", "Bearer t2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_401_for_a_new_token_is_the_receivers_answer() {
    let stack = Stack::start().await;
    let (receiver, server) = (Receiver::answering(401).await, token_server("").await);
    let webhook = register(&stack, &receiver, &server).await;
    assert_eq!(attempt(&stack, &webhook).await["status_code"], 401);
    assert_eq!((receiver.seen().len(), server.seen().len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_has_expired_is_not_used_again() {
    let stack = Stack::start().await;
    let (receiver, server) = (Receiver::answering(200).await, token_server(r#","expires_in":-1"#).await);
    let webhook = register(&stack, &receiver, &server).await;
    for expected in ["Bearer t1", "Bearer t2"] {
        assert_eq!(attempt(&stack, &webhook).await["status_code"], 200);
        assert_eq!(token(receiver.seen().last().expect("a request")), expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_server_of_tokens_can_hold_an_attempt_beyond_its_timeout() {
    let stack = Stack::start().await;
    let usable = token_server("").await;
    let elsewhere = usable.url("/token");
    let long = format!(r#"{{"access_token":"{}"}}"#, "t".repeat(70_000));
    let cases = [
        (Answer::Hang, "timeout"),
        (Answer::HangInBody, "timeout"),
        (Answer::EndlessBody, "oauth"),
        (Answer::Drop, "oauth"),
        (Answer::Bytes(b"not http"), "oauth"),
        (Answer::with(302, "Location", &elsewhere), "oauth"),
        (Answer::with(307, "Location", &elsewhere), "oauth"),
        (Answer::Reply(200, vec![], long), "oauth"),
        (Answer::Reply(200, vec![], "{}".to_owned()), "oauth"),
        (Answer::Reply(400, vec![], r#"{"error":"invalid_client"}"#.to_owned()), "oauth"),
        (Answer::status(410), "oauth"),
    ];
    for (answer, error) in cases {
        let (receiver, server) = (Receiver::answering(200).await, Receiver::in_turn(vec![answer.clone()]).await);
        let webhook = register(&stack, &receiver, &server).await;
        let attempt = attempt(&stack, &webhook).await;
        assert_eq!((&attempt["error"], &attempt["status_code"]), (&json!(error), &Value::Null), "{answer:?}");
        assert!(number(&attempt["duration_ms"]) < 3000, "{answer:?}: {attempt:#}");
        receiver.no_more_than(0, Instant::now() + Duration::from_millis(20)).await;
        // The webhook is disabled as after any failed delivery, but not as gone.
        let path = format!("/v1/webhooks/{}", webhook.id);
        let shown = stack.api().get_when(&path, |webhook| webhook["status"] == "disabled").await;
        assert_eq!(shown["disabled_reason"], "failures", "{answer:?}");
    }
    assert!(usable.seen().is_empty(), "a redirect was followed");
}
