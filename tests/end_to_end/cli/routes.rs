//! Every route of the API has a command. A server that answers with the documented examples sees which route a command uses.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::harness::hookline::Hookline;
use crate::harness::receiver::{Answer, Receiver};

const WEBHOOK: &str = "wh_01JMC9ZV2K4W7T5N8Q3R6X1Y0B";
const EVENT: &str = "evt_01JMCA06DW8R3VZQ6N0K4T2W7Y";
const DELIVERY: &str = "dlv_01JMCA06DW8R3VZQ6N0K4T2W7Y01JMC9ZV2K4W7T5N8Q3R6X1Y0B";
const RECOVERY: &str = "rcv_01JMCF0H2N5Q8T1W4Z7C0F3J6M";
const TOKEN: &str = "tok_01JMC9XQ3F5H8D2S6V9B4N7M1K";

/// Stands for a file with the request of the example of `debugSignatures`.
const SAVED: &str = "SAVED";

/// The commands, each with the `operationId` of its route.
const COMMANDS: &[(&str, &[&str])] = &[
    ("readHealthz", &["status"]),
    ("readOpenapi", &["openapi"]),
    ("listWebhooks", &["webhooks", "list", "--status", "enabled"]),
    (
        "createWebhook",
        &["webhooks", "create", "https://your-app.com/webhooks", "--events", "resource.*,payment.succeeded"],
    ),
    ("readWebhook", &["webhooks", "get", WEBHOOK]),
    ("updateWebhook", &["webhooks", "update", WEBHOOK, "--events", "resource.updated", "--status", "enabled"]),
    ("deleteWebhook", &["webhooks", "delete", WEBHOOK]),
    ("testWebhook", &["webhooks", "test", WEBHOOK, "resource.updated"]),
    ("rotateSecret", &["webhooks", "rotate-secret", WEBHOOK, "--overlap-seconds", "3600"]),
    ("finishRotation", &["webhooks", "finish-rotation", WEBHOOK]),
    ("recoverWebhook", &["webhooks", "recover", WEBHOOK, "--since", "2025-02-18T10:30:00Z"]),
    ("listRecoveries", &["webhooks", "recoveries", WEBHOOK]),
    ("readRecovery", &["webhooks", "recoveries", WEBHOOK, RECOVERY]),
    ("pollWebhook", &["webhooks", "poll", WEBHOOK, "--from", "start"]),
    ("readHealth", &["webhooks", "health", WEBHOOK]),
    ("listDeliveries", &["deliveries", "list", WEBHOOK, "--status", "delivered"]),
    ("readDelivery", &["deliveries", "get", DELIVERY]),
    ("readDeliveryRequest", &["deliveries", "request", DELIVERY]),
    ("retryDelivery", &["deliveries", "retry", DELIVERY]),
    ("cancelDelivery", &["deliveries", "cancel", DELIVERY]),
    ("listEvents", &["events", "list", "--type", "resource.updated"]),
    ("readEvent", &["events", "get", EVENT]),
    (
        "publishEvent",
        &[
            "events",
            "publish",
            "resource.updated",
            "--data",
            r#"{"id": "res_xyz789", "name": "Updated Resource", "status": "active"}"#,
            "--previous",
            r#"{"name": "Old Resource Name"}"#,
        ],
    ),
    (
        "publishEvents",
        &[
            "events",
            "publish-batch",
            "--body",
            r#"{"events": [{"type": "resource.updated", "data": {"object": {"id": "res_xyz789", "name": "Updated Resource",
                "status": "active"}}, "previous_data": {"name": "Old Resource Name"}}]}"#,
        ],
    ),
    (
        "dryRunEvent",
        &[
            "events",
            "dry-run",
            "resource.updated",
            "--data",
            r#"{"id": "res_xyz789", "name": "Updated Resource", "status": "active"}"#,
            "--previous",
            r#"{"name": "Old Resource Name"}"#,
        ],
    ),
    ("listEventTypes", &["event-types", "list"]),
    (
        "createEventType",
        &[
            "event-types",
            "create",
            "order.shipped",
            "--description",
            "An order was shipped",
            "--sample",
            r#"{"data": {"object": {"id": "ord_1"}}}"#,
        ],
    ),
    ("deleteEventType", &["event-types", "delete", "order.shipped"]),
    ("debugSignatures", &["verify", SAVED, "--webhook", WEBHOOK, "--received-at", "2025-02-18T10:35:00Z"]),
    (
        "testFilter",
        &[
            "events",
            "test-filter",
            r#"{"data": {"object": {"status": ["active"]}}}"#,
            "--type",
            "resource.updated",
            "--data",
            r#"{"id": "res_xyz789", "name": "Updated Resource", "status": "active"}"#,
            "--previous",
            r#"{"name": "Old Resource Name"}"#,
        ],
    ),
    ("createPortalLink", &["portal", "--read-only", "--session-seconds", "1800"]),
    ("listTokens", &["tokens", "list"]),
    ("createToken", &["tokens", "create", "--account", "acme", "--scopes", "publish", "--description", "The shop"]),
    ("deleteToken", &["tokens", "delete", TOKEN]),
];

