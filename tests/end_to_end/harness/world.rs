//! Hookline under a simulated clock: the functions' handlers on the embedded AWS, at the time that
//! the test sets.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use application::App;
use application::config::Config;
use aws_sdk_sqs::types::Message;
use deliver::Deliverer;
use domain::backoff::RetrySchedule;
use domain::delivery::Task;
use domain::endpoint_policy::EndpointPolicy;
use domain::event::{Event, NewEvent};
use domain::random::Random;
use domain::secret::Secret;
use domain::time::{Clock, Timestamp};
use domain::token::{Scope, Token};
use domain::webhook::Webhook;
use domain::{
    account::AccountId,
    id::{EventId, WebhookId},
};
use embedded_aws::EmbeddedAws;
use endpoint::EndpointClient;
use futures::FutureExt;
use local::pollers::sqs_event;
use local::provision;
use serde_json::value::RawValue;
use store::tokens;
use store::webhooks;
use strict_aws::strict;

use crate::harness::router::ApiProcess;

/// The account that the tests use.
pub(crate) fn acme() -> AccountId {
    "acme".parse().expect("a name")
}

/// All of Hookline, at a time that only the test advances. Nothing runs until the test calls
/// [`work`](Self::work).
pub(crate) struct World {
    now_ms: Arc<AtomicI64>,
    /// The AWS that everything runs on.
    pub(crate) aws: EmbeddedAws,
    /// The test's own access to AWS, with all permissions.
    pub(crate) app: App,
    /// The functions' access to AWS, each with the permissions that the template grants.
    pub(crate) api: App,
    pub(crate) publish: App,
    retry: App,
    deliverer: Deliverer,
}

impl World {
    /// A world with the default settings.
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// A world with settings that `set` changes.
    pub(crate) async fn with(set: impl FnOnce(&mut Config)) -> Self {
        let now_ms = Arc::new(AtomicI64::new(1_800_000_000_000));
        let shown_ms = Arc::clone(&now_ms);
        let clock = Clock::new(move || Timestamp::from_unix_ms(shown_ms.load(Ordering::SeqCst)));
        let aws = EmbeddedAws::open(None, clock.clone()).expect("in memory");
        let mut config = provision::config(&aws, RetrySchedule::default(), EndpointPolicy::AllowLoopback);
        set(&mut config);
        provision::provision(&aws, &config).await.expect("tables and queues");
        let app = App::new(aws.clients(), config, clock, Random::system());
        let endpoints = EndpointClient::new(app.endpoint_policy).expect("a client");
        let [api, publish, deliver, retry] =
            ["api", "publish", "deliver", "retry"].map(|function| strict::app(&app, &aws.sdk_config(), function));
        Self { now_ms, aws, deliverer: Deliverer::new(deliver, endpoints), app, api, publish, retry }
    }

    /// Creates a platform token; returns its text.
    pub(crate) async fn platform_token(&self) -> String {
        let app = &self.app;
        let (text, token) = Token::issue(None, vec![Scope::Platform], None, app.clock.now(), &app.random);
        tokens::create(&self.app.store, &token).await.expect("nothing fails here");
        text
    }

    /// A process of the API with a new platform token.
    pub(crate) async fn api_process(&self) -> ApiProcess {
        ApiProcess::new(&self.api, &self.platform_token().await)
    }

    /// Advances the clock; no handler runs.
    pub(crate) fn wait(&self, time: Duration) {
        self.now_ms.fetch_add(i64::try_from(time.as_millis()).expect("a time of this test"), Ordering::SeqCst);
    }

    /// Advances the clock a minute at a time and works after each, so that no task is late by more
    /// than a minute.
    pub(crate) async fn pass(&self, time: Duration) {
        for _ in 0..time.as_secs() / 60 {
            self.wait(Duration::from_secs(60));
            self.work().await;
        }
    }

