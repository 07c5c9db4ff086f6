//! Recoveries as users see them: their windows, their progress, and what they leave out.

use std::time::Duration;

use application::recovery;
use domain::id::{DeliveryId, EventId, WebhookId};
use domain::job::{Job, Recover};
use domain::recovery::{NewRecovery, RecoveryStatus};
use domain::time::CLOCK_SKEW;
use domain::webhook::Webhook;
use serde_json::{Value, json};
use store::{StoreError, events, jobs, recoveries, webhooks};

use crate::harness::client::{data, millis, text};
use crate::harness::receiver::{Answer, Receiver};
use crate::harness::router::ApiProcess;
use crate::harness::world::{World, acme};

/// A world with a process of the API and a webhook.
struct Recovering {
    world: World,
    api: ApiProcess,
    webhook: WebhookId,
    path: String,
}

impl Recovering {
    async fn new(receiver: &Receiver) -> Self {
        let world = World::new().await;
        let api = world.api_process().await;
        let webhook = world.register(&acme(), &receiver.url("/")).await;
        Self { world, api, webhook, path: format!("/v1/webhooks/{webhook}") }
    }

    /// Sends a request that must be answered with this status.
    async fn ask(&self, method: &str, path: &str, body: Value, status: u16) -> Value {
        let (answered, answer) = self.api.ask(method, path, &body).await;
        assert_eq!(answered, status, "{method} {path}: {answer:#}");
        answer
    }

    async fn get(&self, path: &str) -> Value {
        self.ask("GET", path, Value::Null, 200).await
    }

    async fn begin(&self, body: Value) -> Value {
        self.ask("POST", &format!("{}/recover", self.path), body, 202).await
    }

    /// Carries out a recovery with this body, and returns it when it is done.
    async fn recover(&self, body: Value) -> Value {
        let begun = self.begin(body).await;
        self.world.work().await;
        let done = self.get(&format!("{}/recoveries/{}", self.path, text(&begun["id"]))).await;
        for same in ["id", "webhook_id", "since", "until", "include_failed", "backfill", "started_at"] {
            assert_eq!(done[same], begun[same], "{same} changed");
        }
        assert_eq!(done["status"], "done", "{done:#}");
        done
    }

    /// Publishes an event while the webhook is enabled, and makes its first attempt.
    async fn publish(&self) -> EventId {
        self.world.wait(Duration::from_secs(1));
        let event = self.world.publish(&acme()).await;
        self.world.work().await;
        event
    }

    /// Enables the webhook as version 0.1 did, which recovers nothing.
    async fn enable(&self) {
        let enable = |webhook: &mut Webhook| -> Result<(), StoreError> {
            webhook.enable(self.world.app.clock.now());
            Ok(())
        };
        webhooks::change(&self.world.app.store, &acme(), self.webhook, enable).await.expect("the table");
    }

    /// Publishes `count` events while the webhook is disabled.
    async fn miss(&self, count: usize) -> Vec<EventId> {
        self.ask("PATCH", &self.path, json!({ "status": "disabled" }), 200).await;
        // Events of the first seconds still get a task, because clocks differ.
        self.world.wait(2 * CLOCK_SKEW);
        let mut missed = Vec::new();
        for _ in 0..count {
            missed.push(self.publish().await);
        }
        missed
    }

