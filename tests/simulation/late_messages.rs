//! A rate limit under which messages are handled late, in simulated time. The real handler runs on
//! the embedded AWS, with a lag between the receipt of a message and its handling, as in a Lambda
//! event source mapping under load.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use application::App;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use deliver::Deliverer;
use domain::backoff::RetrySchedule;
use domain::delivery::Task;
use domain::endpoint_policy::EndpointPolicy;
use domain::event::{Event, NewEvent};
use domain::secret::Secret;
use domain::time::{Clock, Timestamp};
use domain::webhook::Webhook;
use domain::{account::AccountId, id::EventId};
use embedded_aws::EmbeddedAws;
use endpoint::EndpointClient;
use futures::FutureExt;
use futures::future::try_join_all;
use local::pollers::sqs_event;
use local::provision;
use serde_json::value::RawValue;
use store::{Clients, webhooks};
use tokio::time::{Instant, sleep};

use crate::dice::Dice;

/// The webhook's rate limit.
const PER_SECOND: usize = 10;
/// Events published at once.
const EVENTS: usize = 300;
/// How often an empty queue is polled.
const POLL_EVERY: Duration = Duration::from_millis(100);

/// The SDK's HTTP client. A call of DynamoDB takes `latency`, half of it in each direction.
#[derive(Clone, Debug)]
struct SlowAws {
    aws: EmbeddedAws,
    latency: Duration,
}

impl HttpConnector for SlowAws {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Self { aws, latency } = self.clone();
        let is_slow = request.headers().get("x-amz-target").is_some_and(|target| target.starts_with("DynamoDB"));
        let one_way = if is_slow { latency / 2 } else { Duration::ZERO };
        HttpConnectorFuture::new(async move {
            sleep(one_way).await;
            let answer = aws.call(request).await;
            sleep(one_way).await;
            Ok(answer)
        })
    }
}

impl HttpClient for SlowAws {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

/// How long after its receipt a message is handled.
type Lag = Arc<dyn Fn(&Task) -> Duration + Send + Sync>;

/// A webhook with a rate limit, and when each event reached it.
struct RateLimitedWebhook {
    app: App,
    deliverer: Deliverer,
    account: AccountId,
    start: Instant,
    /// When each event arrived, in milliseconds since the start.
    arrived_ms: Arc<Mutex<BTreeMap<EventId, Vec<u128>>>>,
    /// Whether the handler has reported a message as failed.
    failed: Arc<AtomicBool>,
}

impl RateLimitedWebhook {
    /// Registers the webhook, and begins to poll the queue. Each message is handled `lag` after its
    /// receipt, with unlimited concurrency.
    async fn new(latency: Duration, lag: Lag) -> Arc<Self> {
        let start = Instant::now();
        let clock = Clock::new(move || Timestamp::from_unix_ms(1_800_000_000_000).plus(start.elapsed()));
        let aws = EmbeddedAws::open(None, clock.clone()).expect("in memory");
        let config = provision::config(&aws, RetrySchedule::default(), EndpointPolicy::Strict);
        provision::provision(&aws, &config).await.expect("tables and queues");
        let sdk = aws.sdk_config().to_builder().http_client(SlowAws { aws: aws.clone(), latency }).build();
        let app = App::new(Clients::new(&sdk), config, clock, Dice::new(1).into_random());
        let arrived_ms: Arc<Mutex<BTreeMap<EventId, Vec<u128>>>> = Arc::default();
        let arrivals = Arc::clone(&arrived_ms);
        let receive = move |request: reqwest::Request| {
            let event = request.headers()["webhook-id"].to_str().expect("an id").parse().expect("an id");
            arrivals.lock().expect("unpoisoned").entry(event).or_default().push(start.elapsed().as_millis());
            async { Ok(http::Response::new("seen").into()) }.boxed()
        };
        let look_up = |_: &str| Ok(vec![([93, 184, 215, 14], 443).into()]);
        let endpoints = EndpointClient::in_process(EndpointPolicy::Strict, look_up, Arc::new(receive));
        let account: AccountId = "acme".parse().expect("a name");
        let url = EndpointPolicy::Strict.judge_url("https://receiver.example/").expect("a URL");
        let (id, events) = (domain::id::WebhookId::new(app.clock.now(), &app.random), vec!["*".parse().expect("all")]);
        let webhook = Webhook {
            rate_limit: Some(PER_SECOND as u32),
            ..Webhook::new(account.clone(), id, url, events, Secret::generate(&app.random))
        };
        webhooks::create(&app.store, &webhook).await.expect("a webhook");
        let deliverer = Deliverer::new(app.clone(), endpoints);
        let this = Arc::new(Self { app, deliverer, account, start, arrived_ms, failed: Arc::default() });
        tokio::spawn(Arc::clone(&this).poll(lag));
        this
    }

    /// Publishes `count` events at once.
    async fn publish(&self, count: usize) -> Vec<EventId> {
        let published = (0..count).map(async |_| {
            let object = RawValue::from_string("{}".to_owned()).expect("JSON");
            let new = NewEvent { event_type: "user.created".parse().expect("a name"), object, previous_data: None };
            let id = EventId::new(self.app.clock.now(), &self.app.random);
            let event = Event::new(self.account.clone(), id, &new);
            application::publishing::publish(&self.app, &self.account, &[event]).await.map(|()| id)
        });
        try_join_all(published).await.expect("nothing fails here")
    }

