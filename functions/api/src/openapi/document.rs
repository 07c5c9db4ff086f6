//! Generates the OpenAPI document: utoipa collects the descriptions of handlers and structs, and the code here adds what all
//! operations have in common.

use crate::{
    events::BATCH_MAX,
    problem,
    rotation::OVERLAP_MAX_S,
    routes::{Described, ROUTES},
};
use domain::{
    event_type::NAME_MAX,
    webhook::{DESCRIPTION_MAX, RATE_LIMIT_MAX, SUBSCRIPTIONS_MAX},
};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use store::idempotency::KEY_MAX;
use utoipa::{OpenApi, PartialSchema, ToSchema};

/// The path of the document in the repository.
const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../infra/openapi.json");

/// What the names of page schemas begin with. utoipa names a generic schema after all its type parameters:
/// `Page_Webhook_WebhookId`.
const PAGE_PREFIX: &str = "Page_";

/// Returns the document of the code.
fn document() -> Value {
    let mut document = serde_json::to_value(Described::openapi()).expect("a document is JSON");
    document["info"] = json!({
        "title": "Hookline",
        "version": domain::VERSION,
        "description": "Reliable webhook delivery. All bodies are JSON. All times are RFC 3339 in UTC. Every error is a \
            problem document (RFC 9457). An unknown path is a 404. A method that a path does not support is a 405, with \
            the supported methods in `Allow`.",
        "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
    });
    document["servers"] = json!([{ "url": "/" }]);
    let operations = document["paths"].as_object_mut().expect("paths").values_mut();
    for operation in operations.flat_map(|path| path.as_object_mut().expect("a path").values_mut()) {
        complete_operation(operation);
    }
    let schemas = document["components"]["schemas"].as_object_mut().expect("schemas");
    let mut of_problems = vec![(problem::Document::name().into_owned(), problem::Document::schema())];
    problem::Document::schemas(&mut of_problems);
    for (name, schema) in of_problems {
        schemas.insert(name, serde_json::to_value(schema).expect("a schema is JSON"));
    }
    schemas.values_mut().for_each(complete_schema);
    name_pages(&mut document);
    document["components"]["securitySchemes"] = json!({
        "bearer": { "type": "http", "scheme": "bearer", "description": "A token with the listed scope or `platform`." },
    });
    document["components"]["parameters"] = json!({ "Hookline-Account": {
        "name": "Hookline-Account",
        "in": "header",
        "description": "The account that the request is about. A platform token must name one. An account token is \
            bound to its account and may leave it out.",
        "schema": { "$ref": "#/components/schemas/AccountId" },
    } });
    document["components"]["responses"] = problems();
    document
}

