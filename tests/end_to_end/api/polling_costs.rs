//! What polled webhooks cost: a poll that finds nothing makes ten small reads, a publish writes the event alone, and a late event
//! costs one marker.

use std::time::Duration;

use domain::event::{Event, NewEvent};
use domain::id::EventId;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::harness::client::{data, text};
use crate::harness::meter::{Call, Meter};
use crate::harness::router::ApiProcess;
use crate::harness::world::{World, acme};

/// A client of one polled webhook, which keeps the cursor.
struct Client {
    api: ApiProcess,
    webhook: String,
    cursor: Option<String>,
}

impl Client {
    /// Registers a webhook and polls it once, so that the token is known to the process.
    async fn new(api: ApiProcess) -> Self {
        let body = json!({ "delivery": "poll", "events": ["*"] });
        let (status, shown) = api.ask("POST", "/v1/webhooks", &body).await;
        assert_eq!(status, 201, "{shown}");
        let mut client = Self { api, webhook: text(&shown["id"]), cursor: None };
        assert!(client.poll().await.is_empty());
        client
    }

    /// Makes one poll. Returns the ids of its events.
    async fn poll(&mut self) -> Vec<String> {
        let cursor = self.cursor.as_ref().map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let path = format!("/v1/webhooks/{}/poll?limit=100{cursor}", self.webhook);
        let (status, page) = self.api.ask("GET", &path, &Value::Null).await;
        assert_eq!((status, &page["has_more"]), (200, &json!(false)), "{page}");
        self.cursor = Some(text(&page["next_cursor"]));
        data(&page).iter().map(|request| text(&request["headers"]["webhook-id"])).collect()
    }
}

#[track_caller]
fn assert_ten_small_reads(calls: &[Call]) {
    let count = |operation| calls.iter().filter(|call| call.operation == operation).count();
    assert_eq!((count("GetItem"), count("Query"), calls.len()), (1, 9, 10), "{calls:#?}");
    assert!(calls.iter().all(|call| call.is_consistent && call.units <= 1.0), "{calls:#?}");
}

#[tokio::test]
async fn a_poll_that_finds_nothing_makes_ten_small_reads() {
    let world = World::new().await;
    let (api, meter) = Meter::of(&world, "api");
    let mut client = Client::new(ApiProcess::new(&api, &world.platform_token().await)).await;
    meter.take();
    assert!(client.poll().await.is_empty());
    assert_ten_small_reads(&meter.take());

    for _ in 0..40 {
        world.publish(&acme()).await;
        world.wait(Duration::from_millis(20));
    }
    assert_eq!(client.poll().await.len(), 40);
    meter.take();
    // The forty events are not settled yet, so they are read again.
    for _ in 0..3 {
        assert!(client.poll().await.is_empty());
        assert_ten_small_reads(&meter.take());
        world.wait(Duration::from_secs(1));
    }
}

#[tokio::test]
async fn a_publish_to_a_polled_webhook_writes_the_event_alone() {
    let world = World::new().await;
    let (api, meter) = Meter::of(&world, "api");
    let client = Client::new(ApiProcess::new(&api, &world.platform_token().await)).await;
    meter.take();
    let event = json!({ "type": "user.created", "data": { "object": {} } });
    assert_eq!(client.api.ask("POST", "/v1/events", &event).await.0, 202);
    assert_eq!(meter.operations(), ["PutItem", "Query"], "the event, and the webhooks that are read");
}

#[tokio::test]
async fn a_late_event_costs_one_marker_and_is_polled_once() {
    let world = World::new().await;
    let mut client = Client::new(world.api_process().await).await;
    let (app, meter) = Meter::of(&world, "publish");
    let event = || {
        let object = RawValue::from_string("{}".to_owned()).expect("JSON");
        let new = NewEvent { event_type: "user.created".parse().expect("a name"), object, previous_data: None };
        Event::new(acme(), EventId::new(world.app.clock.now(), &world.app.random), &new)
    };
    let publish = async |event: &Event| {
        let published = application::publishing::publish(&app, &acme(), std::slice::from_ref(event)).await;
        published.expect("nothing fails here");
        meter.operations()
    };
    let (late, in_time) = (event(), event());
    world.wait(Duration::from_secs(9));
    assert_eq!(publish(&in_time).await, ["PutItem", "Query"], "nine seconds are not late");
    assert_eq!(client.poll().await, [in_time.id.to_string()]);

    world.wait(Duration::from_secs(20));
    let newer = event();
    publish(&newer).await;
    assert_eq!(client.poll().await, [newer.id.to_string()], "the cursor is beyond the late event's id");
    // Ids of one millisecond are in no order, and the marker is to come after the newer event.
    world.wait(Duration::from_millis(1));
    assert_eq!(publish(&late).await, ["PutItem", "PutItem", "Query"], "the event and its marker");
    assert_eq!(client.poll().await, [late.id.to_string()]);
    for _ in 0..4 {
        world.wait(Duration::from_secs(5));
        assert!(client.poll().await.is_empty(), "an event comes once");
    }
    let mut from_start = Client { cursor: None, ..client };
    let all: Vec<_> = [&in_time, &newer, &late].map(|event| event.id.to_string()).into();
    assert_eq!(from_start.poll().await, all, "where its marker stands");
}