    /// Receives messages and hands them to the handler, without end.
    async fn poll(self: Arc<Self>, lag: Lag) {
        loop {
            let queue = &self.app.queues.settings.deliveries_url;
            let call = self.app.queues.sqs.receive_message().queue_url(queue).max_number_of_messages(10);
            let messages = call.send().await.expect("the queue").messages.unwrap_or_default();
            if messages.is_empty() {
                sleep(POLL_EVERY).await;
                continue;
            }
            let mut batches: BTreeMap<Duration, Vec<_>> = BTreeMap::new();
            for message in messages {
                let task = serde_json::from_str(message.body().unwrap_or_default()).expect("a task");
                batches.entry(lag(&task)).or_default().push(message);
            }
            for (lag, batch) in batches {
                let this = Arc::clone(&self);
                tokio::spawn(async move {
                    sleep(lag).await;
                    let answer = deliver::handle(
                        &this.deliverer,
                        sqs_event(batch.clone(), &this.app.queues.settings.deliveries_url),
                    )
                    .await;
                    if !answer.batch_item_failures.is_empty() {
                        this.failed.store(true, Ordering::Relaxed);
                    }
                    for message in batch {
                        let call =
                            this.app.queues.sqs.delete_message().queue_url(&this.app.queues.settings.deliveries_url);
                        call.set_receipt_handle(message.receipt_handle).send().await.expect("the queue");
                    }
                });
            }
        }
    }

    /// Waits until `within` has passed since the start. Checks that `count` events have arrived,
    /// each once and none above the rate limit. Returns when each arrived, in milliseconds since
    /// the start.
    async fn arrivals(&self, count: usize, within: Duration) -> BTreeMap<EventId, u128> {
        sleep(within.saturating_sub(self.start.elapsed())).await;
        assert!(!self.failed.load(Ordering::Relaxed), "a message failed");
        let arrived = self.arrived_ms.lock().expect("unpoisoned").clone();
        assert!(arrived.values().all(|times| times.len() == 1), "each event arrives once");
        assert_eq!(arrived.len(), count, "events delivered within {within:?}");
        let mut times: Vec<_> = arrived.values().map(|times| times[0]).collect();
        times.sort_unstable();
        let excess = times.windows(PER_SECOND + 1).find(|window| window[PER_SECOND] - window[0] < 1000);
        assert_eq!(excess, None, "no second contains more than {PER_SECOND} requests");
        arrived.into_iter().map(|(event, times)| (event, times[0])).collect()
    }
}

/// Runs a test in simulated time.
fn simulate(test: impl Future<Output = ()>) {
    fastrand::seed(1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(test);
}

/// Checks that three hundred events at ten a second are delivered within the promised 45 s.
fn check_three_hundred_events(latency: Duration, lag: impl Fn(&Task) -> Duration + Send + Sync + 'static) {
    simulate(async {
        let webhook = RateLimitedWebhook::new(latency, Arc::new(lag)).await;
        webhook.publish(EVENTS).await;
        let arrived = webhook.arrivals(EVENTS, Duration::from_secs(45)).await;
        println!("the last event arrived after {} ms", arrived.values().max().expect("arrivals"));
    });
}

#[test]
fn three_hundred_events_without_lag() {
    check_three_hundred_events(Duration::from_millis(5), |_| Duration::ZERO);
}

#[test]
fn three_hundred_events_handled_1200_ms_late() {
    check_three_hundred_events(Duration::from_millis(5), |_| Duration::from_millis(1200));
}

#[test]
fn three_hundred_events_handled_5_s_late() {
    check_three_hundred_events(Duration::from_millis(5), |_| Duration::from_secs(5));
}

#[test]
fn three_hundred_events_handled_up_to_5_s_late() {
    for seed in 0..3 {
        let dice = Dice::new(seed);
        let lag = move |_: &Task| Duration::from_millis(dice.between(0, 5_000) as u64);
        check_three_hundred_events(Duration::from_millis(5), lag);
    }
}

#[test]
fn three_hundred_events_with_60_ms_for_each_dynamodb_call() {
    check_three_hundred_events(Duration::from_millis(60), |_| Duration::ZERO);
    check_three_hundred_events(Duration::from_millis(60), |_| Duration::from_secs(5));
}

#[test]
fn a_late_task_goes_ahead_of_new_ones() {
    const LATE: Duration = Duration::from_secs(20);
    simulate(async {
        let late: Arc<Mutex<Option<EventId>>> = Arc::default();
        let chosen = Arc::clone(&late);
        let lag = move |task: &Task| {
            let mut chosen = chosen.lock().expect("unpoisoned");
            let is_late = task.slot.is_some() && *chosen.get_or_insert(task.delivery.event) == task.delivery.event;
            if is_late { LATE } else { Duration::ZERO }
        };
        let webhook = RateLimitedWebhook::new(Duration::from_millis(5), Arc::new(lag)).await;
        webhook.publish(30).await;
        sleep(LATE.saturating_sub(Duration::from_secs(2))).await;
        let new = webhook.publish(EVENTS).await;
        let arrived = webhook.arrivals(30 + EVENTS, Duration::from_secs(60)).await;
        let late = late.lock().expect("unpoisoned").expect("a task that waited");
        assert!(arrived[&late] > LATE.as_millis(), "the chosen task was not late");
        let ahead = new.iter().filter(|event| arrived[event] < arrived[&late]).count();
        println!("{ahead} new events arrived before the late one");
        // The new events of the two seconds before its return, and of the next second, whose
        // permits were reserved by then.
        assert!(ahead <= 5 * PER_SECOND, "{ahead} of {EVENTS} new events were sent first");
    });
}
