//! Dollars a million deliveries on AWS. The functions run on the embedded AWS in simulated time,
//! behind a [`meter`] that counts their SDK calls and what these consume. [`prices`] turns the
//! counts into dollars. The product's own code is metered, so a further call in it raises the cost
//! and fails a test.
//!
//! All batches are full, as in a busy deployment. Not included are logs (half a KB an attempt at
//! `info`), data transfer to receivers, and the polling of the queues while idle.

#[cfg(test)]
mod by_webhook;
mod meter;
pub(crate) mod polling;
mod prices;
mod units;

use crate::{
    figures::{Figure, Table, figure},
    token,
};
use anyhow::Context;
use application::App;
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use aws_sdk_sqs::types::{
    DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName, QueueAttributeName,
    SendMessageBatchRequestEntry,
};
use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode},
};
use deliver::Deliverer;
use domain::{
    account::AccountId,
    backoff::RetrySchedule,
    delivery::AttemptError,
    endpoint_policy::EndpointPolicy,
    id::WebhookId,
    random::Random,
    secret::Secret,
    time::{Clock, Timestamp},
    webhook::Webhook,
};
use embedded_aws::EmbeddedAws;
use endpoint::EndpointClient;
use futures::FutureExt;
use local::{pollers, provision};
use meter::{Meter, Usage};
use prices::bill;
use serde_json::json;
use std::{sync::Arc, time::Duration};
use store::{Clients, webhooks};
use tower::ServiceExt;

/// Bytes of a delivered event. With its key and its type it fits into one write unit.
const PAYLOAD_BYTES: usize = 800;
/// The time in which a receiver answers.
const RECEIVER: Duration = Duration::from_millis(50);
/// The account.
const ACCOUNT: &str = "acme";
/// The number of messages of one invocation.
const BATCH: usize = 10;

/// How events are published, and what their receivers do.
#[derive(Clone, Copy, Debug)]
struct Scenario {
    name: &'static str,
    publish: Publish,
    webhooks: usize,
    events: usize,
    /// If set, one in this many first attempts fails.
    fails_one_in: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Publish {
    /// `POST /v1/events`
    Single,
    /// `POST /v1/events/batch`, a hundred events each.
    Batch,
    /// On the `events` queue, by a producer inside AWS.
    Queue,
}

const SINGLE: Scenario =
    Scenario { name: "single publish", publish: Publish::Single, webhooks: 1, events: 200, fails_one_in: None };
const IN_BATCHES: Scenario = Scenario { name: "batch publish", publish: Publish::Batch, ..SINGLE };
const BY_QUEUE: Scenario = Scenario { name: "queue publish, in AWS", publish: Publish::Queue, ..SINGLE };
const TO_TEN: Scenario = Scenario { name: "batch publish, 10 webhooks", webhooks: 10, events: 100, ..IN_BATCHES };
const FAILING: Scenario = Scenario { name: "batch publish, 20 % fail at first", fails_one_in: Some(5), ..IN_BATCHES };

/// What a scenario used.
struct Cost {
    deliveries: usize,
    usage: Usage,
}

pub(crate) fn measure() -> anyhow::Result<Table> {
    let mut table = Table::new("cost", "dollars a million deliveries on AWS, list prices in us-east-1, November 2026");
    for scenario in [SINGLE, IN_BATCHES, BY_QUEUE, TO_TEN, FAILING] {
        table.row(scenario.name, run(scenario)?.figures());
    }
    Ok(table)
}

/// Runs a scenario in simulated time.
fn run(scenario: Scenario) -> anyhow::Result<Cost> {
    in_simulated_time(async { Deployment::with(scenario).await?.run().await })
}

fn in_simulated_time<T>(running: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(running)
}

impl Cost {
    /// Returns a count, or a sum, per delivery.
    fn each(&self, count: f64) -> f64 {
        count / self.deliveries as f64
    }

    /// Returns the cost of a million deliveries, in dollars.
    fn of_a_million(&self) -> f64 {
        bill(&self.usage).iter().map(|(_, dollars)| self.each(*dollars) * 1e6).sum()
    }

