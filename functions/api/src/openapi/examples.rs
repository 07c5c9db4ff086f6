//! The examples of the OpenAPI document. The objects in answers are made by the code that makes real answers, so that an example
//! has every field.

use crate::{
    dry_run::DryRunWebhook,
    event_types::{EventTypeView, read_entry},
    filters::FilterTest,
    polling::PolledRequest,
    problem::Problem,
    recovery::RecoveryView,
    request_view::RequestView,
    webhooks::WebhookWithSecret,
};
use application::{
    dry_run::{Judged, Refusal},
    filters::Filters,
    polling,
};
use domain::{
    delivery::{Attempt, Delivery, DeliveryStatus, DeliveryView, Task, Trigger, request},
    diagnosis::{DiagnosisRequest, Evidence, diagnose},
    endpoint_policy::EndpointPolicy,
    event::{Event, NewEvent},
    event_type::built_in,
    filter::{Document, Filter},
    id::{DeliveryId, EventId, RecoveryId, WebhookId},
    input::{Fault, Fields},
    job::Recover,
    polling::Cursor,
    recovery::{NewRecovery, Pass, Recovery, RecoveryStatus},
    secret::Secret,
    time::Timestamp,
    webhook::{Webhook, WebhookView},
};
use serde::Serialize;
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

const WEBHOOK: &str = "wh_01JMC9ZV2K4W7T5N8Q3R6X1Y0B";
const EVENT: &str = "evt_01JMCA06DW8R3VZQ6N0K4T2W7Y";
const TOKEN: &str = "tok_01JMC9XQ3F5H8D2S6V9B4N7M1K";
const RECOVERY: &str = "rcv_01JMCF0H2N5Q8T1W4Z7C0F3J6M";
const CODE: &str = "mO0hVq3v8cXnLr2sT5wYzA1bD4eG7iK9jM6pQ0uS3xE";
const PUBLISHED_AT: &str = "2025-02-18T10:35:00Z";

/// Adds the examples of an operation: of its body, and of its answer if it succeeds.
pub(super) fn add(operation: &mut Value) {
    let id = operation["operationId"].as_str().expect("an id").to_owned();
    if let Some(body) = operation.pointer_mut("/requestBody/content/application~1json") {
        body["example"] = request(&id);
    }
    let responses = operation["responses"].as_object_mut().expect("responses").iter_mut();
    for (_, response) in responses.filter(|(status, _)| status.starts_with('2')) {
        if let Some(content) = response.pointer_mut("/content/application~1json") {
            content["example"] = answer(&id);
        }
    }
}

/// Returns the example of an operation's body.
fn request(operation: &str) -> Value {
    match operation {
        "createWebhook" => {
            json!({ "url": "https://your-app.com/webhooks", "events": ["resource.*", "payment.succeeded"] })
        }
        "updateWebhook" => json!({ "events": ["resource.updated"], "status": "enabled" }),
        "testWebhook" => json!({ "webhook_id": WEBHOOK, "event_type": "resource.updated" }),
        "rotateSecret" => json!({ "overlap_seconds": 3600 }),
        "debugSignatures" => received(),
        "recoverWebhook" => json!({ "since": "2025-02-18T10:30:00Z" }),
        "publishEvent" | "dryRunEvent" => new_event(),
        "publishEvents" => json!({ "events": [new_event()] }),
        "createEventType" => json!({
            "name": "order.shipped",
            "description": "An order was shipped",
            "sample": { "data": { "object": { "id": "ord_1" } } },
        }),
        "createToken" => json!({ "account": "acme", "scopes": ["publish"], "description": "The shop" }),
        "createPortalLink" => json!({ "read_only": true, "session_seconds": 1800 }),
        "createPortalSession" => json!({ "code": CODE }),
        "testFilter" => {
            let mut event = new_event();
            event["filter"] = json!({ "data": { "object": { "status": ["active"] } } });
            event
        }
        _ => panic!("the body of {operation} has no example in openapi/examples.rs"),
    }
}

