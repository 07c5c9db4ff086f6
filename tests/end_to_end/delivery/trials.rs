//! Trials: a webhook that failures have disabled is tried again by itself, and enabled and recovered when
//! its receiver is well.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::{Value, json};

use crate::harness::client::{Api, Registered, data, millis, text};
use crate::harness::receiver::{Answer, Receiver};
use crate::harness::stack::{Options, Stack};

/// A process that tries a disabled webhook again after seconds.
async fn start(trials: &'static str) -> Option<Stack> {
    let variables = vec![("TRIAL_SCHEDULE", trials)];
    Stack::with(Options { variables, ..Options::default().schedule("0s,1s") }).await
}

/// A receiver whose answer can be changed.
struct Changing {
    receiver: Receiver,
    status: Arc<AtomicU16>,
}

impl Changing {
    async fn answering(status: u16) -> Self {
        let status = Arc::new(AtomicU16::new(status));
        let present = Arc::clone(&status);
        let receiver = Receiver::scripted(move |_, _| Answer::status(present.load(Ordering::SeqCst))).await;
        Self { receiver, status }
    }

    fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// Registers the receiver for events of users.
    async fn register(&self, api: &Api) -> Registered {
        api.register(&self.receiver.url("/"), &["user.*"]).await
    }
}

/// Publishes an event that disables the webhook, and one that is held then. Returns both, and the disabled
/// webhook.
async fn disable(api: &Api, webhook: &Registered) -> (String, String, Value) {
    let path = format!("/v1/webhooks/{}", webhook.id);
    let first = api.publish("user.created").await.id();
    let disabled = api.get_when(&path, |webhook| webhook["status"] == "disabled").await;
    let held = api.publish("user.updated").await.id();
    (first, held, disabled)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_is_well_again_gets_what_it_missed() {
    let Some(stack) = start("2s,4s,6s,8s,10s,20s").await else { return };
    let api = stack.api();
    let endpoint = Changing::answering(503).await;
    let webhook = endpoint.register(&api).await;
    let watching = Receiver::answering(200).await;
    api.register(&watching.url("/"), &["webhook.recovered", "webhook.disabled"]).await;
    let path = format!("/v1/webhooks/{}", webhook.id);
    let (first, held, disabled) = disable(&api, &webhook).await;
    let next = millis(&disabled["next_trial_at"]) - millis(&disabled["disabled_at"]);
    assert!((2_000..=3_000).contains(&next), "{disabled:#}");
    assert_eq!((&disabled["auto_recover"], &disabled["disabled_reason"]), (&json!(true), &json!("failures")));

    let tried = api.delivery_when(&held, &webhook.id, |delivery| delivery["attempts"][0]["status_code"] == 503).await;
    assert_eq!((text(&tried["status"]), &tried["next_attempt_at"]), ("held".to_owned(), &Value::Null));
    let shown = api.get_when(&path, |webhook| webhook["next_trial_at"] != disabled["next_trial_at"]).await;
    assert_eq!(shown["status"], "disabled");
    assert_eq!(shown["updated_at"], disabled["updated_at"], "a failed trial moves next_trial_at alone");

    endpoint.answer(200);
    let enabled = api.get_when(&path, |webhook| webhook["status"] == "enabled").await;
    let cleared = ["disabled_reason", "disabled_at", "next_trial_at"].map(|name| enabled[name].is_null());
    assert_eq!(cleared, [true; 3], "{enabled:#}");
    api.delivery_when(&held, &webhook.id, |delivery| delivery["status"] == "delivered").await;
    assert_eq!(api.delivery(&first, &webhook.id).await["status"], "failed", "a failed delivery stays as it is");
    let reports = watching.wait_for(2).await;
    let kinds: Vec<_> = reports.iter().map(|report| report.header("x-webhook-event")).collect();
    assert_eq!(kinds, ["webhook.disabled", "webhook.recovered"]);
    let report: Value = serde_json::from_slice(&reports[1].body).expect("JSON");
    assert_eq!(
        (&report["data"]["object"]["id"], &report["data"]["object"]["status"]),
        (&json!(webhook.id), &json!("enabled"))
    );
    let later = api.publish("user.created").await.id();
    endpoint.receiver.wait_for_event(&later, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_is_sent_oldest_first_and_without_what_the_receiver_refuses() {
    let Some(stack) = start("3s,5s,30s").await else { return };
    let api = stack.api();
    let refused = Arc::new(std::sync::Mutex::new(String::new()));
    let bad = Arc::clone(&refused);
    let receiver = Receiver::scripted(move |_, request| {
        let bad = bad.lock().expect("unpoisoned");
        Answer::status(if bad.is_empty() {
            503
        } else if request.event() == *bad {
            422
        } else {
            200
        })
    })
    .await;
    let webhook = api.register(&receiver.url("/"), &["user.*"]).await;
    let (_, held, _) = disable(&api, &webhook).await;
    refused.lock().expect("unpoisoned").clone_from(&held);
    let further = [api.publish("user.created").await.id(), api.publish("user.created").await.id()];
    let path = format!("/v1/webhooks/{}", webhook.id);
    api.get_when(&path, |webhook| webhook["status"] == "enabled").await;
    for event in &further {
        let delivery = api.delivery_when(event, &webhook.id, |delivery| delivery["status"] == "delivered").await;
        assert_eq!(data(&json!({ "data": delivery["attempts"] })).len(), 1);
    }
    let seen: Vec<_> = receiver.seen().iter().map(|request| request.event().to_owned()).collect();
    assert_eq!(seen[2..4], [held.clone(), further[0].clone()], "one trial each, oldest first");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_held_event_the_trial_sends_the_one_that_disabled_the_webhook() {
    let Some(stack) = start("2s,30s").await else { return };
    let api = stack.api();
    let endpoint = Changing::answering(500).await;
    let webhook = endpoint.register(&api).await;
    let event = api.publish("user.created").await.id();
    let path = format!("/v1/webhooks/{}", webhook.id);
    api.get_when(&path, |webhook| webhook["status"] == "disabled").await;
    endpoint.answer(200);
    let delivery = api.delivery_when(&event, &webhook.id, |delivery| delivery["status"] == "delivered").await;
    assert_eq!(delivery["attempts"].as_array().map(Vec::len), Some(3), "two attempts and a trial");
    api.get_when(&path, |webhook| webhook["status"] == "enabled").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_is_gone_is_not_tried_again() {
    let Some(stack) = start("2s,4s,6s").await else { return };
    let api = stack.api();
    let endpoint = Changing::answering(500).await;
    let webhook = endpoint.register(&api).await;
    let (_, _, disabled) = disable(&api, &webhook).await;
    endpoint.answer(410);
    let path = format!("/v1/webhooks/{}", webhook.id);
    let gone = api.get_when(&path, |webhook| webhook["disabled_reason"] == "gone").await;
    assert_eq!((&gone["status"], &gone["next_trial_at"]), (&json!("disabled"), &Value::Null));
    assert_eq!(gone["disabled_at"], disabled["disabled_at"]);
    let now = tokio::time::Instant::now();
    endpoint.receiver.no_more_than(3, now + std::time::Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_option_decides_whether_there_are_trials() {
    let Some(stack) = start("3s,5s,7s,9s,11s,13s,15s,30s").await else { return };
    let api = stack.api();
    let endpoint = Changing::answering(500).await;
    let body = json!({ "url": endpoint.receiver.url("/"), "events": ["user.*"], "auto_recover": false });
    let webhook = api.register_as(&body).await;
    let path = format!("/v1/webhooks/{}", webhook.id);
    let (_, held, disabled) = disable(&api, &webhook).await;
    assert_eq!((&disabled["auto_recover"], &disabled["next_trial_at"]), (&json!(false), &Value::Null));
    endpoint.answer(200);
    let changed = api.patch(&path, &json!({ "auto_recover": null })).await.expect(200);
    assert!(changed["auto_recover"] == json!(true) && !changed["next_trial_at"].is_null(), "{changed:#}");
    let changed = api.patch(&path, &json!({ "auto_recover": false })).await.expect(200);
    assert_eq!(changed["next_trial_at"], Value::Null);
    api.patch(&path, &json!({ "auto_recover": true })).await.expect(200);
    api.delivery_when(&held, &webhook.id, |delivery| delivery["status"] == "delivered").await;
    api.get_when(&path, |webhook| webhook["status"] == "enabled").await;
    let faults = api.patch(&path, &json!({ "auto_recover": "yes" })).await.faults();
    assert_eq!(faults, ["/auto_recover"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_person_disables_is_not_tried() {
    let Some(stack) = start("1s,2s").await else { return };
    let api = stack.api();
    let endpoint = Changing::answering(200).await;
    let webhook = endpoint.register(&api).await;
    let path = format!("/v1/webhooks/{}", webhook.id);
    let disabled = api.patch(&path, &json!({ "status": "disabled" })).await.expect(200);
    assert_eq!(disabled["next_trial_at"], Value::Null);
    api.publish("user.created").await;
    endpoint.receiver.no_more_than(0, tokio::time::Instant::now() + std::time::Duration::from_secs(4)).await;
}