    fn figures(&self) -> Vec<Figure> {
        let mut figures = vec![figure("total", "$/M", self.of_a_million())];
        let lines = bill(&self.usage);
        figures.extend(lines.into_iter().map(|(name, dollars)| figure(name, "$/M", self.each(dollars) * 1e6)));
        figures.extend([
            figure("writes", "/delivery", self.each(self.usage.writes as f64)),
            figure("reads", "/delivery", self.each(self.usage.reads as f64)),
            figure("SQS", "/delivery", self.each(self.usage.sqs_requests as f64)),
        ]);
        figures
    }
}

/// Hookline behind the meter, and stand-ins for API Gateway and Lambda.
struct Deployment {
    scenario: Scenario,
    app: App,
    /// The same app without the meter, for calls that AWS would not bill.
    unmetered: App,
    meter: Meter,
    router: Router,
    deliverer: Deliverer,
    token: String,
}

impl Deployment {
    async fn with(scenario: Scenario) -> anyhow::Result<Self> {
        let clock = clock();
        let aws = EmbeddedAws::open(None, clock.clone())?;
        let policy = EndpointPolicy::Strict;
        let config = provision::config(&aws, RetrySchedule::default(), policy);
        provision::provision(&aws, &config).await?;
        let meter = Meter::of(aws.clone());
        let metered = aws.sdk_config().to_builder().http_client(meter.clone()).build();
        let app = App::new(Clients::new(&metered), config.clone(), clock.clone(), Random::system());
        let unmetered = App::new(aws.clients(), config, clock, Random::system());
        let token = set_up(&unmetered, scenario.webhooks).await?;
        let look_up = |_: &str| Ok(vec![([1, 1, 1, 1], 0).into()]);
        let receive = move |request| receive(request, scenario.fails_one_in).boxed();
        let endpoints = EndpointClient::in_process(policy, look_up, Arc::new(receive));
        let deliverer = Deliverer::new(app.clone(), endpoints);
        Ok(Self { scenario, router: api::router(app.clone()), app, unmetered, meter, deliverer, token })
    }

    async fn run(self) -> anyhow::Result<Cost> {
        let Scenario { publish, events, webhooks, .. } = self.scenario;
        match publish {
            Publish::Single => self.post("/v1/events", (0..events).map(|number| event(number).to_string())).await?,
            Publish::Batch => {
                let batch = |first: usize| json!({"events": (first..first + 100).map(event).collect::<Vec<_>>()});
                self.post("/v1/events/batch", (0..events).step_by(100).map(|first| batch(first).to_string())).await?;
            }
            Publish::Queue => self.produce().await?,
        }
        let handle = async |event| publish::handle(&self.app, event).await;
        self.drain("publish", &self.app.queues.settings.events_url, 0, handle).await?;
        let handle = async |event| deliver::handle(&self.deliverer, event).await;
        let queue_url = &self.app.queues.settings.deliveries_url;
        self.drain("deliver", queue_url, BATCH, handle).await?;
        // Failed first attempts are repeated after a minute.
        tokio::time::sleep(Duration::from_secs(120)).await;
        self.drain("deliver", queue_url, BATCH, handle).await?;
        Ok(Cost { deliveries: events * webhooks, usage: self.meter.usage() })
    }

    /// Sends requests through API Gateway.
    async fn post(&self, path: &str, bodies: impl Iterator<Item = String>) -> anyhow::Result<()> {
        for body in bodies {
            let request = Request::post(path).header("authorization", format!("Bearer {}", self.token));
            let request = request.header("content-type", "application/json").body(Body::from(body))?;
            self.meter.api_request();
            let response = self.meter.invoke("api", 0, self.router.clone().oneshot(request)).await?;
            anyhow::ensure!(response.status() == 202, "{}", response.status());
        }
        Ok(())
    }

    /// Puts events on the `events` queue, as a producer inside AWS does.
    async fn produce(&self) -> anyhow::Result<()> {
        for first in (0..self.scenario.events).step_by(BATCH) {
            let entry = |number: usize| {
                let mut body = event(number);
                body["account"] = json!(ACCOUNT);
                let entry =
                    SendMessageBatchRequestEntry::builder().id(number.to_string()).message_body(body.to_string());
                entry.message_group_id(ACCOUNT).build()
            };
            let entries = (first..first + BATCH).map(entry).collect::<Result<Vec<_>, _>>()?;
            let call = self.app.queues.sqs.send_message_batch().queue_url(&self.app.queues.settings.events_url);
            call.set_entries(Some(entries)).send().await?;
        }
        Ok(())
    }