/// Returns the example of the answer to an operation that succeeds.
fn answer(operation: &str) -> Value {
    let page = |entry: Value| json!({ "data": [entry], "next_cursor": null });
    match operation {
        "createWebhook" | "rotateSecret" => {
            let webhook = webhook();
            written(WebhookWithSecret::new(WebhookView::new(&webhook, true), &webhook.secret))
        }
        "listWebhooks" => page(written(WebhookView::new(&webhook(), true))),
        "updateWebhook" => {
            let mut changed = written(WebhookView::new(&webhook(), true));
            changed["recovery_id"] = RECOVERY.into();
            changed
        }
        "readWebhook" | "finishRotation" => written(WebhookView::new(&webhook(), true)),
        "testWebhook" => written(DeliveryView::new(&unattempted(Trigger::Test), Some(&webhook()))),
        "retryDelivery" => written(DeliveryView::new(&pending(), Some(&webhook()))),
        "readDelivery" => written(DeliveryView::new(&delivered(), Some(&webhook()))),
        "listDeliveries" => page(written(DeliveryView::new(&delivered(), Some(&webhook())))),
        "cancelDelivery" => {
            let cancelled = Delivery { cancelled: true, ..pending() };
            written(DeliveryView::new(&cancelled, Some(&webhook())))
        }
        "readHealth" => health(),
        "pollWebhook" => polled(),
        "debugSignatures" => debugged(),
        "recoverWebhook" => written(RecoveryView::new(&begun(), Some(&webhook()))),
        "listRecoveries" => page(written(RecoveryView::new(&done(), Some(&webhook())))),
        "readRecovery" => written(RecoveryView::new(&done(), Some(&webhook()))),
        "publishEvent" => event(),
        "publishEvents" => {
            json!({ "data": [event(), document(&Problem::invalid(vec![fault("/type", "is required")]))] })
        }
        "dryRunEvent" => dry_run(),
        "listEvents" => page(event()),
        "readEvent" => {
            let mut event = event();
            event["deliveries"] = json!([written(DeliveryView::new(&delivered(), Some(&webhook())))]);
            event["next_cursor"] = Value::Null;
            event
        }
        "listEventTypes" => page(written(built_in().next().map(EventTypeView::from))),
        "createEventType" => {
            let body = Fields::parse(request(operation).to_string().as_bytes()).expect("JSON");
            written(EventTypeView::from(read_entry(body).expect("a valid body")))
        }
        "listTokens" => page(token()),
        "createToken" => {
            let mut token = token();
            token["token"] = "hl_wFUvDqDYZx1vXbJ0vWm3l2oKcR8nB5sT7yHq4eGaP6I".into();
            token
        }
        "readOpenapi" => json!({ "openapi": "3.1.0" }),
        "readHealthz" => json!({ "status": "ok" }),
        _ => answer_for_the_portal(operation),
    }
}

/// Returns the example of the answer to an operation that the portal's page needs.
fn answer_for_the_portal(operation: &str) -> Value {
    match operation {
        "readDeliveryRequest" => written(RequestView::new(
            &webhook(),
            &stored_event(),
            2,
            event_id().made_at().plus(Duration::from_secs(60)),
        )),
        "testFilter" => filter_test(),
        "createPortalLink" => {
            json!({ "url": format!("https://api.example.com/portal#code={CODE}"), "expires_at": "2025-02-18T10:40:00Z" })
        }
        "createPortalSession" => json!({
            "token": "hl_wFUvDqDYZx1vXbJ0vWm3l2oKcR8nB5sT7yHq4eGaP6I",
            "expires_at": "2025-02-18T11:05:00Z",
            "account": "acme",
            "read_only": true,
            "publish": false,
            "webhook_id": null,
        }),
        _ => panic!("the answer of {operation} has no example in openapi/examples.rs"),
    }
}