/// Returns the responses of failed requests, which all operations share: `Problem404` for a 404.
fn problems() -> Value {
    let described = [
        ("400", "The body is not JSON, a header is malformed, or a platform token does not name the account."),
        ("401", "There is no token, or it is not valid."),
        ("403", "The token lacks the scope, or is bound to a different account than the one in `Hookline-Account`."),
        ("404", "The account has no such object."),
        (
            "409",
            "The state of the object does not allow the request, a quota is full, or too many requests change the object \
                at once. `detail` says which.",
        ),
        ("413", "The body is too large. The limit is 256 KiB for an event, 2.5 MiB for a batch, and 64 KiB otherwise."),
        ("415", "The `Content-Type` of the body is not `application/json`."),
        (
            "422",
            "The request breaks rules, which `errors` lists, or its `Idempotency-Key` was used for another request.",
        ),
        ("500", "Something went wrong on our side. The cause is logged and not shown."),
    ];
    let content = json!({ "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } });
    let response =
        |(status, description)| (format!("Problem{status}"), json!({ "description": description, "content": content }));
    let mut responses: Map<String, Value> = described.into_iter().map(response).collect();
    responses["Problem401"]["headers"] =
        json!({ "WWW-Authenticate": { "required": true, "schema": { "type": "string", "pattern": "^Bearer" } } });
    responses.insert("Problem429".to_owned(), json!({
        "description": "Too many requests. Either the account has reached its publish limit, and the answer is a problem \
            document; or the deployment has too many requests, and the answer comes from API Gateway. Wait for the \
            seconds in `Retry-After`, or one second if it is missing.",
        "headers": { "Retry-After": { "schema": { "type": "integer", "minimum": 1 } } },
        "content": {
            "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } },
            "application/json": { "schema": { "type": "object" } },
        },
    }));
    responses.insert(
        "Problem503".to_owned(),
        json!({
            "description": "The service is busy. Wait for the seconds in `Retry-After`.",
            "headers": { "Retry-After": { "required": true, "schema": { "type": "integer", "minimum": 1 } } },
            "content": content,
        }),
    );
    responses.into()
}

/// Adds the account header, and the failures that follow from what the operation takes. A failure with an operation's own
/// status, such as a 409, is declared at the operation without a description. It gets the shared response too.
fn complete_operation(operation: &mut Value) {
    let is_open = operation.get("security").is_none();
    let has_body = operation.get("requestBody").is_some();
    if let Some(schema) = operation.pointer_mut("/requestBody/content/application~1json/schema") {
        forbid_null(schema);
    }
    let operation = operation.as_object_mut().expect("an operation");
    let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
    let parameters = parameters.as_array_mut().expect("parameters");
    let has = |location: &str, parameters: &[Value]| parameters.iter().any(|parameter| parameter["in"] == location);
    let (has_path, has_query) = (has("path", parameters), has("query", parameters));
    for parameter in parameters.iter_mut() {
        forbid_null(&mut parameter["schema"]);
    }
    if !is_open {
        parameters.push(json!({ "$ref": "#/components/parameters/Hookline-Account" }));
    }
    let responses = operation["responses"].as_object_mut().expect("responses");
    let mut problems: BTreeSet<String> = responses.keys().filter(|status| status.starts_with('4')).cloned().collect();
    let implied = [
        (!is_open, &["400", "401", "403", "429", "500", "503"][..]),
        (has_path, &["404"]),
        (has_body, &["413", "415", "422"]),
        (has_query, &["422"]),
    ];
    problems.extend(
        implied.iter().filter(|(holds, _)| *holds).flat_map(|(_, statuses)| *statuses).map(ToString::to_string),
    );
    for status in problems {
        let response = json!({ "$ref": format!("#/components/responses/Problem{status}") });
        responses.insert(status, response);
    }
}

/// Removes `null` from a schema: an optional parameter or body is left out and never `null`.
fn forbid_null(schema: &mut Value) {
    if let Some(types) = schema.get("type").and_then(Value::as_array) {
        schema["type"] = types.iter().find(|kind| *kind != "null").expect("a type besides null").clone();
    }
    if let Some(choices) = schema.get("oneOf").and_then(Value::as_array) {
        *schema = choices.iter().find(|choice| choice["type"] != "null").expect("a choice besides null").clone();
    }
}

/// Sets the format of times, and marks the nullable fields of answers as required, because answers always have them.
fn complete_schema(schema: &mut Value) {
    let is_request = schema["additionalProperties"] == false;
    for part in schema.get_mut("allOf").and_then(Value::as_array_mut).into_iter().flatten() {
        complete_schema(part);
    }
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
    let mut nullable = Vec::new();
    for (name, property) in properties {
        if name.ends_with("_at") || ["at", "since", "until"].contains(&name.as_str()) {
            property["format"] = "date-time".into();
        }
        let has_null =
            |key: &str, null: Value| property.get(key).and_then(Value::as_array).is_some_and(|all| all.contains(&null));
        if has_null("type", "null".into()) || has_null("oneOf", json!({ "type": "null" })) {
            nullable.push(Value::from(name.as_str()));
        }
    }
    if !is_request && !nullable.is_empty() {
        let required = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
        schema["required"] = required.into_iter().chain(nullable).collect();
    }
}

/// Gives every page schema a short name: `Page_Webhook_WebhookId` becomes `WebhookPage`. Its entries refer to their own schema
/// again, which utoipa has written out.
fn name_pages(document: &mut Value) {
    let schemas = document["components"]["schemas"].as_object_mut().expect("schemas");
    let generated: Vec<_> = schemas.keys().filter(|name| name.starts_with(PAGE_PREFIX)).cloned().collect();
    let mut renamed = BTreeMap::new();
    for name in generated {
        let mut page = schemas.remove(&name).expect("the schema was just found");
        let entry = entry_of(&name, schemas);
        page["properties"]["data"]["items"] = json!({ "$ref": reference(&entry) });
        // `EventType` is the schema of a name, so the one of an event type is `CatalogueEntry`.
        let short = format!("{}Page", if entry == "CatalogueEntry" { "EventType" } else { entry.as_str() });
        renamed.insert(reference(&name), reference(&short));
        assert!(schemas.insert(short, page).is_none(), "two schemas have the same short name as {name}");
    }
    rename_references(document, &renamed);
}

/// Returns the schema of a page's entries: the longest known name that `page` continues with. The schema of the cursor follows.
fn entry_of(page: &str, schemas: &Map<String, Value>) -> String {
    let parameters = page.strip_prefix(PAGE_PREFIX).expect("the name of a page");
    let is_first = |name: &&String| {
        parameters.strip_prefix(name.as_str()).is_some_and(|cursor| cursor.is_empty() || cursor.starts_with('_'))
    };
    let entry = schemas.keys().filter(is_first).max_by_key(|name| name.len());
    entry.unwrap_or_else(|| panic!("the schema {page} has entries of no known schema")).clone()
}

/// Returns the value of a `$ref` to the schema `name`.
fn reference(name: &str) -> String {
    format!("#/components/schemas/{name}")
}

/// Replaces every `$ref` that `renamed` has a new value for.
fn rename_references(value: &mut Value, renamed: &BTreeMap<String, String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(target)) = members.get_mut("$ref")
                && let Some(new) = renamed.get(target.as_str())
            {
                target.clone_from(new);
            }
            members.values_mut().for_each(|member| rename_references(member, renamed));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename_references(item, renamed)),
        _ => {}
    }
}

