//! Tests of the command on the embedded AWS.

use super::{Request, Summary, find};
use application::App;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::{
    backoff::RetrySchedule,
    delivery::{Delivery, Lease, Task, Trigger},
    endpoint_policy::EndpointPolicy,
    event::{Event, NewEvent},
    id::{EventId, WebhookId},
    random::Random,
    secret::Secret,
    time::{Clock, Timestamp},
    webhook::{DisabledReason, Webhook},
};
use embedded_aws::EmbeddedAws;
use local::provision;
use serde_json::value::RawValue;
use std::time::Duration;
use store::{
    deliveries::{self, Put, Versioned},
    events, keys, webhooks,
};

/// The time in every test.
pub(super) fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2025-02-18T10:30:00Z").expect("valid")
}

pub(super) fn ago(time: Duration) -> Timestamp {
    now().minus(time)
}

pub(super) fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

/// A webhook of the account `acme`. It was registered a day ago and subscribes to everything.
pub(super) fn webhook() -> Webhook {
    webhook_of("acme", 0)
}

fn webhook_of(account: &str, number: u8) -> Webhook {
    let registered_at = ago(minutes(24 * 60));
    let url = EndpointPolicy::Strict.judge_url("https://receiver.example/").expect("a URL");
    let events = vec!["*".parse().expect("a subscription")];
    let secret = Secret::parse("sixteen characters").expect("a secret");
    let id = WebhookId::derived(registered_at, &[number]);
    Webhook::new(account.parse().expect("valid"), id, url, events, secret)
}

/// Creates an empty stack.
async fn stack() -> App {
    let clock = Clock::new(now);
    let aws = EmbeddedAws::open(None, clock.clone()).expect("memory opens");
    let config = provision::config(&aws, RetrySchedule::default(), EndpointPolicy::Strict);
    provision::provision(&aws, &config).await.expect("tables and queues are created");
    App::new(aws.clients(), config, clock, Random::system())
}

/// Stores an event that `webhook`'s account published `age` ago.
async fn published(app: &App, webhook: &Webhook, age: Duration, is_test: bool) -> EventId {
    let new = NewEvent {
        event_type: "user.created".parse().expect("valid"),
        object: RawValue::from_string("{}".to_owned()).expect("JSON"),
        previous_data: None,
    };
    let mut event = Event::new(webhook.account.clone(), EventId::new(ago(age), &app.random), &new);
    event.test = is_test;
    events::put(&app.store, &event).await.expect("stored");
    event.id
}

/// A delivery whose first attempt is recorded. The second is due at `due`.
fn waiting(webhook: &Webhook, event: EventId, due: Timestamp) -> Delivery {
    let mut delivery = Delivery::new(&Task::first(webhook, event), "user.created".parse().expect("valid"));
    (delivery.step, delivery.next_attempt_at) = (1, Some(due));
    delivery
}

async fn store(app: &App, delivery: Delivery) {
    let put = deliveries::put(&app.store, &Versioned::NONE, delivery).await.expect("an answer");
    assert!(matches!(put, Put::Written(_)), "the first write");
}

/// Runs the command. Returns the lines that it prints, and its summary.
async fn run(app: &App, account: Option<&str>, enqueue: bool) -> (Vec<String>, Summary) {
    let account = account.map(|account| account.parse().expect("valid"));
    let mut out = Vec::new();
    let summary = find(app, &Request { account, enqueue }, &mut out).await.expect("the stack is read");
    let text = String::from_utf8(out).expect("UTF-8");
    (text.lines().map(str::to_owned).collect(), summary)
}

/// Receives all tasks on the deliveries queue.
async fn queued(app: &App) -> Vec<Task> {
    let mut tasks = Vec::new();
    loop {
        let call =
            app.queues.sqs.receive_message().queue_url(&app.queues.settings.deliveries_url).max_number_of_messages(10);
        let messages = call.send().await.expect("an answer").messages.unwrap_or_default();
        if messages.is_empty() {
            return tasks;
        }
        let read = |body: &str| serde_json::from_str(body).expect("a task");
        tasks.extend(messages.iter().map(|message| read(message.body.as_deref().unwrap_or_default())));
    }
}

#[tokio::test]
async fn a_stalled_delivery_is_printed_and_its_task_enqueued_on_request() {
    let (app, webhook) = (stack().await, webhook());
    webhooks::create(&app.store, &webhook).await.expect("stored");
    let event = published(&app, &webhook, minutes(90), false).await;
    let delivery = waiting(&webhook, event, ago(minutes(60)));
    store(&app, delivery.clone()).await;

    let expected = format!("acme\t{}\tattempt overdue\t3600 s", delivery.delivery);
    let (lines, summary) = run(&app, None, false).await;
    assert_eq!((&lines, summary.stalled, summary.enqueued), (&vec![expected.clone()], 1, 0));
    assert_eq!(queued(&app).await, []);

    let (lines, summary) = run(&app, None, true).await;
    assert_eq!((lines, summary.enqueued), (vec![expected], 1));
    let tasks = queued(&app).await;
    let trigger = Trigger::Scheduled { run: 0, step: 2 };
    assert_eq!(tasks, [Task { trigger, ..Task::first(&webhook, event) }]);
    assert!(delivery.wants(&tasks[0], now()));
}

