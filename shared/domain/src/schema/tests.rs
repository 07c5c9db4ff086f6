use super::*;
use serde_json::json;
use std::time::Instant;

fn raw(value: &Value) -> Box<RawValue> {
    RawValue::from_string(value.to_string()).expect("JSON")
}

fn pairs(faults: Faults) -> Vec<(String, String)> {
    Vec::<Fault>::from(faults).into_iter().map(|fault| (fault.pointer, fault.detail)).collect()
}

fn pointers(faults: Faults) -> Vec<String> {
    pairs(faults).into_iter().map(|(pointer, _)| pointer).collect()
}

fn parsed(schema: &Value) -> Schema {
    Schema::parse(&raw(schema)).unwrap_or_else(|faults| panic!("{schema}: {faults:?}"))
}

/// Returns the pointers of the faults of a schema.
fn refused(schema: &Value) -> Vec<String> {
    pointers(Schema::parse(&raw(schema)).err().unwrap_or_default())
}

fn faults(schema: &Value, object: &Value) -> Vec<(String, String)> {
    pairs(parsed(schema).faults(&raw(object)))
}

#[test]
fn every_value_that_does_not_fit_is_named() {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://example.com/order",
        "type": "object",
        "required": ["id", "lines"],
        "properties": {
            "id": { "type": "string", "pattern": "^ord_\\d+$" },
            "note": { "type": ["string", "null"], "maxLength": 3 },
            "state": { "enum": ["open", "sent"] },
            "total": { "anyOf": [{ "type": "integer" }, { "type": "null" }] },
            "lines": { "type": "array", "items": { "$ref": "#/$defs/line" } },
        },
        "additionalProperties": false,
        "$defs": { "line": { "type": "object", "required": ["a/b"], "properties": { "count": { "minimum": 1 } } } },
    });
    let object = json!({
        "id": "ord_x", "note": "long", "state": "lost", "total": "5", "lines": [{ "a/b": 1, "count": 0 }, {}, 7], "x~y": 1,
    });
    let mut found = faults(&schema, &object);
    found.sort();
    let expected = [
        ("/id", "must match the pattern ^ord_[0-9]+$"),
        ("/lines/0/count", "must be at least 1"),
        ("/lines/1/a~1b", "is required"),
        ("/lines/2", "must be of type object"),
        ("/note", "must have at most 3 characters"),
        ("/state", r#"must be one of "open", "sent""#),
        ("/total", "must be of type integer, or must be of type null"),
        ("/x~0y", "is not a known field"),
    ];
    assert_eq!(found, expected.map(|(pointer, detail)| (pointer.to_owned(), detail.to_owned())));
    assert_eq!(faults(&schema, &json!({ "id": "ord_1", "lines": [{ "a/b": 1 }] })), []);
}

#[test]
fn an_invalid_schema_is_refused_with_the_pointer_of_the_faulty_part() {
    let cases = [
        (json!({ "type": "strin" }), "/type"),
        (json!({ "properties": { "id": { "type": "string", "minLength": -1 } } }), "/properties/id/minLength"),
        (json!({ "items": [{ "type": "string" }] }), "/items"),
        (json!({ "required": "id" }), "/required"),
        (json!({ "$schema": "http://json-schema.org/draft-07/schema#" }), "/$schema"),
        (json!({ "properties": { "a/b": { "pattern": "(" } } }), "/properties/a~1b/pattern"),
        (json!({ "pattern": "(?=a)" }), "/pattern"),
        (json!({ "pattern": "(a)\\1" }), "/pattern"),
        (json!({ "pattern": "(.{1,1000}){1000}" }), "/pattern"),
        (json!({ "patternProperties": { "[": {} } }), "/patternProperties/["),
        (json!({ "$ref": "https://example.com/order.json" }), "/$ref"),
        (json!({ "$ref": "file:///etc/passwd" }), "/$ref"),
        (json!({ "allOf": [{}, { "$ref": "order.json#/$defs/line" }] }), "/allOf/1/$ref"),
        (json!({ "$ref": "https://json-schema.org/draft/2020-12/schema" }), "/$ref"),
        (json!({ "$ref": "#/$defs/missing" }), "/$ref"),
        (json!({ "$ref": "#missing" }), "/$ref"),
        (json!({ "$dynamicRef": "#missing" }), "/$dynamicRef"),
    ];
    for (schema, pointer) in cases {
        assert_eq!(refused(&schema), [pointer], "{schema}");
    }
    let two = json!({ "properties": { "a": { "type": 5 }, "b": { "required": [1] } } });
    assert_eq!(refused(&two), ["/properties/a/type", "/properties/b/required/0"]);
    for schema in [json!(true), json!([]), json!("x"), json!({ "title": "x".repeat(SCHEMA_BYTES_MAX) })] {
        assert_eq!(refused(&schema), [""], "{schema}");
    }
}

