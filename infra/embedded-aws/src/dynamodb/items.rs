//! Items as JSON, in `DynamoDB`'s form. Attributes that are only passed on stay as their text.

use super::{Mine, NotMine, require};
use dynoxide::types::{MAX_ITEM_SIZE, normalize_dynamo_number, number_size, validate_dynamo_number};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{borrow::Cow, cmp::Ordering, fmt, fmt::Write, marker::PhantomData};

/// How deep an item's lists and maps may nest here. `DynamoDB`'s limit is a little more.
const DEPTH_MAX: usize = 24;
/// The most digits of a number that is computed with here.
const DIGITS_MAX: usize = 37;
/// The digits of a number that is certain to be valid.
const DIGITS_SAFE: usize = 18;

/// The members of a JSON object in their order. No two have the same name, and no name is empty.
#[derive(Debug)]
pub(super) struct Members<'a, T>(pub(super) Vec<(Cow<'a, str>, T)>);

impl<T> Default for Members<'_, T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Members<'_, T> {
    /// Returns the member `name`.
    pub(super) fn get(&self, name: &str) -> Option<&T> {
        self.0.iter().find_map(|(member, value)| (member == name).then_some(value))
    }
}

impl<'de: 'a, 'a, T: Deserialize<'de>> Deserialize<'de> for Members<'a, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfMembers<'a, T>(PhantomData<(&'a (), T)>);
        impl<'de: 'a, 'a, T: Deserialize<'de>> Visitor<'de> for OfMembers<'a, T> {
            type Value = Members<'a, T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Text(name), value)) = map.next_entry()? {
                    members.push((name, value));
                }
                let names = members.iter().map(|(name, _): &(Cow<'_, str>, _)| name.as_ref());
                if are_names(names) { Ok(Members(members)) } else { Err(A::Error::custom("a name twice, or empty")) }
            }
        }
        deserializer.deserialize_map(OfMembers(PhantomData))
    }
}

/// Whether all names are different and none is empty.
fn are_names<'a>(names: impl Iterator<Item = &'a str>) -> bool {
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names.first() != Some(&"") && names.windows(2).all(|pair| pair[0] != pair[1])
}

/// A string of JSON, which is borrowed unless it has escapes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfText;
        impl<'de> Visitor<'de> for OfText {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(OfText)
    }
}

/// A value that expressions can compare.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) enum Value<'a> {
    /// A string.
    S(#[serde(borrow)] Text<'a>),
    /// A number.
    #[serde(deserialize_with = "plain_integer")]
    N(i128),
    /// A boolean.
    #[serde(rename = "BOOL")]
    Bool(bool),
}

/// Reads a number that is a plain integer.
fn plain_integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i128, D::Error> {
    let Text(text) = Text::deserialize(deserializer)?;
    if digits_of(&text).is_some_and(|digits| digits <= DIGITS_MAX) {
        text.parse().map_err(D::Error::custom)
    } else {
        Err(D::Error::custom("not a plain integer"))
    }
}

/// Returns the number of digits of an integer in its shortest form, or `None` if the text is not one.
fn digits_of(number: &str) -> Option<usize> {
    let digits = number.strip_prefix('-').unwrap_or(number);
    let is_shortest = number == "0" || !digits.starts_with('0');
    (is_shortest && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(digits.len())
}

impl Value<'_> {
    /// Compares two values. Values of different types are not equal and have no order; nor have booleans.
    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::S(Text(one)), Self::S(Text(other))) => Some(one.cmp(other)),
            (Self::N(one), Self::N(other)) => Some(one.cmp(other)),
            (Self::Bool(one), Self::Bool(other)) if one == other => Some(Ordering::Equal),
            _ => None,
        }
    }

    /// Returns the number that this is.
    pub(super) fn number(&self) -> Mine<i128> {
        match self {
            Self::N(number) => Ok(*number),
            _ => Err(NotMine),
        }
    }
}

