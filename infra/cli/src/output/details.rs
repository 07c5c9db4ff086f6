//! The members of a JSON object, one a line, in the server's order. It shows those too that this version does not know.

use super::text::{visible, width};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Value, value::RawValue};
use std::fmt;

/// The members of an object, in order.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = vec![];
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// The lines for an object, without the member `left_out`. Something else is shown as JSON.
pub(super) fn of(json: &str, left_out: Option<&str>) -> String {
    let Ok(Members(mut members)) = serde_json::from_str(json) else { return visible(json.trim_end()).into_owned() };
    members.retain(|(name, _)| Some(name.as_str()) != left_out);
    let names: Vec<_> = members.iter().map(|(name, _)| visible(name)).collect();
    let widest = names.iter().map(|name| width(name)).max().unwrap_or(0);
    let lines = names.iter().zip(&members).map(|(name, (_, value))| {
        let space = " ".repeat(widest - width(name) + 2);
        let indent = " ".repeat(widest + 2);
        format!("{name}{space}{}", shown(value).join(&format!("\n{indent}")))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A value in one line, or a list of objects with one line for each.
fn shown(value: &RawValue) -> Vec<String> {
    match serde_json::from_str(value.get()) {
        Ok(Value::Null) => vec!["-".to_owned()],
        Ok(Value::String(text)) => vec![visible(&text).into_owned()],
        Ok(Value::Array(values)) if values.is_empty() => vec!["none".to_owned()],
        Ok(Value::Array(values)) if values.iter().all(Value::is_string) => {
            let texts: Vec<_> = values.iter().filter_map(Value::as_str).map(visible).collect();
            vec![texts.join(", ")]
        }
        Ok(Value::Array(_)) => {
            let values: Vec<Box<RawValue>> = serde_json::from_str(value.get()).unwrap_or_default();
            values.iter().map(|value| visible(value.get()).into_owned()).collect()
        }
        _ => vec![visible(value.get()).into_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_shown_in_order_and_harmless() {
        let json = r#"{"id":"wh_1","events":["a.b","c.*"],"url":null,"bad\u001b":"\u001b[2J",
            "filter":{"z": 1, "a": 2},"attempts":[{"n":1},{"n":2}],"none":[]}"#;
        let expected = "\
id         wh_1
events     a.b, c.*
url        -
bad\\u{1b}  \\u{1b}[2J
filter     {\"z\": 1, \"a\": 2}
attempts   {\"n\":1}
           {\"n\":2}
none       none";
        assert_eq!(of(json, None), expected);
        assert_eq!(of(json, Some("id")), expected.split_once('\n').expect("lines").1);
        assert_eq!(of("[1]\n", None), "[1]");
    }
}