/// Returns every `$ref` in `value`.
fn references(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(members) => {
            let own = members.get("$ref").and_then(Value::as_str);
            own.into_iter().chain(members.values().flat_map(references)).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => vec![],
    }
}

#[test]
fn the_committed_document_matches_the_code() {
    let made = serde_json::to_string_pretty(&document()).expect("a document is JSON") + "\n";
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(COMMITTED, &made).expect("the document can be written");
    }
    let committed = std::fs::read_to_string(COMMITTED).expect("the document can be read");
    assert!(committed == made, "infra/openapi.json is stale: UPDATE_OPENAPI=1 cargo test -p api openapi");
}

#[test]
fn pages_have_short_names_and_every_reference_has_a_target() {
    let document = document();
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    let pages: Vec<_> = schemas.keys().filter(|name| name.contains("Page")).collect();
    assert_eq!(pages, ["DeliveryPage", "EventPage", "EventTypePage", "TokenPage", "WebhookPage"]);
    for target in references(&document) {
        let pointer = target.strip_prefix('#').expect("a reference within the document");
        assert!(document.pointer(pointer).is_some(), "{target} has no target");
    }
}

#[test]
fn the_document_describes_every_route() {
    let document = document();
    let described = document["paths"].as_object().expect("paths").iter().flat_map(|(path, operations)| {
        operations.as_object().expect("a path").keys().map(move |method| (method.as_str(), path.as_str()))
    });
    let routed: BTreeSet<_> = ROUTES.iter().copied().collect();
    assert_eq!(described.collect::<BTreeSet<_>>(), routed);
    assert_eq!(routed.len(), ROUTES.len());
}

#[test]
fn the_limits_in_the_document_are_those_of_the_code() {
    let document = document();
    let limits = [
        ("NewWebhook/properties/events/maxItems", SUBSCRIPTIONS_MAX as u64),
        ("NewWebhook/properties/description/maxLength", DESCRIPTION_MAX as u64),
        ("NewWebhook/properties/rate_limit/maximum", RATE_LIMIT_MAX.into()),
        ("WebhookChange/properties/events/maxItems", SUBSCRIPTIONS_MAX as u64),
        ("WebhookChange/properties/description/maxLength", DESCRIPTION_MAX as u64),
        ("WebhookChange/properties/rate_limit/maximum", RATE_LIMIT_MAX.into()),
        ("Rotation/properties/overlap_seconds/maximum", OVERLAP_MAX_S),
        ("NewEvent/properties/type/maxLength", NAME_MAX as u64),
        ("NewBatch/properties/events/maxItems", BATCH_MAX as u64),
        ("NewEventType/properties/description/maxLength", DESCRIPTION_MAX as u64),
    ];
    for (pointer, limit) in limits {
        assert_eq!(document.pointer(&format!("/components/schemas/{pointer}")), Some(&limit.into()), "{pointer}");
    }
    let publish = &document["paths"]["/v1/events"]["post"]["parameters"];
    let key = publish.as_array().expect("parameters").iter().find(|parameter| parameter["name"] == "Idempotency-Key");
    assert_eq!(key.expect("the key")["schema"]["maxLength"], KEY_MAX);
}
