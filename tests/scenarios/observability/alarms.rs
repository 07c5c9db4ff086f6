//! For each alarm on our own metrics: what sets it off, and that nothing else does.

use std::collections::BTreeSet;
use std::time::Duration;

use strict_aws::template::{resources, template};
use telemetry::metrics::NAMESPACE;
use tokio::time::sleep;

use super::cloudwatch::{Alarm, Metrics};
use crate::world::{Fate, World};

const MINUTE: Duration = Duration::from_secs(60);
/// The alarms for which there is a test here.
const TESTED: [&str; 5] = [
    "DeliverReturnsAlarm",
    "FailureShareAlarm",
    "NothingAttemptedAlarm",
    "PublishReturnsAlarm",
    "WebhooksDisabledAlarm",
];

/// Returns the alarms on our own metrics that went off so far.
fn went_off(world: &World) -> BTreeSet<String> {
    let (template, metrics) = (template(), Metrics::of(&world.logs.lines()));
    let alarms = resources(&template, "AWS::CloudWatch::Alarm");
    let alarms = alarms.map(|(id, properties)| (id, Alarm::new(&template, properties)));
    let ours = alarms.filter(|(_, alarm)| alarm.watches(NAMESPACE));
    ours.filter(|(_, alarm)| alarm.goes_off(&metrics, world.elapsed()).is_some()).map(|(id, _)| id.clone()).collect()
}

fn only(alarm: &str) -> BTreeSet<String> {
    BTreeSet::from([alarm.to_owned()])
}

/// Publishes through the API `a_minute` events a minute.
async fn publish_for(world: &World, minutes: u32, a_minute: u32) {
    let token = world.token().await;
    let event = serde_json::json!({"type": "user.created", "data": {"object": {}}});
    for _ in 0..minutes * a_minute {
        world.post("/v1/events", &token, &event, ("Accept", "*/*")).await;
        sleep(MINUTE / a_minute).await;
    }
}

/// Puts a message on a queue that nobody can handle.
async fn poison(world: &World, queue_url: &str) {
    world.app.queues.sqs.send_message().queue_url(queue_url).message_body("poison").send().await.expect("AWS answers");
}

#[test]
fn each_alarm_on_our_own_metrics_has_a_test() {
    let template = template();
    let alarms = resources(&template, "AWS::CloudWatch::Alarm");
    let ours = alarms.filter(|(_, properties)| Alarm::new(&template, properties).watches(NAMESPACE));
    assert_eq!(ours.map(|(id, _)| id.as_str()).collect::<BTreeSet<_>>(), TESTED.into());
}

#[tokio::test(start_paused = true)]
async fn a_healthy_stack_sets_no_alarm_off() {
    let world = World::new(|_| Fate::Done, |host| Some(if host.starts_with("ill") { 500 } else { 200 })).await;
    for host in ["one", "two", "three", "four", "five", "ill"] {
        world.register(host).await;
    }
    world.start(2, 1);
    publish_for(&world, 20, 5).await;
    // One of six receivers fails, and is tried again after 1 and 5 minutes: less than half of all attempts.
    assert_eq!(went_off(&world), BTreeSet::new());
}

#[tokio::test(start_paused = true)]
async fn failure_share() {
    let world = World::new(|_| Fate::Done, |_| Some(500)).await;
    world.register("receiver").await;
    world.start(2, 1);
    publish_for(&world, 20, 10).await;
    assert_eq!(went_off(&world), only("FailureShareAlarm"));
}

#[tokio::test(start_paused = true)]
async fn deliver_returns() {
    let world = World::new(|_| Fate::Done, |_| Some(200)).await;
    world.start(2, 1);
    poison(&world, &world.app.queues.settings.deliveries_url).await;
    sleep(15 * MINUTE).await;
    assert_eq!(went_off(&world), only("DeliverReturnsAlarm"));
}

#[tokio::test(start_paused = true)]
async fn publish_returns() {
    let world = World::new(|_| Fate::Done, |_| Some(200)).await;
    world.start(2, 1);
    poison(&world, &world.app.queues.settings.events_url).await;
    sleep(15 * MINUTE).await;
    assert_eq!(went_off(&world), only("PublishReturnsAlarm"));
}

#[tokio::test(start_paused = true)]
async fn two_returns_within_a_minute_set_no_alarm_off() {
    let trouble = |call: &crate::world::Call| {
        let troubled = call.operation == "BatchGetItem" && call.at < MINUTE / 2;
        if troubled { Fate::Throttled } else { Fate::Done }
    };
    let world = World::new(trouble, |_| Some(200)).await;
    world.register("receiver").await;
    world.start(2, 1);
    publish_for(&world, 15, 4).await;
    let returned = world.logs.lines().iter().any(|line| line.json.get("messages_returned").is_some());
    assert!(returned, "nothing was returned");
    assert_eq!(went_off(&world), BTreeSet::new());
}

#[tokio::test(start_paused = true)]
async fn webhooks_disabled() {
    let world = World::new(|_| Fate::Done, |_| Some(410)).await;
    for number in 0..11 {
        world.register(&format!("gone{number}")).await;
    }
    world.start(2, 1);
    publish_for(&world, 5, 1).await;
    assert_eq!(went_off(&world), only("WebhooksDisabledAlarm"));
}

/// The functions other than `api` do not run: their mappings are disabled, say.
#[tokio::test(start_paused = true)]
async fn nothing_attempted() {
    let world = World::new(|_| Fate::Done, |_| Some(200)).await;
    world.register("receiver").await;
    publish_for(&world, 25, 2).await;
    assert_eq!(went_off(&world), only("NothingAttemptedAlarm"));
}
