//! The functions' real binaries, given events as AWS sends them: `tests/lambda` has the shapes that its documentation records.

use hookline::delivery::{DeliveryStatus, Turn, Wakeup};
use hookline::event::{Event, NewEvent};
use hookline::id::{AccountId, EventId, TokenId, WebhookId};
use hookline::store::tokens::{self, Scope, Token};
use hookline::store::{deliveries, events, webhooks};
use hookline::time::{Clock, Timestamp};
use hookline::webhook::Webhook;
use serde_json::{Value, json};

use crate::api::text;
use crate::lambda_runtime::Account;
use crate::receiver::Receiver;

fn acme() -> AccountId {
    "acme".parse().expect("a name")
}

/// An event of SQS with one record for each body; the records' ids are their places.
fn sqs_event(bodies: &[String]) -> Value {
    let record: Value = serde_json::from_str(include_str!("../lambda/sqs_record.json")).expect("JSON");
    // What was published before a webhook was made is not for it.
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

/// A webhook of acme's.
async fn register(account: &Account, url: &str) -> Webhook {
    let app = &account.app;
    let now = app.clock.now();
    let id = WebhookId::new(now, &app.random);
    let url = app.config.endpoint_policy.judge_url(url).expect("a URL on loopback");
    let events = vec!["*".parse().expect("a subscription")];
    let webhook = Webhook::new(acme(), id, url, events, hookline::secret::Secret::generate(&app.random), now);
    webhooks::create(app, &webhook).await.expect("stored");
    webhook
}

/// A stored event of acme's, and the wake-up of its delivery.
async fn publish(account: &Account, webhook: &Webhook) -> Wakeup {
    let app = &account.app;
    let object = serde_json::value::to_raw_value(&json!({ "id": "usr_1" })).expect("JSON");
    let new = NewEvent { event_type: "user.created".parse().expect("a type"), object, previous_data: None };
    let event = Event::new(acme(), EventId::new(app.clock.now(), &app.random), &new);
    events::put(app, &event).await.expect("stored");
    Wakeup::first(webhook, event.id)
}

fn message(wakeup: &Wakeup) -> String {
    serde_json::to_string(wakeup).expect("JSON")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn api_answers_an_event_of_api_gateway() {
    let account = Account::new().await;
    let app = &account.app;
    let token = tokens::generate(&app.random);
    let stored = Token {
        id: TokenId::new(app.clock.now(), &app.random),
        bound_to: None,
        scopes: vec![Scope::Platform],
        description: None,
        created_at: app.clock.now(),
        hash: tokens::hash(&token),
    };
    tokens::create(app, &stored).await.expect("stored");
    let webhook = register(&account, "http://127.0.0.1:9/").await;
    let api = account.function("api").await;

    let event = include_str!("../lambda/api.json").replace("TOKEN", &format!("Bearer {token}"));
    let mut event: Value = serde_json::from_str(&event).expect("JSON");
    let answer = api.invoke(&event).await.expect("an answer");
    assert_eq!((&answer["statusCode"], &answer["isBase64Encoded"]), (&202.into(), &false.into()), "{answer:#}");
    assert_eq!(answer["headers"]["content-type"], "application/json", "{answer:#}");
    let published: Value = serde_json::from_str(&text(&answer["body"])).expect("JSON");
    let wakeups = account.messages(&app.config.deliveries_queue_url).await;
    let delivery = format!("dlv_{}{}", &text(&published["id"])[4..], &webhook.id.to_string()[3..]);
    assert_eq!((wakeups.len(), &wakeups[0]["delivery"]), (1, &delivery.into()));

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
    // What no write of Hookline's makes: a count of attempts that no further one fits in.
    let nothing = deliveries::get(app, &acme(), poison.delivery).await.expect("read");
    let mut broken = hookline::delivery::Delivery::untouched(&poison, "user.created".parse().expect("a type"));
    broken.made = u32::MAX;
    deliveries::put(app, &nothing, broken).await.expect("written").expect("nothing was there");
    let poison = Wakeup { turn: Turn::Manual { nonce: "again".to_owned() }, ..poison };
    let deliver = account.function("deliver").await;

    let bodies = [message(&healthy), message(&poison), "no wake-up".to_owned()];
    let answer = deliver.invoke(&sqs_event(&bodies)).await.expect("an answer");
    let mut failed: Vec<_> = answer["batchItemFailures"].as_array().expect("failures").iter().collect();
    failed.sort_by_key(|failure| failure["itemIdentifier"].to_string());
    assert_eq!(failed, [&json!({ "itemIdentifier": "1" }), &json!({ "itemIdentifier": "2" })]);
    assert_eq!(receiver.wait_for(1).await[0].event(), healthy.delivery.event.to_string());
    let stored = deliveries::get(app, &acme(), healthy.delivery).await.expect("read").delivery.expect("a delivery");
    assert_eq!(stored.status, DeliveryStatus::Delivered);

    // Every line tells whose it is, and in which invocation.
    for (what, wakeup, attempt) in [("attempt", &healthy, Some(1)), ("a wake-up's handling panicked", &poison, None)] {
        let line = deliver.logged(what, |line| (line["message"] == what).then(|| line.clone())).await;
        assert_eq!(line["account"], "acme", "{line:#}");
        assert_eq!(line["webhook_id"], webhook.id.to_string(), "{line:#}");
        assert_eq!(line["event_id"], wakeup.delivery.event.to_string(), "{line:#}");
        assert_eq!(line["delivery_id"], wakeup.delivery.to_string(), "{line:#}");
        assert_eq!(text(&line["requestId"]).len(), 32, "{line:#}");
        assert_eq!(line["attempt"].as_u64(), attempt, "{line:#}");
    }
    // The function goes on.
    let answer = deliver.invoke(&sqs_event(&[message(&healthy)])).await.expect("an answer");
    assert_eq!(answer, json!({ "batchItemFailures": [] }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publish_takes_a_producers_message() {
    let account = Account::new().await;
    register(&account, "http://127.0.0.1:9/").await;
    let publish = account.function("publish").await;
    let body =
        json!({ "account": "acme", "type": "user.created", "data": { "object": { "id": "usr_1" } } }).to_string();
    let answer = publish.invoke(&sqs_event(&[body, "no event".to_owned()])).await.expect("an answer");
    assert_eq!(answer, json!({ "batchItemFailures": [{ "itemIdentifier": "1" }] }));
    let wakeups = account.messages(&account.app.config.deliveries_queue_url).await;
    assert_eq!((wakeups.len(), &wakeups[0]["turn"]), (1, &json!({ "scheduled": { "round": 0, "step": 1 } })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retry_puts_what_a_schedule_brings_on_the_queue() {
    let account = Account::new().await;
    let webhook = register(&account, "http://127.0.0.1:9/").await;
    let wakeup = publish(&account, &webhook).await;
    let retry = account.function("retry").await;
    // A schedule's input is the event, whole and as it was given.
    let answer = retry.invoke(&serde_json::to_value(&wakeup).expect("JSON")).await;
    assert_eq!(answer, Ok(Value::Null));
    let wakeups = account.messages(&account.app.config.deliveries_queue_url).await;
    assert_eq!(wakeups, [serde_json::to_value(&wakeup).expect("JSON")]);
    // What is no wake-up fails, so that the scheduler tries again and ends it as a dead letter.
    let failed = retry.invoke(&json!({ "account": "acme" })).await.expect_err("no wake-up");
    assert!(failed["errorMessage"].is_string(), "{failed:#}");
    assert!(Timestamp::EPOCH < wakeup.delivery.event.made_at());
}
