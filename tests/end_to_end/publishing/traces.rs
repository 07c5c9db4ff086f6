//! `traceparent`: from a publication to every attempt, and into the log lines.

use std::time::Duration;

use aws_sdk_sqs::types::MessageAttributeValue;
use local::pollers::sqs_event;
use serde_json::{Value, json};
use store::events;

use crate::harness::client::{data, text};
use crate::harness::receiver::{Answer, Receiver};
use crate::harness::stack::{Options, Stack};
use crate::harness::stage::Stage;
use crate::harness::world::{World, acme};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const OTHER: &str = "00-1bf7651916cd43dd8448eb211c80319d-b7ad6b7169203331-00";

fn event() -> Value {
    json!({ "type": "user.created", "data": { "object": {} } })
}

/// The `traceparent` of each request that arrived, in order; empty where there was none.
fn arrived(receiver: &Receiver) -> Vec<String> {
    let of = |headers: Option<&reqwest::header::HeaderValue>| {
        headers.map_or("", |value| value.to_str().expect("text")).to_owned()
    };
    receiver.seen().iter().map(|request| of(request.headers.get("traceparent"))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_attempt_carries_the_trace_of_the_publication() {
    let receiver = Receiver::in_turn(vec![Answer::status(500), Answer::status(200)]).await;
    let stage = Stage::new().await;
    let webhook = stage.register(&receiver, None).await;
    let polled = stage.ask("POST", "/v1/webhooks", &json!({ "delivery": "poll", "events": ["*"] })).await;
    let traced = stage.world.api_process().await.with_header("traceparent", VALID);
    let (status, published) = traced.ask("POST", "/v1/events", &event()).await;
    assert_eq!(status, 202, "{published:#}");
    assert!(!published.to_string().contains(TRACE), "the payload is what was published: {published}");
    stage.world.work().await;
    stage.world.pass(Duration::from_secs(120)).await;
    assert_eq!(arrived(&receiver), [VALID, VALID], "the first attempt and a retry");
    stage
        .ask(
            "POST",
            &format!("{}/retry", crate::harness::stage::delivery_path(&webhook, &text(&published["id"]))),
            &json!({}),
        )
        .await;
    stage.world.work().await;
    assert_eq!(arrived(&receiver)[2..], [VALID], "a retry by hand");
    let poll = stage.ask("GET", &format!("/v1/webhooks/{}/poll?from=start", text(&polled["id"])), &Value::Null).await;
    assert_eq!(data(&poll)[0]["headers"]["traceparent"], VALID);

    stage.change(&webhook, json!({ "status": "disabled" })).await;
    let (status, _) = traced.ask("POST", "/v1/events/batch", &json!({ "events": [event(), event()] })).await;
    assert_eq!(status, 202);
    stage.change(&webhook, json!({ "status": "enabled" })).await;
    stage.world.work().await;
    assert_eq!(arrived(&receiver)[3..], [VALID, VALID], "a batch, by a recovery");
    let (_, dry) = traced.ask("POST", "/v1/events/dry-run", &event()).await;
    assert_eq!(dry["webhooks"][0]["request"]["headers"]["traceparent"], VALID, "{dry:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_valid_trace_there_is_no_header_and_no_error() {
    let (stage, receiver) = (Stage::new().await, Receiver::answering(200).await);
    stage.register(&receiver, None).await;
    let process = stage.world.api_process().await;
    let all_zero = "00-00000000000000000000000000000000-b7ad6b7169203331-01";
    for invalid in ["", "00", "nonsense", all_zero, "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"] {
        let (status, answer) = process.with_header("traceparent", invalid).ask("POST", "/v1/events", &event()).await;
        assert_eq!(status, 202, "{answer:#}");
    }
    let (status, answer) = process.ask("POST", "/v1/events", &event()).await;
    assert_eq!(status, 202, "{answer:#}");
    let stored = events::get(&stage.world.app.store, &acme(), text(&answer["id"]).parse().expect("an id")).await;
    assert_eq!(stored.expect("the table").expect("the event").trace, None, "an event without the attribute is read");
    stage.world.work().await;
    assert_eq!(arrived(&receiver), [""; 6]);
    // A later version becomes the one that Hookline knows.
    let later = "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more";
    process.with_header("traceparent", later).ask("POST", "/v1/events", &event()).await;
    stage.world.work().await;
    assert_eq!(arrived(&receiver)[6..], [VALID]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_cannot_set_the_header_itself() {
    let stage = Stage::new().await;
    let body = json!({ "url": "https://hooks.example.com/", "events": ["*"], "headers": { "Traceparent": VALID } });
    let (status, problem) = stage.try_to_ask("POST", "/v1/webhooks", &body).await;
    assert_eq!(status, 422, "{problem:#}");
    assert_eq!(problem["errors"][0]["pointer"], "#/headers/Traceparent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_has_it_as_an_attribute_or_in_its_body() {
    let (world, receiver) = (World::new().await, Receiver::answering(200).await);
    world.register(&acme(), &receiver.url("/")).await;
    let (queues, url) = (&world.app.queues, &world.app.queues.settings.events_url);
    let body = |field: Option<Value>| {
        let mut body = event();
        body["account"] = "acme".into();
        if let Some(field) = field {
            body["traceparent"] = field;
        }
        body.to_string()
    };
    for (attribute, field, expected) in [
        (Some(VALID), None, VALID),
        (None, Some(json!(OTHER)), OTHER),
        (Some(VALID), Some(json!(OTHER)), VALID),
        (Some("nonsense"), Some(json!(OTHER)), OTHER),
        (Some("nonsense"), Some(json!("nonsense")), ""),
        (None, Some(json!(7)), ""),
        (None, None, ""),
    ] {
        let before = receiver.seen().len();
        let attribute = attribute.map(|text| {
            MessageAttributeValue::builder().data_type("String").string_value(text).build().expect("an attribute")
        });
        let mut call = queues.sqs.send_message().queue_url(url).message_body(body(field.clone()));
        if let Some(attribute) = attribute {
            call = call.message_attributes("traceparent", attribute);
        }
        call.send().await.expect("the queue");
        let failed = publish::handle(&world.publish, sqs_event(world.receive(url).await, url)).await;
        assert!(failed.batch_item_failures.is_empty(), "{field:?}");
        let tasks = world.receive(&queues.settings.deliveries_url).await;
        world.deliver(tasks).await;
        assert_eq!(arrived(&receiver)[before..], [expected], "{field:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_lines_carry_the_id_of_the_trace() {
    let Some(stack) = Stack::with(Options { log_level: Some("info"), ..Options::default() }).await else { return };
    let receiver = Receiver::answering(200).await;
    let api = stack.api();
    api.register(&receiver.url("/"), &["user.created"]).await;
    api.publish("user.created").await;
    let event = api.with_header("traceparent", VALID).publish("user.created").await.id();
    receiver.wait_for_event(&event, 1).await;
    for (message, id) in [("published", "event_ids"), ("attempt", "event_id")] {
        let line = stack.program().error_lines(message, |lines| {
            let mut lines = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.find(|line| line["message"] == message && line[id] == event.as_str())
        });
        assert_eq!(line.await["trace_id"], TRACE);
    }
    let other = stack.program().error_lines("the attempt of the other event", |lines| {
        let mut lines = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.find(|line| line["message"] == "attempt" && line["event_id"] != event.as_str())
    });
    assert!(other.await.get("trace_id").is_none(), "an event without a trace has none");
}
