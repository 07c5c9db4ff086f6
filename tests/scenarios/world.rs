//! What the scenarios share: simulated time, an AWS with the fault that the test describes, and
//! receivers in this process.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use application::App;
use application::publishing;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use axum::{body::Body, http::Request};
use deliver::Deliverer;
use domain::backoff::RetrySchedule;
use domain::delivery::AttemptError;
use domain::endpoint_policy::EndpointPolicy;
use domain::event::{Event, NewEvent};
use domain::random::Random;
use domain::secret::Secret;
use domain::time::{Clock, Timestamp};
use domain::webhook::{DisabledReason, Webhook};
use domain::{
    account::AccountId,
    id::{EventId, WebhookId},
    token::{Scope, Token},
};
use embedded_aws::EmbeddedAws;
use endpoint::EndpointClient;
use futures::FutureExt;
use futures::future::BoxFuture;
use local::{pollers, provision};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use store::Clients;
use strict_aws::strict;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tracing::instrument::WithSubscriber;

use crate::logs::Logs;

/// The time at a world's start, in Unix milliseconds.
const BEGAN_AT_MS: i64 = 1_800_000_000_000;

/// A call to AWS.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// When it was made, since the world's start.
    pub(crate) at: Duration,
    /// The operation, such as `PutItem`.
    pub(crate) operation: String,
    /// The JSON of the request.
    pub(crate) body: Value,
}

impl Call {
    /// The table's name, for operations on one table.
    pub(crate) fn table(&self) -> &str {
        self.body["TableName"].as_str().unwrap_or_default()
    }
}

/// How AWS answers a call.
pub(crate) enum Fate {
    /// As usual.
    Done,
    /// With a throttling error.
    Throttled,
    /// With an error of DynamoDB itself.
    Failed,
    /// As a `BatchGetItem` that has processed no key.
    AllUnprocessed,
}

/// A request that reached a receiver.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    /// When it arrived, since the world's start.
    pub(crate) at: Duration,
    pub(crate) host: String,
}

type Decide = Arc<dyn Fn(&Call) -> Fate + Send + Sync>;
/// Hookline under simulated time.
pub(crate) struct World {
    pub(crate) app: App,
    pub(crate) account: AccountId,
    pub(crate) calls: Arc<Mutex<Vec<Call>>>,
    pub(crate) posts: Arc<Mutex<Vec<Post>>>,
    /// The log lines of the functions.
    pub(crate) logs: Logs,
    aws: EmbeddedAws,
    deliverer: Deliverer,
    api: axum::Router,
    publish: App,
    retry: App,
    began: Instant,
    stop: CancellationToken,
}