fn filter_test() -> Value {
    let body = request("testFilter");
    let raw = serde_json::value::to_raw_value(&body["filter"]).expect("JSON");
    let pattern = Filter::read(&raw).expect("a filter").compile().expect("a filter");
    let event = stored_event();
    let document = Document::parse(&event.payload).expect("an event is JSON");
    written(FilterTest::new(pattern.explain(&document)))
}

fn polled() -> Value {
    let (event, now) = (stored_event(), event_id().made_at());
    let headers = request::headers(&event, &webhook(), 1, now);
    let request = PolledRequest::from(polling::Request { headers, event });
    json!({ "data": [written(request)], "next_cursor": Cursor::at(now).to_string(), "has_more": false })
}

/// Returns a request that a receiver got, with a line break at the end of its body.
fn received() -> Value {
    let (event, now) = (stored_event(), event_id().made_at());
    let headers = request::headers(&event, &webhook(), 1, now);
    let body = String::from_utf8_lossy(&event.payload).into_owned() + "\n";
    let header = |name: &str| headers[name].to_str().expect("ASCII").to_owned();
    let names = ["webhook-id", "webhook-timestamp", "webhook-signature", "x-webhook-signature"];
    let headers: BTreeMap<_, _> = names.into_iter().map(|name| (name, header(name))).collect();
    json!({ "webhook_id": WEBHOOK, "headers": headers, "body": body, "received_at": PUBLISHED_AT })
}

/// Returns what is found of that request.
fn debugged() -> Value {
    let request = DiagnosisRequest::parse(received().to_string().as_bytes()).expect("a valid body");
    let (webhooks, event) = (vec![webhook()], Some(stored_event()));
    let evidence = Evidence { asked: Some(webhook().id), webhooks, event, ..Evidence::default() };
    written(diagnose(&request.received, &evidence))
}

