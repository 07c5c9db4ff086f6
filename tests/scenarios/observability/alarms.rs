//! For each alarm on our own metrics: what sets it off, and that nothing else does.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::backoff::RetrySchedule;
use domain::id::WebhookId;
use serde_json::json;
use strict_aws::template::template;
use telemetry::metrics::NAMESPACE;
use tokio::time::sleep;

use super::cloudwatch::{Alarm, Metrics};
use crate::world::{Call, Fate, World};

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
    let metrics = Metrics::of(&world.logs.lines());
    let alarms = Alarm::on(&template(), NAMESPACE).into_iter();
    alarms.filter(|(_, alarm)| alarm.goes_off(&metrics, world.elapsed()).is_some()).map(|(id, _)| id).collect()
}

fn only(alarm: &str) -> BTreeSet<String> {
    BTreeSet::from([alarm.to_owned()])
}

/// Publishes through the API `a_minute` events a minute.
async fn publish_for(world: &World, minutes: u32, a_minute: u32) {
    let token = world.token().await;
    let event = json!({"type": "user.created", "data": {"object": {}}});
    for _ in 0..minutes * a_minute {
        let (status, _) = world.post("/v1/events", &token, &event, ("Accept", "*/*")).await;
        assert_eq!(status, 202);
        sleep(MINUTE / a_minute).await;
    }
}

/// Sends one event a minute to the queue, as a producer inside AWS does.
async fn produce_for(world: &World, minutes: u32) {
    let event = json!({"account": world.account, "type": "user.created", "data": {"object": {}}});
    for _ in 0..minutes {
        world.send(&world.app.queues.settings.events_url, &event).await;
        sleep(MINUTE).await;
    }
}

/// Lets all attempts of a webhook wait by this schedule.
async fn set_schedule(world: &World, webhook: WebhookId, schedule: &str) {
    let schedule: RetrySchedule = schedule.parse().expect("a schedule");
    world.change(webhook, |webhook| webhook.options.retry_schedule = Some(schedule.clone())).await;
}

#[test]
fn each_alarm_on_our_own_metrics_has_a_test() {
    let ours = Alarm::on(&template(), NAMESPACE);
    assert_eq!(ours.keys().map(String::as_str).collect::<BTreeSet<_>>(), TESTED.into());
}

