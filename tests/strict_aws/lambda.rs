//! Runs the real binary of one function: serves the Runtime API from which it takes events, and a
//! strict AWS that answers its calls. Both listen on loopback.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use application::App;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{Request, Response};
use axum::routing::{get, post};
use domain::time::Clock;
use embedded_aws::EmbeddedAws;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};

use crate::limits::PAYLOAD_BYTES_MAX;
use crate::strict;

/// The longest time for an invocation. Generous, because only a failure reaches it.
const DEADLINE: Duration = Duration::from_secs(30);
/// The prefix of the Runtime API's paths, with its version.
const VERSION: &str = "/2018-06-01/runtime";

/// One sandbox of a function. It handles one event at a time.
#[derive(Debug)]
pub struct Lambda {
    name: &'static str,
    runtime_api: SocketAddr,
    aws: SocketAddr,
    invocations: mpsc::UnboundedSender<Invocation>,
}

#[derive(Debug)]
struct Invocation {
    event: String,
    answer: oneshot::Sender<Result<Value, Value>>,
}

/// The Runtime API's state for one sandbox.
struct Runtime {
    waiting: AsyncMutex<mpsc::UnboundedReceiver<Invocation>>,
    running: Mutex<HashMap<String, oneshot::Sender<Result<Value, Value>>>>,
    count: AtomicU64,
}

impl Lambda {
    /// Starts the Runtime API and the strict AWS for the function `name`. `aws` answers the
    /// function's calls, each after `call_time`. A call that the template does not grant ends this
    /// process.
    pub async fn listen(aws: EmbeddedAws, name: &'static str, call_time: Duration) -> Self {
        let (invocations, waiting) = mpsc::unbounded_channel();
        let waiting = AsyncMutex::new(waiting);
        let runtime = Runtime { waiting, running: Mutex::default(), count: AtomicU64::new(1) };
        let routes = Router::new()
            .route(&format!("{VERSION}/invocation/next"), get(next))
            .route(&format!("{VERSION}/invocation/{{id}}/response"), post(respond))
            .route(&format!("{VERSION}/invocation/{{id}}/error"), post(fail))
            .layer(DefaultBodyLimit::max(PAYLOAD_BYTES_MAX))
            .with_state(Arc::new(runtime));
        let runtime_api = serve(routes).await;
        let aws = serve(Router::new().fallback(answer).with_state((aws, name, call_time))).await;
        Self { name, runtime_api, aws, invocations }
    }

    /// Returns the environment that Lambda and the template give the function.
    pub fn environment(&self, app: &App) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_LAMBDA_RUNTIME_API", self.runtime_api.to_string()),
            ("AWS_LAMBDA_FUNCTION_NAME", format!("hookline-{}", self.name)),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256".to_owned()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "function".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "function".to_owned()),
            ("AWS_ENDPOINT_URL", format!("http://{}", self.aws)),
            ("WEBHOOKS_TABLE", app.store.settings.webhooks.clone()),
            ("EVENTS_TABLE", app.store.settings.events.clone()),
            ("DELIVERIES_TABLE", app.store.settings.deliveries.clone()),
            ("DELIVERIES_QUEUE_URL", app.queues.settings.deliveries_url.clone()),
            ("SLOW_DELIVERIES_QUEUE_URL", app.queues.settings.slow_deliveries_url.clone()),
            ("EVENTS_QUEUE_URL", app.queues.settings.events_url.clone()),
            ("RETRY_FUNCTION_ARN", app.queues.settings.retry_function_arn.clone()),
            ("SCHEDULER_ROLE_ARN", app.queues.settings.scheduler_role_arn.clone()),
            ("SCHEDULE_GROUP", app.queues.settings.schedule_group.clone()),
            ("STRICT_ENDPOINTS", "0".to_owned()),
            // Metrics are written at every level.
            ("LOG_LEVEL", "error".to_owned()),
        ]
    }

    /// Hands the function an event and returns its answer, or `Err` if it reports an error.
    ///
    /// # Panics
    /// Panics if the function does not answer in time.
    pub async fn invoke(&self, event: &Value) -> Result<Value, Value> {
        let (answer, answered) = oneshot::channel();
        let invocation = Invocation { event: event.to_string(), answer };
        self.invocations.send(invocation).expect("the Runtime API runs");
        let answered = tokio::time::timeout(DEADLINE, answered).await;
        answered.expect("the function answers in time").expect("the Runtime API keeps the invocation until it ends")
    }
}

async fn serve(routes: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound listener has an address");
    tokio::spawn(async move { axum::serve(listener, routes).await });
    address
}

/// Answers a call that the function's SDK makes.
async fn answer(
    State((aws, function, call_time)): State<(EmbeddedAws, &'static str, Duration)>,
    request: Request<Body>,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.expect("a body");
    let request = HttpRequest::try_from(Request::from_parts(head, SdkBody::from(body))).expect("a request of the SDK");
    strict::check(&request, Some(function));
    tokio::time::sleep(call_time).await;
    let answer = aws.call(request).await.try_into_http1x().expect("an answer of AWS");
    let (head, body) = answer.into_parts();
    Response::from_parts(head, Body::from(body.bytes().unwrap_or_default().to_vec()))
}

/// Answers with the next event, with the headers that Lambda sends.
async fn next(State(runtime): State<Arc<Runtime>>) -> Response<Body> {
    let Some(Invocation { event, answer }) = runtime.waiting.lock().await.recv().await else {
        return Response::builder().status(500).body(Body::empty()).expect("a response");
    };
    let id = runtime.count.fetch_add(1, Ordering::Relaxed);
    let id = format!("{id:032x}");
    runtime.running.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), answer);
    let deadline = Clock::system().now().plus(DEADLINE).unix_ms();
    Response::builder()
        .header("Lambda-Runtime-Aws-Request-Id", id)
        .header("Lambda-Runtime-Deadline-Ms", deadline)
        .header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-2:123456789012:function:hookline")
        .header("Lambda-Runtime-Trace-Id", "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=3a1bcd3e0a9d8f8a;Sampled=1")
        .header("Content-Type", "application/json")
        .body(Body::from(event))
        .expect("a response")
}

async fn respond(State(runtime): State<Arc<Runtime>>, Path(id): Path<String>, body: String) -> Response<Body> {
    end(&runtime, &id, Ok(serde_json::from_str(&body).expect("a function answers with JSON")))
}

async fn fail(State(runtime): State<Arc<Runtime>>, Path(id): Path<String>, body: String) -> Response<Body> {
    end(&runtime, &id, Err(serde_json::from_str(&body).expect("an error is JSON")))
}

/// Ends an invocation: gives its answer to the caller.
fn end(runtime: &Runtime, id: &str, answer: Result<Value, Value>) -> Response<Body> {
    let invocation =
        runtime.running.lock().unwrap_or_else(PoisonError::into_inner).remove(id).expect("the invocation is running");
    invocation.send(answer).expect("the caller waits for the answer");
    Response::builder().status(202).body(Body::empty()).expect("a response")
}
