//! The subschemas of a JSON Schema, found without evaluating it, and the targets of its references.

use super::{OWN_URI, patterns};
use crate::input::{Faults, escaped};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};
use std::collections::HashMap;
use url::Url;

/// The only dialect, without and with the empty fragment that some tools write.
const DIALECTS: [&str; 2] =
    ["https://json-schema.org/draft/2020-12/schema", "https://json-schema.org/draft/2020-12/schema#"];

/// The keywords whose values a value is compared with, one by one.
const COMPARED: [&str; 4] = ["enum", "const", "required", "dependentRequired"];

/// The most regular expressions of a schema. A compiled one takes memory for as long as the schema does.
pub(crate) const PATTERNS_MAX: usize = 50;

/// A part of a schema that is a schema itself, with the indices of those that it applies.
#[derive(Debug, Default)]
pub(super) struct Subschema {
    /// The values that it compares the value with, such as the entries of an `enum`, and one for itself.
    pub(super) own_steps: u64,
    /// Those that judge the same value.
    pub(super) same: Vec<usize>,
    /// Those that judge members or entries of the value, of which each is judged by one at most.
    pub(super) one_of: Vec<usize>,
    /// Those that may judge a member or an entry together with all others.
    pub(super) each: Vec<usize>,
    /// Whether it asks which members or entries its parts have judged, for which they judge a second time.
    pub(super) judges_twice: bool,
}

/// All subschemas of a schema. The first is the schema itself.
#[derive(Debug, Default)]
pub(super) struct Subschemas {
    pub(super) all: Vec<Subschema>,
    /// The number of regular expressions.
    patterns: usize,
    by_pointer: HashMap<String, usize>,
    /// The pointers of the subschemas with an `$id`, by URI.
    resources: HashMap<Url, String>,
    /// By URI and name. Several subschemas may have the same `$dynamicAnchor`.
    anchors: HashMap<(Url, String), Vec<usize>>,
    dynamic_anchors: HashMap<String, Vec<usize>>,
    references: Vec<Reference>,
    faults: Faults,
}

/// A `$ref` or `$dynamicRef`.
#[derive(Debug)]
struct Reference {
    from: usize,
    pointer: String,
    base: Url,
    text: String,
    is_dynamic: bool,
}

/// Which schemas the value of a keyword contains.
enum Shape {
    One,
    List,
    Map,
}

impl Shape {
    /// Returns the schemas in the value of the keyword at the pointer `at`. A value of another shape is taken for a schema.
    fn parts(self, at: String, value: &Value) -> Vec<(String, &Value)> {
        match (self, value) {
            (Self::List, Value::Array(entries)) => {
                entries.iter().enumerate().map(|(index, entry)| (format!("{at}/{index}"), entry)).collect()
            }
            (Self::Map, Value::Object(members)) => {
                members.iter().map(|(name, member)| (format!("{at}/{}", escaped(name)), member)).collect()
            }
            _ => vec![(at, value)],
        }
    }
}

/// What the schemas of a keyword judge; see [`Subschema`].
enum Judges {
    Same,
    OneOf,
    Each,
    Nothing,
}

/// Returns what a keyword contains, if it contains schemas.
fn applicator(keyword: &str) -> Option<(Shape, Judges)> {
    Some(match keyword {
        "allOf" | "anyOf" | "oneOf" => (Shape::List, Judges::Same),
        "not" | "if" | "then" | "else" => (Shape::One, Judges::Same),
        "dependentSchemas" | "dependencies" => (Shape::Map, Judges::Same),
        "properties" => (Shape::Map, Judges::OneOf),
        "prefixItems" => (Shape::List, Judges::OneOf),
        "additionalProperties" | "items" => (Shape::One, Judges::OneOf),
        "patternProperties" => (Shape::Map, Judges::Each),
        "propertyNames" | "unevaluatedProperties" | "contains" | "unevaluatedItems" => (Shape::One, Judges::Each),
        "$defs" | "definitions" => (Shape::Map, Judges::Nothing),
        _ => return None,
    })
}

impl Subschema {
    /// Records that it applies the subschemas `added`.
    fn apply(&mut self, judges: &Judges, added: Vec<usize>) {
        match judges {
            Judges::Same => self.same.extend(added),
            Judges::OneOf => self.one_of.extend(added),
            Judges::Each => self.each.extend(added),
            Judges::Nothing => {}
        }
    }
}

impl Subschemas {
    /// Finds the subschemas of `schema`, and the targets of all references.
    pub(super) fn of(schema: &Value) -> Result<Self, Faults> {
        let mut found = Self::default();
        let own = Url::parse(OWN_URI).expect("a constant URI");
        found.resources.insert(own.clone(), String::new());
        found.add(String::new(), schema, &own);
        for reference in std::mem::take(&mut found.references) {
            let targets = found.targets(&reference);
            if targets.is_empty() {
                let detail = "must point to a part of this schema; other documents are never fetched";
                found.faults.extend(&reference.pointer, detail.into());
            }
            found.all[reference.from].same.extend(targets);
        }
        if found.patterns > PATTERNS_MAX {
            found.faults.extend("", format!("must have at most {PATTERNS_MAX} regular expressions").into());
        }
        if found.faults.is_empty() { Ok(found) } else { Err(found.faults) }
    }

