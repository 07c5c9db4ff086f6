//! How fast an account may publish: one limit for all processes, in simulated time.

use std::num::NonZeroU32;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, Response, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::simulated_day::World;

const PER_SECOND: u32 = 10;

/// A world in which an account may publish ten events a second, with two processes of the API and a platform token.
async fn two_processes() -> (World, [Router; 2], String) {
    let world = World::with(|config| config.publish_rate_limit = NonZeroU32::new(PER_SECOND)).await;
    let processes = [(); 2].map(|()| api::router(world.api.clone()));
    let token = world.platform_token().await;
    (world, processes, token)
}

async fn post(process: &Router, token: &str, account: &str, path: &str, body: &Value) -> Response<Body> {
    let request = Request::post(path).header("Authorization", format!("Bearer {token}"));
    let request = request.header("Hookline-Account", account).header("Content-Type", "application/json");
    let request = request.body(Body::from(body.to_string())).expect("a request");
    process.clone().oneshot(request).await.expect("a router always answers")
}

fn event() -> Value {
    json!({ "type": "user.created", "data": { "object": {} } })
}

/// Publishes one by one until it is told to wait; gives how many events passed, and the refusal.
async fn publish_until_refused(processes: &[Router], token: &str, account: &str) -> (usize, Response<Body>) {
    for passed in 0..1000 {
        let answer = post(&processes[passed % processes.len()], token, account, "/v1/events", &event()).await;
        if answer.status() != StatusCode::ACCEPTED {
            return (passed, answer);
        }
    }
    panic!("a thousand events at once are not ten a second");
}

fn retry_after(answer: &Response<Body>) -> Duration {
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    let seconds = answer.headers().get("Retry-After").expect("a 429 says when to try again");
    Duration::from_secs(seconds.to_str().expect("text").parse().expect("whole seconds"))
}

#[tokio::test]
async fn an_account_is_told_to_wait_and_may_go_on_after_that() {
    let (world, processes, token) = two_processes().await;
    let (burst, refusal) = publish_until_refused(&processes, &token, "acme").await;
    // A burst of a second, and the event that is then under way.
    assert_eq!(burst, PER_SECOND as usize + 1, "two processes share one limit");
    let wait = retry_after(&refusal);
    let problem: Value = serde_json::from_slice(&to_bytes(refusal.into_body(), 10_000).await.expect("a body"))
        .expect("a problem document");
    assert_eq!((&problem["status"], &problem["title"]), (&json!(429), &json!("Too many requests")));

    let other = post(&processes[0], &token, "another", "/v1/events", &event()).await;
    assert_eq!(other.status(), StatusCode::ACCEPTED, "another account has a limit of its own");
    world.wait(wait);
    let (passed, _) = publish_until_refused(&processes, &token, "acme").await;
    assert_eq!(passed, PER_SECOND as usize * wait.as_secs() as usize, "the rate, and no more");
}

#[tokio::test]
async fn a_batch_counts_each_event_and_is_refused_whole() {
    let (world, processes, token) = two_processes().await;
    let batch = json!({ "events": vec![event(); 100] });
    let path = "/v1/events/batch";
    assert_eq!(post(&processes[0], &token, "acme", path, &batch).await.status(), StatusCode::ACCEPTED);
    let wait = retry_after(&post(&processes[1], &token, "acme", "/v1/events", &event()).await);
    assert_eq!(wait, Duration::from_secs(9), "a hundred are ten seconds' worth, one of which is a burst");
    world.wait(Duration::from_millis(8_999));
    retry_after(&post(&processes[1], &token, "acme", path, &batch).await);
    world.wait(Duration::from_millis(1));
    assert_eq!(post(&processes[1], &token, "acme", path, &batch).await.status(), StatusCode::ACCEPTED);
    let app = &world.app;
    let stored = hookline::store::events::list(app, &"acme".parse().expect("a name"), None, None, 1000).await;
    assert_eq!(stored.expect("the table").items.len(), 200, "nothing of a refused request is stored");
}
