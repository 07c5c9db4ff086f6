//! Enabling a webhook: what is held is recovered or cancelled, and what has failed stays as it is.

use std::collections::BTreeMap;
use std::time::Duration;

use application::enabling;
use domain::webhook::{Held, Webhook};
use serde_json::{Value, json};
use store::{StoreError, webhooks};

use crate::harness::client::text;
use crate::harness::receiver::{Answer, Receiver};
use crate::harness::stage::Stage;
use crate::harness::world::acme;

/// Longer than the whole retry schedule.
const SCHEDULE: Duration = Duration::from_secs(4 * 60 * 60);

async fn status(stage: &Stage, webhook: &str, event: &str) -> Value {
    stage.delivery(webhook, event).await["status"].clone()
}

/// A disabled webhook, with deliveries that are held in each way.
struct Disabled {
    webhook: String,
    /// Its first attempt failed, and the next was due.
    attempted: String,
    /// Its task had not arrived.
    waiting: String,
    /// It was published after the disabling.
    missed: String,
}

impl Disabled {
    /// The receiver refuses its first request.
    async fn new(stage: &Stage, receiver: &Receiver) -> Self {
        let webhook = stage.register(receiver, None).await;
        let attempted = stage.publish().await;
        stage.world.work().await;
        let waiting = stage.publish().await;
        stage.change(&webhook, json!({ "status": "disabled" })).await;
        stage.world.wait(Duration::from_secs(10));
        let missed = stage.publish().await;
        let held = Self { webhook, attempted, waiting, missed };
        held.check(stage, "held").await;
        held
    }

