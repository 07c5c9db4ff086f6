//! JSON bodies from outside: read field by field, every fault collected with its JSON pointer, nothing half-taken. A field
//! that nobody asked for is a fault too, so a typo is never silently ignored.

use crate::{event::NewEvent, event_type::EventType};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{borrow::Cow, collections::HashSet, fmt, str::FromStr};

/// Deepest nesting of a body: deeper ones are an attack on whoever reads them next.
const DEPTH_MAX: usize = 64;

/// Characters of a sender's own name for a field that a fault repeats.
const NAME_SHOWN: usize = 128;

/// The largest magnitude of a number with a decimal point that is taken for a whole one: 2^53.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// What is wrong with one value of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// A JSON pointer (RFC 6901) to the value.
    pub pointer: String,
    /// A phrase for the user.
    pub detail: String,
}

/// A body that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputError {
    /// It is not JSON: why not.
    Malformed(String),
    /// It is JSON that breaks rules: all of them.
    Invalid(Vec<Fault>),
}

/// Faults of one value, with pointers relative to it.
#[derive(Debug, Default)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// A fault of the value's part at `pointer`.
    pub fn at(pointer: impl fmt::Display, detail: impl Into<String>) -> Self {
        Self(vec![Fault { pointer: pointer.to_string(), detail: detail.into() }])
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes in `other`, whose value is this one's part at `pointer`.
    pub fn extend(&mut self, pointer: impl fmt::Display, other: Self) {
        let within = |fault: Fault| Fault { pointer: format!("{pointer}{}", fault.pointer), ..fault };
        self.0.extend(other.0.into_iter().map(within));
    }
}

impl From<Faults> for Vec<Fault> {
    fn from(faults: Faults) -> Self {
        faults.0
    }
}

impl From<String> for Faults {
    fn from(detail: String) -> Self {
        Self::at("", detail)
    }
}

impl From<&str> for Faults {
    fn from(detail: &str) -> Self {
        Self::at("", detail)
    }
}

impl From<Vec<String>> for Faults {
    fn from(details: Vec<String>) -> Self {
        Self(details.into_iter().map(|detail| Fault { pointer: String::new(), detail }).collect())
    }
}

/// The fields of a JSON object that have not been asked for yet, and the faults found so far.
#[derive(Debug)]
pub struct Fields {
    fields: Vec<(String, Box<RawValue>)>,
    faults: Faults,
}

impl Fields {
    /// Reads a body.
    pub fn parse(body: &[u8]) -> Result<Self, InputError> {
        let raw: &RawValue = serde_json::from_slice(body).map_err(|error| InputError::Malformed(error.to_string()))?;
        if depth(raw.get()) > DEPTH_MAX {
            let detail = format!("must not be nested deeper than {DEPTH_MAX} levels");
            return Err(InputError::Invalid(vec![Fault { pointer: String::new(), detail }]));
        }
        Self::of(raw).map_err(|faults| InputError::Invalid(faults.0))
    }

    /// The fields of an object within a body.
    pub fn of(raw: &RawValue) -> Result<Self, Faults> {
        let Object(fields) = serde_json::from_str(raw.get()).map_err(|_| Faults::from("must be a JSON object"))?;
        let (mut faults, mut seen) = (Faults::default(), HashSet::with_capacity(fields.len()));
        for (name, _) in &fields {
            if !seen.insert(name) {
                faults.extend(pointer(name), "is given twice".into());
            }
        }
        Ok(Self { fields, faults })
    }

