//! What the scenarios share: a clock, AWS with a fault that the test describes, and receivers in this process.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use deliver::Deliverer;
use futures::FutureExt;
use futures::future::BoxFuture;
use hookline::app::App;
use hookline::endpoint::{EndpointClient, EndpointPolicy, PostError};
use hookline::event::{Event, NewEvent};
use hookline::id::{AccountId, EventId, WebhookId};
use hookline::random::Random;
use hookline::schedule::RetrySchedule;
use hookline::secret::Secret;
use hookline::time::{Clock, Timestamp};
use hookline::webhook::{DisabledReason, Webhook};
use hookline::{publishing, store};
use local::embedded::EmbeddedAws;
use local::{pollers, provision};
use reqwest::{Request, Response};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use strict_aws::strict;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// A call of AWS: when, since the world began, which operation, and its body.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) at: Duration,
    pub(crate) operation: String,
    pub(crate) body: Value,
}

impl Call {
    /// The name of the only table that the call is about.
    pub(crate) fn table(&self) -> &str {
        self.body["TableName"].as_str().unwrap_or_default()
    }
}

/// What AWS does with a call.
pub(crate) enum Fate {
    /// As always.
    Done,
    /// A refusal for its rate.
    Throttled,
    /// A `BatchGetItem` that finds no time for any key.
    AllUnprocessed,
}

/// A request that reached a receiver.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    pub(crate) at: Duration,
    pub(crate) host: String,
}

type Decide = Arc<dyn Fn(&Call) -> Fate + Send + Sync>;
/// How a receiver answers: a status, or never.
pub(crate) type Answer = fn(&str) -> Option<u16>;

/// Hookline under simulated time.
pub(crate) struct World {
    pub(crate) app: App,
    pub(crate) account: AccountId,
    pub(crate) calls: Arc<Mutex<Vec<Call>>>,
    pub(crate) posts: Arc<Mutex<Vec<Post>>>,
    aws: EmbeddedAws,
    deliverer: Deliverer,
    publish: App,
    retry: App,
    began: Instant,
    stop: CancellationToken,
}

impl World {
    pub(crate) async fn new(decide: impl Fn(&Call) -> Fate + Send + Sync + 'static, answer: Answer) -> Self {
        let began = Instant::now();
        let clock = Clock::new(move || {
            let ms = i64::try_from(began.elapsed().as_millis()).expect("a short run");
            Timestamp::from_unix_ms(1_800_000_000_000 + ms)
        });
        let aws = EmbeddedAws::open(None, clock.clone()).expect("in memory");
        let config = provision::config(&aws, RetrySchedule::default(), EndpointPolicy::Strict);
        provision::provision(&aws, &config).await.expect("tables and queues");
        let calls = Arc::<Mutex<Vec<Call>>>::default();
        let troubled = TroubledAws { aws: aws.clone(), decide: Arc::new(decide), calls: Arc::clone(&calls), began };
        let sdk = aws.sdk_config().to_builder().http_client(troubled).build();
        let app = App::new(&sdk, config, clock, Random::system());
        let [deliver, publish, retry] =
            ["deliver", "publish", "retry"].map(|function| strict::app(&app, &sdk, function));
        let posts = Arc::<Mutex<Vec<Post>>>::default();
        let seen = Arc::clone(&posts);
        let receive = move |request: Request| -> BoxFuture<'static, Result<Response, PostError>> {
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
        Self { app, account, calls, posts, aws, deliverer, publish, retry, began, stop }
    }

    /// Begins to hand messages and schedules over, with so many invocations of `deliver` at once for each of its queues.
    pub(crate) fn start(&self, deliver_concurrency: usize, slow_concurrency: usize) {
        // The pollers stand for AWS itself, whose own calls meet no trouble.
        let poller =
            App::new(&self.aws.sdk_config(), self.app.config.clone(), self.app.clock.clone(), self.app.random.clone());
        let config = &self.app.config;
        for (queue_url, concurrency) in
            [(&config.deliveries_queue_url, deliver_concurrency), (&config.slow_deliveries_queue_url, slow_concurrency)]
        {
            let deliverer = self.deliverer.clone();
            let handler = move |event| {
                let deliverer = deliverer.clone();
                async move { deliver::handle(&deliverer, event).await }
            };
            let queue_url = queue_url.clone();
            tokio::spawn(pollers::poll_queue(poller.clone(), queue_url, concurrency, self.stop.clone(), handler));
        }
        let publisher = self.publish.clone();
        let handler = move |event| {
            let app = publisher.clone();
            async move { publish::handle(&app, event).await }
        };
        let events_queue_url = config.events_queue_url.clone();
        tokio::spawn(pollers::poll_queue(poller, events_queue_url, 2, self.stop.clone(), handler));
        tokio::spawn(pollers::poll_schedules(self.retry.clone(), self.aws.clone(), self.stop.clone()));
    }

    pub(crate) async fn register(&self, host: &str) -> Webhook {
        let now = self.app.clock.now();
        let id = WebhookId::new(now, &self.app.random);
        let url = EndpointPolicy::Strict.judge_url(&format!("https://{host}.example/hook")).expect("a URL");
        let events = vec!["user.*".parse().expect("a subscription")];
        let webhook = Webhook::new(self.account.clone(), id, url, events, Secret::generate(&self.app.random), now);
        store::webhooks::create(&self.app, &webhook).await.expect("nothing fails yet");
        webhook
    }

    /// An event that is not published yet.
    pub(crate) fn new_event(&self) -> Event {
        let object = RawValue::from_string("{}".to_owned()).expect("JSON");
        let new = NewEvent { event_type: "user.created".parse().expect("a name"), object, previous_data: None };
        Event::new(self.account.clone(), EventId::new(self.app.clock.now(), &self.app.random), &new)
    }

    pub(crate) async fn publish(&self) -> EventId {
        let event = self.new_event();
        let id = event.id;
        publishing::publish(&self.app, &self.account, &[event]).await.expect("nothing fails yet");
        id
    }

    /// Changes a webhook as the API does; the webhook as it is then.
    pub(crate) async fn change(&self, webhook: WebhookId, change: impl Fn(&mut Webhook)) -> Webhook {
        let change = |webhook: &mut Webhook| -> Result<(), store::StoreError> {
            change(webhook);
            Ok(())
        };
        let changed = store::webhooks::change(&self.app, &self.account, webhook, change).await;
        changed.expect("nothing fails here").expect("the webhook")
    }

    pub(crate) async fn disable(&self, webhook: WebhookId) {
        self.change(webhook, |webhook| webhook.disable(DisabledReason::Manual, self.app.clock.now())).await;
    }

    pub(crate) async fn enable(&self, webhook: WebhookId) -> Webhook {
        self.change(webhook, |webhook| webhook.enable(self.app.clock.now())).await
    }

    /// When each request to `host` arrived.
    pub(crate) fn posts_to(&self, host: &str) -> Vec<Duration> {
        let posts = self.posts.lock().expect("unpoisoned");
        posts.iter().filter(|post| post.host == format!("{host}.example")).map(|post| post.at).collect()
    }

    /// Waits until there are `count` requests to `host`, for at most `longest`; when the last of them arrived.
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

    /// The time since the world began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// The delivery as it is stored.
    pub(crate) async fn delivery(&self, event: EventId, webhook: WebhookId) -> Option<hookline::delivery::Delivery> {
        let id = hookline::id::DeliveryId { event, webhook };
        store::deliveries::get(&self.app, &self.account, id).await.expect("no trouble any more").delivery
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The embedded AWS, with calls that end as the test decides.
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
