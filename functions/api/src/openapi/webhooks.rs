//! The `webhooks` section of the document: the requests that a receiver gets, so that generators make its types as well.
//!
//! The objects of the built-in types are described from their samples. Publishers may leave out and add members, so none is
//! required and others are allowed. The platform's own types are not part of the document.

use domain::event_type::{CatalogueEntry, built_in};
use serde_json::{Map, Value, json, value::RawValue};

/// The request of any event, which an endpoint for all types gets.
const ANY: &str = "event";
/// The schema of any event of a built-in type.
const ANY_SCHEMA: &str = "DeliveredEvent";

/// Adds the requests that a receiver gets, with their headers and schemas.
pub(super) fn add_webhooks(document: &mut Value) {
    let (mut webhooks, mut schemas) = (Map::new(), Map::new());
    for entry in built_in() {
        let (object, schema) = (object_name(&entry), event_name(&entry));
        if !entry.name.is_operational() {
            add_members(&mut schemas, &object, &entry);
        }
        schemas.insert(schema.clone(), event_schema(&entry, &object));
        let request = operation(&schema, &entry.description, &example(&entry));
        webhooks.insert(entry.name.to_string(), json!({ "post": request }));
        let any = || json!({ "post": operation(ANY_SCHEMA, "An event of any built-in type", &example(&entry)) });
        webhooks.entry(ANY).or_insert_with(any);
    }
    schemas.insert(ANY_SCHEMA.to_owned(), any_event());
    document["webhooks"] = webhooks.into();
    document["components"]["schemas"].as_object_mut().expect("schemas").extend(schemas);
    document["components"]["parameters"].as_object_mut().expect("parameters").extend(headers());
}

/// Returns the name of a type in words, each with a capital: `ResourceCreated`.
fn words(name: &str) -> String {
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    name.split('.').map(capital).collect()
}

fn event_name(entry: &CatalogueEntry) -> String {
    format!("{}Event", words(entry.name.as_str()))
}

/// Returns the name of the schema of a type's object. The types of one resource share it. Hookline's own type has a webhook as
/// the API shows it.
fn object_name(entry: &CatalogueEntry) -> String {
    let resource = words(entry.name.as_str().split('.').next().unwrap_or_default());
    if entry.name.is_operational() { resource } else { format!("{resource}Object") }
}

/// Adds the members of a type's sample to the schema of its object.
fn add_members(schemas: &mut Map<String, Value>, object: &str, entry: &CatalogueEntry) {
    let schema = schemas.entry(object).or_insert_with(|| {
        json!({
            "type": "object",
            "description": "The publisher's object. Members may be missing, and there may be others.",
            "properties": {},
            "additionalProperties": true,
        })
    });
    let sample: Map<String, Value> = serde_json::from_str(entry.sample.object.get()).expect("a sample is an object");
    for (name, value) in sample {
        let kind = if value.is_string() { "string" } else { "integer" };
        schema["properties"][name] = json!({ "type": kind, "examples": [value] });
    }
}

/// Returns the schema of the events of one type.
fn event_schema(entry: &CatalogueEntry, object: &str) -> Value {
    let object = json!({ "$ref": format!("#/components/schemas/{object}") });
    let previous_data = if entry.name.is_operational() {
        json!({ "type": "null", "description": "Always `null`." })
    } else {
        json!({
            "description": "The values that an update replaced, or `null`.",
            "anyOf": [object, { "type": "null" }],
        })
    };
    json!({
        "type": "object",
        "description": format!("{}.", entry.description),
        "required": ["id", "type", "created_at", "data", "previous_data"],
        "properties": {
            "id": {
                "$ref": "#/components/schemas/EventId",
                "description": "The event's id, the same in every attempt: the key for dropping duplicates.",
            },
            "type": { "type": "string", "const": entry.name, "description": "The event's type." },
            "created_at": {
                "type": "string",
                "format": "date-time",
                "description": "When the event was published.",
            },
            "data": {
                "type": "object",
                "description": "What happened.",
                "required": ["object"],
                "properties": { "object": object },
                "additionalProperties": true,
            },
            "previous_data": previous_data,
        },
        "additionalProperties": true,
    })
}

/// Returns the schema of an event of any built-in type, which its `type` tells apart.
fn any_event() -> Value {
    let reference = |entry: &CatalogueEntry| format!("#/components/schemas/{}", event_name(entry));
    let one_of: Vec<_> = built_in().map(|entry| json!({ "$ref": reference(&entry) })).collect();
    let mapping: Map<_, _> = built_in().map(|entry| (entry.name.to_string(), reference(&entry).into())).collect();
    json!({
        "description": "An event of a built-in type. `GET /v1/event-types` lists the types that the platform has added.",
        "oneOf": one_of,
        "discriminator": { "propertyName": "type", "mapping": mapping },
    })
}

/// What every request says.
const DESCRIPTION: &str = "Hookline sends this request to the URL of each webhook that is subscribed. Verify one of the two \
    signatures over the bytes of the body as they arrived, then answer with a 2xx within the webhook's timeout. The same event \
    may arrive twice. The options of a webhook may add headers, an `Authorization` and another signature.";

