//! Generates the OpenAPI document: utoipa collects the descriptions of handlers and structs, and the code here adds what all
//! operations have in common.

use super::{examples, webhooks};
use crate::{
    events::BATCH_MAX,
    problem,
    rotation::OVERLAP_MAX_S,
    routes::{Described, ROUTES, WITH_KEY},
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
pub(super) fn document() -> Value {
    let mut document = serde_json::to_value(Described::openapi()).expect("a document is JSON");
    document["info"] = json!({
        "title": "Hookline",
        "version": domain::VERSION,
        "description": "Reliable webhook delivery. All bodies are JSON. All times are RFC 3339 in UTC. Every error is a \
            problem document (RFC 9457). An unknown path is a 404. A method that a path does not support is a 405, with \
            the supported methods in `Allow`. After a 429 or 503, wait for the seconds in `Retry-After`. Events and \
            deliveries are kept for 30 days, unless the operator sets another time.",
        "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
    });
    document["info"]["contact"] = json!({ "name": "The operator of this deployment" });
    document["servers"] = json!([{ "url": "/", "description": "The deployment that serves this document." }]);
    document["tags"] = tags();
    let operations = document["paths"].as_object_mut().expect("paths").values_mut();
    for operation in operations.flat_map(|path| path.as_object_mut().expect("a path").values_mut()) {
        complete_operation(operation);
        examples::add(operation);
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
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "description": "A token. Each operation says which scope it needs; `platform` allows everything.",
        },
    });
    document["components"]["headers"] = json!({ "X-Request-Id": {
        "description": "The request's id, which the service's log lines have too. Quote it when you ask the operator.",
        "required": true,
        "schema": { "type": "string", "minLength": 1 },
    } });
    document["components"]["parameters"] = json!({ "Hookline-Account": {
        "name": "Hookline-Account",
        "in": "header",
        "description": "The account that the request is about. A platform token must name one. An account token is \
            bound to its account and may leave it out.",
        "schema": { "$ref": "#/components/schemas/AccountId" },
    } });
    document["components"]["responses"] = problems();
    webhooks::add_webhooks(&mut document);
    name_free_objects(&mut document);
    document
}

/// Returns the responses of failed requests, which all operations share: `Problem404` for a 404.
fn problems() -> Value {
    let described = [
        (
            "400",
            "The body is not JSON, a header is malformed, a platform token does not name the account, or the route does not \
                take the `Idempotency-Key` that it got.",
        ),
        ("401", "There is no token, or it is not valid."),
        ("403", "The token lacks the scope, or is bound to a different account than the one in `Hookline-Account`."),
        ("404", "The account has no such object."),
        (
            "409",
            "The state of the object does not allow the request, a quota is full, or too many requests change the object \
                at once. `type` says which.",
        ),
        (
            "413",
            "The body is too large. The limit is 256 KiB for an event, 2.5 MiB for a batch, 1 MiB for a \
                request to debug, and 64 KiB otherwise.",
        ),
        ("415", "The `Content-Type` of the body is not `application/json`, or the body has a `Content-Encoding`."),
        (
            "422",
            "The request breaks rules, which `errors` lists, or its `Idempotency-Key` was used for another request.",
        ),
        (
            "429",
            "The account has reached its publish limit, and nothing of the request was published; or its limit of requests to \
                debug. Wait for the seconds in `Retry-After`. In AWS, API Gateway itself may answer 429 before a request reaches the service, without a \
                problem document and without `Retry-After`.",
        ),
        ("500", "Something went wrong on our side. The cause is logged and not shown."),
        ("503", "The service is busy. Wait for the seconds in `Retry-After`."),
    ];
    let schema = json!({ "$ref": "#/components/schemas/Problem" });
    let content = |status| json!({ "schema": schema, "example": examples::problem(status) });
    let response = |(status, description)| {
        let content = json!({ "application/problem+json": content(status) });
        (format!("Problem{status}"), json!({ "description": description, "content": content }))
    };
    let mut responses: Map<String, Value> = described.into_iter().map(response).collect();
    let header = |schema: Value| json!({ "required": true, "schema": schema });
    let retry_after = header(json!({ "type": "integer", "minimum": 1 }));
    responses["Problem401"]["headers"] =
        json!({ "WWW-Authenticate": header(json!({ "type": "string", "pattern": "^Bearer" })) });
    for status in ["Problem429", "Problem503"] {
        responses[status]["headers"] = json!({ "Retry-After": retry_after });
    }
    responses.values_mut().for_each(add_request_id);
    responses.into()
}

