//! A rate limit where messages are handled late, in simulated time: the real handler on the embedded AWS, with a lag between
//! the receipt of a message and its handling, as a Lambda event source mapping has one under load.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use deliver::Deliverer;
use futures::FutureExt;
use futures::future::try_join_all;
use hookline::app::App;
use hookline::delivery::Wakeup;
use hookline::endpoint::{EndpointClient, EndpointPolicy};
use hookline::event::{Event, NewEvent};
use hookline::id::{AccountId, EventId};
use hookline::schedule::RetrySchedule;
use hookline::secret::Secret;
use hookline::store::webhooks;
use hookline::time::{Clock, Timestamp};
use hookline::webhook::Webhook;
use local::embedded::EmbeddedAws;
use local::pollers::sqs_event;
use local::provision;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep};

use crate::dice::Dice;

const PER_SECOND: usize = 10;
const EVENTS: usize = 300;
/// How often an empty queue is asked again.
const POLL_EVERY: Duration = Duration::from_millis(100);

/// The SDK's HTTP client: `latency` for each call of DynamoDB, half of it on the way there.
#[derive(Clone, Debug)]
struct SlowAws {
    aws: EmbeddedAws,
    latency: Duration,
}

impl HttpConnector for SlowAws {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Self { aws, latency } = self.clone();
        let is_slow = request.headers().get("x-amz-target").is_some_and(|target| target.starts_with("DynamoDB"));
        let way = if is_slow { latency / 2 } else { Duration::ZERO };
        HttpConnectorFuture::new(async move {
            sleep(way).await;
            let answer = aws.call(request).await;
            sleep(way).await;
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
type Lag = Arc<dyn Fn(&Wakeup) -> Duration + Send + Sync>;

/// One webhook with a rate limit, and when each event reached it.
struct Line {
    app: App,
    deliverer: Deliverer,
    account: AccountId,
    start: Instant,
    arrived_ms: Arc<Mutex<BTreeMap<EventId, Vec<u128>>>>,
    failed: Arc<AtomicBool>,
}

impl Line {
    /// Whatever is received is handled `lag` later, by as many workers as there are messages.
    async fn new(latency: Duration, lag: Lag) -> Arc<Self> {
        let start = Instant::now();
        let clock = Clock::new(move || Timestamp::from_unix_ms(1_800_000_000_000).plus(start.elapsed()));
        let aws = EmbeddedAws::open(None, clock.clone()).expect("in memory");
        let config = provision::config(&aws, RetrySchedule::default(), EndpointPolicy::Strict);
        provision::provision(&aws, &config).await.expect("tables and queues");
        let sdk = aws.sdk_config().to_builder().http_client(SlowAws { aws: aws.clone(), latency }).build();
        let app = App::new(&sdk, config, clock, Dice::new(1).into_random());
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
        let (id, events) =
            (hookline::id::WebhookId::new(app.clock.now(), &app.random), vec!["*".parse().expect("all")]);
        let webhook = Webhook {
            rate_limit: Some(PER_SECOND as u32),
            ..Webhook::new(account.clone(), id, url, events, Secret::generate(&app.random), app.clock.now())
        };
        webhooks::create(&app, &webhook).await.expect("a webhook");
        let deliverer = Deliverer::new(app.clone(), endpoints);
        let line = Arc::new(Self { app, deliverer, account, start, arrived_ms, failed: Arc::default() });
        tokio::spawn(Arc::clone(&line).poll(lag));
        line
    }

    /// Publishes at once.
    async fn publish(&self, count: usize) -> Vec<EventId> {
        let published = (0..count).map(async |_| {
            let object = RawValue::from_string("{}".to_owned()).expect("JSON");
            let new = NewEvent { event_type: "user.created".parse().expect("a name"), object, previous_data: None };
            let id = EventId::new(self.app.clock.now(), &self.app.random);
            let event = Event::new(self.account.clone(), id, &new);
            hookline::publishing::publish(&self.app, &self.account, &[event]).await.map(|()| id)
        });
        try_join_all(published).await.expect("nothing fails here")
    }

    async fn poll(self: Arc<Self>, lag: Lag) {
        loop {
            let queue = &self.app.config.deliveries_queue_url;
            let call = self.app.sqs.receive_message().queue_url(queue).max_number_of_messages(10);
            let messages = call.send().await.expect("the queue").messages.unwrap_or_default();
            if messages.is_empty() {
                sleep(POLL_EVERY).await;
                continue;
            }
            let mut batches: BTreeMap<Duration, Vec<_>> = BTreeMap::new();
            for message in messages {
                let wakeup = serde_json::from_str(message.body().unwrap_or_default()).expect("a wake-up");
                batches.entry(lag(&wakeup)).or_default().push(message);
            }
            for (lag, batch) in batches {
                let line = Arc::clone(&self);
                tokio::spawn(async move {
                    sleep(lag).await;
                    let answer = deliver::handle(
                        &line.deliverer,
                        sqs_event(batch.clone(), &line.app.config.deliveries_queue_url),
                    )
                    .await;
                    if !answer.batch_item_failures.is_empty() {
                        line.failed.store(true, Ordering::Relaxed);
                    }
                    for message in batch {
                        let call = line.app.sqs.delete_message().queue_url(&line.app.config.deliveries_queue_url);
                        call.set_receipt_handle(message.receipt_handle).send().await.expect("the queue");
                    }
                });
            }
        }
    }

    /// When each of `count` events reached the webhook, in milliseconds since the start.
    async fn arrivals(&self, count: usize, within: Duration) -> BTreeMap<EventId, u128> {
        sleep(within.saturating_sub(self.start.elapsed())).await;
        assert!(!self.failed.load(Ordering::Relaxed), "a message failed");
        let arrived = self.arrived_ms.lock().expect("unpoisoned").clone();
        assert!(arrived.values().all(|times| times.len() == 1), "each event once");
        assert_eq!(arrived.len(), count, "delivered within {within:?}");
        let mut times: Vec<_> = arrived.values().map(|times| times[0]).collect();
        times.sort_unstable();
        let over = times.windows(PER_SECOND + 1).find(|window| window[PER_SECOND] - window[0] < 1000);
        assert_eq!(over, None, "no second holds more than {PER_SECOND}");
        arrived.into_iter().map(|(event, times)| (event, times[0])).collect()
    }
}

/// Runs in simulated time.
fn simulate(test: impl Future<Output = ()>) {
    fastrand::seed(1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(test);
}

/// Three hundred events at ten a second, within the 45 s that are promised.
fn three_hundred_are_delivered(latency: Duration, lag: impl Fn(&Wakeup) -> Duration + Send + Sync + 'static) {
    simulate(async {
        let line = Line::new(latency, Arc::new(lag)).await;
        line.publish(EVENTS).await;
        let arrived = line.arrivals(EVENTS, Duration::from_secs(45)).await;
        println!("the last after {} ms", arrived.values().max().expect("some"));
    });
}

#[test]
fn three_hundred_events_without_lag() {
    three_hundred_are_delivered(Duration::from_millis(5), |_| Duration::ZERO);
}

#[test]
fn three_hundred_events_handled_1200_ms_late() {
    three_hundred_are_delivered(Duration::from_millis(5), |_| Duration::from_millis(1200));
}

#[test]
fn three_hundred_events_handled_5_s_late() {
    three_hundred_are_delivered(Duration::from_millis(5), |_| Duration::from_secs(5));
}

#[test]
fn three_hundred_events_handled_up_to_5_s_late() {
    for seed in 0..3 {
        let dice = Dice::new(seed);
        let lag = move |_: &Wakeup| Duration::from_millis(dice.between(0, 5_000) as u64);
        three_hundred_are_delivered(Duration::from_millis(5), lag);
    }
}

#[test]
fn three_hundred_events_with_60_ms_for_each_call_of_the_tables() {
    three_hundred_are_delivered(Duration::from_millis(60), |_| Duration::ZERO);
    three_hundred_are_delivered(Duration::from_millis(60), |_| Duration::from_secs(5));
}

#[test]
fn a_late_task_overtakes_new_ones() {
    const LATE: Duration = Duration::from_secs(20);
    simulate(async {
        let late: Arc<Mutex<Option<EventId>>> = Arc::default();
        let chosen = Arc::clone(&late);
        let lag = move |wakeup: &Wakeup| {
            let mut chosen = chosen.lock().expect("unpoisoned");
            let is_late =
                wakeup.slot.is_some() && *chosen.get_or_insert(wakeup.delivery.event) == wakeup.delivery.event;
            if is_late { LATE } else { Duration::ZERO }
        };
        let line = Line::new(Duration::from_millis(5), Arc::new(lag)).await;
        line.publish(30).await;
        sleep(LATE.saturating_sub(Duration::from_secs(2))).await;
        let new = line.publish(EVENTS).await;
        let arrived = line.arrivals(30 + EVENTS, Duration::from_secs(60)).await;
        let late = late.lock().expect("unpoisoned").expect("one waited");
        assert!(arrived[&late] > LATE.as_millis(), "it was late");
        let ahead = new.iter().filter(|event| arrived[event] < arrived[&late]).count();
        println!("{ahead} new ones came first");
        // Those of the two seconds before it came, and of the second whose permits were taken by then.
        assert!(ahead <= 5 * PER_SECOND, "{ahead} of {EVENTS} new events were sent first");
    });
}
