//! Targets that give whole requests and messages to the real handlers, on an embedded AWS in
//! memory. Nothing polls its queues, so nothing is sent to any receiver.

use application::App;
use aws_lambda_events::sqs::{SqsEvent, SqsMessage};
use axum::{Router, body::Body};
use deliver::Deliverer;
use domain::{
    backoff::RetrySchedule,
    delivery::Task,
    endpoint_policy::EndpointPolicy,
    id::TokenId,
    job::Job,
    random::Random,
    time::{Clock, Timestamp},
    token::{self, Scope, Token},
};
use embedded_aws::EmbeddedAws;
use endpoint::EndpointClient;
use http::{Request, header};
use http_body_util::BodyExt;
use local::provision;
use store::tokens;
use tokio::runtime::Runtime;
use tower::ServiceExt;

/// The fuzzer's token.
const TOKEN: &str = "hl_fuzz_fuzz_fuzz";

/// Everything that the handlers need, created once for each thread.
struct World {
    runtime: Runtime,
    app: App,
    router: Router,
    deliverer: Deliverer,
}

thread_local! {
    static WORLD: World = World::new();
}

impl World {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let clock = Clock::system();
        let aws = EmbeddedAws::open(None, clock.clone()).expect("in memory");
        let config = provision::config(&aws, RetrySchedule::default(), EndpointPolicy::Strict);
        runtime.block_on(provision::provision(&aws, &config)).expect("tables and queues");
        let app = App::new(aws.clients(), config, clock, Random::system());
        let token = Token {
            id: TokenId::derived(Timestamp::EPOCH, b"fuzz"),
            bound_to: Some("default".parse().expect("a name")),
            scopes: vec![Scope::Manage, Scope::Publish, Scope::Platform],
            description: None,
            created_at: app.clock.now(),
            hash: token::hash(TOKEN),
            session: None,
        };
        runtime.block_on(async {
            tokens::create(&app.store, &token).await.expect("a token");
        });
        let endpoints = EndpointClient::new(app.endpoint_policy).expect("a client");
        Self { runtime, router: api::router(app.clone()), deliverer: Deliverer::new(app.clone(), endpoints), app }
    }
}

/// A request: a line `METHOD PATH`, lines of headers, an empty line, the body. `TOKEN` in a header
/// stands for a valid token. The answer must be JSON if it is a success, and otherwise a problem
/// document, and never a 500.
pub(crate) fn api_request(bytes: &[u8]) {
    let end = bytes.windows(2).position(|window| window == b"\n\n").unwrap_or(bytes.len());
    let body = bytes.get(end + 2..).unwrap_or_default().to_vec();
    let mut lines = bytes[..end].split(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    let space = first.iter().position(|byte| *byte == b' ').unwrap_or(0);
    let (method, path) = (&first[..space], first.get(space + 1..).unwrap_or_default());
    let mut request = Request::builder().method(method).uri(path);
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let value = String::from_utf8_lossy(&line[colon + 1..]).trim().replace("TOKEN", TOKEN);
        request = request.header(&line[..colon], value.as_bytes());
    }
    // Such bytes are not HTTP, and never reach the handler.
    let Ok(request) = request.body(Body::from(body)) else { return };
    WORLD.with(|world| {
        world.runtime.block_on(async {
            let response = world.router.clone().oneshot(request).await.expect("the router always answers");
            let (head, body) = response.into_parts();
            let body = body.collect().await.expect("a body in memory").to_bytes();
            assert!(head.status.as_u16() < 500, "{}: {}", head.status, String::from_utf8_lossy(&body));
            let kind = head.headers.get(header::CONTENT_TYPE).map(|kind| kind.to_str().expect("ASCII"));
            let expected = if head.status.is_success() { "application/json" } else { "application/problem+json" };
            assert!(body.is_empty() || kind == Some(expected), "{} {kind:?}", head.status);
            assert!(body.is_empty() || serde_json::from_slice::<&serde_json::value::RawValue>(&body).is_ok());
        });
    });
}

/// Returns the event with which Lambda hands over one message.
fn event(body: &str) -> SqsEvent {
    let mut message = SqsMessage::default();
    message.message_id = Some("00000000-0000-4000-8000-000000000001".to_owned());
    message.receipt_handle = Some("receipt".to_owned());
    message.body = Some(body.to_owned());
    let mut event = SqsEvent::default();
    event.records = vec![message];
    event
}

/// A message of the `deliveries` queue. One that is no task must return to the queue. A task must
/// survive a round trip through JSON.
pub(crate) fn deliveries_message(bytes: &[u8]) {
    let body = &*String::from_utf8_lossy(bytes);
    let task: Option<Task> = serde_json::from_str(body).ok();
    if let Some(task) = &task {
        let json = serde_json::to_string(task).expect("JSON");
        assert_eq!(&serde_json::from_str::<Task>(&json).expect("a task is read back"), task);
    }
    WORLD.with(|world| {
        let answer = world.runtime.block_on(deliver::handle(&world.deliverer, event(body)));
        assert!(task.is_some() || answer.batch_item_failures.len() == 1, "a message that is no task was dropped");
    });
}

/// A message of the `events` queue: one of our jobs, or a producer's event.
pub(crate) fn events_message(bytes: &[u8]) {
    let body = &*String::from_utf8_lossy(bytes);
    if let Ok(job) = serde_json::from_str::<Job>(body) {
        let json = serde_json::to_string(&job).expect("JSON");
        assert!(serde_json::from_str::<Job>(&json).is_ok(), "{json}");
    }
    WORLD.with(|world| {
        let _ = world.runtime.block_on(publish::handle(&world.app, event(body)));
    });
}

/// The JSON that Lambda hands to the functions with a queue.
pub(crate) fn sqs_event(bytes: &[u8]) {
    let Ok(event) = serde_json::from_slice::<SqsEvent>(bytes) else { return };
    WORLD.with(|world| {
        let records = event.records.len();
        let answer = world.runtime.block_on(deliver::handle(&world.deliverer, event.clone()));
        assert!(answer.batch_item_failures.len() <= records);
        let answer = world.runtime.block_on(publish::handle(&world.app, event));
        assert!(answer.batch_item_failures.len() <= records);
    });
}

/// The input of a schedule, which EventBridge Scheduler hands to `retry`.
pub(crate) fn schedule_input(bytes: &[u8]) {
    let Ok(task) = serde_json::from_slice::<Task>(bytes) else { return };
    WORLD.with(|world| world.runtime.block_on(retry::handle(&world.app, task)).expect("calls in memory do not fail"));
}