/// Adds the account header, and the failures that follow from what the operation takes. A failure with an operation's own
/// status, such as a 409, is declared at the operation without a description. It gets the shared response too.
fn complete_operation(operation: &mut Value) {
    let is_open = operation.get("security").is_none();
    name_scopes(operation);
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
        (true, &["400"][..]), // for an `Idempotency-Key`, if nothing else
        (!is_open, &["401", "403", "429", "500", "503"]),
        (has_path, &["404"]),
        (has_body, &["413", "415", "422"]),
        (has_query, &["422"]),
    ];
    problems.extend(
        implied.iter().filter(|(holds, _)| *holds).flat_map(|(_, statuses)| *statuses).map(ToString::to_string),
    );
    responses.values_mut().for_each(add_request_id);
    for status in problems {
        let response = json!({ "$ref": format!("#/components/responses/Problem{status}") });
        responses.insert(status, response);
    }
}

/// Adds `X-Request-Id` to the headers of a response.
fn add_request_id(response: &mut Value) {
    response["headers"]["X-Request-Id"] = json!({ "$ref": "#/components/headers/X-Request-Id" });
}

/// Says in words which scopes the operation needs, and lists them as `x-scopes`: the alternatives, each with spaces between scopes that are needed
/// together. OpenAPI has no place for the scopes of a bearer
/// token that all tools accept. An open operation overrides any default of a tool with an empty list.
fn name_scopes(operation: &mut Value) {
    let alternatives = operation["security"].as_array().cloned().unwrap_or_default();
    let scopes: Vec<_> =
        alternatives.iter().filter_map(|one| one["bearer"].as_array()).flatten().filter_map(Value::as_str).collect();
    let needs_all = alternatives.len() == 1 && scopes.len() > 1;
    operation["security"] = if scopes.is_empty() { json!([]) } else { json!([{ "bearer": [] }]) };
    if scopes.is_empty() {
        return;
    }
    let description = operation["description"].as_str().unwrap_or_default();
    let needed = if needs_all {
        format!("the scopes `{}`", scopes.join("` and `"))
    } else {
        format!("the scope `{}`", scopes.join("` or `"))
    };
    operation["description"] = format!("{description} Needs {needed}.").into();
    operation["x-scopes"] = if needs_all { json!([scopes.join(" ")]) } else { scopes.into() };
}