#[test]
fn references_within_the_schema_are_followed() {
    let text = json!({ "type": "string" });
    let schemas = [
        json!({ "properties": { "a": { "$ref": "#/$defs/a%20b~1c" } }, "$defs": { "a b/c": text } }),
        json!({ "properties": { "a": { "$ref": "#text" } }, "$defs": { "t": { "$anchor": "text", "type": "string" } } }),
        json!({
            "$id": "https://example.com/root",
            "properties": { "a": { "$ref": "text" } },
            "$defs": { "t": { "$id": "https://example.com/text", "type": "string" } },
        }),
        json!({
            "properties": { "a": { "$dynamicRef": "#text" } },
            "$defs": { "t": { "$dynamicAnchor": "text", "type": "string" } },
        }),
    ];
    for schema in schemas {
        assert_eq!(faults(&schema, &json!({ "a": "x" })), [], "{schema}");
        assert_eq!(faults(&schema, &json!({ "a": 5 })).len(), 1, "{schema}");
    }
    // What looks like a reference inside a value is none.
    parsed(&json!({ "const": { "$ref": "https://example.com/" }, "examples": [{ "$ref": 5 }] }));
}

#[test]
fn a_recursive_schema_judges_a_tree() {
    let schema = json!({
        "type": "object",
        "required": ["name"],
        "properties": { "children": { "type": "array", "items": { "$ref": "#" } } },
        "unevaluatedProperties": { "type": "string" },
    });
    let mut tree = json!({});
    for _ in 0..28 {
        tree = json!({ "name": "x", "children": [tree] });
    }
    assert_eq!(faults(&schema, &tree).len(), 1);
}

#[test]
fn a_schema_that_causes_too_much_work_is_refused() {
    // Each definition applies the next one twice.
    let doubling = |count: usize| {
        let twice = |index: usize| json!({ "$ref": format!("#/$defs/d{}", index + 1) });
        let definition = |index: usize| (format!("d{index}"), json!({ "allOf": [twice(index), twice(index)] }));
        let mut definitions: serde_json::Map<String, Value> = (0..count).map(definition).collect();
        definitions.insert(format!("d{count}"), json!({ "type": "object" }));
        json!({ "$ref": "#/$defs/d0", "$defs": definitions })
    };
    parsed(&doubling(5));
    assert_eq!(refused(&doubling(30)), [""]);
    // Each level of the value is judged twice as often as the one above.
    let twice = json!({ "properties": { "a": { "$ref": "#" } }, "patternProperties": { "^a": { "$ref": "#" } } });
    assert_eq!(refused(&twice), [""]);
    // Left and right are different values.
    parsed(&json!({ "properties": { "left": { "$ref": "#" }, "right": { "$ref": "#" } } }));
    for endless in [json!({ "$ref": "#" }), json!({ "anyOf": [{ "type": "null" }, { "not": { "$ref": "#" } }] })] {
        assert_eq!(refused(&endless), [""], "{endless}");
    }
    let many: serde_json::Map<String, Value> =
        (0..=subschemas::PATTERNS_MAX).map(|index| (format!("^a{index}"), json!({}))).collect();
    assert_eq!(refused(&json!({ "patternProperties": many })), [""]);
}