    /// A field as it is written, left to be asked for.
    pub fn peek(&self, name: &str) -> Option<&RawValue> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, raw)| &**raw)
    }

    /// A field that must be there.
    pub fn required<T>(&mut self, name: &str, read: impl FnOnce(&RawValue) -> Result<T, Faults>) -> Option<T> {
        match self.take(name) {
            Some(raw) => self.read(name, &raw, read),
            None => {
                self.fault(pointer(name), "is required");
                None
            }
        }
    }

    /// A field that may be missing or `null`.
    pub fn optional<T>(&mut self, name: &str, read: impl FnOnce(&RawValue) -> Result<T, Faults>) -> Option<T> {
        self.nullable(name, read).flatten()
    }

    /// A field that may be missing (`None`) or `null` (`Some(None)`).
    pub fn nullable<T>(&mut self, name: &str, read: impl FnOnce(&RawValue) -> Result<T, Faults>) -> Option<Option<T>> {
        let raw = self.take(name)?;
        if raw.get() == "null" { Some(None) } else { self.read(name, &raw, read).map(Some) }
    }

    /// A field that may be missing, but not `null`.
    pub fn present<T>(&mut self, name: &str, read: impl FnOnce(&RawValue) -> Result<T, Faults>) -> Option<T> {
        let raw = self.take(name)?;
        self.read(name, &raw, read)
    }

    /// Notes a fault at a pointer into the object.
    pub fn fault(&mut self, pointer: impl fmt::Display, detail: impl Into<String>) {
        self.faults.0.push(Fault { pointer: pointer.to_string(), detail: detail.into() });
    }

    /// Ends the reading: whatever was not asked for is unknown.
    pub fn finish(self) -> Result<(), InputError> {
        let faults = self.into_faults();
        if faults.is_empty() { Ok(()) } else { Err(InputError::Invalid(faults.0)) }
    }

    /// As [`Fields::finish`], for an object within a body.
    pub fn into_faults(mut self) -> Faults {
        for (name, _) in &self.fields {
            self.faults.extend(pointer(name), "is not a known field".into());
        }
        self.faults
    }

    fn take(&mut self, name: &str) -> Option<Box<RawValue>> {
        let index = self.fields.iter().position(|(field, _)| field == name)?;
        let (_, raw) = self.fields.remove(index);
        self.fields.retain(|(field, _)| field != name); // given twice, which is a fault already
        Some(raw)
    }

    fn read<T>(&mut self, name: &str, raw: &RawValue, read: impl FnOnce(&RawValue) -> Result<T, Faults>) -> Option<T> {
        read(raw).map_err(|faults| self.faults.extend(pointer(name), faults)).ok()
    }
}

/// `/name`, escaped as RFC 6901 asks.
fn pointer(name: &str) -> String {
    format!("/{}", shown(name).replace('~', "~0").replace('/', "~1"))
}

/// A sender's own name for something as a fault repeats it: whole, unless it is longer than any name of ours.
pub fn shown(name: &str) -> Cow<'_, str> {
    match name.char_indices().nth(NAME_SHOWN) {
        None => Cow::Borrowed(name),
        Some((end, _)) => Cow::Owned(format!("{}…", &name[..end])),
    }
}

/// The fields of an object in their order, those given twice included.
struct Object(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Object;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut fields = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    fields.push(entry);
                }
                Ok(Object(fields))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// How deep brackets are nested in a text that is known to be JSON.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// A JSON string.
pub fn string(raw: &RawValue) -> Result<String, Faults> {
    serde_json::from_str(raw.get()).map_err(|_| "must be a string".into())
}

/// A JSON string that `T` is parsed from.
pub fn parsed<T: FromStr<Err: ToString>>(raw: &RawValue) -> Result<T, Faults> {
    string(raw)?.parse().map_err(|fault: T::Err| fault.to_string().into())
}

/// A whole number, which JSON Schema lets a sender write as `5.0` too.
pub fn integer(raw: &RawValue) -> Result<i64, Faults> {
    let is_whole = |number: &f64| number.fract() == 0.0 && number.abs() <= WHOLE_MAX;
    let rounded = || serde_json::from_str(raw.get()).ok().filter(is_whole).map(|number| number as i64);
    serde_json::from_str(raw.get()).ok().or_else(rounded).ok_or_else(|| "must be a whole number".into())
}

/// A JSON array of at least 1 and at most `max` values, each read by `read`; the faults of all.
pub fn array<T>(raw: &RawValue, max: usize, read: impl Fn(&RawValue) -> Result<T, Faults>) -> Result<Vec<T>, Faults> {
    let values: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(|_| Faults::from("must be an array"))?;
    if values.is_empty() || values.len() > max {
        return Err(format!("must have 1 to {max} entries").into());
    }
    let (mut taken, mut faults) = (Vec::with_capacity(values.len()), Faults::default());
    for (index, value) in values.into_iter().enumerate() {
        match read(value) {
            Ok(value) => taken.push(value),
            Err(fault) => faults.extend(format_args!("/{index}"), fault),
        }
    }
    if faults.is_empty() { Ok(taken) } else { Err(faults) }
}

/// A JSON object, kept as it is written.
pub fn object(raw: &RawValue) -> Result<Box<RawValue>, Faults> {
    if raw.get().starts_with('{') { Ok(raw.to_owned()) } else { Err("must be a JSON object".into()) }
}