impl World {
    /// Creates a world. `decide` says how AWS answers a call, and `answer` with which status the receiver of a host answers a
    /// request, or `None` if it never answers.
    pub(crate) async fn new(
        decide: impl Fn(&Call) -> Fate + Send + Sync + 'static,
        answer: impl Fn(&str) -> Option<u16> + Send + Sync + 'static,
    ) -> Self {
        let began = Instant::now();
        let clock = Clock::new(move || {
            let ms = i64::try_from(began.elapsed().as_millis()).expect("a short run");
            Timestamp::from_unix_ms(BEGAN_AT_MS + ms)
        });
        let aws = EmbeddedAws::open(None, clock.clone()).expect("in memory");
        let config = provision::config(&aws, RetrySchedule::default(), EndpointPolicy::Strict);
        provision::provision(&aws, &config).await.expect("tables and queues");
        let calls = Arc::<Mutex<Vec<Call>>>::default();
        let troubled = TroubledAws { aws: aws.clone(), decide: Arc::new(decide), calls: Arc::clone(&calls), began };
        let sdk = aws.sdk_config().to_builder().http_client(troubled).build();
        let app = App::new(Clients::new(&sdk), config, clock, Random::system());
        let [api, deliver, publish, retry] =
            ["api", "deliver", "publish", "retry"].map(|function| strict::app(&app, &sdk, function));
        let posts = Arc::<Mutex<Vec<Post>>>::default();
        let seen = Arc::clone(&posts);
        let answer = Arc::new(answer);
        let receive = move |request: reqwest::Request| -> BoxFuture<'static, Result<reqwest::Response, AttemptError>> {
            let answer = Arc::clone(&answer);
            let host = request.url().host_str().unwrap_or_default().to_owned();
            seen.lock().expect("unpoisoned").push(Post { at: began.elapsed(), host: host.clone() });
            async move {
                sleep(Duration::from_millis(20)).await;
                match answer(&host) {
                    Some(status) => {
                        let response = http::Response::builder().status(status).body("").expect("a response");
                        Ok(response.into())
                    }
                    None => std::future::pending().await,
                }
            }
            .boxed()
        };
        let look_up = |_: &str| Ok(vec![SocketAddr::from(([203, 0, 114, 7], 0))]);
        let endpoints = EndpointClient::in_process(EndpointPolicy::Strict, look_up, Arc::new(receive));
        let deliverer = Deliverer::new(deliver, endpoints);
        let account = "acme".parse().expect("a name");
        let stop = CancellationToken::new();
        let (api, logs) = (api::router(api), Logs::new(began));
        Self { app, account, calls, posts, logs, aws, deliverer, api, publish, retry, began, stop }
    }

    /// Starts to hand messages and schedules to the functions, with the given concurrency of
    /// `deliver` for each of its queues.
    pub(crate) fn start(&self, deliver_concurrency: usize, slow_concurrency: usize) {
        // The pollers stand for AWS itself, so their calls are never refused.
        let poller = self.app.with_clients(self.aws.clients());
        let queues = &self.app.queues.settings;
        for (queue_url, concurrency) in
            [(&queues.deliveries_url, deliver_concurrency), (&queues.slow_deliveries_url, slow_concurrency)]
        {
            let (deliverer, logs) = (self.deliverer.clone(), self.logs.of("deliver"));
            let handler = move |event| {
                let deliverer = deliverer.clone();
                async move { deliver::handle(&deliverer, event).await }.with_subscriber(logs.clone())
            };
            let queue_url = queue_url.clone();
            tokio::spawn(pollers::poll_queue(poller.clone(), queue_url, concurrency, self.stop.clone(), handler));
        }
        let (publisher, logs) = (self.publish.clone(), self.logs.of("publish"));
        let handler = move |event| {
            let app = publisher.clone();
            async move { publish::handle(&app, event).await }.with_subscriber(logs.clone())
        };
        let events_queue_url = queues.events_url.clone();
        tokio::spawn(pollers::poll_queue(poller, events_queue_url, 2, self.stop.clone(), handler));
        let schedules = pollers::poll_schedules(self.retry.clone(), self.aws.clone(), self.stop.clone());
        tokio::spawn(schedules.with_subscriber(self.logs.of("retry")));
    }

    /// Sends a request of the account to the API, with a token of the platform; returns the answer's status and its JSON.
    pub(crate) async fn post(&self, path: &str, token: &str, body: &Value, header: (&str, &str)) -> (u16, Value) {
        let request = Request::builder()
            .method("POST")
            .uri(path)
            .header("Authorization", format!("Bearer {token}"))
            .header("Hookline-Account", self.account.as_str())
            .header("Content-Type", "application/json")
            .header(header.0, header.1)
            .body(Body::from(body.to_string()))
            .expect("a request");
        let answered = self.api.clone().oneshot(request).with_subscriber(self.logs.of("api"));
        let answer = answered.await.expect("a router always answers");
        let status = answer.status().as_u16();
        let bytes = axum::body::to_bytes(answer.into_body(), usize::MAX).await.expect("a body");
        (status, serde_json::from_slice(&bytes).expect("JSON"))
    }

    /// Sends a message to a queue, as others than Hookline may. The test does not decide on this call.
    pub(crate) async fn send(&self, queue_url: &str, body: impl ToString) {
        let sqs = self.aws.clients().sqs;
        sqs.send_message().queue_url(queue_url).message_body(body.to_string()).send().await.expect("the queue");
    }

    /// Makes a token of the platform.
    pub(crate) async fn token(&self) -> String {
        let app = &self.app;
        let (text, token) = Token::issue(None, vec![Scope::Platform], None, app.clock.now(), &app.random);
        store::tokens::create(&self.app.store, &token).await.expect("AWS answers");
        text
    }

    /// Registers a webhook for `user.*` at `https://HOST.example/hook`.
    pub(crate) async fn register(&self, host: &str) -> Webhook {
        let now = self.app.clock.now();
        let id = WebhookId::new(now, &self.app.random);
        let url = EndpointPolicy::Strict.judge_url(&format!("https://{host}.example/hook")).expect("a URL");
        let events = vec!["user.*".parse().expect("a subscription")];
        let webhook = Webhook::new(self.account.clone(), id, url, events, Secret::generate(&self.app.random));
        store::webhooks::create(&self.app.store, &webhook).await.expect("AWS answers");
        webhook
    }

    /// A `user.created` event, not yet stored.
    pub(crate) fn new_event(&self) -> Event {
        let object = RawValue::from_string("{}".to_owned()).expect("JSON");
        let new = NewEvent { event_type: "user.created".parse().expect("a name"), object, previous_data: None };
        Event::new(self.account.clone(), EventId::new(self.app.clock.now(), &self.app.random), &new)
    }

    /// Publishes a `user.created` event.
    pub(crate) async fn publish(&self) -> EventId {
        let event = self.new_event();
        let id = event.id;
        publishing::publish(&self.app, &self.account, &[event]).await.expect("AWS answers");
        id
    }

    /// Changes a webhook as the API does; returns the changed webhook.
    pub(crate) async fn change(&self, webhook: WebhookId, change: impl Fn(&mut Webhook)) -> Webhook {
        let change = |webhook: &mut Webhook| -> Result<(), store::StoreError> {
            change(webhook);
            Ok(())
        };
        let changed = store::webhooks::change(&self.app.store, &self.account, webhook, change).await;
        changed.expect("AWS answers").expect("the webhook")
    }

    pub(crate) async fn disable(&self, webhook: WebhookId) {
        self.change(webhook, |webhook| webhook.disable(DisabledReason::Manual, self.app.clock.now())).await;
    }

    pub(crate) async fn enable(&self, webhook: WebhookId) -> Webhook {
        self.change(webhook, |webhook| webhook.enable(self.app.clock.now())).await
    }

    /// When each request to `host` arrived, since the world's start.
    pub(crate) fn posts_to(&self, host: &str) -> Vec<Duration> {
        let posts = self.posts.lock().expect("unpoisoned");
        posts.iter().filter(|post| post.host == format!("{host}.example")).map(|post| post.at).collect()
    }

    /// Waits until `count` requests to `host` have arrived; returns when the last did. Panics after
    /// `longest`.
    pub(crate) async fn wait_for(&self, host: &str, count: usize, longest: Duration) -> Duration {
        let end = Instant::now() + longest;
        loop {
            let posts = self.posts_to(host);
            if let Some(at) = count.checked_sub(1).and_then(|index| posts.get(index)) {
                return *at;
            }
            assert!(Instant::now() < end, "{} of {count} requests to {host} after {longest:?}", posts.len());
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// The time that is so long after the world's start.
    pub(crate) fn at(elapsed: Duration) -> Timestamp {
        Timestamp::from_unix_ms(BEGAN_AT_MS).plus(elapsed)
    }

    /// The time since the world's start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// The delivery as it is stored, if it is.
    pub(crate) async fn delivery(&self, event: EventId, webhook: WebhookId) -> Option<domain::delivery::Delivery> {
        let id = domain::id::DeliveryId { event, webhook };
        store::deliveries::get(&self.app.store, &self.account, id).await.expect("AWS answers").delivery
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The embedded AWS, whose answers the test decides on.
#[derive(Clone)]
struct TroubledAws {
    aws: EmbeddedAws,
    decide: Decide,
    calls: Arc<Mutex<Vec<Call>>>,
    began: Instant,
}

impl TroubledAws {
    async fn answer(&self, request: HttpRequest) -> HttpResponse {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.split('.').next_back().unwrap_or_default().to_owned();
        let body: Value = serde_json::from_slice(request.body().bytes().unwrap_or_default()).unwrap_or_default();
        let call = Call { at: self.began.elapsed(), operation, body };
        let fate = (self.decide)(&call);
        self.calls.lock().expect("unpoisoned").push(call.clone());
        sleep(Duration::from_millis(3)).await;
        match fate {
            Fate::Done => self.aws.call(request).await,
            Fate::Throttled => {
                let code = "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException";
                respond(400, &json!({"__type": code, "message": "too many"}))
            }
            Fate::Failed => {
                let code = "com.amazonaws.dynamodb.v20120810#InternalServerError";
                respond(500, &json!({"__type": code, "message": "it failed"}))
            }
            Fate::AllUnprocessed => {
                respond(200, &json!({"Responses": {}, "UnprocessedKeys": call.body["RequestItems"]}))
            }
        }
    }
}

fn respond(status: u16, body: &Value) -> HttpResponse {
    HttpResponse::new(status.try_into().expect("a status"), SdkBody::from(body.to_string()))
}

impl std::fmt::Debug for TroubledAws {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TroubledAws")
    }
}

impl HttpConnector for TroubledAws {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let aws = self.clone();
        HttpConnectorFuture::new(async move { Ok(aws.answer(request).await) })
    }
}

impl HttpClient for TroubledAws {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}