    async fn check(&self, stage: &Stage, expected: &str) {
        let Self { webhook, attempted, waiting, missed } = self;
        for event in [attempted, waiting, missed] {
            assert_eq!(status(stage, webhook, event).await, expected, "{event}");
        }
        let listed = stage.listed(webhook, &format!("&status={expected}")).await;
        assert!([attempted, waiting, missed].iter().all(|event| listed.iter().any(|(listed, _)| listed == *event)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn enabling_recovers_what_is_held() {
    for change in [json!({ "status": "enabled" }), json!({ "status": "enabled", "held": "recover" })] {
        let (stage, receiver) = (Stage::new().await, Receiver::in_turn([500, 200].map(Answer::status).to_vec()).await);
        let held = Disabled::new(&stage, &receiver).await;
        let changed = stage.change(&held.webhook, change).await;
        let path = format!("{}/recoveries/{}", held.webhook, text(&changed["recovery_id"]));
        assert_eq!(stage.ask("GET", &path, &Value::Null).await["status"], "running", "it can be read at once");
        stage.world.pass(SCHEDULE).await;
        held.check(&stage, "delivered").await;
        let ended = stage.ask("GET", &path, &Value::Null).await;
        // The old tasks of the other two have begun its run themselves.
        let counts = ["looked_at", "sent"].map(|count| ended[count].as_i64());
        assert_eq!((&ended["status"], counts), (&json!("done"), [Some(3), Some(1)]), "{ended:#}");
        assert_eq!(receiver.seen().len(), 4, "each once, beside the attempt that failed");
        let again = stage.change(&held.webhook, json!({ "status": "enabled", "held": "cancel" })).await;
        assert_eq!(again["recovery_id"], Value::Null, "it is enabled already");
        stage.world.work().await;
        held.check(&stage, "delivered").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn enabling_cancels_what_is_held_if_the_user_asks_for_it() {
    let (stage, receiver) = (Stage::new().await, Receiver::in_turn([500, 200].map(Answer::status).to_vec()).await);
    let held = Disabled::new(&stage, &receiver).await;
    stage.change(&held.webhook, json!({ "status": "enabled", "held": "cancel" })).await;
    held.check(&stage, "cancelled").await;
    let later = stage.publish().await;
    assert_eq!(status(&stage, &held.webhook, &later).await, "pending");
    stage.world.pass(SCHEDULE).await;
    stage.recover(&held.webhook).await;
    stage.change(&held.webhook, json!({ "status": "disabled" })).await;
    stage.change(&held.webhook, json!({ "status": "enabled" })).await;
    stage.world.pass(SCHEDULE).await;
    held.check(&stage, "cancelled").await;
    let sent: Vec<_> = receiver.seen().iter().map(|request| request.event().to_owned()).collect();
    assert_eq!(sent, [held.attempted, later], "no task and no recovery sends it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_after_a_cancel_is_recovered() {
    let (stage, receiver) = (Stage::new().await, Receiver::answering(200).await);
    let webhook = stage.register(&receiver, None).await;
    for held in ["cancel", "recover"] {
        stage.change(&webhook, json!({ "status": "disabled" })).await;
        let event = stage.publish().await;
        stage.world.work().await;
        assert_eq!(status(&stage, &webhook, &event).await, "held");
        stage.change(&webhook, json!({ "status": "enabled", "held": held })).await;
        stage.world.work().await;
        let expected = if held == "cancel" { "cancelled" } else { "delivered" };
        assert_eq!(status(&stage, &webhook, &event).await, expected);
    }
    assert_eq!(receiver.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn enabling_an_enabled_webhook_cancels_nothing() {
    let (stage, receiver) = (Stage::new().await, Receiver::answering(200).await);
    let webhook = stage.register(&receiver, None).await;
    let event = stage.publish().await;
    stage.change(&webhook, json!({ "status": "enabled", "held": "cancel" })).await;
    assert_eq!(status(&stage, &webhook, &event).await, "pending");
    stage.world.work().await;
    assert_eq!(status(&stage, &webhook, &event).await, "delivered");
}

/// Enables a webhook as a request does that dies before the job of the recovery is enqueued.
async fn enable_and_die(stage: &Stage, webhook: &str) {
    let id = webhook.trim_start_matches("/v1/webhooks/").parse().expect("an id");
    let now = stage.world.app.clock.now();
    let change = |webhook: &mut Webhook| -> Result<(), StoreError> {
        webhook.enable_with(Held::Recover, now);
        Ok(())
    };
    webhooks::change(&stage.world.app.store, &acme(), id, change).await.expect("the table").expect("the webhook");
    stage.world.work().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_enabling_whose_worker_died_is_finished_by_its_job_or_by_the_next_change() {
    for is_repeated in [false, true] {
        let (stage, receiver) = (Stage::new().await, Receiver::in_turn([500, 200].map(Answer::status).to_vec()).await);
        let held = Disabled::new(&stage, &receiver).await;
        let id = held.webhook.trim_start_matches("/v1/webhooks/").parse().expect("an id");
        let webhook = webhooks::get(&stage.world.app.store, &acme(), id).await.expect("the table").expect("a webhook");
        if !is_repeated {
            enabling::prepare(&stage.world.app, &webhook).await.expect("the queue");
        }
        enable_and_die(&stage, &held.webhook).await;
        assert_eq!(status(&stage, &held.webhook, &held.missed).await, "pending", "it has no task yet");
        if is_repeated {
            stage.change(&held.webhook, json!({ "description": "any change" })).await;
        }
        stage.world.pass(SCHEDULE).await;
        held.check(&stage, "delivered").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_event_that_a_receiver_never_takes_holds_the_others_only_until_the_webhook_is_enabled() {
    const GOOD: usize = 200;
    let stage = Stage::new().await;
    let is_bad = |body: &[u8]| body.windows(3).any(|window| window == b"bad");
    let receiver =
        Receiver::scripted(move |_, request| Answer::status(if is_bad(&request.body) { 400 } else { 200 })).await;
    let webhook = stage.register(&receiver, None).await;
    stage.change(&webhook, json!({ "auto_recover": false })).await;
    let mut good = Vec::new();
    for _ in 0..GOOD / 2 {
        good.push(stage.publish().await);
    }
    let event = json!({ "type": "user.created", "data": { "object": { "is": "bad" } } });
    let bad = stage.ask("POST", "/v1/events", &event).await["id"].as_str().expect("an id").to_owned();
    stage.world.pass(SCHEDULE).await;
    let disabled = stage.ask("GET", &webhook, &Value::Null).await;
    assert_eq!((&disabled["status"], &disabled["disabled_reason"]), (&json!("disabled"), &json!("failures")));
    for _ in 0..GOOD / 2 {
        good.push(stage.publish().await);
    }
    assert_eq!(stage.listed(&webhook, "&status=held").await.len(), GOOD / 2);
    stage.change(&webhook, json!({ "status": "enabled" })).await;
    stage.world.pass(SCHEDULE).await;

    let mut sent = BTreeMap::<String, usize>::new();
    for request in receiver.seen() {
        *sent.entry(request.event().to_owned()).or_default() += 1;
    }
    assert_eq!(sent.remove(&bad), Some(5), "the attempts of the schedule, and none by the enabling");
    assert_eq!(sent, good.iter().map(|event| (event.clone(), 1)).collect::<BTreeMap<_, _>>());
    assert_eq!(status(&stage, &webhook, &bad).await, "failed");
    assert_eq!(stage.ask("GET", &webhook, &Value::Null).await["status"], "enabled");
}
