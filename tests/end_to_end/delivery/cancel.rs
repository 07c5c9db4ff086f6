//! Cancelling a delivery: it is not attempted again, whatever state it is in.

use std::sync::mpsc::{Receiver as Signals, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::receiver::{Answer, Receiver};
use crate::harness::stage::{Stage, delivery_path};

/// Longer than the whole retry schedule.
const SCHEDULE: Duration = Duration::from_secs(4 * 60 * 60);

/// Cancels a delivery; returns its status.
async fn cancel(stage: &Stage, webhook: &str, event: &str) -> Value {
    stage.ask("POST", &format!("{}/cancel", delivery_path(webhook, event)), &Value::Null).await["status"].clone()
}

/// The status of the answer to a manual retry or a cancel.
async fn status_of(stage: &Stage, action: &str, webhook: &str, event: &str) -> u16 {
    stage.try_to_ask("POST", &format!("{}/{action}", delivery_path(webhook, event)), &Value::Null).await.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_that_was_cancelled_before_its_first_attempt_is_never_sent() {
    let (stage, receiver) = (Stage::new().await, Receiver::answering(200).await);
    let webhook = stage.register(&receiver, None).await;
    let event = stage.publish().await;
    assert_eq!(cancel(&stage, &webhook, &event).await, "cancelled");
    assert_eq!(cancel(&stage, &webhook, &event).await, "cancelled", "a second cancel changes nothing");
    assert_eq!(status_of(&stage, "retry", &webhook, &event).await, 409);
    stage.world.work().await;
    stage.recover(&webhook).await;
    stage.world.work().await;
    assert_eq!(receiver.seen().len(), 0);
    let expected = [(event.clone(), "cancelled".to_owned())];
    assert_eq!(stage.listed(&webhook, "").await, expected);
    assert_eq!(stage.listed(&webhook, "&status=cancelled").await, expected);
    assert_eq!(stage.listed(&webhook, "&status=pending").await, []);
    let shown = stage.delivery(&webhook, &event).await;
    assert_eq!((&shown["attempts"], &shown["next_attempt_at"]), (&json!([]), &Value::Null));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pending_delivery_that_is_cancelled_is_not_attempted_again_and_disables_nothing() {
    let (stage, receiver) = (Stage::new().await, Receiver::answering(500).await);
    let webhook = stage.register(&receiver, None).await;
    let event = stage.publish().await;
    stage.world.work().await;
    assert_eq!(stage.delivery(&webhook, &event).await["status"], "pending");
    assert_eq!(cancel(&stage, &webhook, &event).await, "cancelled");
    stage.world.pass(SCHEDULE).await;
    stage.recover(&webhook).await;
    stage.world.pass(SCHEDULE).await;
    let shown = stage.delivery(&webhook, &event).await;
    assert_eq!((&shown["status"], shown["attempts"].as_array().map(Vec::len)), (&json!("cancelled"), Some(1)));
    assert_eq!(receiver.seen().len(), 1);
    assert_eq!(stage.ask("GET", &webhook, &Value::Null).await["status"], "enabled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_and_held_deliveries_that_are_cancelled_are_left_out_of_recoveries() {
    let answers = [500, 500, 500, 500, 500, 200].map(Answer::status).to_vec();
    let (stage, receiver) = (Stage::new().await, Receiver::in_turn(answers).await);
    let webhook = stage.register(&receiver, None).await;
    stage.change(&webhook, json!({ "auto_recover": false })).await;
    let failed = stage.publish().await;
    stage.world.pass(SCHEDULE).await;
    assert_eq!(stage.ask("GET", &webhook, &Value::Null).await["disabled_reason"], "failures");
    let held = [stage.publish().await, stage.publish().await];
    for event in [&failed, &held[0]] {
        assert_eq!(cancel(&stage, &webhook, event).await, "cancelled");
    }
    stage.change(&webhook, json!({ "status": "enabled" })).await;
    stage.world.work().await;
    stage.recover(&webhook).await;
    stage.world.work().await;
    assert_eq!(receiver.seen().len(), 6, "the recoveries send the other one");
    assert_eq!(receiver.seen()[5].event(), held[1]);
    assert_eq!(stage.listed(&webhook, "&status=cancelled").await.len(), 2);
    assert_eq!(status_of(&stage, "cancel", &webhook, &held[1]).await, 409, "it is delivered");
    stage.ask("DELETE", &webhook, &Value::Null).await;
    assert_eq!(cancel(&stage, &webhook, &failed).await, "cancelled", "also when the webhook is deleted");
}

/// A receiver that answers each request with the status that the test sends.
async fn prompted() -> (Receiver, Sender<u16>) {
    let (prompt, prompts): (Sender<u16>, Signals<u16>) = channel();
    let prompts = Arc::new(Mutex::new(prompts));
    let script = move |_: usize, _: &_| {
        let prompts = prompts.lock().expect("unpoisoned");
        Answer::status(prompts.recv().expect("the test has a status for each request"))
    };
    (Receiver::scripted(script).await, prompt)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_attempt_that_is_under_way_when_its_delivery_is_cancelled_is_recorded() {
    let (stage, (receiver, prompt)) = (Stage::new().await, prompted().await);
    let webhook = stage.register(&receiver, None).await;
    for (index, (answer, status)) in
        [(200, "delivered"), (500, "cancelled"), (410, "cancelled")].into_iter().enumerate()
    {
        let event = stage.publish().await;
        let user = async {
            receiver.wait_for(index + 1).await;
            assert_eq!(status_of(&stage, "retry", &webhook, &event).await, 409, "an attempt is under way");
            assert_eq!(cancel(&stage, &webhook, &event).await, "cancelled");
            prompt.send(answer).expect("the receiver waits for it");
        };
        tokio::join!(stage.world.work(), user);
        stage.world.pass(SCHEDULE).await;
        let shown = stage.delivery(&webhook, &event).await;
        assert_eq!((&shown["status"], &shown["attempts"][0]["status_code"]), (&json!(status), &json!(answer)));
        assert_eq!(receiver.seen().len(), index + 1, "it is not attempted again");
    }
    assert_eq!(stage.ask("GET", &webhook, &Value::Null).await["status"], "enabled", "not even the 410 disables it");
}
