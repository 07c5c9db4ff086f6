//! JSON bodies from outside, read field by field. All faults are collected, each with its JSON pointer. A body with a fault is
//! rejected as a whole. An unknown field is a fault too, so a typo is never silently ignored.

use crate::{event::NewEvent, event_type::EventType};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{borrow::Cow, collections::HashSet, fmt, str::FromStr};

/// The deepest nesting of a body. A deeper one could overflow the stack of a program that reads it later.
pub(crate) const DEPTH_MAX: usize = 64;

/// The most characters of a sender's field name that a fault repeats.
const NAME_SHOWN: usize = 128;

/// The largest magnitude of a whole number that is written with a decimal point or an exponent: 2^53.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// What is wrong with one value in a body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// A JSON pointer (RFC 6901) to the value.
    pub pointer: String,
    /// A phrase for the user.
    pub detail: String,
}

/// Why a body is rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputError {
    /// The body is not JSON. The text is the parser's message.
    Malformed(String),
    /// The body is JSON that breaks rules. These are all its faults.
    Invalid(Vec<Fault>),
}

/// The faults of one value, with pointers relative to it.
#[derive(Clone, Debug, Default)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Creates one fault, of the value's part at `pointer`.
    pub fn at(pointer: impl fmt::Display, detail: impl Into<String>) -> Self {
        Self(vec![Fault { pointer: pointer.to_string(), detail: detail.into() }])
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the faults as those of the value whose part at `pointer` they belong to.
    #[must_use]
    pub fn within(self, pointer: impl fmt::Display) -> Self {
        let mut outer = Self::default();
        outer.extend(pointer, self);
        outer
    }

    /// Adds the faults `other` of the value's part at `pointer`.
    pub fn extend(&mut self, pointer: impl fmt::Display, other: Self) {
        let within = |fault: Fault| Fault { pointer: format!("{pointer}{}", fault.pointer), ..fault };
        self.0.extend(other.0.into_iter().map(within));
    }
}

impl From<Vec<Fault>> for Faults {
    fn from(faults: Vec<Fault>) -> Self {
        Self(faults)
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

/// Proves that a fault was recorded: a field could not be read, so the value that contains it cannot be built.
#[derive(Clone, Copy, Debug)]
pub struct Faulted(());

/// The fields of a JSON object that have not been read yet, and the faults found so far.
#[derive(Debug)]
pub struct Fields {
    fields: Vec<(String, Box<RawValue>)>,
    faults: Faults,
}

impl Fields {
    /// Reads the object that is a whole body.
    pub fn parse(body: &[u8]) -> Result<Self, InputError> {
        let raw: &RawValue = serde_json::from_slice(body).map_err(|error| InputError::Malformed(error.to_string()))?;
        if depth(raw.get()) > DEPTH_MAX {
            let detail = format!("must not be nested deeper than {DEPTH_MAX} levels");
            return Err(InputError::Invalid(vec![Fault { pointer: String::new(), detail }]));
        }
        Self::of(raw).map_err(|faults| InputError::Invalid(faults.0))
    }

    /// Reads an object within a body.
    pub fn of(raw: &RawValue) -> Result<Self, Faults> {
        let fields = members(raw)?;
        let (mut faults, mut seen) = (Faults::default(), HashSet::with_capacity(fields.len()));
        for (name, _) in &fields {
            if !seen.insert(name) {
                faults.extend(pointer(name), "is given twice".into());
            }
        }
        Ok(Self { fields, faults })
    }

    /// Returns a field as it is written. It stays unread.
    pub fn peek(&self, name: &str) -> Option<&RawValue> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, raw)| &**raw)
    }

    /// Reads a field that must be present.
    pub fn required<T>(&mut self, name: &str, read: impl FnOnce(&RawValue) -> Result<T, Faults>) -> Result<T, Faulted> {
        match self.take(name) {
            Some(raw) => self.read(name, &raw, read),
            None => Err(self.fault(pointer(name), "is required")),
        }
    }

    /// Reads a field that may be missing or `null`.
    pub fn optional<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&RawValue) -> Result<T, Faults>,
    ) -> Result<Option<T>, Faulted> {
        Ok(self.nullable(name, read)?.flatten())
    }

    /// Reads a field that may be missing (`None`) or `null` (`Some(None)`).
    #[allow(clippy::option_option, reason = "missing, null and a value are three things in a PATCH")]
    pub fn nullable<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&RawValue) -> Result<T, Faults>,
    ) -> Result<Option<Option<T>>, Faulted> {
        let Some(raw) = self.take(name) else { return Ok(None) };
        if raw.get() == "null" { Ok(Some(None)) } else { Ok(Some(Some(self.read(name, &raw, read)?))) }
    }

    /// Reads a field that may be missing, but not `null`.
    pub fn present<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&RawValue) -> Result<T, Faults>,
    ) -> Result<Option<T>, Faulted> {
        let Some(raw) = self.take(name) else { return Ok(None) };
        self.read(name, &raw, read).map(Some)
    }

    /// Records a fault at a pointer into the object.
    pub fn fault(&mut self, pointer: impl fmt::Display, detail: impl Into<String>) -> Faulted {
        self.faults.0.push(Fault { pointer: pointer.to_string(), detail: detail.into() });
        Faulted(())
    }

    /// Records faults of the object.
    pub fn add(&mut self, faults: Faults) -> Faulted {
        self.faults.extend("", faults);
        Faulted(())
    }

    /// Ends the reading of an object whose names the user chooses: reads each of its fields, at most `max`.
    pub fn entries<T>(
        mut self,
        max: usize,
        read: impl Fn(&str, &RawValue) -> Result<T, Faults>,
    ) -> Result<Vec<T>, Faults> {
        if self.fields.len() > max {
            return Err(format!("must have at most {max} fields").into());
        }
        let mut entries = Vec::with_capacity(self.fields.len());
        for (name, raw) in &self.fields {
            match read(name, raw) {
                Ok(entry) => entries.push(entry),
                Err(faults) => self.faults.extend(pointer(name), faults),
            }
        }
        if self.faults.is_empty() { Ok(entries) } else { Err(self.faults) }
    }

    /// Ends the reading of a body: returns what `build` makes of the fields, or every fault. A field that was not read is
    /// unknown, which is a fault.
    pub fn finish<T>(self, build: impl FnOnce() -> Result<T, Faulted>) -> Result<T, InputError> {
        self.finish_part(build).map_err(|faults| InputError::Invalid(faults.0))
    }

    /// Ends the reading of an object within a body, as [`Fields::finish`] does.
    pub fn finish_part<T>(mut self, build: impl FnOnce() -> Result<T, Faulted>) -> Result<T, Faults> {
        for (name, _) in &self.fields {
            self.faults.extend(pointer(name), "is not a known field".into());
        }
        if self.faults.is_empty() { build().map_err(|Faulted(())| Faults::default()) } else { Err(self.faults) }
    }

    fn take(&mut self, name: &str) -> Option<Box<RawValue>> {
        let index = self.fields.iter().position(|(field, _)| field == name)?;
        let (_, raw) = self.fields.remove(index);
        self.fields.retain(|(field, _)| field != name); // a second one is already a fault
        Some(raw)
    }

    fn read<T>(
        &mut self,
        name: &str,
        raw: &RawValue,
        read: impl FnOnce(&RawValue) -> Result<T, Faults>,
    ) -> Result<T, Faulted> {
        read(raw).map_err(|faults| {
            self.faults.extend(pointer(name), faults);
            Faulted(())
        })
    }
}

