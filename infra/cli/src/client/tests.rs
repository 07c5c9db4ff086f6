//! The client against `infra/openapi.json`: each operation has its route, and the documented examples are read and written.

use super::{
    deliveries::{Delivery, OutgoingRequest},
    error::Problem,
    event_types::{EventType, NewEventType},
    events::{
        DryRun, Event, EventBatch, EventWithDeliveries, FilterTest, NewEvent, NewEventBatch, NewFilterTest,
        PublishedEvent,
    },
    operation::{self, Operation},
    page::Page,
    portal::{NewPortalLink, PortalLink},
    service::{OpenApi, ServiceHealth},
    signatures::{ReceivedRequest, SignatureDiagnosis},
    tokens::{IssuedToken, NewToken, Token},
    webhooks::{
        ChangedWebhook, NewRecovery, NewTestDelivery, PolledRequests, Recovery, SecretRotation, Webhook, WebhookFields,
        WebhookHealth, WebhookWithSecret,
    },
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::collections::BTreeMap;

const DOCUMENT: &str = include_str!("../../../openapi.json");

/// A route as the document describes it.
struct Described {
    method: String,
    path: String,
    request: Option<Value>,
    answers: Vec<Value>,
}

/// The examples of a request's or an answer's content, or of all its media types.
fn example(content: &Value) -> Option<Value> {
    content["content"].as_object()?.values().find_map(|media| media.get("example").cloned())
}

/// What the portal's page alone asks for.
const OF_THE_PORTAL: [&str; 2] = ["createPortalSession", "deletePortalSession"];

/// Every route that the client has, by its `operationId`.
fn described() -> BTreeMap<String, Described> {
    let document: Value = serde_json::from_str(DOCUMENT).expect("JSON");
    let mut all = BTreeMap::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, route) in methods.as_object().expect("methods") {
            let responses = route["responses"].as_object().expect("responses");
            let successes = responses.iter().filter(|(status, _)| status.starts_with('2'));
            let described = Described {
                method: method.to_uppercase(),
                path: path.clone(),
                request: example(&route["requestBody"]),
                answers: successes.filter_map(|(_, response)| example(response)).collect(),
            };
            let id = route["operationId"].as_str().expect("an id").to_owned();
            if !OF_THE_PORTAL.contains(&id.as_str()) {
                assert!(all.insert(id, described).is_none(), "{method} {path}");
            }
        }
    }
    all
}

#[test]
fn the_client_has_every_operation_with_its_method_and_path() {
    let route = |Operation { id, method, path }: &Operation| (id.to_string(), format!("{method} {path}"));
    let ours: BTreeMap<_, _> = operation::ALL.iter().map(route).collect();
    assert_eq!(ours.len(), operation::ALL.len(), "an operation is there twice");
    let theirs: BTreeMap<_, _> =
        described().into_iter().map(|(id, route)| (id, format!("{} {}", route.method, route.path))).collect();
    assert_eq!(ours, theirs);
}

/// Reads every documented answer of an operation.
fn reads<T: DeserializeOwned>(route: &Described) {
    assert!(!route.answers.is_empty(), "{} {} has no example", route.method, route.path);
    for answer in &route.answers {
        let text = answer.to_string();
        serde_json::from_str::<T>(&text)
            .unwrap_or_else(|error| panic!("{} {}: {error}: {text}", route.method, route.path));
    }
}

#[test]
fn every_documented_answer_is_read() {
    for (id, route) in &described() {
        match id.as_str() {
            "readHealthz" => reads::<ServiceHealth>(route),
            "readOpenapi" => reads::<OpenApi>(route),
            "listWebhooks" => reads::<Page<Webhook>>(route),
            "createWebhook" | "rotateSecret" => reads::<WebhookWithSecret>(route),
            "readWebhook" | "finishRotation" => reads::<Webhook>(route),
            "updateWebhook" => reads::<ChangedWebhook>(route),
            "recoverWebhook" | "readRecovery" => reads::<Recovery>(route),
            "listRecoveries" => reads::<Page<Recovery>>(route),
            "readHealth" => reads::<WebhookHealth>(route),
            "pollWebhook" => reads::<PolledRequests>(route),
            "listDeliveries" => reads::<Page<Delivery>>(route),
            "readDeliveryRequest" => reads::<OutgoingRequest>(route),
            "testFilter" => reads::<FilterTest>(route),
            "createPortalLink" => reads::<PortalLink>(route),
            "readDelivery" | "retryDelivery" | "cancelDelivery" | "testWebhook" => reads::<Delivery>(route),
            "listEvents" => reads::<Page<Event>>(route),
            "readEvent" => reads::<EventWithDeliveries>(route),
            "publishEvent" => reads::<PublishedEvent>(route),
            "publishEvents" => reads::<EventBatch>(route),
            "dryRunEvent" => reads::<DryRun>(route),
            "listEventTypes" => reads::<Page<EventType>>(route),
            "createEventType" => reads::<EventType>(route),
            "debugSignatures" => reads::<SignatureDiagnosis>(route),
            "listTokens" => reads::<Page<Token>>(route),
            "createToken" => reads::<IssuedToken>(route),
            "deleteWebhook" | "deleteEventType" | "deleteToken" => assert!(route.answers.is_empty(), "{id}"),
            _ => panic!("{id} is new"),
        }
    }
}