/// The `object` of an event's `data`.
pub fn data_object(raw: &RawValue) -> Result<Box<RawValue>, Faults> {
    let mut data = Fields::of(raw)?;
    let object = data.required("object", object);
    let faults = data.into_faults();
    object.filter(|_| faults.is_empty()).ok_or(faults)
}

/// The fields of an event to publish: `type`, `data: {object}`, `previous_data`.
pub fn new_event(fields: &mut Fields) -> Option<NewEvent> {
    let event_type = fields.required("type", |raw| {
        let event_type: EventType = parsed(raw)?;
        if event_type.is_reserved() { Err("is published by Hookline alone".into()) } else { Ok(event_type) }
    });
    let data_object = fields.required("data", data_object);
    let previous_data = fields.optional("previous_data", object);
    Some(NewEvent { event_type: event_type?, object: data_object?, previous_data })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(body: &str) -> Vec<(String, String)> {
        let read = |body: &str| {
            let mut fields = Fields::parse(body.as_bytes())?;
            new_event(&mut fields);
            fields.finish()
        };
        match read(body) {
            Ok(()) => vec![],
            Err(InputError::Malformed(_)) => vec![("malformed".into(), String::new())],
            Err(InputError::Invalid(faults)) => faults.into_iter().map(|fault| (fault.pointer, fault.detail)).collect(),
        }
    }

    fn pointers(body: &str) -> Vec<String> {
        faults(body).into_iter().map(|(pointer, _)| pointer).collect()
    }

    #[test]
    fn takes_an_event() {
        assert_eq!(faults(r#"{"type":"a.b","data":{"object":{}},"previous_data":null}"#), []);
    }

    #[test]
    fn names_every_fault_at_once() {
        let body = r#"{"type":7,"data":{"object":[],"extra/1":1},"previous_data":"x","typo":1}"#;
        assert_eq!(pointers(body), ["/type", "/data/object", "/data/extra~11", "/previous_data", "/typo"]);
        assert_eq!(pointers("{}"), ["/type", "/data"]);
        assert_eq!(pointers(r#"{"type":"a.b","type":"a.c","data":{"object":{}}}"#), ["/type"]);
        assert_eq!(pointers(r#"{"type":"webhook.disabled","data":{"object":{}}}"#), ["/type"]);
    }

    #[test]
    fn takes_a_whole_number_however_it_is_written() {
        let read = |text: &str| integer(&RawValue::from_string(text.to_owned()).expect("JSON")).ok();
        for (text, number) in
            [("5", 5), ("5.0", 5), ("5e2", 500), ("-0.0", 0), ("9007199254740993", 9_007_199_254_740_993)]
        {
            assert_eq!(read(text), Some(number), "{text}");
        }
        for text in ["5.5", "1e99", "-1e99", "\"5\"", "null", "true", "[5]"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn tells_what_is_no_json_from_what_breaks_a_rule() {
        for body in ["", "{", "{\"a\":}", "nul", "\u{feff}{}"] {
            assert_eq!(pointers(body), ["malformed"], "{body}");
        }
        for body in ["[]", "null", "7", "\"x\""] {
            assert_eq!(pointers(body), [""], "{body}");
        }
        assert!(matches!(Fields::parse(b"{\"a\":\"\xff\"}"), Err(InputError::Malformed(_))));
    }

    #[test]
    fn a_body_of_many_fields_costs_no_more_than_it_is_long() {
        let fields: Vec<_> = (0..200_000).map(|index| format!("\"f{index}\":0")).collect();
        let body = format!("{{{},\"f7\":1}}", fields.join(","));
        let began = std::time::Instant::now();
        let faults = faults(&body);
        // Each unknown once, the repeated one twice more, and two fields that are missing. Compared each with each they would
        // take minutes.
        assert_eq!(faults.len(), 200_000 + 2 + 2);
        assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    }

    #[test]
    fn a_long_name_is_not_repeated_whole() {
        let name = "ü/".repeat(10_000);
        let pointer = &pointers(&format!("{{\"{name}\":1}}"))[2];
        assert!(pointer.starts_with("/ü~1ü~1") && pointer.ends_with('…'), "{pointer}");
        assert!(pointer.len() < 1000, "{}", pointer.len());
    }

    #[test]
    fn refuses_deep_nesting_without_being_hurt_by_it() {
        let body = format!(r#"{{"data":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(pointers(&body), [""]);
        assert_eq!(depth(r#"{"a":"[[[\"[[","b":[1]}"#), 2);
    }
}