/// Returns `/name`, escaped, and cut if it is longer than any known name.
pub fn pointer(name: &str) -> String {
    format!("/{}", escaped(&shown(name)))
}

/// Returns a name as a part of a pointer, escaped as RFC 6901 requires.
pub(crate) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Returns a sender's field name for use in a fault, cut if it is longer than any known name.
pub fn shown(name: &str) -> Cow<'_, str> {
    match name.char_indices().nth(NAME_SHOWN) {
        None => Cow::Borrowed(name),
        Some((end, _)) => Cow::Owned(format!("{}…", &name[..end])),
    }
}

/// The fields of an object in their order. A name that is given twice occurs twice.
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

/// Returns how deep the brackets are nested in a text that is known to be JSON.
pub(crate) fn depth(json: &str) -> usize {
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

/// Reads a string.
pub fn string(raw: &RawValue) -> Result<String, Faults> {
    serde_json::from_str(raw.get()).map_err(|_| "must be a string".into())
}

/// Reads a string and parses it.
pub fn parsed<T: FromStr<Err: ToString>>(raw: &RawValue) -> Result<T, Faults> {
    string(raw)?.parse().map_err(|fault: T::Err| fault.to_string().into())
}

/// Reads `true` or `false`.
pub fn boolean(raw: &RawValue) -> Result<bool, Faults> {
    serde_json::from_str(raw.get()).map_err(|_| "must be true or false".into())
}

/// Reads a whole number, which may be written as `5.0` too, as in JSON Schema.
pub fn integer(raw: &RawValue) -> Result<i64, Faults> {
    let is_whole = |number: &f64| number.fract() == 0.0 && number.abs() <= WHOLE_MAX;
    let rounded = || serde_json::from_str(raw.get()).ok().filter(is_whole).map(|number| number as i64);
    serde_json::from_str(raw.get()).ok().or_else(rounded).ok_or_else(|| "must be a whole number".into())
}

/// Reads an array of 1 to `max` values, each with `read`. Returns the faults of all values.
pub fn array<T>(raw: &RawValue, max: usize, read: impl Fn(&RawValue) -> Result<T, Faults>) -> Result<Vec<T>, Faults> {
    let values: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(|_| Faults::from("must be an array"))?;
    if values.is_empty() && max == usize::MAX {
        return Err("must have at least one entry".into());
    }
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

/// Reads the fields of an object in their order, whatever their names. A name that is given twice occurs twice.
pub(crate) fn members(raw: &RawValue) -> Result<Vec<(String, Box<RawValue>)>, Faults> {
    let Object(fields) = serde_json::from_str(raw.get()).map_err(|_| Faults::from("must be a JSON object"))?;
    Ok(fields)
}

/// Reads an object and keeps it as it is written.
pub fn object(raw: &RawValue) -> Result<Box<RawValue>, Faults> {
    if raw.get().starts_with('{') { Ok(raw.to_owned()) } else { Err("must be a JSON object".into()) }
}

/// Reads the `object` of an event's `data`.
pub fn data_object(raw: &RawValue) -> Result<Box<RawValue>, Faults> {
    let mut data = Fields::of(raw)?;
    let object = data.required("object", object);
    data.finish_part(|| object)
}

/// Returns the `data.object` of an event to publish, if it is well-formed, without reading the field.
pub fn peek_object(fields: &Fields) -> Option<Box<RawValue>> {
    fields.peek("data").and_then(|raw| data_object(raw).ok())
}

/// The pointer of the object of an event.
pub const OBJECT_POINTER: &str = "/data/object";

/// Reads the fields of an event to publish: `type`, `data: {object}`, `previous_data`.
pub fn new_event(fields: &mut Fields) -> Result<NewEvent, Faulted> {
    let event_type = fields.required("type", |raw| {
        let event_type: EventType = parsed(raw)?;
        if event_type.is_operational() {
            Err("can be published only by Hookline itself".into())
        } else {
            Ok(event_type)
        }
    });
    let data_object = fields.required("data", data_object);
    let previous_data = fields.optional("previous_data", object);
    Ok(NewEvent { event_type: event_type?, object: data_object?, previous_data: previous_data? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(body: &str) -> Vec<(String, String)> {
        let read = |body: &str| {
            let mut fields = Fields::parse(body.as_bytes())?;
            let event = new_event(&mut fields);
            fields.finish(|| event)
        };
        match read(body) {
            Ok(_) => vec![],
            Err(InputError::Malformed(_)) => vec![("malformed".into(), String::new())],
            Err(InputError::Invalid(faults)) => faults.into_iter().map(|fault| (fault.pointer, fault.detail)).collect(),
        }
    }

    fn pointers(body: &str) -> Vec<String> {
        faults(body).into_iter().map(|(pointer, _)| pointer).collect()
    }

    #[test]
    fn a_valid_event_is_accepted() {
        assert_eq!(faults(r#"{"type":"a.b","data":{"object":{}},"previous_data":null}"#), []);
    }

    #[test]
    fn all_faults_are_reported_at_once() {
        let body = r#"{"type":7,"data":{"object":[],"extra/1":1},"previous_data":"x","typo":1}"#;
        assert_eq!(pointers(body), ["/type", "/data/object", "/data/extra~11", "/previous_data", "/typo"]);
        assert_eq!(pointers("{}"), ["/type", "/data"]);
        assert_eq!(pointers(r#"{"type":"a.b","type":"a.c","data":{"object":{}}}"#), ["/type"]);
        assert_eq!(pointers(r#"{"type":"webhook.disabled","data":{"object":{}}}"#), ["/type"]);
    }

    #[test]
    fn a_whole_number_may_be_written_with_a_point_or_an_exponent() {
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
    fn malformed_json_differs_from_json_that_breaks_a_rule() {
        for body in ["", "{", "{\"a\":}", "nul", "\u{feff}{}"] {
            assert_eq!(pointers(body), ["malformed"], "{body}");
        }
        for body in ["[]", "null", "7", "\"x\""] {
            assert_eq!(pointers(body), [""], "{body}");
        }
        assert!(matches!(Fields::parse(b"{\"a\":\"\xff\"}"), Err(InputError::Malformed(_))));
    }

    #[test]
    fn a_body_of_many_fields_is_read_in_linear_time() {
        let fields: Vec<_> = (0..200_000).map(|index| format!("\"f{index}\":0")).collect();
        let body = format!("{{{},\"f7\":1}}", fields.join(","));
        let began = std::time::Instant::now();
        let faults = faults(&body);
        // One fault for each unknown field, two more for the repeated one, and two for the missing fields. Comparing every
        // field with every other would take minutes.
        assert_eq!(faults.len(), 200_000 + 2 + 2);
        assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    }

    #[test]
    fn a_long_field_name_is_cut_in_its_fault() {
        let name = "ü/".repeat(10_000);
        let pointer = &pointers(&format!("{{\"{name}\":1}}"))[2];
        assert!(pointer.starts_with("/ü~1ü~1") && pointer.ends_with('…'), "{pointer}");
        assert!(pointer.len() < 1000, "{}", pointer.len());
    }

    #[test]
    fn deep_nesting_is_refused_without_a_stack_overflow() {
        let body = format!(r#"{{"data":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(pointers(&body), [""]);
        assert_eq!(depth(r#"{"a":"[[[\"[[","b":[1]}"#), 2);
    }
}