    /// The status of an event's delivery.
    async fn status(&self, event: EventId) -> String {
        let id = DeliveryId { event, webhook: self.webhook };
        text(&self.get(&format!("/v1/deliveries/{id}")).await["status"])
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recovery_shows_its_window_and_its_progress() {
    let receiver = Receiver::answering(200).await;
    let it = Recovering::new(&receiver).await;
    let path = &it.path;
    it.publish().await;
    let missed = it.miss(3).await;
    it.enable().await;

    let begun = it.begin(Value::Null).await;
    assert!(text(&begun["id"]).starts_with("rcv_"), "{begun:#}");
    assert_eq!((&begun["status"], &begun["ended_at"]), (&json!("running"), &Value::Null));
    assert_eq!((&begun["looked_at"], &begun["sent"]), (&json!(0), &json!(0)));
    assert_eq!((&begun["include_failed"], &begun["backfill"]), (&json!(true), &json!(false)));
    assert_eq!(begun["since"], it.get(path).await["created_at"], "the default is the registration");
    let one = format!("{path}/recoveries/{}", text(&begun["id"]));
    assert_eq!(it.get(&one).await, begun);
    it.world.wait(Duration::from_secs(1));
    it.world.work().await;
    let done = it.get(&one).await;
    assert_eq!((&done["status"], &done["looked_at"], &done["sent"]), (&json!("done"), &json!(4), &json!(3)));
    assert_eq!(millis(&done["ended_at"]), millis(&done["started_at"]) + 1000);
    for event in missed {
        assert_eq!(it.status(event).await, "delivered");
    }

    let again = it.recover(json!({})).await;
    assert_eq!((&again["looked_at"], &again["sent"]), (&json!(4), &json!(0)), "everything is delivered");
    let page = it.get(&format!("{path}/recoveries?limit=1")).await;
    assert_eq!(data(&page), [again], "newest first");
    let cursor = text(&page["next_cursor"]);
    let page = it.get(&format!("{path}/recoveries?limit=1&cursor={cursor}")).await;
    assert_eq!((data(&page), &page["next_cursor"]), (&[done][..], &Value::Null));

    let other = it.world.register(&acme(), &receiver.url("/")).await;
    assert_eq!(data(&it.get(&format!("/v1/webhooks/{other}/recoveries")).await).len(), 0);
    for missing in [
        one.replace(&it.webhook.to_string(), &other.to_string()),
        format!("{path}/recoveries/rcv_00000000000000000000000000"),
        format!("{path}/recoveries/none"),
        "/v1/webhooks/wh_00000000000000000000000000/recoveries".to_owned(),
    ] {
        it.ask("GET", &missing, Value::Null, 404).await;
    }
    it.ask("DELETE", path, Value::Null, 204).await;
    assert_eq!(it.get(&one).await["status"], "done", "it is kept when the webhook is deleted");
    it.world.wait(it.world.app.store.settings.retention);
    it.ask("GET", &one, Value::Null, 404).await;
    it.ask("GET", &format!("{path}/recoveries"), Value::Null, 404).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_deliveries_can_be_left_out() {
    let receiver = Receiver::in_turn(vec![Answer::status(410), Answer::status(200)]).await;
    let it = Recovering::new(&receiver).await;
    let failed = it.publish().await;
    assert_eq!(it.status(failed).await, "failed");
    let missed = it.miss(2).await;
    it.enable().await;

    let done = it.recover(json!({ "include_failed": false })).await;
    assert_eq!((&done["sent"], &done["include_failed"]), (&json!(2), &json!(false)), "{done:#}");
    for event in missed {
        assert_eq!(it.status(event).await, "delivered");
    }
    assert_eq!(it.status(failed).await, "failed");
    assert_eq!(it.recover(json!({})).await["sent"], 1);
    assert_eq!(it.status(failed).await, "delivered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_from_before_the_registration_are_sent_with_backfill_alone() {
    let receiver = Receiver::answering(200).await;
    let world = World::new().await;
    let early = world.publish(&acme()).await;
    world.wait(Duration::from_secs(2));
    let webhook = world.register(&acme(), &receiver.url("/")).await;
    let (api, path) = (world.api_process().await, format!("/v1/webhooks/{webhook}"));
    let it = Recovering { world, api, webhook, path };
    it.world.work().await;
    let registered = it.get(&it.path).await["created_at"].clone();

    let long_ago = "2020-01-01T00:00:00Z";
    let cut = it.recover(json!({ "since": long_ago })).await;
    assert_eq!((&cut["since"], &cut["looked_at"], &cut["sent"]), (&registered, &json!(0), &json!(0)), "{cut:#}");
    let none = json!({ "since": long_ago, "until": "2020-01-02T00:00:00Z" });
    let refused = it.ask("POST", &format!("{}/recover", it.path), none, 422).await;
    assert_eq!(refused["errors"][0]["pointer"], "#/until", "{refused:#}");
    assert_eq!(data(&it.get(&format!("{}/deliveries", it.path)).await).len(), 0);
    assert_eq!(data(&it.get(&format!("{}/recoveries", it.path)).await).len(), 1, "a refused one is not listed");

    let done = it.recover(json!({ "since": long_ago, "backfill": true })).await;
    assert_eq!((&done["since"], &done["sent"], &done["backfill"]), (&json!(long_ago), &json!(1), &json!(true)));
    assert_eq!(it.status(early).await, "delivered");
    let all = it.recover(json!({ "backfill": true })).await;
    let oldest_ms = it.world.app.clock.now().minus(it.world.app.store.settings.retention).unix_ms();
    assert_eq!(millis(&all["since"]), oldest_ms, "the default is the oldest event kept");
    assert_eq!((&all["looked_at"], &all["sent"]), (&json!(1), &json!(0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_recovery_that_enabling_begins_is_listed() {
    let receiver = Receiver::in_turn(vec![Answer::status(410), Answer::status(200)]).await;
    let it = Recovering::new(&receiver).await;
    let failed = it.publish().await;
    let missed = it.miss(2).await;
    it.ask("PATCH", &it.path, json!({ "status": "enabled" }), 200).await;
    it.world.work().await;
    let page = it.get(&format!("{}/recoveries", it.path)).await;
    let [recovery] = data(&page) else { panic!("one recovery: {page:#}") };
    assert_eq!((&recovery["status"], &recovery["sent"]), (&json!("done"), &json!(2)), "{recovery:#}");
    assert_eq!((&recovery["include_failed"], &recovery["backfill"]), (&json!(false), &json!(false)));
    for event in missed {
        assert_eq!(it.status(event).await, "delivered");
    }
    assert_eq!(it.status(failed).await, "failed");
    // The job that looks after the enabling arrives a minute later, and changes nothing.
    it.world.pass(Duration::from_secs(120)).await;
    assert_eq!(it.get(&format!("{}/recoveries", it.path)).await, page);
}

/// Stores `count` events of a type to which the webhook subscribes, at one a second.
async fn store_events(world: &World, count: usize) {
    for _ in 0..count {
        let id = EventId::new(world.app.clock.now(), &world.app.random);
        let object = serde_json::value::RawValue::from_string("{}".to_owned()).expect("JSON");
        let event_type = "user.created".parse().expect("a name");
        let new = domain::event::NewEvent { event_type, object, previous_data: None };
        events::put(&world.app.store, &domain::event::Event::new(acme(), id, &new)).await.expect("the table");
        world.wait(Duration::from_secs(1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_job_counts_nothing_twice() {
    let receiver = Receiver::answering(200).await;
    let world = World::new().await;
    let webhook = world.register(&acme(), &receiver.url("/")).await;
    store_events(&world, 620).await;
    let new = NewRecovery::default();
    let (now, retention) = (world.app.clock.now(), world.app.store.settings.retention);
    let begun = recovery::begin(&world.app, &acme(), webhook, new).await.expect("an enabled webhook");
    let stored = webhooks::get(&world.app.store, &acme(), webhook).await.expect("the table").expect("a webhook");
    let window = new.window(&stored, now, retention).expect("a window");
    let first = Recover { id: Some(begun.id), ..Recover::of_window(&stored, window) };
    let progress = async || {
        let recovery = recoveries::get(&world.app.store, &acme(), webhook, begun.id).await.expect("the table");
        let recovery = recovery.expect("a recovery");
        (recovery.status, recovery.jobs, recovery.looked_at, recovery.sent)
    };
    let url = &world.app.queues.settings.deliveries_url;
    let waiting = async || {
        let call = world.app.queues.sqs.get_queue_attributes().queue_url(url);
        let name = aws_sdk_sqs::types::QueueAttributeName::ApproximateNumberOfMessages;
        let found = call.attribute_names(name.clone()).send().await.expect("the queue");
        found.attributes.expect("attributes")[&name].clone()
    };

    for _ in 0..2 {
        recovery::continue_with(&world.publish, first.clone()).await.expect("nothing fails here");
        assert_eq!(progress().await, (RecoveryStatus::Running, 1, 500, 500));
        assert_eq!(waiting().await, "500", "the repeat enqueues only the next job");
    }
    // The queue has the first job itself, and two copies of the next one.
    world.work().await;
    assert_eq!(progress().await, (RecoveryStatus::Done, 2, 620, 620));
    jobs::enqueue(&world.app.queues, &acme(), &Job::Recover(first)).await.expect("the queue");
    world.work().await;
    assert_eq!(progress().await, (RecoveryStatus::Done, 2, 620, 620), "a late repeat sets nothing back");
    assert_eq!(receiver.seen().len(), 620, "an event was sent twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recovery_stops_with_its_webhook() {
    let receiver = Receiver::answering(200).await;
    let it = Recovering::new(&receiver).await;
    store_events(&it.world, 3).await;
    let begin = async || format!("{}/recoveries/{}", it.path, text(&it.begin(Value::Null).await["id"]));
    let first = begin().await;
    it.world.wait(Duration::from_secs(1));
    let second = begin().await;
    assert_eq!(it.get(&first).await["status"], "running");
    let disabled = it.ask("PATCH", &it.path, json!({ "status": "disabled" }), 200).await;
    let stopped = it.get(&first).await;
    assert_eq!((&stopped["status"], &stopped["ended_at"]), (&json!("stopped"), &disabled["disabled_at"]));
    it.enable().await;
    it.world.wait(Duration::from_secs(1));
    it.world.work().await;
    let noticed = it.get(&second).await;
    assert_eq!((&noticed["status"], &noticed["sent"]), (&json!("stopped"), &json!(0)), "enabling does not continue it");
    assert!(millis(&noticed["ended_at"]) > millis(&noticed["started_at"]), "{noticed:#}");
    assert_eq!(receiver.seen().len(), 0);

    let third = begin().await;
    it.ask("DELETE", &it.path, Value::Null, 204).await;
    for _ in 0..2 {
        assert_eq!(it.get(&third).await["status"], "stopped");
        let page = it.get(&format!("{}/recoveries", it.path)).await;
        assert_eq!(data(&page).len(), 3, "{page:#}");
        it.world.work().await;
    }
}
