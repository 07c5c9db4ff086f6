//! When AWS throttles a table or a queue, the API answers 503 with `Retry-After`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use application::App;
use aws_sdk_dynamodb::config::interceptors::BeforeDeserializationInterceptorContextMut;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_smithy_types::body::SdkBody;
use axum::body::Body;
use axum::http::Response;
use serde_json::json;
use store::Lazy;

use crate::harness::router::{ApiProcess, body_of};
use crate::harness::world::{World, acme};

/// While it is on, replaces every response of AWS by an error with `code`.
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

/// Publishes through a new process of the API.
async fn publish(app: &App, token: &str) -> Response<Body> {
    let event = json!({ "type": "user.created", "data": { "object": {} } });
    ApiProcess::new(app, token).send("POST", "/v1/events", event.to_string()).await
}

/// The same app, whose tables answer with `code` while the switch is on.
fn refusing_tables(app: &App, code: &'static str) -> (App, Arc<AtomicBool>) {
    let on = Arc::new(AtomicBool::new(true));
    let config = app.store.dynamodb.config().to_builder().retry_config(RetryConfig::disabled());
    let config = config.interceptor(Refusal { on: Arc::clone(&on), code }).build();
    let mut app = app.clone();
    app.store.dynamodb = aws_sdk_dynamodb::Client::from_conf(config);
    (app, on)
}

/// Checks that an answer is a 503 with `Retry-After` and without internals.
async fn assert_unavailable(answer: Response<Body>) {
    assert_eq!(answer.status(), 503);
    let wait = answer.headers().get("Retry-After").expect("a 503 says when to try again").to_str().expect("text");
    assert!(wait.parse::<u32>().expect("whole seconds") > 0);
    let problem = body_of(answer).await;
    assert_eq!(problem["type"], "urn:hookline:problem:unavailable");
    assert!(!problem.to_string().contains("Exception"), "it shows internals: {problem:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_throttled_table_is_answered_with_503() {
    let world = World::new().await;
    let token = world.platform_token().await;
    for code in ["ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"] {
        let (app, on) = refusing_tables(&world.app, code);
        assert_unavailable(publish(&app, &token).await).await;
        on.store(false, Ordering::SeqCst);
        assert_eq!(publish(&app, &token).await.status(), 202);
    }
    let (app, _) = refusing_tables(&world.app, "InternalServerError");
    assert_eq!(publish(&app, &token).await.status(), 500, "other failures are not throttling");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_throttled_queue_is_answered_with_503() {
    let world = World::new().await;
    let token = world.platform_token().await;
    world.register(&acme(), "http://127.0.0.1:1/").await;
    for code in ["RequestThrottled", "KmsThrottled"] {
        let config = world.app.queues.sqs.config().to_builder().retry_config(RetryConfig::disabled());
        let config = config.interceptor(Refusal { on: Arc::new(AtomicBool::new(true)), code }).build();
        let mut app = world.app.clone();
        app.queues.sqs = Lazy::new(&aws_sdk_sqs::Client::from_conf(config), Clone::clone);
        assert_unavailable(publish(&app, &token).await).await;
    }
}
