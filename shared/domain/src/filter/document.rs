//! A payload as a tree of values, made once and matched against many patterns.

use super::number::Number;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The deepest nesting of a payload. Bodies are not nested as deep.
const DEPTH_MAX: usize = 128;

/// A payload as a tree. Its numbers keep all their digits.
#[derive(Debug)]
pub struct Document<'a> {
    pub(super) root: Value<'a>,
}

/// A value of a payload.
#[derive(Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string. One that is no Unicode text, because half of a surrogate pair is missing, keeps its escapes.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Value<'a>>),
    /// The fields of an object, sorted by name. Of a name that is given twice, the last value counts, as for most receivers.
    Object(Vec<(Cow<'a, str>, Value<'a>)>),
}

impl<'a> Document<'a> {
    /// Reads a payload, or returns `None` if it is not JSON or is nested too deeply.
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        let json: &RawValue = serde_json::from_slice(payload).ok()?;
        let mut reader = Reader { rest: json.get() };
        reader.value(DEPTH_MAX).map(|root| Self { root })
    }
}

impl<'a> Value<'a> {
    /// Returns a field of an object.
    pub(super) fn get(&self, name: &str) -> Option<&Value<'a>> {
        let Self::Object(fields) = self else { return None };
        let index = fields.binary_search_by(|(field, _)| (**field).cmp(name)).ok()?;
        Some(&fields[index].1)
    }
}

/// Reads a text that is known to be JSON.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Option<Value<'a>> {
        match self.peek()? {
            b'{' => self.object(depth.checked_sub(1)?).map(Value::Object),
            b'[' => self.array(depth.checked_sub(1)?).map(Value::Array),
            b'"' => self.string().map(Value::String),
            _ => Some(match self.bare() {
                "null" => Value::Null,
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                number => Value::Number(Number::parse(number)),
            }),
        }
    }

    fn object(&mut self, depth: usize) -> Option<Vec<(Cow<'a, str>, Value<'a>)>> {
        let mut fields = Vec::new();
        self.skip(1);
        while self.peek()? != b'}' {
            let name = self.string()?;
            self.peek()?;
            self.skip(1); // the colon
            fields.push((name, self.value(depth)?));
            self.skip_comma()?;
        }
        self.skip(1);
        fields.sort_by(|(one, _), (other, _)| one.cmp(other)); // stable, so the last of equal names is the last one given
        fields.dedup_by(|later, earlier| {
            let is_same = later.0 == earlier.0;
            if is_same {
                std::mem::swap(later, earlier);
            }
            is_same
        });
        Some(fields)
    }

    fn array(&mut self, depth: usize) -> Option<Vec<Value<'a>>> {
        let mut elements = Vec::new();
        self.skip(1);
        while self.peek()? != b']' {
            elements.push(self.value(depth)?);
            self.skip_comma()?;
        }
        self.skip(1);
        Some(elements)
    }

    fn string(&mut self) -> Option<Cow<'a, str>> {
        let (bytes, mut end) = (self.rest.as_bytes(), 1);
        let mut has_escapes = false;
        while *bytes.get(end)? != b'"' {
            let is_escape = bytes[end] == b'\\';
            has_escapes |= is_escape;
            end += if is_escape { 2 } else { 1 };
        }
        let (token, inner) = (self.rest.get(..=end)?, self.rest.get(1..end)?);
        self.skip(end + 1);
        let unescaped = has_escapes.then(|| serde_json::from_str(token).ok()).flatten();
        Some(unescaped.map_or(Cow::Borrowed(inner), Cow::Owned))
    }

    /// Reads a number, `true`, `false` or `null`.
    fn bare(&mut self) -> &'a str {
        let end = self.rest.find([',', ']', '}', ' ', '\t', '\n', '\r']).unwrap_or(self.rest.len());
        let token = &self.rest[..end];
        self.skip(end);
        token
    }

    /// Returns the next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
        self.rest.bytes().next()
    }

    fn skip_comma(&mut self) -> Option<()> {
        if self.peek()? == b',' {
            self.skip(1);
        }
        Some(())
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(text: &str) -> Value<'_> {
        Value::String(Cow::Borrowed(text))
    }

    #[test]
    fn a_payload_is_read_whatever_its_white_space_and_escapes() {
        let payload = br#" { "b" : [ 1.0 , "\u00e9\"\\" , [ ] , { } ] ,"a":true, "\u0061b":null ,"c" : false } "#;
        let document = Document::parse(payload).expect("JSON");
        let array =
            vec![Value::Number(Number::parse("1")), string("é\"\\"), Value::Array(vec![]), Value::Object(vec![])];
        assert_eq!(document.root.get("b"), Some(&Value::Array(array)));
        assert_eq!(document.root.get("ab"), Some(&Value::Null));
        assert_eq!(document.root.get("a"), Some(&Value::Bool(true)));
        assert_eq!(document.root.get("c"), Some(&Value::Bool(false)));
        assert_eq!(document.root.get("d"), None);
    }

    #[test]
    fn the_last_of_two_values_counts() {
        let document = Document::parse(br#"{"b":0,"a":1,"a":{"x":1},"a":2}"#).expect("JSON");
        assert_eq!(document.root.get("a"), Some(&Value::Number(Number::parse("2"))));
    }

    #[test]
    fn half_a_surrogate_pair_keeps_its_escape() {
        let document = Document::parse(br#"{"a":"\ud800x"}"#).expect("JSON");
        assert_eq!(document.root.get("a"), Some(&string(r"\ud800x")));
    }

    #[test]
    fn what_is_not_json_or_too_deep_is_refused() {
        for payload in ["", "{", "[1,]", "{\"a\":1}x", "\"\\x\""] {
            assert!(Document::parse(payload.as_bytes()).is_none(), "{payload}");
        }
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(Document::parse(nested(DEPTH_MAX).as_bytes()).is_some());
        assert!(Document::parse(nested(DEPTH_MAX + 1).as_bytes()).is_none());
    }
}