    /// Stands for the event source mapping of a queue: hands the function one batch after the
    /// other, until the queue is empty.
    async fn drain<F, Running>(&self, name: &'static str, url: &str, posts: usize, handle: F) -> anyhow::Result<()>
    where
        F: Fn(SqsEvent) -> Running,
        Running: Future<Output = SqsBatchResponse>,
    {
        while self.has_messages(url).await? {
            let call = self.app.queues.sqs.receive_message().queue_url(url).max_number_of_messages(BATCH as i32);
            let call = call.message_system_attribute_names(MessageSystemAttributeName::All);
            let messages = call.send().await?.messages.unwrap_or_default();
            let entries = messages.iter().enumerate().map(|(index, message)| entry(index, message));
            let entries = entries.collect::<anyhow::Result<Vec<_>>>()?;
            let handled = handle(pollers::sqs_event(messages, url));
            let response = self.meter.invoke(name, posts, handled).await;
            anyhow::ensure!(response.batch_item_failures.is_empty(), "{name} failed");
            self.app.queues.sqs.delete_message_batch().queue_url(url).set_entries(Some(entries)).send().await?;
        }
        Ok(())
    }

    async fn has_messages(&self, url: &str) -> anyhow::Result<bool> {
        let count = QueueAttributeName::ApproximateNumberOfMessages;
        let call = self.unmetered.queues.sqs.get_queue_attributes().queue_url(url).attribute_names(count.clone());
        let attributes = call.send().await?.attributes.unwrap_or_default();
        Ok(attributes.get(&count).context("the answer has no count")? != "0")
    }
}

/// Returns the entry that deletes a message.
fn entry(index: usize, message: &Message) -> anyhow::Result<DeleteMessageBatchRequestEntry> {
    let entry = DeleteMessageBatchRequestEntry::builder().id(index.to_string());
    Ok(entry.set_receipt_handle(message.receipt_handle.clone()).build()?)
}

/// Creates the webhooks and a token, and returns the token.
async fn set_up(app: &App, webhooks: usize) -> anyhow::Result<String> {
    let account: AccountId = ACCOUNT.parse()?;
    let (text, now) = (token::create(app, &account).await?, app.clock.now());
    for number in 0..webhooks {
        let url = EndpointPolicy::Strict.judge_url(&format!("https://receiver.example/webhooks/{number}"));
        let url = url.map_err(|faults| anyhow::anyhow!("{faults:?}"))?;
        let id = WebhookId::new(now, &app.random);
        let events = vec!["*".parse().map_err(|fault| anyhow::anyhow!("{fault:?}"))?];
        let webhook = Webhook::new(account.clone(), id, url, events, Secret::generate(&app.random));
        webhooks::create(&app.store, &webhook).await?;
    }
    Ok(text)
}

/// Returns a clock that follows simulated time.
fn clock() -> Clock {
    let began = tokio::time::Instant::now();
    let start = Timestamp::from_unix_ms(1_764_000_000_000);
    Clock::new(move || start.plus(began.elapsed()))
}

/// Returns the event `number`, as a publisher sends it.
fn event(number: usize) -> serde_json::Value {
    let object = json!({"number": number, "pad": "x".repeat(PAYLOAD_BYTES - 170)});
    json!({"type": "user.created", "data": {"object": object}})
}

/// Answers as a receiver: after [`RECEIVER`], and with an error to one in `fails_one_in` first
/// attempts.
async fn receive(request: reqwest::Request, fails_one_in: Option<usize>) -> Result<reqwest::Response, AttemptError> {
    tokio::time::sleep(RECEIVER).await;
    let body = request.body().and_then(reqwest::Body::as_bytes).unwrap_or_default();
    let payload: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let number = payload["data"]["object"]["number"].as_u64().unwrap_or_default() as usize;
    let is_first = request.headers().get("x-webhook-attempt").is_some_and(|attempt| attempt == "1");
    let fails = is_first && fails_one_in.is_some_and(|one_in| number.is_multiple_of(one_in));
    let mut response = axum::http::Response::new("ok");
    *response.status_mut() = if fails { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK };
    Ok(response.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(scenario: Scenario) -> Cost {
        run(scenario).expect("the scenario runs")
    }

    /// An operator pays for every further write.
    #[test]
    fn an_event_costs_one_write_and_a_delivery_two() {
        for scenario in [SINGLE, IN_BATCHES, BY_QUEUE, TO_TEN] {
            let Cost { usage, deliveries } = cost(scenario);
            assert_eq!(usage.writes as usize, scenario.events + 2 * deliveries, "{}", scenario.name);
            assert!((usage.write_units - usage.writes as f64).abs() < 0.5, "{}: an item is over 1 KB", scenario.name);
        }
    }

    #[test]
    fn full_batches_cost_at_most_three_tenths_of_an_sqs_request_a_delivery() {
        for scenario in [IN_BATCHES, TO_TEN] {
            let cost = cost(scenario);
            assert!(cost.each(cost.usage.sqs_requests as f64) <= 0.3, "{}: {:?}", scenario.name, cost.usage);
        }
    }

    #[test]
    fn a_million_deliveries_cost_at_most_what_is_promised() {
        for (scenario, dollars) in [(IN_BATCHES, 2.30), (TO_TEN, 1.70)] {
            let cost = cost(scenario);
            assert!(cost.of_a_million() <= dollars, "{}: {} {:?}", scenario.name, cost.of_a_million(), cost.usage);
        }
    }

    #[test]
    fn a_failed_first_attempt_costs_two_writes_and_its_messages() {
        let (all, some) = (cost(IN_BATCHES), cost(FAILING));
        let failed = FAILING.events / 5;
        assert_eq!((some.usage.writes - all.usage.writes) as usize, 2 * failed);
        assert!(some.usage.sqs_requests > all.usage.sqs_requests);
    }
}
