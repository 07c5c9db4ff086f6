//! AWS refuses calls for a while: deliveries are late by a bounded time, and none is lost or sent
//! twice.

use std::time::Duration;

use domain::delivery::{DeliveryStatus, Task, Trigger};
use store::queues;
use store::tasks;

use crate::world::{Call, Fate, World};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn an_attempt_is_not_repeated_when_its_record_is_refused_for_ten_seconds() {
    let trouble = |call: &Call| {
        let is_record = call.operation == "PutItem"
            && call.table() == "deliveries"
            && call.body["Item"]["attempts"]["M"].as_object().is_some_and(|attempts| !attempts.is_empty());
        if is_record && call.at < 10 * SECOND { Fate::Throttled } else { Fate::Done }
    };
    let world = World::new(trouble, |_| Some(200)).await;
    let webhook = world.register("receiver").await;
    world.start(2, 1);
    let event = world.publish().await;
    tokio::time::sleep(400 * SECOND).await;
    assert_eq!(world.posts_to("receiver").len(), 1, "the attempt was repeated");
    let delivery = world.delivery(event, webhook.id).await.expect("a delivery");
    assert_eq!((delivery.status, delivery.attempts_made), (DeliveryStatus::Delivered, 1));
}

#[tokio::test(start_paused = true)]
async fn five_seconds_of_throttling_delay_a_delivery_by_seconds() {
    let trouble = |call: &Call| {
        if call.operation == "BatchGetItem" && call.at < 5 * SECOND { Fate::Throttled } else { Fate::Done }
    };
    let world = World::new(trouble, |_| Some(200)).await;
    world.register("receiver").await;
    world.start(2, 1);
    world.publish().await;
    let at = world.wait_for("receiver", 1, 600 * SECOND).await;
    assert!(at < 15 * SECOND, "the delivery arrived after {at:?}");
}

#[tokio::test(start_paused = true)]
async fn a_delivery_survives_half_an_hour_of_throttling() {
    let trouble = |call: &Call| {
        let troubled = matches!(call.operation.as_str(), "BatchGetItem" | "Query");
        if troubled && (SECOND..1801 * SECOND).contains(&call.at) { Fate::Throttled } else { Fate::Done }
    };
    let world = World::new(trouble, |_| Some(200)).await;
    world.register("receiver").await;
    world.publish().await;
    tokio::time::sleep(SECOND).await;
    world.start(2, 1);
    let at = world.wait_for("receiver", 1, 3600 * SECOND).await;
    assert!(at < 1801 * SECOND + queues::RETURN_WAIT_MAX + 10 * SECOND, "the delivery arrived after {at:?}");
}

#[tokio::test(start_paused = true)]
async fn unprocessed_keys_are_requested_again_after_growing_waits() {
    let trouble = |call: &Call| {
        if call.operation == "BatchGetItem" && call.at < SECOND { Fate::AllUnprocessed } else { Fate::Done }
    };
    let world = World::new(trouble, |_| Some(200)).await;
    world.register("receiver").await;
    world.start(2, 1);
    world.publish().await;
    let at = world.wait_for("receiver", 1, 600 * SECOND).await;
    assert!(at < 4 * SECOND, "the delivery arrived after {at:?}");
    let calls = world.calls.lock().expect("unpoisoned").clone();
    let reads: Vec<_> = calls.iter().filter(|call| call.operation == "BatchGetItem").map(|call| call.at).collect();
    let waits: Vec<_> = reads.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
    assert!(reads.len() <= 8, "{} reads within a second", reads.len());
    assert!(waits.iter().all(|wait| *wait >= Duration::from_millis(25)), "{waits:?}");
    assert!(waits.last() > waits.first(), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn an_event_is_read_once_for_all_its_webhooks() {
    let world = World::new(|_| Fate::Done, |_| Some(200)).await;
    for _ in 0..30 {
        world.register("receiver").await;
    }
    world.start(1, 1);
    world.publish().await;
    world.wait_for("receiver", 30, 60 * SECOND).await;
    let calls = world.calls.lock().expect("unpoisoned").clone();
    let of_event = calls.iter().filter(|call| call.body["RequestItems"].get("events").is_some()).count();
    assert_eq!(of_event, 1, "only the first batch should read the event");
}

#[tokio::test(start_paused = true)]
async fn a_held_delivery_stays_recoverable_after_a_failed_manual_retry() {
    let world = World::new(|_| Fate::Done, |_| Some(500)).await;
    let webhook = world.register("receiver").await;
    world.disable(webhook.id).await;
    tokio::time::sleep(60 * SECOND).await;
    let event = world.publish().await;
    tokio::time::sleep(60 * SECOND).await;
    let enabled = world.enable(webhook.id).await;
    let trigger = Trigger::Manual { nonce: "manual".to_owned() };
    let task = Task { trigger, ..Task::first(&enabled, event) };
    tasks::enqueue(&world.app.queues, &[task], Duration::ZERO).await.expect("the queue");
    world.start(2, 1);
    world.wait_for("receiver", 1, 60 * SECOND).await;
    tokio::time::sleep(SECOND).await;
    let delivery = world.delivery(event, webhook.id).await.expect("a delivery");
    assert_eq!((delivery.status, delivery.attempts_made), (DeliveryStatus::Held, 1));
    assert!(delivery.is_recoverable(enabled.epoch, world.app.clock.now()), "a recovery should send it");
}