/// Returns the request with events of `schema`.
fn operation(schema: &str, summary: &str, example: &Value) -> Value {
    let reference = |name: &String| json!({ "$ref": format!("#/components/parameters/{name}") });
    let parameters: Vec<_> = headers().keys().map(reference).collect();
    let waits = "A failed attempt. `Retry-After` can put the next one later, by at most two hours.";
    json!({
        "operationId": if schema == ANY_SCHEMA { "receiveEvent".to_owned() } else { format!("receive{schema}") },
        "summary": summary,
        "description": DESCRIPTION,
        "tags": ["Events"],
        "security": [],
        "parameters": parameters,
        "requestBody": {
            "required": true,
            "description": "The event. Every webhook and every attempt gets the same bytes.",
            "content": { "application/json": {
                "schema": { "$ref": format!("#/components/schemas/{schema}") },
                "example": example,
            } },
        },
        "responses": {
            "2XX": { "description": "The event is delivered." },
            "410": { "description": "The receiver is gone: the webhook is disabled at once." },
            "429": { "description": waits },
            "503": { "description": waits },
            "default": { "description": "A failed attempt, as any answer but a 2xx is. The event is sent again later." },
        },
    })
}

/// Returns a delivery of a type's sample.
fn example(entry: &CatalogueEntry) -> Value {
    let parsed = |raw: &RawValue| serde_json::from_str::<Value>(raw.get()).expect("a sample is JSON");
    json!({
        "id": "evt_01JMCA06DW8R3VZQ6N0K4T2W7Y",
        "type": entry.name,
        "created_at": "2025-02-18T10:35:00Z",
        "data": { "object": parsed(&entry.sample.object) },
        "previous_data": entry.sample.previous_data.as_deref().map(parsed),
    })
}

/// Returns the headers of every delivery but `Content-Type`, which the body's media type describes.
fn headers() -> Map<String, Value> {
    let text = json!({ "type": "string" });
    let described = [
        (
            "X-Webhook-Signature",
            json!({ "type": "string", "pattern": "^[0-9a-f]{64}$" }),
            "The HMAC-SHA256 of the body in lowercase hex, keyed with the UTF-8 bytes of the secret.",
        ),
        (
            "webhook-id",
            json!({ "$ref": "#/components/schemas/EventId" }),
            "The event's id, the same in every attempt. Part of what `webhook-signature` signs.",
        ),
        (
            "webhook-timestamp",
            json!({ "type": "string", "pattern": "^[0-9]+$" }),
            "When the attempt began, in seconds since 1970. Part of what `webhook-signature` signs.",
        ),
        (
            "webhook-signature",
            text.clone(),
            "For each valid secret `v1,` and the base64 signature of Standard Webhooks 1.0.0, separated by spaces.",
        ),
        ("X-Webhook-Event", json!({ "$ref": "#/components/schemas/EventTypeName" }), "The event's type."),
        (
            "X-Webhook-Attempt",
            json!({ "type": "string", "pattern": "^[1-9][0-9]*$" }),
            "The number of the attempt, from 1.",
        ),
        ("User-Agent", text, "`Hookline/` and its version."),
        (
            "traceparent",
            json!({ "type": "string", "pattern": "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$" }),
            "The trace of the publication, as in W3C Trace Context. Only if the publisher sent one.",
        ),
    ];
    let header = |(name, schema, description): (&str, Value, &str)| {
        let required = name != "traceparent";
        let header =
            json!({ "name": name, "in": "header", "required": required, "schema": schema, "description": description });
        (name.to_owned(), header)
    };
    described.into_iter().map(header).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openapi::document::document;
    use boon::{Compiler, Draft, Schemas};

    /// Judges a JSON value by a schema of the document.
    fn fits(document: &Value, schema: &str, value: &Value) -> Result<(), String> {
        let (mut compiler, mut schemas) = (Compiler::new(), Schemas::new());
        compiler.set_default_draft(Draft::V2020_12);
        let reference =
            json!({ "$ref": format!("#/components/schemas/{schema}"), "components": document["components"] });
        compiler.add_resource("document:/openapi", reference).expect("a document");
        let root = compiler.compile("document:/openapi", &mut schemas).map_err(|error| format!("{error:#}"))?;
        schemas.validate(value, root).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn a_delivery_of_each_sample_fits_its_schema_and_no_other() {
        let document = document();
        for entry in built_in() {
            let event = example(&entry);
            for other in built_in() {
                let judged = fits(&document, &event_name(&other), &event);
                assert_eq!(judged.is_ok(), other.name == entry.name, "{} as {}: {judged:?}", entry.name, other.name);
            }
            assert_eq!(fits(&document, ANY_SCHEMA, &event), Ok(()), "{}", entry.name);
        }
    }

    #[test]
    fn publishers_may_leave_out_and_add_members() {
        let entry = built_in().next().expect("a type");
        let mut event = example(&entry);
        event["data"]["object"] = json!({ "name": "New Resource", "more": [1] });
        event["previous_data"] = json!({ "more": [] });
        assert_eq!(fits(&document(), &event_name(&entry), &event), Ok(()));
    }
}
