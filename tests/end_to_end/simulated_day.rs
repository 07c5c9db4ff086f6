//! A day without an endpoint, in simulated time: the real handlers on the embedded AWS, under a clock that the test sets.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, Ordering},
};
use std::time::Duration;

use aws_sdk_sqs::types::Message;
use deliver::Deliverer;
use futures::FutureExt;
use hookline::app::App;
use hookline::config::Config;
use hookline::delivery::{DeliveryStatus, Wakeup};
use hookline::endpoint::{EndpointClient, EndpointPolicy};
use hookline::event::{Event, NewEvent};
use hookline::id::{AccountId, EventId, TokenId, WebhookId};
use hookline::queue::{self, Job, Recover};
use hookline::random::Random;
use hookline::schedule::RetrySchedule;
use hookline::secret::Secret;
use hookline::store::tokens::{self, Scope, Token};
use hookline::store::{StoreError, deliveries, webhooks};
use hookline::time::{Clock, Timestamp};
use hookline::webhook::{DisabledReason, RecoveryWindow, Webhook};
use local::embedded::EmbeddedAws;
use local::pollers::sqs_event;
use local::provision;
use serde_json::value::RawValue;
use strict_aws::strict;

use crate::receiver::{Answer, Receiver};

/// One event every five minutes.
const STEP: Duration = Duration::from_secs(300);
const EVENTS: usize = 24 * 12;

/// The whole of Hookline under a clock of its own.
pub(crate) struct World {
    now_ms: Arc<AtomicI64>,
    aws: EmbeddedAws,
    /// The test's own, which may do anything.
    pub(crate) app: App,
    /// The functions', each held to what the template grants it.
    pub(crate) api: App,
    pub(crate) publish: App,
    retry: App,
    deliverer: Deliverer,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// A world of other settings.
    pub(crate) async fn with(set: impl FnOnce(&mut Config)) -> Self {
        let now_ms = Arc::new(AtomicI64::new(1_800_000_000_000));
        let told = Arc::clone(&now_ms);
        let clock = Clock::new(move || Timestamp::from_unix_ms(told.load(Ordering::SeqCst)));
        let aws = EmbeddedAws::open(None, clock.clone()).expect("in memory");
        let mut config = provision::config(&aws, RetrySchedule::default(), EndpointPolicy::AllowLoopback);
        set(&mut config);
        provision::provision(&aws, &config).await.expect("tables and queues");
        let app = App::new(&aws.sdk_config(), config, clock, Random::system());
        let endpoints = EndpointClient::new(app.config.endpoint_policy).expect("a client");
        let [api, publish, deliver, retry] =
            ["api", "publish", "deliver", "retry"].map(|function| strict::app(&app, &aws.sdk_config(), function));
        Self { now_ms, aws, deliverer: Deliverer::new(deliver, endpoints), app, api, publish, retry }
    }

    /// A new platform token.
    pub(crate) async fn platform_token(&self) -> String {
        let (text, now) = (tokens::generate(&self.app.random), self.app.clock.now());
        let token = Token {
            id: TokenId::new(now, &self.app.random),
            bound_to: None,
            scopes: vec![Scope::Platform],
            description: None,
            created_at: now,
            hash: tokens::hash(&text),
        };
        tokens::create(&self.app, &token).await.expect("nothing fails here");
        text
    }

    /// Lets time pass with nobody at work.
    pub(crate) fn wait(&self, time: Duration) {
        self.now_ms.fetch_add(i64::try_from(time.as_millis()).expect("a time of this test"), Ordering::SeqCst);
    }

    /// Lets time pass in steps small enough for no wake-up to be late by more than a minute.
    async fn pass(&self, time: Duration) {
        for _ in 0..time.as_secs() / 60 {
            self.wait(Duration::from_secs(60));
            self.work().await;
        }
    }

    /// Does all that is due.
    pub(crate) async fn work(&self) {
        loop {
            while let Some(schedule) = self.aws.next_due_schedule().now_or_never() {
                let wakeup: Wakeup = serde_json::from_str(&schedule.input).expect("a wake-up");
                retry::handle(&self.retry, wakeup).await.expect("nothing fails here");
                self.aws.schedule_done(&schedule).expect("in memory");
            }
            let config = &self.app.config;
            let deliveries = self.receive(&config.deliveries_queue_url).await;
            let jobs = self.receive(&config.events_queue_url).await;
            if deliveries.is_empty() && jobs.is_empty() {
                return;
            }
            self.deliver(deliveries).await;
            let failed = publish::handle(&self.publish, sqs_event(jobs.clone(), &self.app.config.events_queue_url))
                .await
                .batch_item_failures;
            assert!(failed.is_empty(), "nothing fails here");
            self.delete(&config.events_queue_url, jobs).await;
        }
    }

    /// Hands a batch to `deliver`.
    pub(crate) async fn deliver(&self, batch: Vec<Message>) {
        let failed = deliver::handle(&self.deliverer, sqs_event(batch.clone(), &self.app.config.deliveries_queue_url))
            .await
            .batch_item_failures;
        assert!(failed.is_empty(), "nothing fails here");
        self.delete(&self.app.config.deliveries_queue_url, batch).await;
    }

