//! A table or a queue that takes no more requests is told of as such: 503, and when to try again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_dynamodb::config::interceptors::BeforeDeserializationInterceptorContextMut;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_smithy_types::body::SdkBody;
use axum::body::{Body, to_bytes};
use axum::http::{Request, Response};
use hookline::app::{App, Lazy};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::simulated_day::World;

/// Makes every answer the refusal that AWS gives, while it is on.
#[derive(Clone, Debug)]
struct Refusal {
    on: Arc<AtomicBool>,
    code: &'static str,
}

impl Intercept for Refusal {
    fn name(&self) -> &'static str {
        "refusal"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if self.on.load(Ordering::SeqCst) {
            let response = context.response_mut();
            let status = if self.code == "InternalServerError" { 500 } else { 400 };
            *response.status_mut() = status.try_into().expect("a status");
            *response.body_mut() = SdkBody::from(json!({ "__type": self.code, "message": "no" }).to_string());
        }
        Ok(())
    }
}

async fn publish(app: &App, token: &str) -> Response<Body> {
    let event = json!({ "type": "user.created", "data": { "object": {} } }).to_string();
    let request = Request::post("/v1/events").header("Authorization", format!("Bearer {token}"));
    let request = request.header("Hookline-Account", "acme").header("Content-Type", "application/json");
    let request = request.body(Body::from(event)).expect("a request");
    api::router(app.clone()).oneshot(request).await.expect("a router always answers")
}

/// The world's app, its tables refusing with `code` while the switch is on.
fn refusing_tables(app: &App, code: &'static str) -> (App, Arc<AtomicBool>) {
    let on = Arc::new(AtomicBool::new(true));
    let config = app.dynamodb.config().to_builder().retry_config(RetryConfig::disabled());
    let config = config.interceptor(Refusal { on: Arc::clone(&on), code }).build();
    (App { dynamodb: aws_sdk_dynamodb::Client::from_conf(config), ..app.clone() }, on)
}

async fn assert_unavailable(answer: Response<Body>) {
    assert_eq!(answer.status(), 503);
    let wait = answer.headers().get("Retry-After").expect("a 503 says when to try again").to_str().expect("text");
    assert!(wait.parse::<u32>().expect("whole seconds") > 0);
    let body = to_bytes(answer.into_body(), 10_000).await.expect("a body");
    let problem: Value = serde_json::from_slice(&body).expect("a problem document");
    assert_eq!(problem["type"], "urn:hookline:problem:unavailable");
    assert!(!problem.to_string().contains("Exception"), "no internals: {problem:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_throttled_table_is_a_503() {
    let world = World::new().await;
    let token = world.platform_token().await;
    for code in ["ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"] {
        let (app, on) = refusing_tables(&world.app, code);
        assert_unavailable(publish(&app, &token).await).await;
        on.store(false, Ordering::SeqCst);
        assert_eq!(publish(&app, &token).await.status(), 202);
    }
    let (app, _) = refusing_tables(&world.app, "InternalServerError");
    assert_eq!(publish(&app, &token).await.status(), 500, "another failure is no throttling");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_throttled_queue_is_a_503() {
    let world = World::new().await;
    let token = world.platform_token().await;
    world.register(&"acme".parse().expect("a name"), "http://127.0.0.1:1/").await;
    for code in ["RequestThrottled", "KmsThrottled"] {
        let config = world.app.sqs.config().to_builder().retry_config(RetryConfig::disabled());
        let config = config.interceptor(Refusal { on: Arc::new(AtomicBool::new(true)), code }).build();
        let sqs = Lazy::new(&aws_sdk_sqs::Client::from_conf(config), Clone::clone);
        assert_unavailable(publish(&App { sqs, ..world.app.clone() }, &token).await).await;
    }
}