/// Returns the JSON of a number, if it has few enough digits.
pub(super) fn number_json(number: i128) -> Mine<String> {
    let number = number.to_string();
    require(digits_of(&number).is_some_and(|digits| digits <= DIGITS_MAX))?;
    Ok(format!(r#"{{"N":"{number}"}}"#))
}

/// The attributes of an item.
pub(super) type Attributes<'a> = Members<'a, &'a RawValue>;

/// Returns the value of an attribute.
pub(super) fn value_of(attribute: &RawValue) -> Mine<Value<'_>> {
    Ok(serde_json::from_str(attribute.get())?)
}

/// Returns the text of an attribute that is a string.
pub(super) fn text_of(attribute: &RawValue) -> Mine<Cow<'_, str>> {
    match value_of(attribute)? {
        Value::S(Text(text)) => Ok(text),
        _ => Err(NotMine),
    }
}

/// Checks that an item may be stored as it is, and returns its size as `DynamoDB` bills it. Items with sets are left to the engine,
/// which sorts them.
pub(super) fn size_of(attributes: &Attributes<'_>) -> Mine<usize> {
    let mut size = 0;
    for (name, value) in &attributes.0 {
        let mut json = serde_json::Deserializer::from_str(value.get());
        size += name.len() + Size { depth: 0 }.deserialize(&mut json)?;
    }
    require(size <= MAX_ITEM_SIZE)?;
    Ok(size)
}

/// Appends attributes as an object to `json`.
pub(super) fn append<'a>(json: &mut String, attributes: impl Iterator<Item = (&'a str, &'a str)>) {
    json.push('{');
    for (at, (name, value)) in attributes.enumerate() {
        if at > 0 {
            json.push(',');
        }
        append_text(json, name);
        json.push(':');
        json.push_str(value);
    }
    json.push('}');
}

/// Appends a text as a string to `json`.
pub(super) fn append_text(json: &mut String, text: &str) {
    if text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        let _ = write!(json, "\"{text}\"");
    } else {
        json.push_str(&serde_json::Value::from(text).to_string());
    }
}