    pub(crate) async fn receive(&self, queue_url: &str) -> Vec<Message> {
        let call = self.app.sqs.receive_message().queue_url(queue_url).max_number_of_messages(10);
        call.send().await.expect("the queue").messages.unwrap_or_default()
    }

    async fn delete(&self, queue_url: &str, messages: Vec<Message>) {
        for message in messages {
            let call = self.app.sqs.delete_message().queue_url(queue_url);
            call.set_receipt_handle(message.receipt_handle).send().await.expect("the queue");
        }
    }

    async fn publish(&self, account: &AccountId) -> EventId {
        let object = RawValue::from_string("{}".to_owned()).expect("JSON");
        let new = NewEvent { event_type: "user.created".parse().expect("a name"), object, previous_data: None };
        let id = EventId::new(self.app.clock.now(), &self.app.random);
        let event = Event::new(account.clone(), id, &new);
        hookline::publishing::publish(&self.app, account, &[event]).await.expect("nothing fails here");
        id
    }

    pub(crate) async fn register(&self, account: &AccountId, url: &str) -> WebhookId {
        let now = self.app.clock.now();
        let id = WebhookId::new(now, &self.app.random);
        let url = EndpointPolicy::AllowLoopback.judge_url(url).expect("a loopback URL");
        let events = vec!["user.*".parse().expect("a subscription")];
        let webhook = Webhook::new(account.clone(), id, url, events, Secret::generate(&self.app.random), now);
        webhooks::create(&self.app, &webhook).await.expect("nothing fails here");
        webhook.id
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_without_an_endpoint_is_recovered_oldest_first_and_once() {
    let (world, account): (_, AccountId) = (World::new().await, "acme".parse().expect("a name"));
    let up = Arc::new(AtomicBool::new(false));
    let is_up = Arc::clone(&up);
    let status = move |_: usize, _: &_| Answer::status(if is_up.load(Ordering::SeqCst) { 200 } else { 503 });
    let receiver = Receiver::scripted(status).await;
    let webhook = world.register(&account, &receiver.url("/")).await;
    let morning = world.app.clock.now();
    let mut published = Vec::new();
    for _ in 0..EVENTS {
        published.push(world.publish(&account).await);
        world.work().await;
        world.pass(STEP).await;
    }
    let now = webhooks::get(&world.app, &account, webhook).await.expect("the table").expect("the webhook");
    assert_eq!((now.is_enabled(), now.disabled_reason), (false, Some(DisabledReason::Failures)));
    let attempts = receiver.seen().len();
    let held = deliveries::list(&world.app, &now, None, EVENTS, |_| true).await.expect("the table");
    // The first to fail disabled it; what was pending then is held. Others may be in the batch of the first, whose attempts
    // are all made at once.
    let disabled_at = now.disabled_at.expect("it is disabled");
    let failed = held.items.iter().filter(|delivery| delivery.shown_status(Some(&now)) == DeliveryStatus::Failed);
    let last_attempts: Vec<_> =
        failed.filter_map(|delivery| delivery.attempts.values().max_by_key(|attempt| attempt.number)).collect();
    assert!(!last_attempts.is_empty(), "a failed delivery has disabled it");
    for attempt in last_attempts {
        assert_eq!(attempt.number, 5, "a delivery fails with its last attempt");
        assert!(attempt.started_at <= disabled_at, "nothing is sent once it is disabled");
    }

    up.store(true, Ordering::SeqCst);
    let enable = |webhook: &mut Webhook| -> Result<(), StoreError> {
        webhook.enable(world.app.clock.now());
        Ok(())
    };
    let enabled =
        webhooks::change(&world.app, &account, webhook, enable).await.expect("the table").expect("the webhook");
    let until = world.app.clock.now();
    let window =
        RecoveryWindow { round: until.unix_ms(), first: EventId::first_at(morning), last: EventId::first_at(until) };
    let job = Recover::begin(&enabled, window);
    queue::send_job(&world.app, &account, &Job::Recover(job)).await.expect("the queue");
    world.work().await;
    // The wake-ups of before the outage come too, in their time, and find nothing to do.
    world.pass(Duration::from_secs(3 * 60 * 60)).await;

    let arrived: Vec<_> = receiver.seen()[attempts..].iter().map(|request| request.event().to_owned()).collect();
    let expected: Vec<_> = published.iter().map(ToString::to_string).collect();
    let missing: Vec<_> = expected.iter().filter(|event| !arrived.contains(event)).collect();
    assert!(missing.is_empty(), "every event of the day: {missing:?}");
    assert_eq!(arrived.len(), expected.len(), "and once");
    // A batch of ten is sent at once, so order is kept from batch to batch.
    for (arrived, expected) in arrived.chunks(10).zip(expected.chunks(10)) {
        let mut arrived = arrived.to_vec();
        arrived.sort();
        assert_eq!(arrived, expected, "oldest first");
    }
}