#[test]
fn the_largest_work_that_is_accepted_is_done_in_time_and_on_a_small_stack() {
    let chain = |count: usize| {
        let definition = |index: usize| (format!("d{index}"), json!({ "$ref": format!("#/$defs/d{}", index + 1) }));
        let mut definitions: serde_json::Map<String, Value> = (0..count).map(definition).collect();
        definitions.insert(format!("d{count}"), json!({ "properties": { "a": { "type": "string" } } }));
        json!({ "$ref": "#/$defs/d0", "$defs": definitions })
    };
    assert_eq!(refused(&chain(300)), [""]);
    let judge = move || {
        assert_eq!(faults(&chain(250), &json!({ "a": 5 })).len(), 1);
        let object = json!({ "a": vec![0; 100_000] });
        let schema = json!({ "properties": { "a": { "items": { "enum": (1..=30).collect::<Vec<_>>() } } } });
        let began = Instant::now();
        assert_eq!(faults(&schema, &object)[0].0, "/a/0");
        assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
        let schema = json!({ "properties": { "a": { "items": { "enum": (1..=60).collect::<Vec<_>>() } } } });
        assert_eq!(faults(&schema, &object)[0].0, "", "more steps than are allowed");
        // An expression that would take a backtracking engine centuries.
        let schema = json!({ "properties": { "a": { "pattern": "^(a+)+$" } } });
        assert_eq!(faults(&schema, &json!({ "a": format!("{}b", "a".repeat(100_000)) })).len(), 1);
    };
    let thread = std::thread::Builder::new().stack_size(2 * 1024 * 1024).spawn(judge).expect("a thread");
    thread.join().expect("neither a fault nor an overflow");
}

#[test]
fn an_object_that_cannot_be_read_does_not_fit() {
    let judge = |object: &str| {
        let object = RawValue::from_string(object.to_owned()).expect("JSON");
        pointers(parsed(&json!({})).faults(&object))
    };
    assert_eq!(judge(r#"{"a":1e999}"#), [""]);
    assert_eq!(judge(r#"{"a":12345678901234567890123}"#), [""; 0]);
}

#[test]
fn faults_are_few_and_short() {
    let schema = json!({ "additionalProperties": false });
    let object: serde_json::Map<String, Value> = (0..1000).map(|index| (format!("n{index}"), json!(1))).collect();
    assert_eq!(faults(&schema, &object.into()).len(), FAULTS_MAX);
    let mut deep = json!(1);
    for _ in 0..60 {
        deep = json!({ "n".repeat(200): deep });
    }
    let name = "n".repeat(128);
    let text = json!({ "additionalProperties": { "$ref": "#" }, "type": "object" });
    let found = faults(&text, &deep);
    assert_eq!(found[0].0, format!("/{name}…").repeat(3), "an ancestor of the value");
}

#[test]
fn a_judge_compiles_when_it_judges_and_only_if_validation_is_on() {
    let schema = || parsed(&json!({ "required": ["id"] }));
    assert!(Judge::new(Validation::Off, schema()).is_none());
    let object = raw(&json!({}));
    for (validation, is_refused) in [(Validation::Warn, false), (Validation::Enforce, true)] {
        let judge = Judge::new(validation, schema()).expect("a judge");
        assert!(judge.validator.get().is_none());
        let judgement = judge.judge(&object).expect("a usable schema");
        assert_eq!((judgement.is_refused, judgement.faults.len()), (is_refused, 1));
    }
    let unusable = Schema::stored(r##"{"$ref":"#/$defs/missing"}"##.to_owned()).expect("JSON");
    Judge::new(Validation::Warn, unusable).expect("a judge").judge(&object).expect_err("an unusable schema");
}