/// Reads the value of an attribute at a depth, and returns its size.
struct Size {
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Size {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        if self.depth > DEPTH_MAX {
            return Err(D::Error::custom("nested too deep"));
        }
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Size {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an attribute's value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<usize, A::Error> {
        let depth = self.depth + 1;
        let kind: Option<&str> = map.next_key()?;
        let size = match kind {
            Some("S") => Some(map.next_value::<Text<'_>>()?.0.len()),
            Some("N") => size_of_number(&map.next_value::<Text<'_>>()?.0),
            Some("B") => size_of_base64(&map.next_value::<Text<'_>>()?.0),
            Some("BOOL") => map.next_value::<bool>().map(|_| Some(1))?,
            Some("NULL") => map.next_value::<bool>()?.then_some(1),
            Some("L") => Some(map.next_value_seed(SizeOfList { depth })?),
            Some("M") => Some(map.next_value_seed(SizeOfMap { depth })?),
            _ => None,
        };
        let size = size.ok_or_else(|| A::Error::custom("not a plain value"))?;
        if map.next_key::<IgnoredAny>()?.is_some() {
            return Err(A::Error::custom("a value of two types"));
        }
        Ok(size)
    }
}

/// Reads a list whose values are at a depth.
struct SizeOfList {
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for SizeOfList {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for SizeOfList {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<usize, A::Error> {
        let mut size = 3;
        while let Some(value) = list.next_element_seed(Size { depth: self.depth })? {
            size += 1 + value;
        }
        Ok(size)
    }
}

/// Reads a map whose values are at a depth.
struct SizeOfMap {
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for SizeOfMap {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for SizeOfMap {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<usize, A::Error> {
        let (mut size, mut names) = (3, Vec::new());
        while let Some(Text(name)) = map.next_key()? {
            size += name.len() + 1 + map.next_value_seed(Size { depth: self.depth })?;
            names.push(name);
        }
        if are_names(names.iter().map(Cow::as_ref)) {
            Ok(size)
        } else {
            Err(A::Error::custom("a name twice, or empty"))
        }
    }
}

/// Returns the size of a number, or `None` if it is not valid, or not in the form in which the engine stores it.
fn size_of_number(number: &str) -> Option<usize> {
    let is_stored_so = || validate_dynamo_number(number).is_ok() && normalize_dynamo_number(number) == number;
    let is_safe = digits_of(number).is_some_and(|digits| digits <= DIGITS_SAFE);
    (is_safe || is_stored_so()).then(|| number_size(number))
}

/// Returns the number of bytes that a text in Base64 stands for, or `None` if it is not how the engine writes them.
fn size_of_base64(text: &str) -> Option<usize> {
    let digits = text.trim_end_matches('=');
    let padding = text.len() - digits.len();
    // The last digit has bits to spare if there is padding. They must be zero.
    let last_digits = match padding {
        0 => None,
        1 => Some("AEIMQUYcgkosw048"),
        2 => Some("AQgw"),
        _ => return None,
    };
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    let ends_well = last_digits.is_none_or(|last| digits.ends_with(|digit| last.contains(digit)));
    let is_canonical = text.len().is_multiple_of(4) && digits.bytes().all(is_digit) && ends_well;
    is_canonical.then(|| digits.len() * 3 / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(item: &str) -> Option<usize> {
        let attributes: Attributes<'_> = serde_json::from_str(item).ok()?;
        size_of(&attributes).ok()
    }

    #[test]
    fn a_valid_item_has_the_size_that_the_engine_gives_it() {
        for item in [
            r#"{"a":{"S":"größe \" \\ \u00e4 \ud83d\ude00"},"größe":{"S":""}}"#,
            r#"{"n":{"N":"0"},"o":{"N":"-1200"},"p":{"N":"1.5"},"q":{"N":"12345678901234567890"}}"#,
            r#"{"b":{"B":""},"c":{"B":"AA=="},"d":{"B":"AAE="},"e":{"B":"AAEC"},"f":{"B":"+/8="}}"#,
            r#"{"x":{"BOOL":false},"y":{"NULL":true},"l":{"L":[{"S":"a"},{"L":[]}]},"m":{"M":{"k":{"N":"1"},"l":{"M":{}}}}}"#,
        ] {
            let engine = serde_json::from_str(item).expect("an item");
            assert_eq!(size(item), Some(dynoxide::types::item_size(&engine)), "{item}");
        }
    }

    #[test]
    fn an_item_that_the_engine_refuses_or_changes_is_not_read() {
        let deep = format!(r#"{{"a":{}{{"S":"x"}}{}}}"#, r#"{"L":["#.repeat(30), "]}".repeat(30));
        for item in [
            r#"{"a":{"S":"x"},"a":{"S":"y"}}"#,
            r#"{"":{"S":"x"}}"#,
            r#"{"a":{"M":{"b":{"S":"x"},"b":{"S":"x"}}}}"#,
            r#"{"a":{"M":{"":{"S":"x"}}}}"#,
            r#"{"a":{}}"#,
            r#"{"a":{"S":"x","N":"1"}}"#,
            r#"{"a":{"S":null}}"#,
            r#"{"a":{"S":"\ud800"}}"#,
            r#"{"a":{"N":"1x"}}"#,
            r#"{"a":{"N":"1e200"}}"#,
            r#"{"a":{"N":"1e5"}}"#,
            r#"{"a":{"N":"1.50"}}"#,
            r#"{"a":{"N":"-0"}}"#,
            r#"{"a":{"N":""}}"#,
            r#"{"a":{"N":1}}"#,
            r#"{"a":{"B":"AB=="}}"#,
            r#"{"a":{"B":"AAF="}}"#,
            r#"{"a":{"B":"AAA"}}"#,
            r#"{"a":{"B":"===="}}"#,
            r#"{"a":{"BOOL":"true"}}"#,
            r#"{"a":{"NULL":false}}"#,
            r#"{"a":{"SS":["x"]}}"#,
            r#"{"a":{"L":[{"NS":["1"]}]}}"#,
            &deep,
        ] {
            assert_eq!(size(item), None, "{item}");
        }
    }
}