#[tokio::test]
async fn an_event_without_a_stored_delivery_gets_its_first_task() {
    let (app, webhook) = (stack().await, webhook());
    webhooks::create(&app.store, &webhook).await.expect("stored");
    let lost = published(&app, &webhook, minutes(40), false).await;
    let attempted = published(&app, &webhook, minutes(40), false).await;
    store(&app, waiting(&webhook, attempted, now())).await;
    published(&app, &webhook, minutes(20), false).await;
    published(&app, &webhook, minutes(40), true).await;

    let (lines, summary) = run(&app, None, true).await;
    let task = Task::first(&webhook, lost);
    assert_eq!(lines, [format!("acme\t{}\tnever attempted\t2400 s", task.delivery)]);
    assert_eq!(summary, Summary { deliveries: 1, events: 4, stalled: 1, enqueued: 1 });
    assert_eq!(queued(&app).await, [task]);
}

#[tokio::test]
async fn held_and_leased_deliveries_are_not_stalled() {
    let app = stack().await;
    let mut disabled = webhook_of("acme", 1);
    let event = published(&app, &disabled, minutes(90), false).await;
    let held = waiting(&disabled, event, ago(minutes(60)));
    disabled.disable(DisabledReason::Failures, ago(minutes(50)));
    let mut enabled = Webhook { id: webhook_of("acme", 2).id, ..disabled.clone() };
    enabled.enable(ago(minutes(45)));
    let pending = waiting(&webhook_of("acme", 2), event, ago(minutes(60)));
    let busy = webhook_of("acme", 3);
    let lease = Some(Lease { holder: "a worker".to_owned(), until: now().plus(minutes(1)) });
    let under_way = Delivery { lease, ..waiting(&busy, event, ago(minutes(60))) };
    for webhook in [&disabled, &enabled, &busy] {
        webhooks::create(&app.store, webhook).await.expect("stored");
    }
    for delivery in [held, pending, under_way] {
        store(&app, delivery).await;
    }
    let (lines, summary) = run(&app, None, true).await;
    assert_eq!((lines, summary.deliveries), (vec![], 3));
    assert_eq!(queued(&app).await, []);
}

#[tokio::test]
async fn deliveries_that_wait_for_their_rate_limit_are_not_stalled() {
    let (app, webhook) = (stack().await, Webhook { rate_limit: Some(1), ..webhook() });
    webhooks::create(&app.store, &webhook).await.expect("stored");
    let stored = published(&app, &webhook, minutes(90), false).await;
    store(&app, waiting(&webhook, stored, ago(minutes(60)))).await;
    published(&app, &webhook, minutes(60), false).await;
    for (wait, found) in [(minutes(30), 0), (minutes(29), 2)] {
        let mut counters = keys::rate_limit(&webhook.account, webhook.id);
        let end_us = now().plus(wait).unix_ms() * 1000;
        counters.insert("end_us".to_owned(), AttributeValue::N(end_us.to_string()));
        let call = app.store.dynamodb.put_item().table_name(&app.store.settings.webhooks).set_item(Some(counters));
        call.send().await.expect("stored");
        assert_eq!(run(&app, None, false).await.0.len(), found, "{wait:?}");
    }
}

#[tokio::test]
async fn a_stalled_test_delivery_gets_a_test_task() {
    let (app, webhook) = (stack().await, webhook());
    webhooks::create(&app.store, &webhook).await.expect("stored");
    let event = published(&app, &webhook, minutes(90), true).await;
    let task = Task { trigger: Trigger::Test, ..Task::first(&webhook, event) };
    let mut delivery = Delivery::new(&task, "user.created".parse().expect("valid"));
    delivery.lease = Some(Lease { holder: "gone".to_owned(), until: ago(minutes(80)) });
    store(&app, delivery).await;
    let (lines, _) = run(&app, None, true).await;
    assert_eq!(lines, [format!("acme\t{}\tlease over\t4800 s", task.delivery)]);
    assert_eq!(queued(&app).await, [task]);
}

#[tokio::test]
async fn every_page_is_read_and_a_named_account_limits_the_search() {
    // More events and deliveries than a page holds.
    const EVENTS: usize = 130;
    let app = stack().await;
    for account in ["acme", "acme-too"] {
        let webhook = webhook_of(account, 0);
        webhooks::create(&app.store, &webhook).await.expect("stored");
        for index in 0..EVENTS {
            let event = published(&app, &webhook, minutes(60), false).await;
            if index % 2 == 0 {
                store(&app, waiting(&webhook, event, ago(minutes(45)))).await;
            }
        }
    }
    let (lines, summary) = run(&app, Some("acme"), true).await;
    assert_eq!((lines.len(), summary.stalled, summary.enqueued), (EVENTS, EVENTS, EVENTS));
    assert!(lines.iter().all(|line| line.starts_with("acme\t")), "{lines:?}");
    assert_eq!(queued(&app).await.len(), EVENTS);
    let (lines, summary) = run(&app, None, false).await;
    assert_eq!((lines.len(), summary.enqueued), (2 * EVENTS, 0));
    assert_eq!((summary.deliveries, summary.events), (EVENTS, 2 * EVENTS));
}
