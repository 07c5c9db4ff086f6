//! Producers inside AWS publish through the `events` queue, with messages of their own or through
//! an EventBridge bus.

use std::time::Duration;

use aws_sdk_sqs::types::Message;
use domain::event::Event;
use local::pollers::sqs_event;
use serde_json::{Value, json};
use store::events;

use crate::harness::receiver::Receiver;
use crate::harness::world::{World, acme};

/// The body of a valid message.
fn body() -> Value {
    json!({ "account": "acme", "type": "user.created", "data": { "object": { "id": "usr_1" } } })
}

/// The event that EventBridge makes of a `PutEvents` entry, as its documentation shows it.
fn envelope(id: &str, time: &str, detail: &Value) -> Value {
    json!({
        "version": "0",
        "id": id,
        "detail-type": "hookline.event",
        "source": "com.acme.users",
        "account": "111122223333",
        "time": time,
        "region": "us-east-1",
        "resources": [],
        "detail": detail,
    })
}

/// Sends messages to the queue and receives them.
async fn sent(world: &World, bodies: &[Value]) -> Vec<Message> {
    let url = &world.app.queues.settings.events_url;
    for body in bodies {
        let call = world.app.queues.sqs.send_message().queue_url(url).message_body(body.to_string());
        call.send().await.expect("the queue");
    }
    let messages = world.receive(url).await;
    assert_eq!(messages.len(), bodies.len());
    messages
}

/// Hands messages to the function; returns the bodies of those that it fails.
async fn publish(world: &World, messages: &[Message]) -> Vec<String> {
    let failed = publish::handle(&world.publish, sqs_event(messages.to_vec(), &world.app.queues.settings.events_url))
        .await
        .batch_item_failures;
    let body_of = |id: &str| {
        let message = messages.iter().find(|message| message.message_id() == Some(id)).expect("one of the batch");
        message.body().expect("a body").to_owned()
    };
    failed.iter().map(|failure| body_of(&failure.item_identifier)).collect()
}

async fn stored(world: &World) -> Vec<Event> {
    events::list(&world.app.store, &acme(), None, None, 100).await.expect("the table").items
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_one_event_however_often_it_is_received() {
    let world = World::new().await;
    let receiver = Receiver::answering(200).await;
    world.register(&acme(), &receiver.url("/")).await;
    let messages = sent(&world, &[body(), body()]).await;
    for _ in 0..3 {
        assert_eq!(publish(&world, &messages).await, [""; 0]);
    }
    let stored = stored(&world).await;
    assert_eq!(stored.len(), 2, "two messages with the same body should be two events");
    // One task at a time, so that a repeated task finds its attempt recorded.
    for message in world.receive(&world.app.queues.settings.deliveries_url).await {
        world.deliver(vec![message]).await;
    }
    let mut arrived: Vec<_> = receiver.seen().iter().map(|request| request.event().to_owned()).collect();
    arrived.sort();
    let mut expected: Vec<_> = stored.iter().map(|event| event.id.to_string()).collect();
    expected.sort();
    assert_eq!(arrived, expected, "each should arrive once");
    let payload: Value = serde_json::from_slice(&receiver.seen()[0].body).expect("JSON");
    assert_eq!(payload["data"], body()["data"]);
}

#[tokio::test]
async fn messages_with_the_same_key_are_one_event_and_must_have_the_same_body() {
    let world = World::new().await;
    let keyed = |id: &str| {
        let mut body = body();
        body["idempotency_key"] = json!("user-1");
        body["data"]["object"]["id"] = json!(id);
        body
    };
    let messages = sent(&world, &[keyed("usr_1"), keyed("usr_1")]).await;
    assert_eq!(publish(&world, &messages).await, [""; 0]);
    let other = sent(&world, &[keyed("usr_2")]).await;
    assert_eq!(publish(&world, &other).await, [keyed("usr_2").to_string()]);
    assert_eq!(stored(&world).await.len(), 1);
}

#[tokio::test]
async fn an_eventbridge_event_is_published_once_however_often_it_is_received() {
    let world = World::new().await;
    let now = world.app.clock.now();
    let first = envelope("6a7e8feb-b491-4cf7-a9f1-bf3703467718", &now.to_string(), &body());
    let second = envelope("7bf73129-1428-4cd3-a780-95db273d1602", "1999-12-31T23:59:59Z", &body());
    world.wait(Duration::from_secs(600));
    let messages = sent(&world, &[first.clone(), first, second]).await;
    assert_eq!(publish(&world, &messages).await, [""; 0]);
    let stored = stored(&world).await;
    assert_eq!(stored.len(), 2);
    let made_at: Vec<_> = stored.iter().map(|event| event.id.made_at()).collect();
    let sent_at = world.app.clock.now();
    assert_eq!(made_at, [sent_at, now], "newest first; an impossible time is replaced by the time of sending");
}

#[tokio::test]
async fn an_invalid_message_is_left_for_the_dead_letter_queue() {
    let world = World::new().await;
    let with = |name: &str, value: Value| {
        let mut body = body();
        body[name] = value;
        body
    };
    let wrong = [
        json!("no event"),
        json!({}),
        with("account", json!("not an account")),
        with("type", json!("no.such.type")),
        with("type", json!("webhook.disabled")),
        with("typo", json!(1)),
        with("idempotency_key", json!("")),
        with("data", json!({ "object": { "text": "x".repeat(256 * 1024) } })),
        envelope("6a7e8feb-b491-4cf7-a9f1-bf3703467718", "2025-02-18T10:30:00Z", &json!({ "account": "acme" })),
    ];
    let mut bodies = wrong.to_vec();
    bodies.push(body());
    let messages = sent(&world, &bodies).await;
    let refused = publish(&world, &messages).await;
    assert_eq!(refused, wrong.each_ref().map(ToString::to_string), "exactly the invalid messages should fail");
    assert_eq!(stored(&world).await.len(), 1);
}
