//! Every rule of every body and query: each case breaks one, and the answer points to it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::api::{Api, Reply, data, text};
use crate::process::{Stack, random_hex};

const URL: &str = "https://hooks.example.com/in";
/// An id of the right form that nothing has.
const UNUSED: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

/// `good` with one member replaced, or added.
fn with(good: &Value, member: &str, value: Value) -> Value {
    let mut body = good.clone();
    body[member] = value;
    body
}

/// `good` without one member.
fn without(good: &Value, member: &str) -> Value {
    let mut body = good.clone();
    body.as_object_mut().expect("a body is an object").remove(member);
    body
}

/// Sends `good` with each of these members in turn, and expects exactly these faults.
async fn check(api: &Api, method: Method, path: &str, good: &Value, cases: Vec<(&str, Value, &[&str])>) {
    for (member, value, faults) in cases {
        let body = with(good, member, value);
        let reply = api.send_text(method.clone(), path, &body.to_string()).await;
        assert_eq!(reply.status, 422, "{method} {path} {body}: {}", reply.text);
        assert_eq!(reply.faults(), faults, "{method} {path} {body}");
    }
}

/// The rules of what a webhook's body may say, for creating and for changing one.
fn webhook_cases() -> Vec<(&'static str, Value, &'static [&'static str])> {
    let types = |count: usize| (0..count).map(|index| format!("resource.n{index}")).collect::<Vec<_>>();
    vec![
        ("url", json!(5), &["/url"]),
        ("url", json!(null), &["/url"]),
        ("url", json!("/in"), &["/url"]),
        ("url", json!("ftp://example.com/"), &["/url"]),
        ("url", json!("https://example.com/#part"), &["/url"]),
        ("url", json!("https://example.com:0/"), &["/url"]),
        ("url", json!("https://exa mple.com/"), &["/url"]),
        ("url", json!("https:\\\\example.com"), &["/url"]),
        ("url", json!(format!("{URL}?{}", "x".repeat(2048))), &["/url"]),
        ("events", json!("*"), &["/events"]),
        ("events", json!(null), &["/events"]),
        ("events", json!([]), &["/events"]),
        ("events", json!(types(51)), &["/events"]),
        ("events", json!(["*", null]), &["/events/1"]),
        ("events", json!(["*", "**"]), &["/events/1"]),
        ("events", json!(["*", "resource"]), &["/events/1"]),
        ("events", json!(["*", "a..b"]), &["/events/1"]),
        ("events", json!(["*", "*.created"]), &["/events/1"]),
        ("events", json!(["*", format!("resource.{}", "x".repeat(120))]), &["/events/1"]),
        ("events", json!(["*", "nobodys.type"]), &["/events/1"]),
        (
            "events",
            json!(["nobodys.*", "user.*", "nobodys.type", 5, "?"]),
            &["/events/0", "/events/2", "/events/3", "/events/4"],
        ),
        ("secret", json!(5), &["/secret"]),
        ("secret", json!("x".repeat(15)), &["/secret"]),
        ("secret", json!("x".repeat(257)), &["/secret"]),
        ("secret", json!("sixteen characters\n"), &["/secret"]),
        ("secret", json!("whsec_this-is-not-base64-of-24-bytes"), &["/secret"]),
        ("secret", json!("whsec_c2hvcnQgYnV0IGJhc2U2NA=="), &["/secret"]),
        ("description", json!(5), &["/description"]),
        ("description", json!("x".repeat(1025)), &["/description"]),
        ("rate_limit", json!("5"), &["/rate_limit"]),
        ("rate_limit", json!(0), &["/rate_limit"]),
        ("rate_limit", json!(-1), &["/rate_limit"]),
        ("rate_limit", json!(1001), &["/rate_limit"]),
        ("rate_limit", json!(1.5), &["/rate_limit"]),
        ("id", json!("wh_1"), &["/id"]),
        ("Url", json!(URL), &["/Url"]),
        ("", json!(1), &["/"]),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_webhook() {
    let stack = Stack::start().await;
    let api = stack.api();
    let good = json!({ "url": URL, "events": ["*"] });
    check(&api, Method::POST, "/v1/webhooks", &good, webhook_cases()).await;
    check(&api, Method::POST, "/v1/webhooks", &good, vec![("status", json!("enabled"), &["/status"])]).await;
    for member in ["url", "events"] {
        assert_eq!(api.post("/v1/webhooks", &without(&good, member)).await.faults(), [format!("/{member}")]);
    }
    assert_eq!(data(&api.get("/v1/webhooks").await.expect(200)).len(), 0, "a refused body was stored");

    let path = format!("/v1/webhooks/{}", api.register_as(&good).await.id);
    let before = api.get(&path).await.expect(200);
    check(&api, Method::PATCH, &path, &json!({}), webhook_cases()).await;
    let only_here: Vec<(&str, Value, &[&str])> = vec![
        ("secret", json!(null), &["/secret"]),
        ("status", json!(null), &["/status"]),
        ("status", json!("gone"), &["/status"]),
        ("status", json!(true), &["/status"]),
        ("disabled_reason", json!("manual"), &["/disabled_reason"]),
        ("created_at", json!("2025-02-18T10:30:00Z"), &["/created_at"]),
    ];
    check(&api, Method::PATCH, &path, &json!({}), only_here).await;
    assert_eq!(api.get(&path).await.expect(200), before, "a refused body changed something");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_type_is_told_with_the_known_ones_and_with_whatever_else_is_wrong() {
    let stack = Stack::start().await;
    let api = stack.api();
    let body = json!({ "url": 5, "events": ["nobodys.type", "?", "user.created"], "typo": 1 });
    let reply = api.post("/v1/webhooks", &body).await;
    assert_eq!(reply.faults(), ["/events/0", "/events/1", "/typo", "/url"]);
    assert!(reply.text.contains("known are resource.created, "), "{}", reply.text);
    let reply = api.post("/v1/events", &json!({ "type": "nobodys.type", "data": {} })).await;
    assert_eq!(reply.faults(), ["/data/object", "/type"]);
    assert!(reply.text.contains("known are resource.created, "), "{}", reply.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_test_a_rotation_and_a_recovery() {
    let stack = Stack::start().await;
    let api = stack.api();
    let webhook = api.register(URL, &["user.created"]).await.id;
    let before = api.get(&format!("/v1/webhooks/{webhook}")).await.expect(200);

    let good = json!({ "webhook_id": webhook, "event_type": "user.created" });
    let cases: Vec<(&str, Value, &[&str])> = vec![
        ("webhook_id", json!(5), &["/webhook_id"]),
        ("webhook_id", json!(null), &["/webhook_id"]),
        ("event_type", json!(5), &["/event_type"]),
        ("event_type", json!("user.*"), &["/event_type"]),
        ("event_type", json!("nobodys.type"), &["/event_type"]),
        ("event", json!("user.created"), &["/event"]),
    ];
    check(&api, Method::POST, "/v1/webhooks/test", &good, cases).await;
    for member in ["webhook_id", "event_type"] {
        assert_eq!(api.post("/v1/webhooks/test", &without(&good, member)).await.faults(), [format!("/{member}")]);
    }

    let path = format!("/v1/webhooks/{webhook}/rotate-secret");
    let cases: Vec<(&str, Value, &[&str])> = vec![
        ("secret", json!("short"), &["/secret"]),
        ("secret", json!(["x".repeat(20)]), &["/secret"]),
        ("overlap_seconds", json!(-1), &["/overlap_seconds"]),
        ("overlap_seconds", json!(604_801), &["/overlap_seconds"]),
        ("overlap_seconds", json!("60"), &["/overlap_seconds"]),
        ("overlap", json!(60), &["/overlap"]),
    ];
    check(&api, Method::POST, &path, &json!({}), cases).await;
    assert_eq!(api.post(&path, &json!(null)).await.faults(), [""]);

    let path = format!("/v1/webhooks/{webhook}/recover");
    let good = json!({ "since": "2025-02-18T10:30:00Z", "until": "2025-02-18T11:30:00+01:00" });
    let cases: Vec<(&str, Value, &[&str])> = vec![
        ("since", json!(null), &["/since"]),
        ("since", json!(1_739_874_600), &["/since"]),
        ("since", json!("2025-02-18"), &["/since"]),
        ("since", json!("1969-12-31T23:59:59Z"), &["/since"]),
        ("since", json!("2025-02-18T10:31:00Z"), &["/since"]),
        ("until", json!("2025-02-18T10:29:00Z"), &["/since"]),
        ("until", json!("now"), &["/until"]),
        ("to", json!("2025-02-18T10:31:00Z"), &["/to"]),
    ];
    let good = with(&good, "until", json!("2025-02-18T10:31:00Z"));
    check(&api, Method::POST, &path, &good, cases).await;
    assert_eq!(api.post(&path, &json!({})).await.faults(), ["/since"]);
    assert_eq!(api.post(&path, &json!({ "since": "2999-01-01T00:00:00Z" })).await.faults(), ["/since"]);
    assert_eq!(
        api.get(&format!("/v1/webhooks/{webhook}")).await.expect(200),
        before,
        "a refused body changed something"
    );
    api.patch(&format!("/v1/webhooks/{webhook}"), &json!({ "status": "disabled" })).await.expect(200);
    api.post(&path, &good).await.problem(409);
}

/// The rules of an event, alone and in a batch.
fn event_cases() -> Vec<(&'static str, Value, &'static [&'static str])> {
    vec![
        ("type", json!(5), &["/type"]),
        ("type", json!("user"), &["/type"]),
        ("type", json!("user.*"), &["/type"]),
        ("type", json!(format!("user.{}", "x".repeat(124))), &["/type"]),
        ("type", json!("nobodys.type"), &["/type"]),
        ("type", json!("webhook.disabled"), &["/type"]),
        ("data", json!(null), &["/data"]),
        ("data", json!([]), &["/data"]),
        ("data", json!({}), &["/data/object"]),
        ("data", json!({ "object": null }), &["/data/object"]),
        ("data", json!({ "object": [] }), &["/data/object"]),
        ("data", json!({ "object": {}, "more": 1 }), &["/data/more"]),
        ("previous_data", json!([]), &["/previous_data"]),
        ("previous_data", json!("x"), &["/previous_data"]),
        ("id", json!("evt_1"), &["/id"]),
        ("created_at", json!("2025-02-18T10:30:00Z"), &["/created_at"]),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_an_event_and_of_each_in_a_batch() {
    let stack = Stack::start().await;
    let api = stack.api();
    let good = json!({ "type": "user.created", "data": { "object": { "id": 1 } } });
    check(&api, Method::POST, "/v1/events", &good, event_cases()).await;
    let cases: Vec<(&str, Value, &[&str])> = vec![
        ("events", json!(null), &["/events"]),
        ("events", json!({}), &["/events"]),
        ("events", json!([]), &["/events"]),
        ("events", json!(vec![&good; 101]), &["/events"]),
        ("more", json!(1), &["/more"]),
    ];
    check(&api, Method::POST, "/v1/events/batch", &json!({ "events": [good] }), cases).await;
    assert_eq!(api.post("/v1/events/batch", &json!({})).await.faults(), ["/events"]);
    assert_eq!(data(&api.get("/v1/events").await.expect(200)).len(), 0, "a refused body was stored");

    // Good ones and bad ones in turn: each answer is in its event's place.
    let mut entries = vec![json!(5)];
    let mut expected: Vec<Option<&[&str]>> = vec![Some(&[""])];
    for (member, value, faults) in event_cases() {
        entries.extend([with(&good, "data", json!({ "object": { "id": entries.len() } })), with(&good, member, value)]);
        expected.extend([None, Some(faults)]);
    }
    let answer = api.post("/v1/events/batch", &json!({ "events": entries })).await.expect(202);
    assert_eq!(data(&answer).len(), entries.len());
    for (index, (answer, faults)) in data(&answer).iter().zip(&expected).enumerate() {
        let Some(faults) = faults else {
            assert_eq!(answer["data"], entries[index]["data"], "{answer}");
            continue;
        };
        let errors = answer["errors"].as_array().unwrap_or_else(|| panic!("no errors: {answer}"));
        let pointers: Vec<_> = errors.iter().map(|fault| text(&fault["pointer"])).collect();
        let faults: Vec<_> = faults.iter().map(|fault| format!("#{fault}")).collect();
        assert_eq!((answer["status"].as_u64(), pointers), (Some(422), faults), "{}", entries[index]);
    }
    let stored = data(&api.get("/v1/events?limit=100").await.expect(200)).len();
    assert_eq!(stored, expected.iter().filter(|faults| faults.is_none()).count());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_an_event_type() {
    let stack = Stack::start().await;
    let api = stack.api();
    // Event types belong to the whole stack.
    let name = format!("rules.n{}", random_hex());
    let good = json!({ "name": name });
    let cases: Vec<(&str, Value, &[&str])> = vec![
        ("name", json!(5), &["/name"]),
        ("name", json!("rules"), &["/name"]),
        ("name", json!("rules.*"), &["/name"]),
        ("name", json!(format!("rules.{}", "x".repeat(123))), &["/name"]),
        ("description", json!(5), &["/description"]),
        ("description", json!("x".repeat(1025)), &["/description"]),
        ("sample", json!(5), &["/sample"]),
        ("sample", json!({}), &["/sample/data"]),
        ("sample", json!({ "data": {} }), &["/sample/data/object"]),
        ("sample", json!({ "data": { "object": {} }, "previous_data": 5 }), &["/sample/previous_data"]),
        ("sample", json!({ "data": { "object": {} }, "type": "a.b" }), &["/sample/type"]),
        ("built_in", json!(true), &["/built_in"]),
    ];
    check(&api, Method::POST, "/v1/event-types", &good, cases).await;
    assert_eq!(api.post("/v1/event-types", &json!({})).await.faults(), ["/name"]);
    let path = format!("/v1/event-types/{name}");
    api.delete(&path).await.problem(404);
    api.post("/v1/event-types", &good).await.expect(201);
    api.post("/v1/event-types", &good).await.problem(409);
    api.publish(&name).await;
    api.delete(&path).await.expect(204);
    api.post("/v1/event-types", &json!({ "name": "user.created" })).await.problem(409);
    api.delete("/v1/event-types/user.created").await.problem(409);
    api.delete("/v1/event-types/nonsense").await.problem(404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_token() {
    let stack = Stack::start().await;
    let api = stack.api();
    let good = json!({ "account": format!("rules{}", random_hex()) });
    let cases: Vec<(&str, Value, &[&str])> = vec![
        ("account", json!(5), &["/account"]),
        ("account", json!(""), &["/account"]),
        ("account", json!("a b"), &["/account"]),
        ("account", json!("x".repeat(65)), &["/account"]),
        ("scopes", json!("manage"), &["/scopes"]),
        ("scopes", json!([]), &["/scopes"]),
        ("scopes", json!(["manage", "platform"]), &["/scopes/1"]),
        ("scopes", json!(["manage", "publish", "manage"]), &["/scopes"]),
        ("scopes", json!([5]), &["/scopes/0"]),
        ("description", json!("x".repeat(1025)), &["/description"]),
        ("token", json!("hl_mine"), &["/token"]),
    ];
    check(&api, Method::POST, "/v1/tokens", &good, cases).await;

    let issued = api.post("/v1/tokens", &good).await.expect(201);
    assert_eq!((&issued["account"], &issued["scopes"]), (&good["account"], &json!(["manage", "publish"])));
    let id = text(&issued["id"]);
    let is_listed = |page: Reply| data(&page.expect(200)).iter().any(|token| token["id"] == issued["id"]);
    assert!(is_listed(api.get("/v1/tokens?limit=100").await));
    api.delete(&format!("/v1/tokens/{id}")).await.expect(204);
    assert!(!is_listed(api.get("/v1/tokens?limit=100").await));
    for id in [id, format!("tok_{UNUSED}"), "nonsense".to_owned()] {
        api.delete(&format!("/v1/tokens/{id}")).await.problem(404);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_query() {
    let stack = Stack::start().await;
    let api = stack.api();
    let webhook = api.register(URL, &["user.created"]).await.id;
    let event = api.publish("user.created").await.id();
    let deliveries = format!("/v1/webhooks/{webhook}/deliveries");
    for path in ["/v1/webhooks", "/v1/events", "/v1/tokens", &deliveries] {
        for (query, faults) in [
            ("limit=0", &["/limit"][..]),
            ("limit=101", &["/limit"]),
            ("limit=-1", &["/limit"]),
            ("limit=ten", &["/limit"]),
            ("limit=", &["/limit"]),
            ("cursor=", &["/cursor"]),
            ("cursor=nonsense", &["/cursor"]),
            ("limit=1&limit=2", &["/limit"]),
            ("offset=1", &["/offset"]),
            ("limit=0&cursor=x&page=2", &["/cursor", "/limit", "/page"]),
        ] {
            assert_eq!(api.get(&format!("{path}?{query}")).await.faults(), faults, "{path}?{query}");
        }
        for query in ["limit=1", "limit=100", ""] {
            api.get(&format!("{path}?{query}")).await.expect(200);
        }
    }
    for query in ["status=", "status=Pending", "status=lost"] {
        assert_eq!(api.get(&format!("{deliveries}?{query}")).await.faults(), ["/status"], "{query}");
    }
    for status in ["pending", "delivered", "failed", "held", "cancelled"] {
        api.get(&format!("{deliveries}?status={status}")).await.expect(200);
    }
    for query in ["type=", "type=user", "type=user.*"] {
        assert_eq!(api.get(&format!("/v1/events?{query}")).await.faults(), ["/type"], "{query}");
    }
    for (kind, found) in [("user.created", 1), ("user.updated", 0), ("nobodys.type", 0)] {
        assert_eq!(data(&api.get(&format!("/v1/events?type={kind}")).await.expect(200)).len(), found, "{kind}");
    }
    assert_eq!(api.get(&format!("/v1/events/{event}?cursor=x")).await.faults(), ["/cursor"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_the_headers() {
    let stack = Stack::start().await;
    let api = stack.api();
    for account in ["", "a b", "a/b", &"x".repeat(65)] {
        api.with_account(account).get("/v1/webhooks").await.problem(400);
    }
    let event = json!({ "type": "user.created", "data": { "object": {} } });
    for path in ["/v1/events", "/v1/events/batch"] {
        for key in ["", &"k".repeat(256)] {
            api.with_idempotency_key(key).post(path, &event).await.problem(400);
        }
    }
    assert_eq!(data(&api.get("/v1/events").await.expect(200)).len(), 0);
}

/// Each route that takes a body, with an object that it would not take.
async fn routes_with_bodies(api: &Api) -> Vec<(Method, String, usize)> {
    let webhook = format!("/v1/webhooks/{}", api.register(URL, &["*"]).await.id);
    vec![
        (Method::POST, "/v1/webhooks".to_owned(), 64),
        (Method::PATCH, webhook.clone(), 64),
        (Method::POST, "/v1/webhooks/test".to_owned(), 64),
        (Method::POST, format!("{webhook}/rotate-secret"), 64),
        (Method::POST, format!("{webhook}/recover"), 64),
        (Method::POST, "/v1/events".to_owned(), 256),
        (Method::POST, "/v1/events/batch".to_owned(), 2560),
        (Method::POST, "/v1/event-types".to_owned(), 64),
        (Method::POST, "/v1/tokens".to_owned(), 64),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_with_a_body_refuses_what_is_no_json_object_of_a_fitting_size() {
    let stack = Stack::start().await;
    let api = stack.api();
    for (method, path, limit_kib) in routes_with_bodies(&api).await {
        let send = |kind: &'static str, body: Vec<u8>| api.send(method.clone(), &path, Some((kind, body)));
        for body in ["[]", "null", "\"x\"", "7"] {
            assert_eq!(send("application/json", body.into()).await.faults(), [""], "{method} {path} {body}");
        }
        for body in ["{", "{} {}", "{'a': 1}", "{\"a\": 1,}"] {
            send("application/json", body.into()).await.problem(400);
        }
        assert_eq!(send("application/json", br#"{"x":1,"x":2,"y":1}"#.to_vec()).await.problem(422)["status"], 422);
        let deep = format!("{{\"x\":{}{}}}", "[".repeat(64), "]".repeat(64));
        assert_eq!(send("application/json", deep.into()).await.faults(), [""], "{method} {path}");
        for kind in ["text/plain", "application/problem+json", "application/json+x"] {
            send(kind, b"{}".to_vec()).await.problem(415);
        }
        // As large as may be, which is a fault of its unknown field, and one byte more.
        let filled = |bytes: usize| format!("{{\"x\":\"{}\"}}", "x".repeat(bytes - 8)).into_bytes();
        assert_eq!(send("application/json", filled(limit_kib * 1024)).await.status, 422, "{method} {path}");
        send("application/json", filled(limit_kib * 1024 + 1)).await.problem(413);
    }
}
