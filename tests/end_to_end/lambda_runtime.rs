//! Lambda for one function: its real binary, the Runtime API that it asks for events, and the embedded AWS on loopback in
//! place of the services that it calls.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Request, Response};
use axum::routing::{get, post};
use hookline::app::App;
use hookline::endpoint::EndpointPolicy;
use hookline::random::Random;
use hookline::schedule::RetrySchedule;
use hookline::time::Clock;
use local::{embedded::EmbeddedAws, provision};
use serde_json::Value;
use strict_aws::strict;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};

use crate::process::{build_all, random_hex};
use crate::program::Program;

/// How long an invocation may take: generous, since it is only reached by a failure.
const DEADLINE: Duration = Duration::from_secs(30);
/// The Runtime API's version, in all of its paths.
const VERSION: &str = "/2018-06-01/runtime";
/// The largest answer of a function.
const ANSWER_BYTES_MAX: usize = 6 << 20;
const FUNCTIONS: [&str; 4] = ["api", "publish", "deliver", "retry"];

/// The tables and queues that functions work on.
pub(crate) struct Account {
    /// The same tables and queues, for the test itself.
    pub(crate) app: App,
    aws: EmbeddedAws,
}

/// A running function.
pub(crate) struct Function {
    program: Program,
    invocations: mpsc::UnboundedSender<Invocation>,
}

struct Invocation {
    event: String,
    answer: oneshot::Sender<Result<Value, Value>>,
}

/// What the Runtime API keeps of one function.
struct Runtime {
    waiting: AsyncMutex<mpsc::UnboundedReceiver<Invocation>>,
    running: Mutex<HashMap<String, oneshot::Sender<Result<Value, Value>>>>,
}

impl Account {
    pub(crate) async fn new() -> Self {
        let clock = Clock::system();
        let aws = EmbeddedAws::open(None, clock.clone()).expect("an embedded AWS in memory");
        let config = provision::config(&aws, RetrySchedule::default(), EndpointPolicy::AllowLoopback);
        provision::provision(&aws, &config).await.expect("tables and queues");
        let app = App::new(&aws.sdk_config(), config, clock, Random::system());
        Self { app, aws }
    }

    /// Starts the function's binary with the environment that Lambda and the template give it.
    pub(crate) async fn function(&self, name: &'static str) -> Function {
        let aws = serve(Router::new().fallback(answer).with_state((self.aws.clone(), name))).await;
        let (invocations, waiting) = mpsc::unbounded_channel();
        let runtime = Runtime { waiting: AsyncMutex::new(waiting), running: Mutex::default() };
        let routes = Router::new()
            .route(&format!("{VERSION}/invocation/next"), get(next))
            .route(&format!("{VERSION}/invocation/{{id}}/response"), post(respond))
            .route(&format!("{VERSION}/invocation/{{id}}/error"), post(fail))
            .with_state(Arc::new(runtime));
        let runtime_api = serve(routes).await;
        let mut command = Command::new(executable(name));
        let config = &self.app.config;
        command.env_clear().envs([
            ("AWS_LAMBDA_RUNTIME_API", runtime_api.to_string().as_str()),
            ("AWS_LAMBDA_FUNCTION_NAME", &format!("hookline-{name}")),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "function"),
            ("AWS_SECRET_ACCESS_KEY", "function"),
            ("AWS_ENDPOINT_URL", &format!("http://{aws}")),
            ("WEBHOOKS_TABLE", &config.webhooks_table),
            ("EVENTS_TABLE", &config.events_table),
            ("DELIVERIES_TABLE", &config.deliveries_table),
            ("DELIVERIES_QUEUE_URL", &config.deliveries_queue_url),
            ("SLOW_DELIVERIES_QUEUE_URL", &config.slow_deliveries_queue_url),
            ("EVENTS_QUEUE_URL", &config.events_queue_url),
            ("RETRY_FUNCTION_ARN", &config.retry_function_arn),
            ("SCHEDULER_ROLE_ARN", &config.scheduler_role_arn),
            ("SCHEDULE_GROUP", &config.schedule_group),
            ("STRICT_ENDPOINTS", "0"),
            // The metrics' lines are written at every level.
            ("LOG_LEVEL", "error"),
        ]);
        Function { program: Program::spawn(command), invocations }
    }

    /// Takes what waits on a queue.
    pub(crate) async fn messages(&self, queue_url: &str) -> Vec<Value> {
        let call = self.app.sqs.receive_message().queue_url(queue_url).max_number_of_messages(10);
        let received = call.send().await.expect("the embedded SQS answers").messages.unwrap_or_default();
        let bodies = received.iter().map(|message| message.body().expect("a message has a body"));
        bodies.map(|body| serde_json::from_str(body).expect("Hookline's messages are JSON")).collect()
    }
}

