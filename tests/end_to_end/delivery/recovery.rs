//! Recovery: the events that a disabled webhook missed are held, and sent when it is enabled, or when
//! the user asks for a recovery.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::delivery::DeliveryStatus;
use domain::id::EventId;
use domain::job::{Job, Recover};
use domain::webhook::{DisabledReason, RecoveryWindow, Webhook};
use serde_json::{Value, json};
use store::jobs;
use store::{StoreError, deliveries, webhooks};

use crate::harness::client::{data, text};
use crate::harness::receiver::{Answer, Receiver};
use crate::harness::stack::Stack;
use crate::harness::world::{World, acme};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn enabling_sends_held_and_missed_events_once() {
    let stack = Stack::start().await;
    let api = stack.api();
    let receiver = Receiver::in_turn(vec![Answer::status(200), Answer::status(500), Answer::status(200)]).await;
    let webhook = api.register(&receiver.url("/"), &["user.created"]).await;
    let path = format!("/v1/webhooks/{}", webhook.id);
    let delivered = api.publish("user.created").await.id();
    api.delivery_when(&delivered, &webhook.id, |delivery| delivery["status"] == "delivered").await;
    let failing = api.publish("user.created").await.id();
    let attempted = |delivery: &Value| delivery["attempts"].as_array().is_some_and(|all| !all.is_empty());
    api.delivery_when(&failing, &webhook.id, attempted).await;

    api.patch(&path, &json!({ "status": "disabled" })).await.expect(200);
    let held = api.delivery(&failing, &webhook.id).await;
    assert_eq!((&held["status"], &held["next_attempt_at"]), (&json!("held"), &Value::Null));
    let missed = api.publish("user.created").await.id();
    let recover = json!({ "since": "2020-01-01T00:00:00Z" });
    api.post(&format!("{path}/recover"), &recover).await.problem(409);

    let enabled = api.patch(&path, &json!({ "status": "enabled" })).await.expect(200);
    assert_eq!((&enabled["disabled_reason"], &enabled["disabled_at"]), (&Value::Null, &Value::Null));
    for event in [&failing, &missed] {
        api.delivery_when(event, &webhook.id, |delivery| delivery["status"] == "delivered").await;
    }
    // Another recovery has nothing to send. The marker is published after it, and arrives when the
    // recovery is over.
    api.post(&format!("{path}/recover"), &recover).await.expect(202);
    let marker = api.publish("user.created").await.id();
    api.delivery_when(&marker, &webhook.id, |delivery| delivery["status"] == "delivered").await;
    let arrivals = |event: &str| receiver.seen().iter().filter(|request| request.event() == event).count();
    assert_eq!([&delivered, &failing, &missed, &marker].map(|event| arrivals(event)), [1, 2, 1, 1]);
    let page = api.get(&format!("{path}/deliveries")).await.expect(200);
    assert!(data(&page).iter().all(|delivery| delivery["status"] == "delivered"), "{page:#}");
    assert_eq!(text(&data(&page)[0]["event_id"]), marker, "newest first");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recovery_after_a_day_of_outage_sends_every_event_once_oldest_first() {
    /// One event every five minutes of the day.
    const STEP: Duration = Duration::from_secs(300);
    const EVENTS: usize = 24 * 12;
    let (world, account) = (World::new().await, acme());
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
    let now = webhooks::get(&world.app.store, &account, webhook).await.expect("the table").expect("the webhook");
    assert_eq!((now.is_enabled(), now.disabled_reason), (false, Some(DisabledReason::Failures)));
    let attempts = receiver.seen().len();
    let held = deliveries::list(&world.app.store, &now, None, EVENTS, |_| true).await.expect("the table");
    // The first delivery to fail disabled the webhook, and the pending ones are held. More than one
    // may have failed, since the attempts of a batch are made concurrently.
    let disabled_at = now.disabled_at.expect("it is disabled");
    let failed = held.items.iter().filter(|delivery| delivery.shown_status(Some(&now)) == DeliveryStatus::Failed);
    let last_attempts: Vec<_> =
        failed.filter_map(|delivery| delivery.attempts.values().max_by_key(|attempt| attempt.number)).collect();
    assert!(!last_attempts.is_empty(), "no delivery has failed");
    for attempt in last_attempts {
        assert_eq!(attempt.number, 5, "a delivery fails with its last attempt");
        assert!(attempt.started_at <= disabled_at, "an attempt was made after the disabling");
    }

    up.store(true, Ordering::SeqCst);
    let enable = |webhook: &mut Webhook| -> Result<(), StoreError> {
        webhook.enable(world.app.clock.now());
        Ok(())
    };
    let enabled =
        webhooks::change(&world.app.store, &account, webhook, enable).await.expect("the table").expect("the webhook");
    let until = world.app.clock.now();
    let window = RecoveryWindow {
        run: until.unix_ms(),
        first: EventId::first_at(morning),
        last: EventId::first_at(until),
        include_failed: true,
        backfill: false,
    };
    let job = Recover::of_window(&enabled, window);
    jobs::enqueue(&world.app.queues, &account, &Job::Recover(job)).await.expect("the queue");
    world.work().await;
    // The tasks from before the disabling become due meanwhile, and have nothing to do.
    world.pass(Duration::from_secs(3 * 60 * 60)).await;

    let arrived: Vec<_> = receiver.seen()[attempts..].iter().map(|request| request.event().to_owned()).collect();
    let expected: Vec<_> = published.iter().map(ToString::to_string).collect();
    let missing: Vec<_> = expected.iter().filter(|event| !arrived.contains(event)).collect();
    assert!(missing.is_empty(), "not sent: {missing:?}");
    assert_eq!(arrived.len(), expected.len(), "an event was sent twice");
    // A batch of ten is sent concurrently, so the order holds between batches only.
    for (arrived, expected) in arrived.chunks(10).zip(expected.chunks(10)) {
        let mut arrived = arrived.to_vec();
        arrived.sort();
        assert_eq!(arrived, expected, "the batches should be sent oldest first");
    }
}
