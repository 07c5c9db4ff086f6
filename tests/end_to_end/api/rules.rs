//! The rules of every body and query. A request that breaks rules is a 422 that names every fault
//! by its JSON Pointer, and has no effect.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::client::{Api, Reply, data, text};
use crate::harness::random::random_hex;
use crate::harness::stack::Stack;

const URL: &str = "https://hooks.example.com/in";
/// An id of the right form that no object has.
const UNUSED: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

/// `good` with one member replaced or added.
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

/// For each case, sends `good` with one member replaced or added, and checks that exactly these
/// faults are named.
async fn check(api: &Api, method: Method, path: &str, good: &Value, cases: Vec<(&str, Value, &[&str])>) {
    for (member, value, faults) in cases {
        let body = with(good, member, value);
        let reply = api.send_text(method.clone(), path, &body.to_string()).await;
        assert_eq!(reply.status, 422, "{method} {path} {body}: {}", reply.text);
        assert_eq!(reply.faults(), faults, "{method} {path} {body}");
    }
}

/// The rules of a webhook's body, the same for POST and PATCH.
fn webhook_cases() -> Vec<(&'static str, Value, &'static [&'static str])> {
    let types = |count: usize| (0..count).map(|index| format!("resource.n{index}")).collect::<Vec<_>>();
    vec![
        ("url", json!(5), &["/url"]),
        ("url", json!(null), &["/url"]),
        ("url", json!(""), &["/url"]),
        ("url", json!("not a url"), &["/url"]),
        ("url", json!("/in"), &["/url"]),
        ("url", json!("ftp://example.com/"), &["/url"]),
        ("url", json!("https://example.com/#part"), &["/url"]),
        ("url", json!("https://example.com:0/"), &["/url"]),
        ("url", json!("https://exa mple.com/"), &["/url"]),
        ("url", json!("https:\\\\example.com"), &["/url"]),
        ("url", json!(format!("{URL}?{}", "x".repeat(2048))), &["/url"]),
        ("url", json!(format!("{URL}/{}", "x".repeat(2048))), &["/url"]),
        ("events", json!("*"), &["/events"]),
        ("events", json!("resource.created"), &["/events"]),
        ("events", json!(null), &["/events"]),
        ("events", json!([]), &["/events"]),
        ("events", json!(types(51)), &["/events"]),
        ("events", json!(["*", null]), &["/events/1"]),
        ("events", json!(["*", 5, {}]), &["/events/1", "/events/2"]),
        ("events", json!(["not a type!", "user.created", ""]), &["/events/0", "/events/2"]),
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
        ("description", json!(["x"]), &["/description"]),
        ("description", json!("x".repeat(1025)), &["/description"]),
        ("rate_limit", json!("5"), &["/rate_limit"]),
        ("rate_limit", json!(0), &["/rate_limit"]),
        ("rate_limit", json!(-1), &["/rate_limit"]),
        ("rate_limit", json!(1001), &["/rate_limit"]),
        ("rate_limit", json!(1.5), &["/rate_limit"]),
        ("filter", json!("x"), &["/filter"]),
        ("filter", json!({}), &["/filter"]),
        ("filter", json!({ "id": ["x"], "type": [] }), &["/filter/id", "/filter/type"]),
        ("filter", json!({ "data": { "object": { "a": [{ "prefix": 5 }] } } }), &["/filter/data/object/a/0/prefix"]),
        ("filter", json!({ "type": ["a"], "$or": [{ "type": ["b"] }, {}] }), &["/filter/$or/0/type", "/filter/$or/1"]),
        ("id", json!("wh_1"), &["/id"]),
        ("Url", json!(URL), &["/Url"]),
        ("", json!(1), &["/"]),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhook_rules_hold_at_creation_and_at_change() {
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
        ("held", json!("recover"), &["/held"]),
        ("held", json!("drop"), &["/held"]),
        ("held", json!(null), &["/held"]),
        ("disabled_reason", json!("manual"), &["/disabled_reason"]),
        ("created_at", json!("2025-02-18T10:30:00Z"), &["/created_at"]),
    ];
    check(&api, Method::PATCH, &path, &json!({}), only_here).await;
    let disabled = json!({ "status": "disabled" });
    check(&api, Method::PATCH, &path, &disabled, vec![("held", json!("cancel"), &["/held"])]).await;
    assert_eq!(api.get(&path).await.expect(200), before, "a refused body changed something");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_event_type_is_refused_with_a_list_of_the_known_types() {
    let stack = Stack::start().await;
    let api = stack.api();
    let body = json!({ "url": 5, "events": ["nobodys.type", "?", "user.created"], "typo": 1 });
    let reply = api.post("/v1/webhooks", &body).await;
    assert_eq!(reply.faults(), ["/events/0", "/events/1", "/typo", "/url"]);
    assert!(reply.text.contains("the known types are resource.created, "), "{}", reply.text);
    let reply = api.post("/v1/events", &json!({ "type": "nobodys.type", "data": {} })).await;
    assert_eq!(reply.faults(), ["/data/object", "/type"]);
    assert!(reply.text.contains("the known types are resource.created, "), "{}", reply.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_of_tests_rotations_and_recoveries_hold() {
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
        ("since", json!(1_739_874_600), &["/since"]),
        ("since", json!("2025-02-18"), &["/since"]),
        ("since", json!("1969-12-31T23:59:59Z"), &["/since"]),
        ("since", json!("2025-02-18T10:31:00Z"), &["/since"]),
        ("until", json!("2025-02-18T10:29:00Z"), &["/since"]),
        ("until", json!("now"), &["/until"]),
        ("include_failed", json!("no"), &["/include_failed"]),
        ("backfill", json!(1), &["/backfill"]),
        ("to", json!("2025-02-18T10:31:00Z"), &["/to"]),
    ];
    let good = with(&good, "until", json!("2025-02-18T10:31:00Z"));
    check(&api, Method::POST, &path, &good, cases).await;
    assert_eq!(api.post(&path, &good).await.faults(), ["/until"], "it ends before the registration");
    let good = with(&good, "backfill", json!(true));
    assert_eq!(api.post(&path, &json!([])).await.faults(), [""]);
    assert_eq!(api.post(&path, &json!({ "since": "2999-01-01T00:00:00Z" })).await.faults(), ["/since"]);
    assert_eq!(
        api.get(&format!("/v1/webhooks/{webhook}")).await.expect(200),
        before,
        "a refused body changed something"
    );
    api.patch(&format!("/v1/webhooks/{webhook}"), &json!({ "status": "disabled" })).await.expect(200);
    api.post(&path, &good).await.problem(409);
}

/// The rules of an event, the same for a single event and for one in a batch.
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
async fn event_rules_hold_for_single_events_and_in_a_batch() {
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

    // Valid and invalid events alternate. Each result is at the place of its event.
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
async fn event_type_rules_hold() {
    let stack = Stack::start().await;
    let api = stack.api();
    // Event types belong to the whole stack, so this test needs a name of its own.
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
async fn token_rules_hold() {
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
async fn query_rules_hold() {
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
            ("page=1&page=2", &["/page"]),
            ("limit=0&cursor=x&page=2", &["/cursor", "/limit", "/page"]),
        ] {
            assert_eq!(api.get(&format!("{path}?{query}")).await.faults(), faults, "{path}?{query}");
        }
        for query in ["cursor=%00", "cursor=nonsense%00"] {
            let reply = api.get(&format!("{path}?{query}")).await;
            assert!([400, 422].contains(&reply.status), "{query}: {} {}", reply.status, reply.text);
            reply.problem(reply.status);
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
async fn every_fault_of_a_body_is_named_at_once() {
    let stack = Stack::start().await;
    let api = stack.api();
    let cases: Vec<(&str, Value, &[&str])> = vec![
        ("/v1/webhooks", json!({}), &["/events", "/url"]),
        ("/v1/webhooks", json!({ "url": 5, "events": "resource.created" }), &["/events", "/url"]),
        ("/v1/webhooks", json!({ "url": null, "events": null }), &["/events", "/url"]),
        ("/v1/events", json!({}), &["/data", "/type"]),
        ("/v1/events", json!({ "type": "user.created" }), &["/data"]),
        ("/v1/events", json!({ "type": 5, "data": 5 }), &["/data", "/type"]),
        ("/v1/events", json!({ "type": "user.created", "data": { "object": "text" } }), &["/data/object"]),
        ("/v1/events", json!({ "type": "not a type!", "data": { "object": {} } }), &["/type"]),
        (
            "/v1/events",
            json!({ "type": "user.created", "data": { "object": {} }, "previous_data": 5 }),
            &["/previous_data"],
        ),
    ];
    for (path, body, faults) in cases {
        assert_eq!(api.post(path, &body).await.faults(), faults, "{path} {body}");
    }
    let body = json!({
        "url": "ftp://user:xyzzy@example.com/", "events": ["user.created", 1], "secret": "short", "colour": "red",
        "description": 7,
    });
    let reply = api.post("/v1/webhooks", &body).await;
    assert_eq!(reply.faults(), ["/colour", "/description", "/events/1", "/secret", "/url"]);
    assert!(!reply.text.contains("xyzzy"), "a fault repeats the credentials: {}", reply.text);
    assert_nothing_stored(&api).await;
}

async fn assert_nothing_stored(api: &Api) {
    for list in ["/v1/webhooks", "/v1/events"] {
        assert_eq!(data(&api.get(list).await.expect(200)).len(), 0, "a refused body was stored");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_field_is_a_fault_in_every_body() {
    let stack = Stack::start().await;
    let api = stack.api();
    let webhook = json!({ "url": URL, "events": ["*"] });
    let event = json!({ "type": "user.created", "data": { "object": {} } });
    let data_with_more = json!({ "object": {}, "previous": {} });
    for (path, body, fault) in [
        ("/v1/webhooks", with(&webhook, "event", json!(["*"])), "/event"),
        ("/v1/events", with(&event, "previous", json!({})), "/previous"),
        ("/v1/events", with(&event, "data", data_with_more), "/data/previous"),
        ("/v1/events", with(&event, "id", json!("evt_mine")), "/id"),
        // A pointer escapes `/` and `~` (RFC 6901).
        ("/v1/webhooks", with(&webhook, "a/b~c", json!(1)), "/a~1b~0c"),
    ] {
        assert_eq!(api.post(path, &body).await.faults(), [fault], "{body}");
    }
    assert_nothing_stored(&api).await;

    let id = api.register(URL, &["*"]).await.id;
    for (body, fault) in [(json!({ "evnts": ["*"] }), "/evnts"), (json!({ "id": "wh_1" }), "/id")] {
        assert_eq!(api.patch(&format!("/v1/webhooks/{id}"), &body).await.faults(), [fault]);
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
async fn values_at_the_limits_are_accepted() {
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
        // The limit counts characters, not bytes.
        json!({ "url": URL, "events": ["*"], "secret": "é".repeat(256) }),
        json!({ "url": URL, "events": types }),
        json!({ "url": URL, "events": ["*"], "secret": null, "description": null, "rate_limit": null, "filter": null }),
    ] {
        assert_eq!(api.post("/v1/webhooks", &body).await.status, 201, "{body}");
    }
}
