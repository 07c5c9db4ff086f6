//! Reads the template as JSON, with CloudFormation's short forms written in full: `!Ref X` is
//! `{"Ref": "X"}`.

use serde_json::{Map, Value, json};
use serde_yaml_ng as yaml;

/// Returns the whole template.
pub fn template() -> Value {
    let text = include_str!("../../template.yaml");
    plain(yaml::from_str(text).expect("template.yaml is YAML"))
}

/// Returns the logical id and the properties of each resource of a type.
pub fn resources<'a>(template: &'a Value, kind: &'a str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    let all = template["Resources"].as_object().expect("resources");
    all.iter().filter(move |(_, resource)| resource["Type"] == kind).map(|(id, resource)| (id, &resource["Properties"]))
}

/// Returns the text of a JSON string.
///
/// # Panics
/// Panics if `value` is no string.
#[track_caller]
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} should be a string"))
}

/// Returns the items of a JSON array.
///
/// # Panics
/// Panics if `value` is no array.
#[track_caller]
pub fn items(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("{value} should be an array"))
}

fn plain(value: yaml::Value) -> Value {
    match value {
        yaml::Value::Null => Value::Null,
        yaml::Value::Bool(value) => value.into(),
        yaml::Value::Number(number) => serde_json::to_value(number).expect("a number"),
        yaml::Value::String(text) => text.into(),
        yaml::Value::Sequence(items) => items.into_iter().map(plain).collect(),
        yaml::Value::Mapping(members) => {
            let members = members.into_iter().map(|(name, value)| (text(&plain(name)).to_owned(), plain(value)));
            Value::Object(members.collect::<Map<_, _>>())
        }
        yaml::Value::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            let tag = tag.trim_start_matches('!');
            let name = if matches!(tag, "Ref" | "Condition") { tag.to_owned() } else { format!("Fn::{tag}") };
            json!({ name: plain(tagged.value) })
        }
    }
}
