//! Event types with a JSON Schema: which schemas are accepted, and what happens to events that do not
//! fit them.

use std::time::Duration;

use local::pollers::sqs_event;
use serde_json::{Value, json};
use store::events;

use crate::harness::client::{Api, Reply, data};
use crate::harness::random::random_hex;
use crate::harness::receiver::Receiver;
use crate::harness::router::ApiProcess;
use crate::harness::stack::Stack;
use crate::harness::world::{World, acme};

/// A type whose objects need an `id`, in a `version`. Event types belong to the whole stack, so each
/// test needs a name of its own.
fn order(name: &str, version: &str, validation: &str) -> Value {
    json!({
        "name": name,
        "version": version,
        "validation": validation,
        "schema": {
            "type": "object",
            "required": ["id"],
            "properties": { "id": { "type": "string" }, "lines": { "items": { "$ref": "#/$defs/line" } } },
            "$defs": { "line": { "type": "object", "properties": { "count": { "minimum": 1 } } } },
        },
        "sample": { "data": { "object": { "id": "ord_1" } } },
    })
}

fn new_name() -> String {
    format!("order.n{}", random_hex())
}

async fn create(api: &Api, event_type: &Value) -> Reply {
    api.post("/v1/event-types", event_type).await
}

fn event(name: &str, object: &Value) -> Value {
    json!({ "type": name, "data": { "object": object } })
}

/// An object with two values that do not fit.
fn unfit() -> Value {
    json!({ "lines": [{ "count": 1 }, { "count": 0 }] })
}

