//! Reads the template as JSON, with CloudFormation's short forms written in full: `!Ref X` is
//! `{"Ref": "X"}`.

use serde_json::{Map, Value, json};
use serde_yaml_ng as yaml;

/// Returns the whole template, as it is without the names of tables to adopt.
pub fn template() -> Value {
    with_own_tables(whole())
}

fn whole() -> Value {
    let text = include_str!("../../template.yaml");
    plain(yaml::from_str(text).expect("template.yaml is YAML"))
}

/// Replaces each choice between a table of the stack and one that it adopts by the former.
fn with_own_tables(value: Value) -> Value {
    match value {
        Value::Object(members) => match tables(&members) {
            Some([own, _]) => own.clone(),
            None => members.into_iter().map(|(name, member)| (name, with_own_tables(member))).collect(),
        },
        Value::Array(items) => items.into_iter().map(with_own_tables).collect(),
        other => other,
    }
}

/// Returns the table of the stack and the one that it adopts, if an object is the choice between them.
fn tables(members: &Map<String, Value>) -> Option<[&Value; 2]> {
    match members.get("Fn::If")?.as_array()?.as_slice() {
        [condition, own, adopted] if condition == "OwnsTables" => Some([own, adopted]),
        _ => None,
    }
}

/// Returns the logical id of the function that a property names, directly or by its alias.
pub fn function_of(name: &Value) -> &str {
    let id = text(&name["Ref"]);
    id.strip_suffix(".Alias").unwrap_or(id)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the choices between a table of the stack and one that it adopts, below `value`.
    fn choices(value: &Value) -> Vec<[&Value; 2]> {
        match value {
            Value::Object(members) => match tables(members) {
                Some(tables) => vec![tables],
                None => members.values().flat_map(choices).collect(),
            },
            Value::Array(items) => items.iter().flat_map(choices).collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn an_adopted_table_is_used_wherever_an_own_one_would_be() {
        let template = whole();
        let choices = choices(&template);
        assert!(choices.len() > 25, "{choices:?}");
        for [own, adopted] in choices {
            let own = own["Ref"].as_str().or_else(|| own["Fn::GetAtt"].as_str()?.strip_suffix(".Arn"));
            let name = format!("{}Name", own.expect("a table of the stack"));
            let is_named = adopted["Ref"] == *name
                || adopted["Fn::Sub"].as_str().is_some_and(|arn| arn.ends_with(&format!(":table/${{{name}}}")));
            assert!(is_named, "{own:?} {adopted}");
        }
        // Without a choice, nothing names a table but the table itself.
        let rest = with_own_tables(template).to_string();
        assert!(!rest.contains("TableName\"}}"), "{rest}");
    }
}