/// A route of `infra/openapi.json`, with its examples.
struct Route {
    method: String,
    path: String,
    status: u16,
    request: Option<Value>,
    answer: Option<Value>,
}

impl Route {
    fn matches(&self, method: &str, path: &str) -> bool {
        let path = path.split('?').next().unwrap_or_default();
        let same = |(ours, theirs): (&str, &str)| ours.starts_with('{') || ours == theirs;
        self.method == method
            && self.path.split('/').count() == path.split('/').count()
            && self.path.split('/').zip(path.split('/')).all(same)
    }
}

/// What the portal's page alone asks for.
const OF_THE_PORTAL: [&str; 2] = ["createPortalSession", "deletePortalSession"];

/// The routes that have a command, by `operationId`.
fn routes() -> BTreeMap<String, Route> {
    let document = include_str!("../../../infra/openapi.json");
    let document: Value = serde_json::from_str(document).expect("JSON");
    let example = |content: &Value| Some(content["content"].as_object()?.values().next()?["example"].clone());
    let mut routes = BTreeMap::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, route) in methods.as_object().expect("methods") {
            let responses = route["responses"].as_object().expect("responses");
            let (status, response) = responses.iter().find(|(status, _)| status.starts_with('2')).expect("a success");
            let described = Route {
                method: method.to_uppercase(),
                path: path.clone(),
                status: status.parse().expect("a status"),
                request: example(&route["requestBody"]),
                answer: example(response),
            };
            let id = route["operationId"].as_str().expect("an id").to_owned();
            if !OF_THE_PORTAL.contains(&id.as_str()) {
                routes.insert(id, described);
            }
        }
    }
    routes
}

/// A request of the example, as it would be saved.
fn saved(example: &Value) -> String {
    let headers = example["headers"].as_object().expect("headers").iter();
    let lines = headers.map(|(name, value)| format!("{name}: {}\r\n", value.as_str().expect("a text")));
    format!("POST / HTTP/1.1\r\n{}\r\n{}", lines.collect::<String>(), example["body"].as_str().expect("a text"))
}

/// A server that answers each route with its example.
async fn documented_api() -> Receiver {
    let routes = routes();
    Receiver::scripted(move |_, request| {
        // `POST /v1/webhooks/test` comes before `/v1/webhooks/{id}`.
        let found = routes.values().filter(|route| route.matches(&request.method, &request.path));
        match found.min_by_key(|route| route.path.matches('{').count()) {
            Some(route) => {
                let body = route.answer.as_ref().map(Value::to_string).unwrap_or_default();
                Answer::Reply(route.status, vec![("Content-Type", "application/json".to_owned())], body)
            }
            None => Answer::status(404),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_has_a_command() {
    let (routes, api) = (routes(), documented_api().await);
    let commands: BTreeSet<_> = COMMANDS.iter().map(|(id, _)| (*id).to_owned()).collect();
    assert_eq!(commands, routes.keys().cloned().collect());

    let user = Hookline::at(&api.url(""), "hl_documented");
    let saved = user.file("saved.http", saved(routes["debugSignatures"].request.as_ref().expect("an example")));
    for (id, arguments) in COMMANDS {
        let route = &routes[*id];
        let arguments: Vec<_> =
            arguments.iter().map(|word| if *word == SAVED { saved.as_str() } else { word }).collect();
        for json in [false, true] {
            let before = api.seen().len();
            let ran = user.run(&[&arguments[..], &["--json"][..usize::from(json)]].concat()).await;
            // The example of a batch has an event that was refused, and the signatures of another do not hold.
            let fails = ["publishEvents", "debugSignatures"].contains(id);
            assert_eq!(ran.status, Some(i32::from(fails)), "{id}: {ran:#?}");
            let request = &api.seen()[before];
            assert!(route.matches(&request.method, &request.path), "{id}: {} {}", request.method, request.path);
            assert_eq!(request.header("authorization"), "Bearer hl_documented");
            if let Some(example) = &route.request {
                let sent: Value = serde_json::from_slice(&request.body).expect("JSON");
                assert_eq!(sent, *example, "{id}");
            }
            match &route.answer {
                Some(answer) if json => assert_eq!(ran.stdout, format!("{answer}\n"), "{id}: the server's own JSON"),
                None if json => assert_eq!(ran.stdout, "", "{id}: a 204 has no JSON"),
                _ => assert!(!ran.stdout.is_empty(), "{id}: people are told what happened"),
            }
        }
    }
}