/// The faults of [`unfit`], as an answer shows them.
fn unfit_faults() -> Value {
    json!([
        { "pointer": "#/data/object/id", "detail": "is required" },
        { "pointer": "#/data/object/lines/1/count", "detail": "must be at least 1" },
    ])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_catalogue_shows_schema_version_and_validation() {
    let stack = Stack::start().await;
    let api = stack.api();
    let name = new_name();
    let created = create(&api, &order(&name, "2025-02-18", "warn")).await.expect(201);
    for member in ["schema", "version", "validation"] {
        assert_eq!(created[member], order(&name, "2025-02-18", "warn")[member], "{member}");
    }
    let catalogue = api.get("/v1/event-types").await.expect(200);
    assert!(data(&catalogue).contains(&created), "{catalogue:#}");
    let built_in = &data(&catalogue)[0];
    assert_eq!(
        (&built_in["schema"], &built_in["version"], &built_in["validation"]),
        (&Value::Null, &Value::Null, &json!("off"))
    );
    let numbered = create(&api, &json!({ "name": new_name(), "version": 2 })).await.expect(201);
    assert_eq!(numbered["version"], "2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_of_schemas_hold() {
    let stack = Stack::start().await;
    let api = stack.api();
    let schema = |schema: Value| json!({ "name": "a.b", "schema": schema });
    let cases: [(Value, &[&str]); 15] = [
        (schema(json!(true)), &["/schema"]),
        (schema(json!({ "type": "strin", "required": [5] })), &["/schema/required/0", "/schema/type"]),
        (schema(json!({ "properties": { "id": { "minLength": -1 } } })), &["/schema/properties/id/minLength"]),
        (schema(json!({ "items": { "$ref": "https://example.com/x.json" } })), &["/schema/items/$ref"]),
        (schema(json!({ "$ref": "file:///etc/passwd" })), &["/schema/$ref"]),
        (schema(json!({ "$schema": "http://json-schema.org/draft-07/schema#" })), &["/schema/$schema"]),
        (schema(json!({ "pattern": "(a+)+\\1" })), &["/schema/pattern"]),
        (schema(json!({ "$ref": "#" })), &["/schema"]),
        (schema(json!({ "title": "x".repeat(33 * 1024) })), &["/schema"]),
        (json!({ "name": "a.b", "validation": "strict" }), &["/validation"]),
        (json!({ "name": "a.b", "validation": "warn" }), &["/validation"]),
        (json!({ "name": "a.b", "version": 5.5 }), &["/version"]),
        (json!({ "name": "a.b", "version": "" }), &["/version"]),
        (json!({ "name": "a.b", "version": "x".repeat(65) }), &["/version"]),
        (
            json!({
                "name": "a.b",
                "schema": { "required": ["id"], "properties": { "n": { "type": "string" } } },
                "sample": { "data": { "object": { "n": 5 } } },
            }),
            &["/sample/data/object/id", "/sample/data/object/n"],
        ),
    ];
    for (body, faults) in cases {
        assert_eq!(create(&api, &body).await.faults(), faults, "{body}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_does_not_fit_is_published_warned_about_or_refused() {
    let stack = Stack::start().await;
    let api = stack.api();
    let receiver = Receiver::answering(200).await;
    api.register(&receiver.url("/"), &["*"]).await;
    let [off, warn, enforce] = [new_name(), new_name(), new_name()];
    for (name, validation) in [(&off, "off"), (&warn, "warn"), (&enforce, "enforce")] {
        create(&api, &order(name, "1", validation)).await.expect(201);
        let fitting = api.publish_as(&event(name, &json!({ "id": "ord_1", "more": [] }))).await;
        assert_eq!(fitting.json()["warnings"], Value::Null);
    }
    assert_eq!(api.publish_as(&event(&off, &unfit())).await.json()["warnings"], Value::Null);

    let warned = api.publish_as(&event(&warn, &unfit())).await;
    assert_eq!(warned.json()["warnings"], unfit_faults());
    let arrived = receiver.wait_for_event(&warned.id(), 1).await;
    let shown = api.get(&format!("/v1/events/{}", warned.id())).await.expect(200);
    let delivered: Value = serde_json::from_slice(&arrived[0].body).expect("JSON");
    assert_eq!((&delivered["warnings"], &shown["warnings"]), (&Value::Null, &Value::Null));
    let text = String::from_utf8(arrived[0].body.clone()).expect("JSON");
    let members = text.strip_suffix('}').expect("an object");
    assert_eq!(warned.text.strip_prefix(members).map(|rest| &rest[..12]), Some(",\"warnings\":"), "{}", warned.text);

    let refused = api.post("/v1/events", &event(&enforce, &unfit())).await;
    assert_eq!(refused.problem(422)["errors"], unfit_faults());
    let mut twice_wrong = event(&enforce, &unfit());
    twice_wrong["typo"] = json!(1);
    let faults = api.post("/v1/events", &twice_wrong).await.faults();
    assert_eq!(faults, ["/data/object/id", "/data/object/lines/1/count", "/typo"], "every fault at once");

    let batch = json!({ "events": [event(&enforce, &unfit()), event(&warn, &unfit()), event(&off, &unfit())] });
    let answer = api.post("/v1/events/batch", &batch).await.expect(202);
    let results = data(&answer);
    assert_eq!((&results[0]["status"], &results[0]["errors"]), (&json!(422), &unfit_faults()));
    assert_eq!((&results[1]["type"], &results[1]["warnings"]), (&json!(warn), &unfit_faults()));
    assert_eq!((&results[2]["type"], &results[2]["warnings"]), (&json!(off), &Value::Null));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_returns_the_first_answer_although_the_schema_changed() {
    let stack = Stack::start().await;
    let api = stack.api();
    let name = new_name();
    let (single, batched) = (api.with_idempotency_key("single"), api.with_idempotency_key("batch"));
    let batch = json!({ "events": [event(&name, &unfit()), event(&name, &json!({ "id": "ord_1" }))] });
    let mut version = 0;
    let mut change = async |validation: &str| {
        version += 1;
        create(&api, &order(&name, &version.to_string(), validation)).await.expect(201);
    };
    change("warn").await;
    let first_single = single.publish_as(&event(&name, &unfit())).await;
    assert_eq!(first_single.json()["warnings"], unfit_faults());
    change("enforce").await;
    let first_batch = batched.post("/v1/events/batch", &batch).await;
    assert_eq!(data(&first_batch.expect(202))[0]["status"], 422);
    for validation in ["enforce", "off", "warn"] {
        change(validation).await;
        for (again, first) in [
            (single.publish_as(&event(&name, &unfit())).await, &first_single),
            (batched.post("/v1/events/batch", &batch).await, &first_batch),
        ] {
            assert_eq!((again.text.as_str(), again.header("idempotent-replayed")), (first.text.as_str(), Some("true")));
        }
    }

    // A refused event does not use up its key.
    change("enforce").await;
    let refused = api.with_idempotency_key("refused");
    refused.post("/v1/events", &event(&name, &unfit())).await.problem(422);
    change("off").await;
    refused.post("/v1/events", &event(&name, &unfit())).await.expect(202);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_version_replaces_a_type_and_nothing_else_does() {
    let stack = Stack::start().await;
    let api = stack.api();
    let name = new_name();
    create(&api, &json!({ "name": name })).await.expect(201);
    create(&api, &json!({ "name": name, "validation": "off" })).await.problem(409);
    create(&api, &order(&name, "1", "enforce")).await.expect(201);
    create(&api, &order(&name, "1", "off")).await.problem(409);
    create(&api, &json!({ "name": name })).await.problem(409);
    create(&api, &order("user.created", "2", "off")).await.problem(409);
    api.post("/v1/events", &event(&name, &unfit())).await.problem(422);
    create(&api, &order(&name, "2", "off")).await.expect(201);
    api.publish_as(&event(&name, &unfit())).await;
    let catalogue = api.get("/v1/event-types").await.expect(200);
    let shown: Vec<_> = data(&catalogue).iter().filter(|entry| entry["name"] == name.as_str()).collect();
    assert_eq!((shown.len(), &shown[0]["version"]), (1, &json!("2")));
}

#[tokio::test]
async fn a_new_version_judges_in_every_process_after_thirty_seconds() {
    let world = World::new().await;
    let token = world.platform_token().await;
    let [here, there] = [(); 2].map(|()| ApiProcess::new(&world.app.with_clients(world.aws.clients()), &token));
    let replace = async |version: &str, validation: &str| {
        let (status, _) = here.ask("POST", "/v1/event-types", &order("order.shipped", version, validation)).await;
        assert_eq!(status, 201);
    };
    let publish =
        async |process: &ApiProcess| process.ask("POST", "/v1/events", &event("order.shipped", &unfit())).await.0;
    replace("1", "warn").await;
    assert_eq!([publish(&here).await, publish(&there).await], [202, 202]);
    replace("2", "enforce").await;
    assert_eq!(publish(&here).await, 422, "the process that replaces a type judges by the new version at once");
    world.wait(Duration::from_millis(29_999));
    assert_eq!(publish(&there).await, 202, "other processes use their cache");
    world.wait(Duration::from_millis(1));
    assert_eq!(publish(&there).await, 422);
}

/// Hands a message with this event to `publish`. Returns whether the message stays in the queue.
async fn is_returned(world: &World, event: &Value) -> bool {
    let url = &world.app.queues.settings.events_url;
    let mut event = event.clone();
    event["account"] = json!("acme");
    let call = world.app.queues.sqs.send_message().queue_url(url).message_body(event.to_string());
    call.send().await.expect("the queue");
    let messages = world.receive(url).await;
    let failed = publish::handle(&world.publish, sqs_event(messages, url)).await.batch_item_failures;
    !failed.is_empty()
}

#[tokio::test]
async fn an_event_of_a_producer_inside_aws_that_does_not_fit_is_left_for_the_dead_letter_queue() {
    let world = World::new().await;
    let process = world.api_process().await;
    for (name, validation) in [("order.warned", "warn"), ("order.enforced", "enforce")] {
        assert_eq!(process.ask("POST", "/v1/event-types", &order(name, "1", validation)).await.0, 201);
    }
    let fitting = json!({ "id": "ord_1" });
    let cases = [
        ("order.warned", &fitting, false),
        ("order.warned", &unfit(), false),
        ("order.enforced", &fitting, false),
        ("order.enforced", &unfit(), true),
    ];
    for (name, object, returned) in cases {
        assert_eq!(is_returned(&world, &event(name, object)).await, returned, "{name} {object}");
    }
    let stored = events::list(&world.app.store, &acme(), None, None, 100).await.expect("the table").items;
    assert_eq!(stored.len(), 3);
}