impl Function {
    /// What the function answers to an event; `Err` where it says that it failed.
    pub(crate) async fn invoke(&self, event: &Value) -> Result<Value, Value> {
        let (answer, answered) = oneshot::channel();
        let invocation = Invocation { event: event.to_string(), answer };
        self.invocations.send(invocation).expect("the Runtime API runs");
        let answered = tokio::time::timeout(DEADLINE, answered).await;
        answered.expect("the function answers in time").expect("the Runtime API keeps what runs")
    }

    /// What the function has logged, as soon as `wanted` finds something in it.
    pub(crate) async fn logged<T>(&self, what: &str, wanted: impl Fn(&Value) -> Option<T>) -> T {
        let parsed = |line: &String| serde_json::from_str::<Value>(line).ok();
        self.program.error_lines(what, |lines| lines.iter().filter_map(parsed).find_map(|line| wanted(&line))).await
    }
}

async fn serve(routes: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound listener has an address");
    tokio::spawn(async move { axum::serve(listener, routes).await });
    address
}

/// Answers a call of the SDK in a function.
async fn answer(State((aws, function)): State<(EmbeddedAws, &'static str)>, request: Request<Body>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, ANSWER_BYTES_MAX).await.expect("a body that is not too long");
    let request = HttpRequest::try_from(Request::from_parts(head, SdkBody::from(body))).expect("a request of the SDK");
    strict::hold(&request, Some(function));
    let answer = aws.call(request).await.try_into_http1x().expect("an answer of AWS");
    let (head, body) = answer.into_parts();
    Response::from_parts(head, Body::from(body.bytes().unwrap_or_default().to_vec()))
}

/// The next event, with the headers that Lambda sends.
async fn next(State(runtime): State<Arc<Runtime>>) -> Response<Body> {
    let Some(Invocation { event, answer }) = runtime.waiting.lock().await.recv().await else {
        return Response::builder().status(500).body(Body::empty()).expect("a response");
    };
    let id = random_hex();
    runtime.running.lock().expect("not poisoned").insert(id.clone(), answer);
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
    ended(&runtime, &id, Ok(serde_json::from_str(&body).expect("a function answers with JSON")))
}

async fn fail(State(runtime): State<Arc<Runtime>>, Path(id): Path<String>, body: String) -> Response<Body> {
    ended(&runtime, &id, Err(serde_json::from_str(&body).expect("an error is JSON")))
}

fn ended(runtime: &Runtime, id: &str, answer: Result<Value, Value>) -> Response<Body> {
    let invocation = runtime.running.lock().expect("not poisoned").remove(id).expect("an invocation that runs");
    invocation.send(answer).expect("the test waits");
    Response::builder().status(202).body(Body::empty()).expect("a response")
}

/// A function's executable, built once for all tests.
fn executable(name: &str) -> PathBuf {
    static EXECUTABLES: OnceLock<HashMap<String, PathBuf>> = OnceLock::new();
    let executables = EXECUTABLES.get_or_init(|| {
        // With `local` among them they are built of the same parts as `local` is, and no crate twice.
        build_all(&["local", FUNCTIONS[0], FUNCTIONS[1], FUNCTIONS[2], FUNCTIONS[3]])
    });
    executables[name].clone()
}