/// Writes the documented request of an operation.
fn writes<T: Serialize + DeserializeOwned>(example: &Value) {
    let request: T = serde_json::from_str(&example.to_string()).unwrap_or_else(|error| panic!("{error}: {example}"));
    assert_eq!(serde_json::to_value(&request).expect("JSON"), *example);
}

#[test]
fn every_documented_request_is_written() {
    for (id, route) in &described() {
        match (id.as_str(), &route.request) {
            ("createWebhook" | "updateWebhook", Some(example)) => writes::<WebhookFields>(example),
            ("testWebhook", Some(example)) => writes::<NewTestDelivery>(example),
            ("rotateSecret", Some(example)) => writes::<SecretRotation>(example),
            ("recoverWebhook", Some(example)) => writes::<NewRecovery>(example),
            ("publishEvent" | "dryRunEvent", Some(example)) => writes::<NewEvent>(example),
            ("publishEvents", Some(example)) => writes::<NewEventBatch>(example),
            ("createEventType", Some(example)) => writes::<NewEventType>(example),
            ("debugSignatures", Some(example)) => writes::<ReceivedRequest>(example),
            ("testFilter", Some(example)) => writes::<NewFilterTest>(example),
            ("createPortalLink", Some(example)) => writes::<NewPortalLink>(example),
            ("createToken", Some(example)) => writes::<NewToken>(example),
            (_, None) => {}
            (id, Some(_)) => panic!("{id} is new"),
        }
    }
}

fn read<T: DeserializeOwned>(text: &str) -> Result<(), serde_json::Error> {
    serde_json::from_str::<T>(text).map(|_| ())
}

#[test]
fn the_request_types_have_every_documented_member() {
    let document: Value = serde_json::from_str(DOCUMENT).expect("JSON");
    let members = |schema: &str| {
        let properties = document["components"]["schemas"][schema]["properties"].as_object().expect(schema);
        properties.keys().cloned().collect::<Vec<_>>()
    };
    // An unknown member is the first thing that a reader of the type would complain about.
    let knows = |read: fn(&str) -> Result<(), serde_json::Error>, member: &str| {
        let error = read(&format!("{{\"{member}\": true}}")).err();
        assert!(!error.is_some_and(|error| error.to_string().contains("unknown field")), "{member}");
    };
    for (schema, read) in [
        ("NewWebhook", read::<WebhookFields> as fn(&str) -> _),
        ("WebhookChange", read::<WebhookFields>),
        ("NewTestDelivery", read::<NewTestDelivery>),
        ("SecretRotation", read::<SecretRotation>),
        ("NewRecovery", read::<NewRecovery>),
        ("NewEvent", read::<NewEvent>),
        ("NewEventBatch", read::<NewEventBatch>),
        ("NewEventType", read::<NewEventType>),
        ("ReceivedRequest", read::<ReceivedRequest>),
        ("NewFilterTest", read::<NewFilterTest>),
        ("NewPortalLink", read::<NewPortalLink>),
        ("NewToken", read::<NewToken>),
    ] {
        for member in members(schema) {
            knows(read, &member);
        }
    }
}

#[test]
fn every_documented_problem_is_read() {
    let document: Value = serde_json::from_str(DOCUMENT).expect("JSON");
    let responses = document["components"]["responses"].as_object().expect("responses");
    let examples: Vec<_> = responses.values().filter_map(example).collect();
    assert!(examples.len() > 5);
    for example in examples {
        let problem: Problem = serde_json::from_value(example.clone()).expect("a problem");
        assert_eq!(problem.title, example["title"]);
        assert_eq!(problem.errors.len(), example["errors"].as_array().map_or(0, Vec::len));
    }
}
