//! A well-formed body that breaks a rule is 422 and names every fault by its pointer; nothing of it is stored.

use serde_json::{Value, json};

use crate::api::{Api, data};
use crate::process::Stack;

const URL: &str = "https://hooks.example.com/in";

/// Checks that each of these bodies has exactly these faults, and that nothing came of any.
async fn check(api: &Api, path: &str, cases: Vec<(Value, &[&str])>) {
    for (body, faults) in cases {
        let reply = api.post(path, &body).await;
        assert_eq!(reply.status, 422, "{body}: {}", reply.text);
        assert_eq!(reply.faults(), faults, "{body}");
    }
    for list in ["/v1/webhooks", "/v1/events"] {
        assert_eq!(data(&api.get(list).await.expect(200)).len(), 0, "a refused body was stored");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_of_wrong_types_or_values_names_each_fault() {
    let stack = Stack::start().await;
    let api = stack.api();
    let many: Vec<_> = (0..51).map(|index| format!("resource.n{index}")).collect();
    let cases: Vec<(Value, &[&str])> = vec![
        (json!({}), &["/events", "/url"]),
        (json!({ "url": URL }), &["/events"]),
        (json!({ "events": ["*"] }), &["/url"]),
        (json!({ "url": 5, "events": "resource.created" }), &["/events", "/url"]),
        (json!({ "url": null, "events": null }), &["/events", "/url"]),
        (json!({ "url": URL, "events": [] }), &["/events"]),
        (json!({ "url": URL, "events": ["*", 5, {}] }), &["/events/1", "/events/2"]),
        (json!({ "url": URL, "events": ["not a type!", "user.created", ""] }), &["/events/0", "/events/2"]),
        (json!({ "url": URL, "events": many }), &["/events"]),
        (json!({ "url": URL, "events": ["*"], "secret": "x".repeat(15) }), &["/secret"]),
        (json!({ "url": URL, "events": ["*"], "secret": "x".repeat(257) }), &["/secret"]),
        (json!({ "url": URL, "events": ["*"], "secret": 5 }), &["/secret"]),
        (json!({ "url": URL, "events": ["*"], "description": ["x"] }), &["/description"]),
        (json!({ "url": URL, "events": ["*"], "rate_limit": "fast" }), &["/rate_limit"]),
        (json!({ "url": "not a url", "events": ["*"] }), &["/url"]),
        (json!({ "url": "", "events": ["*"] }), &["/url"]),
        (json!({ "url": format!("{URL}/{}", "x".repeat(2048)), "events": ["*"] }), &["/url"]),
    ];
    check(&api, "/v1/webhooks", cases).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_faults_are_all_named_at_once() {
    let stack = Stack::start().await;
    let body = json!({
        "url": "ftp://user:xyzzy@example.com/", "events": ["user.created", 1], "secret": "short", "colour": "red",
        "description": 7,
    });
    let expected: &[&str] = &["/colour", "/description", "/events/1", "/secret", "/url"];
    let reply = stack.api().post("/v1/webhooks", &body).await;
    assert_eq!(reply.faults(), expected);
    assert!(!reply.text.contains("xyzzy"), "a fault does not repeat credentials: {}", reply.text);
    assert_eq!(data(&stack.api().get("/v1/webhooks").await.expect(200)).len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_field_is_a_fault_in_every_body() {
    let stack = Stack::start().await;
    let api = stack.api();
    let webhook = json!({ "url": URL, "events": ["*"], "event": ["*"] });
    check(&api, "/v1/webhooks", vec![(webhook, &["/event"])]).await;
    let object = json!({ "type": "user.created", "data": { "object": {} } });
    let mut cases: Vec<(Value, &[&str])> = Vec::new();
    for (at, pointer) in [("", &["/previous"]), ("/data", &["/data/previous"])] {
        let mut body = object.clone();
        body.pointer_mut(at).expect("it is there")["previous"] = json!({});
        cases.push((body, pointer));
    }
    let mut own_id = object.clone();
    own_id["id"] = json!("evt_mine");
    cases.push((own_id, &["/id"]));
    check(&api, "/v1/events", cases).await;

    let id = api.register(URL, &["*"]).await.id;
    for (body, fault) in [(json!({ "evnts": ["*"] }), "/evnts"), (json!({ "id": "wh_1" }), "/id")] {
        assert_eq!(api.patch(&format!("/v1/webhooks/{id}"), &body).await.faults(), [fault]);
    }
    // A pointer escapes what has a meaning in it (RFC 6901).
    let odd = json!({ "url": URL, "events": ["*"], "a/b~c": 1 });
    assert_eq!(api.post("/v1/webhooks", &odd).await.faults(), ["/a~1b~0c"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_of_wrong_types_names_each_fault() {
    let stack = Stack::start().await;
    let api = stack.api();
    let data = json!({ "object": {} });
    let cases: Vec<(Value, &[&str])> = vec![
        (json!({}), &["/data", "/type"]),
        (json!({ "type": "user.created" }), &["/data"]),
        (json!({ "type": 5, "data": 5 }), &["/data", "/type"]),
        (json!({ "type": "user.created", "data": {} }), &["/data/object"]),
        (json!({ "type": "user.created", "data": { "object": "text" } }), &["/data/object"]),
        (json!({ "type": "user.created", "data": { "object": [] } }), &["/data/object"]),
        (json!({ "type": "not a type!", "data": data }), &["/type"]),
        (json!({ "type": "user.*", "data": data }), &["/type"]),
        (json!({ "type": "user.created", "data": data, "previous_data": 5 }), &["/previous_data"]),
    ];
    check(&api, "/v1/events", cases).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_no_object_is_a_fault_of_the_whole() {
    let stack = Stack::start().await;
    let api = stack.api();
    for body in [json!([]), json!("text"), json!(5), Value::Null] {
        for path in ["/v1/webhooks", "/v1/webhooks/test", "/v1/events"] {
            assert_eq!(api.post(path, &body).await.faults(), [""], "{path} {body}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_breaks_a_rule_changes_nothing() {
    let stack = Stack::start().await;
    let api = stack.api();
    let path = format!("/v1/webhooks/{}", api.register(URL, &["user.created"]).await.id);
    let before = api.get(&path).await.expect(200);
    for (body, faults) in [
        (json!({ "description": "new", "events": [] }), vec!["/events"]),
        (
            json!({ "url": "gopher://example.com", "secret": "short", "status": "broken" }),
            vec!["/secret", "/status", "/url"],
        ),
        (json!({ "status": 1, "description": "new" }), vec!["/status"]),
        (json!({ "url": null }), vec!["/url"]),
        (json!({ "disabled_reason": "gone" }), vec!["/disabled_reason"]),
    ] {
        assert_eq!(api.patch(&path, &body).await.faults(), faults, "{body}");
        assert_eq!(api.get(&path).await.expect(200), before, "{body} changed something");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limits_themselves_are_allowed() {
    let stack = Stack::start().await;
    let api = stack.api();
    let longest = format!("{URL}/{}", "x".repeat(2048 - URL.len() - 1));
    assert_eq!(longest.len(), 2048);
    let types =
        ["resource.created", "resource.updated", "resource.deleted", "user.created", "user.updated", "user.*", "*"];
    for body in [
        json!({ "url": longest, "events": ["*"] }),
        json!({ "url": URL, "events": ["*"], "secret": "x".repeat(16) }),
        json!({ "url": URL, "events": ["*"], "secret": "x".repeat(256) }),
        // Characters, not bytes.
        json!({ "url": URL, "events": ["*"], "secret": "é".repeat(256) }),
        json!({ "url": URL, "events": types }),
        json!({ "url": URL, "events": ["*"], "secret": null, "description": null, "rate_limit": null }),
    ] {
        assert_eq!(api.post("/v1/webhooks", &body).await.status, 201, "{body}");
    }
}
