//! Deliveries, tasks and webhooks for the tests of this module.

use super::{ATTEMPT_TIMEOUT, Attempt, Attempted, Delivery, Task, Trigger, lease_for};
use crate::{
    backoff::RetrySchedule,
    endpoint_policy::EndpointPolicy,
    event::Event,
    id::{DeliveryId, EventId, WebhookId},
    secret::Secret,
    time::Timestamp,
    webhook::Webhook,
};
use std::time::Duration;

pub(crate) const NOW: Timestamp = Timestamp::EPOCH;
pub(crate) const LEASE: Duration = lease_for(ATTEMPT_TIMEOUT);

pub(crate) fn webhook() -> Webhook {
    let url = EndpointPolicy::Strict.judge_url("https://receiver.example/").expect("a URL");
    let secret = Secret::parse("sixteen characters").expect("a secret");
    let events = vec!["*".parse().expect("a subscription")];
    Webhook::new("acme".parse().expect("a name"), WebhookId::first_at(NOW), url, events, secret)
}

pub(crate) fn event() -> Event {
    Event {
        account: "acme".parse().expect("a name"),
        id: EventId::first_at(NOW),
        event_type: "user.created".parse().expect("a type"),
        payload: "{}".into(),
        test: false,
        trace: None,
    }
}

fn task(trigger: Trigger) -> Task {
    let delivery = DeliveryId { event: EventId::first_at(NOW), webhook: WebhookId::first_at(NOW) };
    Task { account: "acme".parse().expect("a name"), delivery, epoch: 0, revision: 0, trigger, slot: None, slow: false }
}

/// The task for step `step` of the first run.
pub(crate) fn scheduled(step: u32) -> Task {
    task(Trigger::Scheduled { run: 0, step })
}

/// The first task of a recovery's run.
pub(crate) fn recovery(run: i64) -> Task {
    task(Trigger::Scheduled { run, step: 1 })
}

pub(crate) fn manual(nonce: &str) -> Task {
    task(Trigger::Manual { nonce: nonce.to_owned() })
}

pub(crate) fn test() -> Task {
    task(Trigger::Test)
}

/// An attempt that was answered at once.
pub(crate) fn answered(number: u32, status_code: u16) -> Attempt {
    Attempt {
        number,
        started_at: NOW,
        duration_ms: 3,
        status_code: Some(status_code),
        error: None,
        response_body: None,
    }
}

pub(crate) fn record(delivery: Delivery, task: &Task, attempt: Attempt) -> Delivery {
    let attempted = Attempted { attempt, retry_after: None, ended_at: NOW };
    let outcome = delivery.outcome(&task.trigger, &attempted, &RetrySchedule::default(), 0.0);
    delivery.recorded(&task.trigger, attempted.attempt, outcome)
}

pub(crate) fn attempt(delivery: Delivery, task: &Task, status_code: u16) -> Delivery {
    let attempt = answered(delivery.next_number(), status_code);
    record(delivery, task, attempt)
}

/// A delivery after scheduled attempts with these answers.
pub(crate) fn after(status_codes: &[u16]) -> Delivery {
    let delivery = Delivery::new(&scheduled(1), "user.created".parse().expect("a type"));
    (1..).zip(status_codes).fold(delivery, |delivery, (step, status)| attempt(delivery, &scheduled(step), *status))
}
