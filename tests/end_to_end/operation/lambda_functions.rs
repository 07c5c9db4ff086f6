//! The functions' binaries, invoked with events in the shape of AWS's documentation, which
//! `tests/lambda` records.

use domain::delivery::{DeliveryStatus, Task, Trigger};
use domain::event::{Event, NewEvent};
use domain::id::{EventId, WebhookId};
use domain::time::Clock;
use domain::token::{Scope, Token};
use domain::webhook::Webhook;
use serde_json::{Value, json};
use store::deliveries::Put;
use store::tokens;
use store::{deliveries, events, webhooks};

use crate::harness::client::text;
use crate::harness::functions::Account;
use crate::harness::receiver::Receiver;
use crate::harness::world::acme;

/// An SQS event with one record for each body. A record's id is its index.
fn sqs_event(bodies: &[String]) -> Value {
    let record: Value = serde_json::from_str(include_str!("../../lambda/sqs_record.json")).expect("JSON");
    // A webhook does not receive events that were sent before its registration.
    let now_ms = Clock::system().now().unix_ms();
    let records = bodies.iter().enumerate().map(|(index, body)| {
        let mut record = record.clone();
        record["attributes"]["SentTimestamp"] = now_ms.to_string().into();
        record["messageId"] = index.to_string().into();
        record["body"] = body.as_str().into();
        record
    });
    json!({ "Records": records.collect::<Vec<_>>() })
}

/// Registers a webhook for all events.
async fn register(account: &Account, url: &str) -> Webhook {
    let app = &account.app;
    let now = app.clock.now();
    let id = WebhookId::new(now, &app.random);
    let url = app.endpoint_policy.judge_url(url).expect("a URL on loopback");
    let events = vec!["*".parse().expect("a subscription")];
    let webhook = Webhook::new(acme(), id, url, events, domain::secret::Secret::generate(&app.random));
    webhooks::create(&app.store, &webhook).await.expect("stored");
    webhook
}

/// Stores an event; returns the first attempt task of its delivery.
async fn publish(account: &Account, webhook: &Webhook) -> Task {
    let app = &account.app;
    let object = serde_json::value::to_raw_value(&json!({ "id": "usr_1" })).expect("JSON");
    let new = NewEvent { event_type: "user.created".parse().expect("a type"), object, previous_data: None };
    let event = Event::new(acme(), EventId::new(app.clock.now(), &app.random), &new);
    events::put(&app.store, &event).await.expect("stored");
    Task::first(webhook, event.id)
}

