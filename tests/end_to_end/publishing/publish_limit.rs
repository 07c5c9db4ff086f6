//! The limit on the events that an account may publish per second, shared by all processes.

use std::num::NonZeroU32;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::harness::router::{ApiProcess, body_of};
use crate::harness::world::{World, acme};

const PER_SECOND: u32 = 10;

/// A world in which an account may publish ten events a second, and two processes of its API.
async fn two_processes() -> (World, [ApiProcess; 2]) {
    let world = World::with(|config| config.publish_rate_limit = NonZeroU32::new(PER_SECOND)).await;
    let token = world.platform_token().await;
    let processes = [(); 2].map(|()| ApiProcess::new(&world.api, &token));
    (world, processes)
}

async fn post(process: &ApiProcess, path: &str, body: &Value) -> Response<Body> {
    process.send("POST", path, body.to_string()).await
}

fn event() -> Value {
    json!({ "type": "user.created", "data": { "object": {} } })
}

/// Publishes one event after another until one is refused; returns the number of those accepted,
/// and the refusal.
async fn publish_until_refused(processes: &[ApiProcess]) -> (usize, Response<Body>) {
    for accepted in 0..1000 {
        let answer = post(&processes[accepted % processes.len()], "/v1/events", &event()).await;
        if answer.status() != StatusCode::ACCEPTED {
            return (accepted, answer);
        }
    }
    panic!("a thousand events were accepted at once");
}

/// The wait that a 429 asks for.
fn retry_after(answer: &Response<Body>) -> Duration {
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    let seconds = answer.headers().get("Retry-After").expect("a 429 says when to try again");
    Duration::from_secs(seconds.to_str().expect("text").parse().expect("whole seconds"))
}

#[tokio::test]
async fn a_refused_account_may_publish_again_after_the_wait_that_it_was_told() {
    let (world, processes) = two_processes().await;
    let (burst, refusal) = publish_until_refused(&processes).await;
    // A burst of one second, and one more event whose slot begins now.
    assert_eq!(burst, PER_SECOND as usize + 1, "the two processes should share one limit");
    let wait = retry_after(&refusal);
    let problem = body_of(refusal).await;
    assert_eq!((&problem["status"], &problem["title"]), (&json!(429), &json!("Too many requests")));

    let other = post(&processes[0].with_account("another"), "/v1/events", &event()).await;
    assert_eq!(other.status(), StatusCode::ACCEPTED, "another account has a limit of its own");
    world.wait(wait);
    let (accepted, _) = publish_until_refused(&processes).await;
    assert_eq!(accepted, PER_SECOND as usize * wait.as_secs() as usize, "exactly what the rate allows");
}

#[tokio::test]
async fn a_batch_counts_as_its_events_and_is_refused_as_a_whole() {
    let (world, processes) = two_processes().await;
    let batch = json!({ "events": vec![event(); 100] });
    let path = "/v1/events/batch";
    assert_eq!(post(&processes[0], path, &batch).await.status(), StatusCode::ACCEPTED);
    let wait = retry_after(&post(&processes[1], "/v1/events", &event()).await);
    assert_eq!(wait, Duration::from_secs(9), "a hundred events take ten seconds, of which one may be a burst");
    world.wait(Duration::from_millis(8_999));
    retry_after(&post(&processes[1], path, &batch).await);
    world.wait(Duration::from_millis(1));
    assert_eq!(post(&processes[1], path, &batch).await.status(), StatusCode::ACCEPTED);
    let app = &world.app;
    let stored = store::events::list(&app.store, &acme(), None, None, 1000).await;
    assert_eq!(stored.expect("the table").items.len(), 200, "a refused batch stores nothing");
}