fn dry_run() -> Value {
    let (stored, now) = (stored_event(), event_id().made_at());
    let judged = |refusal| written(DryRunWebhook::new(Judged { webhook: webhook(), refusal }, &stored, now));
    let mut filtered = webhook();
    filtered.filter = serde_json::from_value(r#"{"data":{"object":{"name":["Another name"]}}}"#.into()).ok();
    let explanation = Filters::default().matcher(Some(&stored.payload)).explain(&filtered).expect("it does not match");
    let mut refused = judged(Some(Refusal::Filter(explanation)));
    refused["webhook_id"] = "wh_01JMC9ZX3N6Q9S2V5Y8B1E4H7K".into();
    json!({ "event": event(), "webhooks": [judged(None), refused], "next_cursor": null })
}

fn health() -> Value {
    json!({
        "webhook_id": WEBHOOK,
        "status": "enabled",
        "deliveries": 100,
        "delivered_share": 0.99,
        "attempts_per_delivery": 1.02,
        "latency_ms": { "p50": 48, "p95": 210 },
        "last_success_at": "2025-02-18T10:36:00Z",
        "last_failure": {
            "at": PUBLISHED_AT,
            "delivery_id": delivery_id().to_string(),
            "status_code": 500,
            "error": null,
        },
    })
}

/// Returns the example of the problem document with this status.
pub(super) fn problem(status: &str) -> Value {
    document(&match status {
        "400" => Problem::malformed("The body is not JSON: EOF while parsing an object at line 1 column 1."),
        "401" => Problem::unauthorized(),
        "403" => Problem::forbidden("The token lacks the scope 'manage'."),
        "404" => Problem::not_found("webhook"),
        "409" => Problem::webhook_disabled(),
        "413" => Problem::too_large(64),
        "415" => Problem::unsupported_media_type(),
        "422" => Problem::invalid(vec![fault("/url", "must use https")]),
        "429" => Problem::too_many_events(Duration::from_secs(1)),
        "500" => Problem::internal(&"an example"),
        "503" => Problem::unavailable(&"an example"),
        _ => panic!("the status {status} has no example in openapi/examples.rs"),
    })
}

fn document(problem: &Problem) -> Value {
    serde_json::from_str(&problem.to_json()).expect("JSON")
}

fn fault(pointer: &str, detail: &str) -> Fault {
    Fault { pointer: pointer.to_owned(), detail: detail.to_owned() }
}

/// Returns what an answer shows of `view`.
fn written(view: impl Serialize) -> Value {
    serde_json::to_value(view).expect("JSON")
}

fn webhook() -> Webhook {
    let url = EndpointPolicy::Strict.judge_url("https://your-app.com/webhooks").expect("a URL");
    let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=").expect("a secret");
    let id: WebhookId = WEBHOOK.parse().expect("an id");
    Webhook::new("acme".parse().expect("a name"), id, url, vec!["resource.*".parse().expect("a prefix")], secret)
}

fn event_id() -> EventId {
    EVENT.parse().expect("an id")
}

fn delivery_id() -> DeliveryId {
    DeliveryId { event: event_id(), webhook: webhook().id }
}

/// Returns a delivery before its first attempt.
fn unattempted(trigger: Trigger) -> Delivery {
    let task = Task { trigger, ..Task::first(&webhook(), event_id()) };
    Delivery::new(&task, "resource.updated".parse().expect("a name"))
}

/// Returns a delivery that waits for its second attempt.
fn pending() -> Delivery {
    let started_at = event_id().made_at();
    let first = Attempt {
        number: 1,
        started_at,
        duration_ms: 31,
        status_code: Some(500),
        error: None,
        response_body: Some("Internal Server Error".to_owned()),
    };
    let mut delivery = unattempted(Trigger::FIRST);
    delivery.attempts_made = 1;
    delivery.attempts.insert(Trigger::FIRST, first);
    delivery.next_attempt_at = Some(started_at.plus(Duration::from_secs(62)));
    delivery
}

/// Returns a delivery whose first attempt succeeded.
fn delivered() -> Delivery {
    let mut delivery = pending();
    for attempt in delivery.attempts.values_mut() {
        (attempt.status_code, attempt.response_body) = (Some(200), Some("{\"status\":\"received\"}".to_owned()));
    }
    Delivery { status: DeliveryStatus::Delivered, next_attempt_at: None, ..delivery }
}

/// Returns a recovery that has begun.
fn begun() -> Recovery {
    let (id, retention) = (RECOVERY.parse::<RecoveryId>().expect("an id"), Duration::from_secs(30 * 24 * 60 * 60));
    let window = NewRecovery::default().window(&webhook(), id.made_at(), retention).expect("a window");
    Recovery::begun_by(id, &Recover::of_window(&webhook(), window))
}

/// Returns a recovery that is done.
fn done() -> Recovery {
    let pass = Pass { status: RecoveryStatus::Done, after: None, looked_at: 480, sent: 37 };
    begun().after_pass(&pass, begun().id.made_at().plus(Duration::from_secs(2)))
}

/// Returns the body that publishes the example's event.
fn new_event() -> Value {
    json!({
        "type": "resource.updated",
        "data": { "object": { "id": "res_xyz789", "name": "Updated Resource", "status": "active" } },
        "previous_data": { "name": "Old Resource Name" },
    })
}

/// Returns the event as it is delivered.
fn event() -> Value {
    serde_json::from_slice(&stored_event().payload).expect("JSON")
}

fn stored_event() -> Event {
    let sample = built_in().find(|entry| entry.name.as_str() == "resource.updated").expect("a built-in type").sample;
    let new = NewEvent {
        event_type: "resource.updated".parse().expect("a name"),
        object: sample.object,
        previous_data: sample.previous_data,
    };
    Event::new("acme".parse().expect("a name"), event_id(), &new)
}

fn token() -> Value {
    let created_at = Timestamp::parse_rfc3339("2025-02-18T10:00:00Z").expect("a time").to_string();
    json!({
        "id": TOKEN,
        "account": "acme",
        "scopes": ["publish"],
        "description": "The shop",
        "created_at": created_at,
    })
}