fn message(task: &Task) -> String {
    serde_json::to_string(task).expect("JSON")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn api_answers_a_request_from_api_gateway() {
    let account = Account::new().await;
    let app = &account.app;
    let (token, stored) = Token::issue(None, vec![Scope::Platform], None, app.clock.now(), &app.random);
    tokens::create(&app.store, &stored).await.expect("stored");
    let webhook = register(&account, "http://127.0.0.1:9/").await;
    let api = account.function("api").await;

    let event = include_str!("../../lambda/api.json").replace("TOKEN", &format!("Bearer {token}"));
    let mut event: Value = serde_json::from_str(&event).expect("JSON");
    let answer = api.invoke(&event).await.expect("an answer");
    assert_eq!((&answer["statusCode"], &answer["isBase64Encoded"]), (&202.into(), &false.into()), "{answer:#}");
    assert_eq!(answer["headers"]["content-type"], "application/json", "{answer:#}");
    assert_eq!(answer["headers"]["x-request-id"], event["requestContext"]["requestId"], "{answer:#}");
    let published: Value = serde_json::from_str(&text(&answer["body"])).expect("JSON");
    let tasks = account.messages(&app.queues.settings.deliveries_url).await;
    let delivery = format!("dlv_{}{}", &text(&published["id"])[4..], &webhook.id.to_string()[3..]);
    assert_eq!((tasks.len(), &tasks[0]["delivery"]), (1, &delivery.into()));

    event["headers"]["authorization"] = "Bearer unknown".into();
    let answer = api.invoke(&event).await.expect("an answer");
    assert_eq!(answer["statusCode"], 401, "{answer:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_one_message_fails_that_message_alone() {
    let account = Account::new().await;
    let app = &account.app;
    let receiver = Receiver::answering(200).await;
    let webhook = register(&account, &receiver.url("/")).await;
    let (healthy, poison) = (publish(&account, &webhook).await, publish(&account, &webhook).await);
    // A state that Hookline never writes: the count of attempts overflows with the next one.
    let nothing = deliveries::get(&app.store, &acme(), poison.delivery).await.expect("read");
    let mut broken = domain::delivery::Delivery::new(&poison, "user.created".parse().expect("a type"));
    broken.attempts_made = u32::MAX;
    let put = deliveries::put(&app.store, &nothing, broken).await.expect("an answer");
    assert!(matches!(put, Put::Written(_)), "the first write");
    let poison = Task { trigger: Trigger::Manual { nonce: "again".to_owned() }, ..poison };
    let deliver = account.function("deliver").await;

    let bodies = [message(&healthy), message(&poison), "no attempt task".to_owned()];
    let answer = deliver.invoke(&sqs_event(&bodies)).await.expect("an answer");
    let mut failed: Vec<_> = answer["batchItemFailures"].as_array().expect("failures").iter().collect();
    failed.sort_by_key(|failure| failure["itemIdentifier"].to_string());
    assert_eq!(failed, [&json!({ "itemIdentifier": "1" }), &json!({ "itemIdentifier": "2" })]);
    assert_eq!(receiver.wait_for(1).await[0].event(), healthy.delivery.event.to_string());
    let stored =
        deliveries::get(&app.store, &acme(), healthy.delivery).await.expect("read").delivery.expect("a delivery");
    assert_eq!(stored.status, DeliveryStatus::Delivered);

    // Every line names the account, the objects and the invocation.
    for (what, task, attempt) in [("attempt", &healthy, Some(1)), ("handling a task panicked", &poison, None)] {
        let line = deliver.logged(what, |line| (line["message"] == what).then(|| line.clone())).await;
        assert_eq!(line["account"], "acme", "{line:#}");
        assert_eq!(line["webhook_id"], webhook.id.to_string(), "{line:#}");
        assert_eq!(line["event_id"], task.delivery.event.to_string(), "{line:#}");
        assert_eq!(line["delivery_id"], task.delivery.to_string(), "{line:#}");
        assert_eq!(text(&line["requestId"]).len(), 32, "{line:#}");
        assert_eq!(line["attempt"].as_u64(), attempt, "{line:#}");
    }
    // The function continues to work.
    let answer = deliver.invoke(&sqs_event(&[message(&healthy)])).await.expect("an answer");
    assert_eq!(answer, json!({ "batchItemFailures": [] }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publish_publishes_a_producers_message() {
    let account = Account::new().await;
    register(&account, "http://127.0.0.1:9/").await;
    let publish = account.function("publish").await;
    let body =
        json!({ "account": "acme", "type": "user.created", "data": { "object": { "id": "usr_1" } } }).to_string();
    let answer = publish.invoke(&sqs_event(&[body, "no event".to_owned()])).await.expect("an answer");
    assert_eq!(answer, json!({ "batchItemFailures": [{ "itemIdentifier": "1" }] }));
    let tasks = account.messages(&account.app.queues.settings.deliveries_url).await;
    assert_eq!((tasks.len(), &tasks[0]["trigger"]), (1, &json!("0.1")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retry_enqueues_the_task_of_a_schedule() {
    let account = Account::new().await;
    let webhook = register(&account, "http://127.0.0.1:9/").await;
    let task = publish(&account, &webhook).await;
    let retry = account.function("retry").await;
    // The event is the schedule's input, unchanged.
    let answer = retry.invoke(&serde_json::to_value(&task).expect("JSON")).await;
    assert_eq!(answer, Ok(Value::Null));
    let tasks = account.messages(&account.app.queues.settings.deliveries_url).await;
    assert_eq!(tasks, [serde_json::to_value(&task).expect("JSON")]);
    // An event that is no attempt task fails, so that it is retried and then becomes a dead letter.
    let failed = retry.invoke(&json!({ "account": "acme" })).await.expect_err("the event is no attempt task");
    assert!(failed["errorMessage"].is_string(), "{failed:#}");
}
