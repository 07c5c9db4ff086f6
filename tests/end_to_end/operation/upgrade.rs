//! Upgrades: what version 0.1 stored and enqueued goes on under this version.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use domain::delivery::DeliveryStatus;
use domain::id::{DeliveryId, EventId, WebhookId};
use domain::webhook::WebhookStatus;
use serde_json::json;
use store::{deliveries, keys, webhooks};

use crate::harness::receiver::{Answer, Receiver};
use crate::harness::world::{World, acme};

type Item = HashMap<String, AttributeValue>;

/// A map's attribute under another name, as version 0.1 wrote it.
fn rename(item: &mut Item, new: &str, before: &str) {
    let value = item.remove(new).unwrap_or_else(|| panic!("{new} is stored"));
    item.insert(before.to_owned(), value);
}

/// Rewrites a stored item.
async fn rewrite(world: &World, table: &str, key: Item, change: impl FnOnce(&mut Item)) {
    let dynamodb = &world.app.store.dynamodb;
    let found = dynamodb.get_item().table_name(table).set_key(Some(key)).send().await.expect("the table");
    let mut item = found.item.expect("an item");
    change(&mut item);
    dynamodb.put_item().table_name(table).set_item(Some(item)).send().await.expect("the table");
}

async fn rewrite_webhook(world: &World, id: WebhookId) {
    let table = world.app.store.settings.webhooks.clone();
    rewrite(world, &table, keys::webhook(&acme(), id), |item| rename(item, "epoch", "generation")).await;
}

async fn rewrite_delivery(world: &World, id: DeliveryId) {
    let table = world.app.store.settings.deliveries.clone();
    let change = |item: &mut Item| {
        for (new, before) in [("epoch", "generation"), ("run", "round"), ("attempts_made", "made")] {
            rename(item, new, before);
        }
    };
    rewrite(world, &table, keys::delivery(&acme(), id), change).await;
}

/// A world after a first attempt that failed. Its items are rewritten as version 0.1 stored them, and its next task is
/// dropped.
async fn after_a_failed_attempt(receiver: &Receiver) -> (World, EventId, WebhookId) {
    let world = World::new().await;
    let webhook = world.register(&acme(), &receiver.url("/")).await;
    let event = world.publish(&acme()).await;
    world.work().await;
    world.wait(Duration::from_secs(120));
    assert_eq!(world.receive(&world.app.queues.settings.deliveries_url).await.len(), 1, "the next task");
    rewrite_webhook(&world, webhook).await;
    rewrite_delivery(&world, DeliveryId { event, webhook }).await;
    (world, event, webhook)
}

async fn enqueue(world: &World, queue_url: &str, message: serde_json::Value) {
    let call = world.app.queues.sqs.send_message().queue_url(queue_url);
    call.message_body(message.to_string()).send().await.expect("the queue");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_of_version_0_1_goes_on() {
    let receiver = Receiver::in_turn(vec![Answer::status(500), Answer::status(200)]).await;
    let (world, event, webhook) = after_a_failed_attempt(&receiver).await;
    let id = DeliveryId { event, webhook };
    let task = json!({
        "account": "acme", "delivery": id, "generation": 0, "turn": { "scheduled": { "round": 0, "step": 2 } },
    });
    let repeated = json!({
        "account": "acme", "delivery": id, "generation": 0, "turn": { "scheduled": { "round": 0, "step": 1 } },
    });
    for message in [task.clone(), repeated, task] {
        enqueue(&world, &world.app.queues.settings.deliveries_url, message).await;
        world.work().await;
    }
    let stored = deliveries::get(&world.app.store, &acme(), id).await.expect("the table").delivery.expect("a delivery");
    assert_eq!((stored.status, stored.attempts_made), (DeliveryStatus::Delivered, 2));
    assert_eq!(receiver.seen().len(), 2, "repeated tasks send nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recovery_of_version_0_1_goes_on() {
    let receiver = Receiver::in_turn(vec![Answer::status(410), Answer::status(200)]).await;
    let world = World::new().await;
    let webhook = world.register(&acme(), &receiver.url("/")).await;
    let event = world.publish(&acme()).await;
    world.work().await;
    let change = |webhook: &mut domain::webhook::Webhook| -> Result<(), store::StoreError> {
        assert_eq!(webhook.status, WebhookStatus::Disabled, "a 410 disables it");
        webhook.enable(world.app.clock.now());
        Ok(())
    };
    webhooks::change(&world.app.store, &acme(), webhook, change).await.expect("the table");
    rewrite_webhook(&world, webhook).await;
    rewrite_delivery(&world, DeliveryId { event, webhook }).await;
    let (first, last) = (event, EventId::first_at(world.app.clock.now().plus(Duration::from_secs(1))));
    let job = json!({ "recover": {
        "account": "acme", "webhook": webhook, "generation": 1, "round": 7, "first": first, "last": last, "after": null,
    } });
    enqueue(&world, &world.app.queues.settings.events_url, job).await;
    world.work().await;
    let id = DeliveryId { event, webhook };
    let stored = deliveries::get(&world.app.store, &acme(), id).await.expect("the table").delivery.expect("a delivery");
    assert_eq!((stored.status, stored.run, stored.attempts_made), (DeliveryStatus::Delivered, 7, 2));
}