    /// Adds the subschema at `pointer` and those within it. Returns its index.
    fn add(&mut self, pointer: String, schema: &Value, base: &Url) -> usize {
        let index = self.all.len();
        self.all.push(Subschema { own_steps: 1, ..Subschema::default() });
        self.by_pointer.insert(pointer.clone(), index);
        let Some(keywords) = schema.as_object() else { return index };
        let base = self.identify(index, &pointer, keywords, base);
        for (keyword, value) in keywords {
            let at = format!("{pointer}/{}", escaped(keyword));
            match applicator(keyword) {
                Some((shape, judges)) => {
                    let added =
                        shape.parts(at, value).into_iter().map(|(pointer, value)| self.add(pointer, value, &base));
                    let added: Vec<_> = added.collect();
                    self.all[index].apply(&judges, added);
                }
                None if COMPARED.contains(&keyword.as_str()) => self.all[index].own_steps += values(value),
                None => {}
            }
            self.all[index].judges_twice |= keyword.starts_with("unevaluated");
        }
        self.check_patterns(&pointer, keywords);
        index
    }

    /// Checks the regular expressions of a subschema.
    fn check_patterns(&mut self, pointer: &str, keywords: &Map<String, Value>) {
        let of_value = keywords.get("pattern").and_then(Value::as_str);
        let of_value = of_value.map(|pattern| (format!("{pointer}/pattern"), pattern));
        let of_names = keywords.get("patternProperties").and_then(Value::as_object).into_iter().flat_map(Map::keys);
        let of_names =
            of_names.map(|pattern| (format!("{pointer}/patternProperties/{}", escaped(pattern)), pattern.as_str()));
        for (at, pattern) in of_value.into_iter().chain(of_names) {
            self.patterns += 1;
            if let Err(detail) = patterns::check(pattern) {
                self.faults.extend(at, detail.into());
            }
        }
    }

    /// Records the names, the dialect and the references of a subschema. Returns its base URI.
    fn identify(&mut self, index: usize, pointer: &str, keywords: &Map<String, Value>, base: &Url) -> Url {
        let text = |keyword: &str| keywords.get(keyword).and_then(Value::as_str);
        let base = text("$id").and_then(|id| base.join(id).ok()).unwrap_or_else(|| base.clone());
        if text("$id").is_some() {
            self.resources.insert(base.clone(), pointer.to_owned());
        }
        if text("$schema").is_some_and(|dialect| !DIALECTS.contains(&dialect)) {
            let fault = format!("must be {}", DIALECTS[0]);
            self.faults.extend(format_args!("{pointer}/$schema"), fault.into());
        }
        for name in ["$anchor", "$dynamicAnchor"] {
            if let Some(anchor) = text(name) {
                self.anchors.entry((base.clone(), anchor.to_owned())).or_default().push(index);
            }
        }
        if let Some(anchor) = text("$dynamicAnchor") {
            self.dynamic_anchors.entry(anchor.to_owned()).or_default().push(index);
        }
        for name in ["$ref", "$dynamicRef"] {
            if let Some(reference) = text(name) {
                let (pointer, text) = (format!("{pointer}/{name}"), reference.to_owned());
                let is_dynamic = name == "$dynamicRef";
                self.references.push(Reference { from: index, pointer, base: base.clone(), text, is_dynamic });
            }
        }
        base
    }

    /// Returns the subschemas that a reference may mean: none, one, or several for a `$dynamicRef`.
    fn targets(&self, Reference { base, text, is_dynamic, .. }: &Reference) -> Vec<usize> {
        let Ok(mut uri) = base.join(text) else { return vec![] };
        let fragment = percent_decode_str(uri.fragment().unwrap_or_default()).decode_utf8_lossy().into_owned();
        uri.set_fragment(None);
        if fragment.is_empty() || fragment.starts_with('/') {
            let Some(resource) = self.resources.get(&uri) else { return vec![] };
            return self.by_pointer.get(&format!("{resource}{fragment}")).copied().into_iter().collect();
        }
        let Some(targets) = self.anchors.get(&(uri, fragment.clone())) else { return vec![] };
        let all = is_dynamic.then(|| self.dynamic_anchors.get(&fragment)).flatten();
        all.unwrap_or(targets).clone()
    }
}

/// Returns the number of JSON values in `value`, itself included.
pub(super) fn values(value: &Value) -> u64 {
    1 + match value {
        Value::Array(entries) => entries.iter().map(values).sum(),
        Value::Object(members) => members.values().map(values).sum(),
        _ => 0,
    }
}