/// Returns the groups of operations.
fn tags() -> Value {
    let tags = [
        ("Webhooks", "The endpoints that receive events: register, change, test, rotate secrets, recover."),
        ("Deliveries", "Events on their way to webhooks, with every attempt."),
        ("Events", "Publish events, and see what became of them."),
        ("Event types", "The catalogue of event types. The platform adds its own."),
        ("Tokens", "The API tokens of accounts, which the platform issues."),
        (
            "Portal",
            "Links to the web page on which an account's developers see and mend its webhooks, and its sessions.",
        ),
        ("Service", "The service itself. These operations need no token."),
    ];
    tags.iter().map(|(name, description)| json!({ "name": name, "description": description })).collect()
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
        let is_time = name.ends_with("_at") || ["at", "since", "until"].contains(&name.as_str());
        // `looked_at` is a count.
        if is_time && property["type"] != "integer" {
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
        let short = format!("{entry}Page");
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

/// Replaces every schema of an object without known members by a reference to one schema, which says that it may have any.
fn name_free_objects(document: &mut Value) {
    refer_to_free_object(document);
    document["components"]["schemas"]["JsonObject"] =
        json!({ "type": "object", "description": "A JSON object with any members.", "additionalProperties": true });
}

fn refer_to_free_object(value: &mut Value) {
    let is_free = value.get("properties").is_none() && value.get("additionalProperties").is_none();
    if is_free && value.get("type") == Some(&json!("object")) {
        value.as_object_mut().expect("a schema").remove("type");
        value["$ref"] = reference("JsonObject").into();
    } else if is_free && value.get("type") == Some(&json!(["object", "null"])) {
        value.as_object_mut().expect("a schema").remove("type");
        value["oneOf"] = json!([{ "type": "null" }, { "$ref": reference("JsonObject") }]);
    }
    match value {
        Value::Object(members) => {
            members
                .iter_mut()
                .filter(|(name, _)| *name != "example")
                .for_each(|(_, member)| refer_to_free_object(member));
        }
        Value::Array(items) => items.iter_mut().for_each(refer_to_free_object),
        _ => {}
    }
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
    assert_eq!(pages, ["DeliveryPage", "EventPage", "EventTypePage", "RecoveryPage", "TokenPage", "WebhookPage"]);
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
        ("SecretRotation/properties/overlap_seconds/maximum", OVERLAP_MAX_S),
        ("NewEvent/properties/type/maxLength", NAME_MAX as u64),
        ("NewEventBatch/properties/events/maxItems", BATCH_MAX as u64),
        ("NewEventType/properties/description/maxLength", DESCRIPTION_MAX as u64),
    ];
    for (pointer, limit) in limits {
        assert_eq!(document.pointer(&format!("/components/schemas/{pointer}")), Some(&limit.into()), "{pointer}");
    }
    let publish = &document["paths"]["/v1/events"]["post"]["parameters"];
    let key = publish.as_array().expect("parameters").iter().find(|parameter| parameter["name"] == "Idempotency-Key");
    assert_eq!(key.expect("the key")["schema"]["maxLength"], KEY_MAX);
}

#[test]
fn the_idempotency_key_is_described_on_the_routes_that_take_it() {
    let document = document();
    let paths = document["paths"].as_object().expect("paths").iter();
    let operations = paths.flat_map(|(path, operations)| {
        operations.as_object().expect("a path").iter().map(move |(method, operation)| (method, path, operation))
    });
    let takes = |operation: &Value| {
        let mut parameters = operation["parameters"].as_array().expect("parameters").iter();
        parameters.any(|parameter| parameter["name"] == "Idempotency-Key")
    };
    let described: BTreeSet<_> = operations
        .filter(|(.., operation)| takes(operation))
        .map(|(method, path, _)| (method.to_uppercase(), path.as_str()))
        .collect();
    let taking = WITH_KEY.iter().map(|(method, path)| ((*method).to_owned(), *path));
    assert_eq!(described, taking.collect());
}

#[test]
fn tools_find_what_they_need() {
    let document = document();
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    let artefacts: Vec<_> = schemas.keys().filter(|name| name.contains('_')).collect();
    assert!(artefacts.is_empty(), "{artefacts:?} are no names for users");
    for (name, schema) in schemas.iter().filter(|(_, schema)| schema["type"] == "object") {
        let is_free = schema.get("properties").is_none();
        assert!(!is_free || schema["additionalProperties"] == true, "{name} does not say that it may have any member");
        // openapi-typescript requires members with a default.
        let properties = schema["properties"].as_object().into_iter().flatten();
        let with_default: Vec<_> = properties.filter(|(_, schema)| schema.get("default").is_some()).collect();
        assert!(with_default.is_empty(), "{name} has members with a default: {with_default:?}");
    }
    let tags: Vec<_> = document["tags"].as_array().expect("tags").iter().map(|tag| &tag["name"]).collect();
    let operations = document["paths"].as_object().expect("paths").values();
    for operation in operations.flat_map(|path| path.as_object().expect("a path").values()) {
        let id = &operation["operationId"];
        assert!(operation["security"].is_array(), "{id} does not say whether it needs a token");
        assert!(tags.contains(&&operation["tags"][0]), "the tag of {id} has no description");
    }
}