    /// Runs the handlers for all schedules and messages that are due, until none is left.
    pub(crate) async fn work(&self) {
        loop {
            while let Some(schedule) = self.aws.next_due_schedule().now_or_never() {
                let task: Task = serde_json::from_str(&schedule.input).expect("an attempt task");
                retry::handle(&self.retry, task).await.expect("nothing fails here");
                self.aws.schedule_done(&schedule).expect("in memory");
            }
            let deliveries = self.receive(&self.app.queues.settings.deliveries_url).await;
            let jobs = self.receive(&self.app.queues.settings.events_url).await;
            if deliveries.is_empty() && jobs.is_empty() {
                return;
            }
            self.deliver(deliveries).await;
            self.run_jobs(jobs).await;
        }
    }

    /// Takes all attempt tasks off the queue, after the jobs that add further ones. Nothing is attempted.
    pub(crate) async fn take_tasks(&self) -> Vec<Task> {
        let mut tasks = vec![];
        loop {
            let deliveries = self.receive(&self.app.queues.settings.deliveries_url).await;
            let jobs = self.receive(&self.app.queues.settings.events_url).await;
            if deliveries.is_empty() && jobs.is_empty() {
                return tasks;
            }
            let bodies = deliveries.iter().filter_map(Message::body);
            tasks.extend(bodies.map(|body| serde_json::from_str::<Task>(body).expect("an attempt task")));
            self.delete(&self.app.queues.settings.deliveries_url, deliveries).await;
            self.run_jobs(jobs).await;
        }
    }

    /// Hands jobs to `publish`, then deletes them from the queue.
    async fn run_jobs(&self, jobs: Vec<Message>) {
        let failed = publish::handle(&self.publish, sqs_event(jobs.clone(), &self.app.queues.settings.events_url))
            .await
            .batch_item_failures;
        assert!(failed.is_empty(), "nothing fails here");
        self.delete(&self.app.queues.settings.events_url, jobs).await;
    }

    /// Hands a batch to `deliver`, then deletes it from the queue.
    pub(crate) async fn deliver(&self, batch: Vec<Message>) {
        let failed =
            deliver::handle(&self.deliverer, sqs_event(batch.clone(), &self.app.queues.settings.deliveries_url))
                .await
                .batch_item_failures;
        assert!(failed.is_empty(), "nothing fails here");
        self.delete(&self.app.queues.settings.deliveries_url, batch).await;
    }

    /// Receives up to ten messages from a queue.
    pub(crate) async fn receive(&self, queue_url: &str) -> Vec<Message> {
        let call = self.app.queues.sqs.receive_message().queue_url(queue_url).max_number_of_messages(10);
        call.message_attribute_names("All").send().await.expect("the queue").messages.unwrap_or_default()
    }

    async fn delete(&self, queue_url: &str, messages: Vec<Message>) {
        for message in messages {
            let call = self.app.queues.sqs.delete_message().queue_url(queue_url);
            call.set_receipt_handle(message.receipt_handle).send().await.expect("the queue");
        }
    }

    /// Publishes a `user.created` event.
    pub(crate) async fn publish(&self, account: &AccountId) -> EventId {
        let object = RawValue::from_string("{}".to_owned()).expect("JSON");
        let new = NewEvent { event_type: "user.created".parse().expect("a name"), object, previous_data: None };
        let id = EventId::new(self.app.clock.now(), &self.app.random);
        let event = Event::new(account.clone(), id, &new);
        application::publishing::publish(&self.app, account, &[event]).await.expect("nothing fails here");
        id
    }

    /// Registers a webhook for `user.*`.
    pub(crate) async fn register(&self, account: &AccountId, url: &str) -> WebhookId {
        let now = self.app.clock.now();
        let id = WebhookId::new(now, &self.app.random);
        let url = EndpointPolicy::AllowLoopback.judge_url(url).expect("a loopback URL");
        let events = vec!["user.*".parse().expect("a subscription")];
        let webhook = Webhook::new(account.clone(), id, url, events, Secret::generate(&self.app.random));
        webhooks::create(&self.app.store, &webhook).await.expect("nothing fails here");
        webhook.id
    }
}