#[tokio::test(start_paused = true)]
async fn a_healthy_stack_sets_no_alarm_off() {
    let world = World::new(|_| Fate::Done, |host| Some(if host.starts_with("ill") { 500 } else { 200 })).await;
    for host in ["one", "two", "three", "four", "five", "ill"] {
        world.register(host).await;
    }
    world.start(2, 1);
    publish_for(&world, 20, 5).await;
    assert!(world.logs.lines().iter().any(|line| line.json["failures"] == 1));
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
async fn few_attempts_set_no_alarm_off_even_if_all_of_them_fail() {
    let world = World::new(|_| Fate::Done, |_| Some(500)).await;
    world.register("receiver").await;
    world.start(2, 1);
    publish_for(&world, 25, 1).await;
    assert_eq!(went_off(&world), BTreeSet::new());
}

/// A producer's invalid message must not stop a deployment, which these alarms watch. It becomes a dead letter, which has an alarm.
#[tokio::test(start_paused = true)]
async fn invalid_messages_set_no_alarm_off() {
    let world = World::new(|_| Fate::Done, |_| Some(200)).await;
    world.start(2, 1);
    for url in [&world.app.queues.settings.events_url, &world.app.queues.settings.deliveries_url] {
        world.send(url, "poison").await;
    }
    sleep(15 * MINUTE).await;
    assert_eq!(went_off(&world), BTreeSet::new());
}

/// Lets AWS refuse some calls for a time.
async fn refused(calls: fn(&Call) -> bool, time: Duration) -> World {
    let trouble = move |call: &Call| if calls(call) && call.at < time { Fate::Throttled } else { Fate::Done };
    let world = World::new(trouble, |_| Some(200)).await;
    world.register("receiver").await;
    world.start(2, 1);
    world
}

fn reads_a_batch(call: &Call) -> bool {
    call.operation == "BatchGetItem"
}

fn stores_an_event(call: &Call) -> bool {
    call.operation == "PutItem" && call.table() == "events"
}

/// Returns how many messages a function has given back.
fn returned(world: &World, function: &str) -> u64 {
    let lines = world.logs.lines().into_iter().filter(|line| line.function == function);
    lines.filter_map(|line| line.json["messages_returned"].as_u64()).sum()
}

/// One is enough.
#[tokio::test(start_paused = true)]
async fn a_task_that_cannot_be_read_returns() {
    let world = refused(reads_a_batch, 30 * MINUTE).await;
    publish_for(&world, 1, 1).await;
    sleep(14 * MINUTE).await;
    // Nor is anything attempted, but the time is too short for the other alarm.
    assert_eq!(went_off(&world), only("DeliverReturnsAlarm"));
}

#[tokio::test(start_paused = true)]
async fn tasks_that_return_within_a_minute_set_no_alarm_off() {
    let world = refused(reads_a_batch, MINUTE / 2).await;
    publish_for(&world, 15, 4).await;
    assert!(returned(&world, "deliver") > 0);
    assert_eq!(went_off(&world), BTreeSet::new());
}

/// One is enough.
#[tokio::test(start_paused = true)]
async fn an_event_that_cannot_be_published_returns() {
    let world = refused(stores_an_event, 30 * MINUTE).await;
    produce_for(&world, 1).await;
    sleep(14 * MINUTE).await;
    assert_eq!(went_off(&world), only("PublishReturnsAlarm"));
}

#[tokio::test(start_paused = true)]
async fn events_that_return_within_a_minute_set_no_alarm_off() {
    let world = refused(stores_an_event, MINUTE / 2).await;
    produce_for(&world, 15).await;
    assert!(returned(&world, "publish") > 0);
    assert_eq!(went_off(&world), BTreeSet::new());
}

/// Lets failures disable `count` webhooks, and returns the alarms that this sets off.
async fn disabled(count: usize) -> BTreeSet<String> {
    let world = World::new(|_| Fate::Done, |_| Some(500)).await;
    for number in 0..count {
        let webhook = world.register(&format!("down{number}")).await;
        set_schedule(&world, webhook.id, "0s,1s").await;
    }
    world.start(2, 1);
    publish_for(&world, 5, 1).await;
    let disabled = world.logs.lines().iter().filter(|line| line.json["message"] == "webhook disabled").count();
    assert_eq!(disabled, count);
    went_off(&world)
}

#[tokio::test(start_paused = true)]
async fn webhooks_disabled() {
    assert_eq!(disabled(11).await, only("WebhooksDisabledAlarm"));
    assert_eq!(disabled(10).await, BTreeSet::new());
}

/// The functions other than `api` do not run: their mappings are disabled, say.
#[tokio::test(start_paused = true)]
async fn nothing_attempted() {
    let world = World::new(|_| Fate::Done, |_| Some(200)).await;
    world.register("receiver").await;
    publish_for(&world, 30, 2).await;
    assert_eq!(went_off(&world), only("NothingAttemptedAlarm"));
}

/// `publish` runs, and `deliver` does not.
#[tokio::test(start_paused = true)]
async fn nothing_of_what_comes_by_the_queue_is_attempted() {
    let world = World::new(|_| Fate::Done, |_| Some(200)).await;
    world.register("receiver").await;
    world.start(0, 0);
    produce_for(&world, 30).await;
    assert_eq!(went_off(&world), only("NothingAttemptedAlarm"));
}

#[tokio::test(start_paused = true)]
async fn events_that_nobody_subscribes_to_set_no_alarm_off() {
    let world = World::new(|_| Fate::Done, |_| Some(200)).await;
    world.start(2, 1);
    publish_for(&world, 30, 1).await;
    assert_eq!(went_off(&world), BTreeSet::new());
}

#[tokio::test(start_paused = true)]
async fn the_longest_first_wait_of_a_schedule_sets_no_alarm_off() {
    let world = World::new(|_| Fate::Done, |_| Some(200)).await;
    let webhook = world.register("receiver").await;
    set_schedule(&world, webhook.id, "15m,1m").await;
    world.start(2, 1);
    publish_for(&world, 30, 1).await;
    assert_eq!(went_off(&world), BTreeSet::new());
}
