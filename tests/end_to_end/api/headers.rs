//! Headers and names that the API does not take: each is refused, and named for what it is.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::client::{Api, Reply, text};
use crate::harness::stack::{Options, Stack};

/// An id of the right form that no object has.
const UNUSED: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

/// The end of a problem's type.
#[track_caller]
fn kind(reply: &Reply, status: u16) -> String {
    let kind = text(&reply.problem(status)["type"]);
    kind.strip_prefix("urn:hookline:problem:").unwrap_or_else(|| panic!("{kind}")).to_owned()
}

/// Every operation of the document: its method, its path with an id filled in, and its description.
async fn operations(api: &Api) -> Vec<(Method, String, Value)> {
    let document = api.get("/v1/openapi.json").await.expect(200);
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let method = method.to_uppercase().parse().expect("a method");
            let path = path.replace("{id}", &format!("wh_{UNUSED}")).replace("{name}", "resource.created");
            operations.push((method, path, operation.clone()));
        }
    }
    operations
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idempotency_key_is_refused_where_it_means_nothing() {
    let stack = Stack::start().await;
    let api = stack.api();
    let keyed = api.with_idempotency_key("order-4711");
    let takes = |operation: &Value| {
        let parameters = operation["parameters"].as_array();
        parameters.is_some_and(|all| all.iter().any(|parameter| parameter["name"] == "Idempotency-Key"))
    };
    let (taking, others): (Vec<_>, Vec<_>) =
        operations(&api).await.into_iter().partition(|(.., operation)| takes(operation));
    assert!(taking.len() >= 2 && others.len() > taking.len());
    for (method, path, _) in others {
        let reply = keyed.send(method.clone(), &path, None).await;
        assert_eq!(kind(&reply, 400), "idempotency-key-not-taken", "{method} {path}");
    }
    for (method, path, _) in taking {
        let reply = keyed.send(method.clone(), &path, Some(("application/json", b"{\"x\":1}".to_vec()))).await;
        assert!([404, 422].contains(&reply.status), "{method} {path}: {} {}", reply.status, reply.text);
    }
    keyed.get("/v1/nothing").await.problem(404);
    keyed.delete("/v1/webhooks").await.problem(405);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_or_an_account_that_is_too_long_says_so() {
    let stack = Stack::start().await;
    let api = stack.api();
    let event = json!({ "type": "user.created", "data": { "object": {} } });
    let long = api.with_idempotency_key(&"k".repeat(256)).post("/v1/events", &event).await;
    assert_eq!(long.problem(400)["detail"], "Idempotency-Key may have at most 255 characters. This one has 256.");
    let long = api.with_account(&"a".repeat(65)).get("/v1/webhooks").await;
    assert_eq!(long.problem(400)["detail"], "Hookline-Account must have at most 64 characters.");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_is_too_long_says_so() {
    let stack = Stack::start().await;
    let api = stack.api();
    let long = format!("user.{}", "x".repeat(128));
    let detail = |reply: Reply| text(&reply.problem(422)["errors"][0]["detail"]);
    for reply in [
        api.post("/v1/events", &json!({ "type": long, "data": { "object": {} } })).await,
        api.post("/v1/event-types", &json!({ "name": long })).await,
        api.post("/v1/webhooks", &json!({ "url": "https://example.com/", "events": [long] })).await,
        api.post("/v1/webhooks", &json!({ "url": "https://example.com/", "events": [format!("{long}.*")] })).await,
        api.get(&format!("/v1/events?type={long}")).await,
    ] {
        assert_eq!(detail(reply), "must have at most 128 characters");
    }
    let token = json!({ "account": "a".repeat(65) });
    assert_eq!(detail(api.post("/v1/tokens", &token).await), "must have at most 64 characters");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_parameter_says_so() {
    let stack = Stack::start().await;
    let reply = stack.api().get("/v1/webhooks?limit=1&limit=1&x=1&x=2").await;
    let problem = reply.problem(422);
    let found: Vec<_> = problem["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|error| (text(&error["pointer"]), text(&error["detail"])))
        .collect();
    let is = |pointer: &str, detail: &str| (pointer.to_owned(), detail.to_owned());
    let twice = "is given twice";
    assert_eq!(found, [is("#/limit", twice), is("#/x", twice), is("#/x", "is not a known parameter")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_with_a_content_encoding_is_415() {
    let Some(stack) = Stack::with(Options::default()).await else { return };
    let api = stack.api();
    let body = br#"{"type":"user.created","data":{"object":{}}}"#.to_vec();
    for (method, path, operation) in operations(&api).await {
        if operation.get("requestBody").is_none() {
            continue;
        }
        for encoding in ["gzip", "br", "identity, gzip"] {
            let body = Some(("application/json", body.clone()));
            let reply = api.with_header("Content-Encoding", encoding).send(method.clone(), &path, body).await;
            assert_eq!(kind(&reply, 415), "unsupported-content-encoding", "{method} {path} {encoding}");
            assert_eq!(reply.header("accept-encoding"), Some("identity"));
        }
    }
    let plain = api.with_header("Content-Encoding", "identity");
    plain.send(Method::POST, "/v1/events", Some(("application/json", body))).await.expect(202);
}
