//! Values of a payload as JSON for an explanation, cut where they are long.

use super::document::Value;
use serde_json::value::{RawValue, to_raw_value};

/// The most bytes of JSON that are shown of the values of one field.
pub(super) const SHOWN_BYTES_MAX: usize = 1024;

/// Returns the JSON of one value, or the array of several, or `None` if there are none. Numbers are shown by value: `3.0` as `3`.
///
/// JSON of more than [`SHOWN_BYTES_MAX`] bytes becomes a string: its beginning, and `…`.
pub(super) fn shown(values: &[&Value]) -> Option<Box<RawValue>> {
    let mut text = Text(String::new());
    match values {
        [] => return None,
        [value] => text.value(value),
        values => text.list('[', values.iter(), ']', |text, value| text.value(value)),
    }
    let Text(mut text) = text;
    if text.len() <= SHOWN_BYTES_MAX {
        return RawValue::from_string(text).ok();
    }
    text.truncate(text.floor_char_boundary(SHOWN_BYTES_MAX));
    text.push('…');
    to_raw_value(&text).ok()
}

/// JSON that is being written. Once it is too long, no more is written.
struct Text(String);

impl Text {
    fn is_full(&self) -> bool {
        self.0.len() > SHOWN_BYTES_MAX
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.0.push_str("null"),
            Value::Bool(value) => self.0.push_str(if *value { "true" } else { "false" }),
            Value::Number(number) => self.0.push_str(&number.to_json()),
            Value::String(text) => self.string(text),
            Value::Array(elements) => self.list('[', elements.iter(), ']', |text, element| text.value(element)),
            Value::Object(fields) => self.list('{', fields.iter(), '}', |text, (name, value)| {
                text.string(name);
                text.0.push(':');
                text.value(value);
            }),
        }
    }

    fn string(&mut self, text: &str) {
        // One byte more than is shown, so that a longer text counts as too long.
        let beginning = &text[..text.floor_char_boundary(SHOWN_BYTES_MAX + 1)];
        self.0.push_str(&serde_json::to_string(beginning).expect("a string is JSON"));
    }

    fn list<T>(&mut self, open: char, items: impl Iterator<Item = T>, close: char, write: impl Fn(&mut Self, T)) {
        self.0.push(open);
        for (index, item) in items.enumerate() {
            if self.is_full() {
                return;
            }
            if index > 0 {
                self.0.push(',');
            }
            write(self, item);
        }
        self.0.push(close);
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Document, *};
    use proptest::prelude::*;

    fn text(payload: &str) -> String {
        let document = Document::parse(payload.as_bytes()).expect("JSON");
        shown(&[&document.root]).expect("one value").get().to_owned()
    }

    #[test]
    fn values_are_shown_as_json() {
        for (payload, expected) in [
            (r#" { "b" : [ 1 , "\u00e9\"" ] , "a" : null } "#, r#"{"a":null,"b":[1,"é\""]}"#),
            (
                "[300.0, -0.5e1, 0.1, 1e300, 12345678901234567890123, -0]",
                "[300,-5,0.1,1e+300,12345678901234567890123,0]",
            ),
            ("[true,false,{},[]]", "[true,false,{},[]]"),
        ] {
            assert_eq!(text(payload), expected);
        }
        assert!(shown(&[]).is_none());
        let [one, two] = [Value::Bool(true), Value::Null];
        assert_eq!(shown(&[&one, &two]).expect("two values").get(), "[true,null]");
    }

    #[test]
    fn what_is_long_is_cut() {
        let long = |of: &str| text(&format!("[{}]", vec![of; 100_000].join(",")));
        for cut in [text(&format!("\"{}\"", "é".repeat(100_000))), long("1"), long("[]"), long(r#"{"a":"b"}"#)] {
            let shown: String = serde_json::from_str(&cut).expect("a string");
            assert!(shown.ends_with('…') && (1000..=SHOWN_BYTES_MAX + 3).contains(&shown.len()), "{shown}");
        }
        let just = format!("\"{}\"", "a".repeat(SHOWN_BYTES_MAX - 2));
        assert_eq!(text(&just), just);
    }

    proptest! {
        #[test]
        fn a_number_is_shown_with_its_value(text in r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,9})?(e-?[0-9]{1,3})?") {
            let number = super::super::number::Number::parse(&text);
            let shown = number.to_json();
            prop_assert!(RawValue::from_string(shown.clone()).is_ok(), "{}", shown);
            prop_assert_eq!(super::super::number::Number::parse(&shown), number, "{}", shown);
        }
    }
}
