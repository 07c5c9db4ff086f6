//! What a command says when it fails, and its exit status.

use std::time::Instant;

use serde_json::json;

use crate::harness::hookline::Hookline;
use crate::harness::receiver::{Answer, Receiver};
use crate::harness::stack::Stack;

const WEBHOOK: &str = "wh_01JMC9ZV2K4W7T5N8Q3R6X1Y0B";

/// An answer with a problem document.
fn problem(status: u16, retry_after: Option<&str>) -> Answer {
    let body = json!({"type": "urn:hookline:problem:x", "title": "Some title", "status": status, "detail": "Some \u{1b}[2J detail."});
    let mut headers = vec![
        ("Content-Type", "application/problem+json".to_owned()),
        ("X-Request-Id", "req\u{1}1".replace('\u{1}', "-")),
    ];
    headers.extend(retry_after.map(|wait| ("Retry-After", wait.to_owned())));
    Answer::Reply(status, headers, body.to_string())
}

fn page() -> Answer {
    Answer::Reply(200, vec![], json!({"data": [], "next_cursor": null}).to_string())
}

async fn api(answers: Vec<Answer>) -> (Receiver, Hookline) {
    let receiver = Receiver::in_turn(answers).await;
    let user = Hookline::at(&receiver.url(""), "hl_test_token");
    (receiver, user)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_names_every_fault_and_what_to_do() {
    let stack = Stack::start().await;
    let user = Hookline::of(&stack);
    let wrong = user.run(&["webhooks", "create", "ftp://a.b", "--events", "nope.no,*", "--rate-limit", "0"]).await;
    let error = wrong.error(1);
    for expected in ["Unprocessable content (422)", "#/url ", "#/events/0 ", "#/rate_limit ", "request id: "] {
        assert!(error.contains(expected), "{expected}: {error}");
    }
    let missing = user.run(&["webhooks", "get", WEBHOOK]).await;
    assert!(missing.error(1).starts_with("error: Not found (404): There is no such webhook."), "{missing:#?}");

    let stranger = Hookline::at(stack.base(), "hl_not_a_token");
    let unknown = stranger.run(&["webhooks", "list"]).await;
    assert!(unknown.error(1).contains("(401)") && unknown.stderr.contains("hookline login"), "{unknown:#?}");
    let nobody = Hookline::alone();
    let unknown = nobody.run(&["webhooks", "list", "--url", stack.base()]).await;
    assert!(unknown.error(1).contains("(401)") && unknown.stderr.contains("No token was given"), "{unknown:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_usage_has_the_exit_status_2() {
    let user = Hookline::at("http://127.0.0.1:9", "hl_test_token");
    let damaged = user.file("damaged.json", "{\"a\": }");
    for wrong in [
        &["webhooks"][..],
        &["webhooks", "get", "evt_01JMCA06DW8R3VZQ6N0K4T2W7Y"],
        &["webhooks", "get", "../tokens"],
        &["webhooks", "list", "--limit", "101"],
        &["webhooks", "create", "https://a.b"],
        &["webhooks", "create", "https://a.b", "--events", "*", "--filter", &damaged],
        &["webhooks", "create", "https://a.b", "--events", "*", "--filter", "missing.json"],
        &["webhooks", "create", "https://a.b", "--events", "*", "--header", "X-A: 1", "--header", "X-A: 2"],
        &["webhooks", "create", "https://a.b", "--events", "*", "--auth-basic", "a:b", "--auth-bearer", "c"],
        &["webhooks", "update", WEBHOOK, "--reset", "filter", "--filter", "{}"],
        &["webhooks", "update", WEBHOOK],
        &["webhooks", "recover", WEBHOOK, "--since", "yesterday"],
        &["events", "publish", "user.created"],
        &["trigger", "user.created", "--count", "0"],
        &["status", "--url", "ftp://a.b"],
        &["status", "--token", "short"],
        &["operate", "history", "dlv_01JMCA06DW8R3VZQ6N0K4T2W7Y01JMC9ZV2K4W7T5N8Q3R6X1Y0B"],
        &["completions", "cmd"],
        &["unknown"],
    ] {
        let ran = user.run(wrong).await;
        assert_eq!((ran.status, ran.stdout.as_str()), (Some(2), ""), "{wrong:?}: {ran:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nothing_listens_the_local_process_is_named() {
    let user = Hookline::at("http://127.0.0.1:9", "hl_test_token");
    let ran = user.run(&["webhooks", "list"]).await;
    assert!(ran.error(1).contains("nothing listens at http://127.0.0.1:9/"), "{ran:#?}");
    assert!(ran.stderr.contains("cargo run -p local"), "{ran:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_service_is_asked_again_when_it_says_so() {
    let (receiver, user) = api(vec![problem(429, Some("1")), problem(503, Some("1")), page()]).await;
    let start = Instant::now();
    user.run(&["webhooks", "list"]).await.expect(0);
    assert_eq!(receiver.seen().len(), 3);
    assert!(start.elapsed().as_secs() >= 2, "it waits as long as the service asks for");

    let (receiver, user) = api(vec![problem(503, Some("0"))]).await;
    let ran = user.run(&["webhooks", "list"]).await;
    let error = ran.error(1);
    assert!(error.starts_with("error: Some title (503): Some \\u{1b}[2J detail.\n  request id: req-1\n"), "{error}");
    assert!(error.contains("sent 4 times"), "{error}");
    assert_eq!(receiver.seen().len(), 4);

    let (receiver, user) = api(vec![problem(503, Some("3600"))]).await;
    let ran = user.run(&["webhooks", "list"]).await;
    assert!(ran.error(1).contains("Try again in 3600 s."), "{ran:#?}");
    assert_eq!(receiver.seen().len(), 1, "nobody waits for an hour");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_safe_is_sent_again() {
    let event = r#"{"id": "evt_1", "type": "user.created", "created_at": "2025-02-18T10:35:00Z"}"#;
    let (receiver, user) =
        api(vec![Answer::Drop, problem(503, Some("0")), Answer::Reply(202, vec![], event.to_owned())]).await;
    user.run(&["events", "publish", "user.created", "--data", "{}"]).await.expect(0);
    let keys: Vec<_> = receiver.seen().iter().map(|request| request.header("idempotency-key").to_owned()).collect();
    assert_eq!(keys.len(), 3);
    assert!(keys.iter().all(|key| *key == keys[0] && key.len() == 32), "{keys:?}");

    for unsafe_to_repeat in [
        &["webhooks", "create", "https://a.b", "--events", "*"][..],
        &["webhooks", "delete", WEBHOOK],
        &["webhooks", "update", WEBHOOK, "--status", "disabled"],
    ] {
        for answer in [problem(503, Some("0")), Answer::Drop] {
            let (receiver, user) = api(vec![answer]).await;
            user.run(unsafe_to_repeat).await.error(1);
            assert_eq!(receiver.seen().len(), 1, "{unsafe_to_repeat:?}");
            let request = &receiver.seen()[0];
            assert!(!request.headers.contains_key("idempotency-key"), "this route does not take a key");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_of_something_else_is_an_error() {
    let html = Answer::Reply(200, vec![], "<html>\u{1b}[2J</html>".to_owned());
    let (_receiver, user) = api(vec![html]).await;
    let ran = user.run(&["webhooks", "list"]).await;
    assert!(ran.error(1).contains("not as expected") && ran.stderr.contains("the URL of a Hookline"), "{ran:#?}");
    assert!(!ran.stderr.contains('\u{1b}'), "{ran:#?}");
    // A redirect is not followed: the token would go elsewhere.
    let (receiver, user) = api(vec![Answer::with(302, "Location", "http://127.0.0.1:9/")]).await;
    let ran = user.run(&["webhooks", "list"]).await;
    assert!(ran.error(1).contains("302"), "{ran:#?}");
    assert_eq!(receiver.seen().len(), 1);
}
