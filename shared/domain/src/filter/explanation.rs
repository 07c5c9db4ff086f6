//! Why an event does not match a pattern: the conditions that failed, what they expect, and what the event has.
//!
//! The matcher gives every verdict here too, on parts of the pattern: on each leaf alone, and on the first leaves of a combination.
//! A combination of leaves fails at the first leaf that no value can satisfy, or else at the first one, in the order of the dotted
//! names, that cannot be satisfied together with those before it: arrays want all from the same element.

use super::{
    changed::{previous_values, values},
    document::{Document, Value},
    pattern::Leaf,
    program::{Pattern, Program},
    shown::shown,
};
use serde::Serialize;
use serde_json::value::RawValue;

/// The most conditions that one explanation shows.
const MISMATCHES_MAX: usize = 10;
/// The most combinations that are matched leaf by leaf.
const COMBINATIONS_TRIED_MAX: usize = 4;

/// A condition of a filter that an event does not meet.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = FilterMismatch))]
pub struct Mismatch {
    /// The field of the event, as names with dots between them.
    pub path: String,
    /// The JSON pointer (RFC 6901) of the condition in the filter, as a URI fragment: `#/data/object/id`.
    pub pointer: String,
    /// What the filter accepts: the list of the field in the filter.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Value>))]
    pub expected: Box<RawValue>,
    /// What the event has: the value, or an array of the values that the path leads to through arrays. Missing if the event has no
    /// such field. What takes more than 1 KiB is a string with its beginning, which ends with `…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Value))]
    pub found: Option<Box<RawValue>>,
    /// What `previous_data` has, if the filter asks whether the field changed. Missing if it does not name the field.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Value))]
    pub previous: Option<Box<RawValue>>,
    /// What is wrong, in words.
    pub detail: &'static str,
}

/// Why an event does not match a filter.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = FilterExplanation))]
pub struct Explanation {
    /// The condition that failed. With `$or`, that of the branches that come closest.
    #[serde(flatten)]
    pub mismatch: Mismatch,
    /// The conditions that failed in other branches of `$or`, at most 9. Missing if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub alternatives: Vec<Mismatch>,
}

impl Pattern {
    /// Returns why an event does not match, or `None` if it matches.
    pub fn explain(&self, document: &Document) -> Option<Explanation> {
        if self.matches(document) {
            return None;
        }
        let alone = self.alone(document);
        let mut mismatches = self.culprits(document, alone).into_iter().map(|leaf| {
            let is_met_alone = alone & (1 << leaf) != 0;
            mismatch(&self.leaves[leaf], document, is_met_alone)
        });
        Some(Explanation { mismatch: mismatches.next()?, alternatives: mismatches.collect() })
    }

    /// Returns the leaves that are satisfied when nothing else is asked, as bits.
    fn alone(&self, document: &Document) -> u128 {
        let single: Vec<_> = (0..self.leaves.len()).map(|leaf| vec![leaf]).collect();
        Program::new(&single, &self.leaves).matching(&self.leaves, document)
    }

    /// Returns leaves at which the combinations fail, the closest combination first. A combination that has one of them already
    /// adds none.
    pub(super) fn culprits(&self, document: &Document, alone: u128) -> Vec<usize> {
        // Another field may choose an array element in which a field is missing, so such a leaf may be satisfied after all.
        let is_hopeless = |leaf: &usize| alone & (1 << leaf) == 0 && !self.leaves[*leaf].alternatives.absent;
        let mut combinations = self.program.combinations(&self.leaves);
        combinations.sort_by_cached_key(|leaves| leaves.iter().filter(|leaf| is_hopeless(leaf)).count());
        let (mut culprits, mut tried) = (vec![], 0);
        for leaves in combinations {
            if culprits.len() == MISMATCHES_MAX {
                break;
            }
            if leaves.iter().any(|leaf| culprits.contains(leaf)) {
                continue;
            }
            let hopeless = leaves.iter().copied().find(is_hopeless);
            if hopeless.is_none() && tried == COMBINATIONS_TRIED_MAX {
                continue;
            }
            tried += usize::from(hopeless.is_none());
            culprits.extend(hopeless.or_else(|| self.first_failing(&leaves, document)));
        }
        culprits
    }

    /// Returns the first of `leaves`, which do not match together, that cannot be satisfied together with those before it.
    fn first_failing(&self, leaves: &[usize], document: &Document) -> Option<usize> {
        let beginnings: Vec<_> = (1..=leaves.len()).map(|count| leaves[..count].to_vec()).collect();
        let matching = Program::new(&beginnings, &self.leaves).matching(&self.leaves, document);
        leaves.get(matching.trailing_ones() as usize).or(leaves.last()).copied()
    }
}

fn mismatch(leaf: &Leaf, document: &Document, is_met_alone: bool) -> Mismatch {
    let found = values(document, &leaf.path);
    let before = if leaf.alternatives.changed { previous_values(document, &leaf.path) } else { vec![] };
    Mismatch {
        path: leaf.path.join("."),
        pointer: format!("#{}", leaf.pointer),
        expected: RawValue::from_string(leaf.text.to_string()).expect("the list was read as JSON"),
        found: shown(&found),
        previous: shown(&before),
        detail: detail(leaf, &found, !before.is_empty(), is_met_alone),
    }
}

fn detail(leaf: &Leaf, found: &[&Value], has_previous: bool, is_met_alone: bool) -> &'static str {
    let has_scalar = found.iter().any(|value| holds_scalar(value));
    if is_met_alone {
        "This holds, but not in the same element of an array as the conditions on the fields before it by name."
    } else if leaf.alternatives.changed && has_previous {
        "The field has not changed, and nothing else in the list accepts it."
    } else if leaf.alternatives.changed {
        "`previous_data` does not name the field, and nothing else in the list accepts it."
    } else if found.is_empty() {
        "The event has no such field."
    } else if !has_scalar {
        "The field has no string, number, boolean or null that the filter could compare."
    } else {
        "Nothing in the list accepts the field."
    }
}

/// Whether a value is a scalar, or an array that leads to one.
fn holds_scalar(value: &Value) -> bool {
    match value {
        Value::Array(elements) => elements.iter().any(holds_scalar),
        Value::Object(_) => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::pattern::read;
    use serde_json::{Value as Json, json};

    fn explain(pattern: &str, payload: &str) -> Option<Json> {
        let document = Document::parse(payload.as_bytes()).expect("JSON");
        let explanation = read(pattern).expect("valid").explain(&document);
        explanation.map(|explanation| serde_json::to_value(explanation).expect("JSON"))
    }

    /// Explains why an event with `object` does not match a pattern for the object.
    fn of_object(pattern: &str, object: &str) -> Json {
        let payload = format!(r#"{{"type":"a.b","data":{{"object":{object}}},"previous_data":{{"n":1,"gone":2}}}}"#);
        explain(&format!(r#"{{"data":{{"object":{pattern}}}}}"#), &payload).expect("it does not match")
    }

    #[test]
    fn an_explanation_has_the_path_what_was_expected_and_what_was_found() {
        let payload = r#"{"type":"a.b","data":{"object":{"n":1}},"previous_data":null}"#;
        assert_eq!(explain(r#"{"data":{"object":{"n":[1]}}}"#, payload), None);
        let expected = json!({
            "path": "type", "pointer": "#/type", "expected": ["a.c", { "prefix": "b" }], "found": "a.b",
            "detail": "Nothing in the list accepts the field.",
        });
        assert_eq!(explain(r#"{"type":["a.c", {"prefix":"b"}]}"#, payload), Some(expected));
    }

    #[test]
    fn each_kind_of_condition_is_explained() {
        for (pattern, object, found, detail) in [
            (r#"{"a":["x"]}"#, r#"{"a":"y"}"#, Some(json!("y")), "Nothing"),
            (r#"{"a":["x"]}"#, r#"{"a":null}"#, Some(json!(null)), "Nothing"),
            (r#"{"a":["x"]}"#, r#"{"b":1}"#, None, "no such field"),
            (r#"{"a":["x"]}"#, r#"{"a":["y",["z"]]}"#, Some(json!(["y", ["z"]])), "Nothing"),
            (r#"{"a":["x"]}"#, r#"{"a":{"x":"x"}}"#, Some(json!({ "x": "x" })), "no string"),
            (r#"{"a":[{"exists":true}]}"#, r#"{"a":[]}"#, Some(json!([])), "no string"),
            (r#"{"a":[{"exists":false}]}"#, r#"{"a":false}"#, Some(json!(false)), "Nothing"),
            (r#"{"a":[{"anything-but":["x","y"]}]}"#, r#"{"a":"x"}"#, Some(json!("x")), "Nothing"),
            (r#"{"a":[{"anything-but":"x"}]}"#, "{}", None, "no such field"),
            (r#"{"a":[{"numeric":[">",1]}]}"#, r#"{"a":1.0}"#, Some(json!(1)), "Nothing"),
            (r#"{"a":[{"cidr":"10.0.0.0/8"}]}"#, r#"{"a":"11.0.0.1"}"#, Some(json!("11.0.0.1")), "Nothing"),
            (r#"{"a":[{"wildcard":"*x"}]}"#, r#"{"a":"xy"}"#, Some(json!("xy")), "Nothing"),
        ] {
            let explanation = of_object(pattern, object);
            assert_eq!(explanation["path"], "data.object.a", "{pattern} {object}");
            assert_eq!(explanation["pointer"], "#/data/object/a");
            assert_eq!(explanation.get("found"), found.as_ref(), "{pattern} {object}");
            assert!(explanation["detail"].as_str().expect("text").contains(detail), "{pattern}: {explanation}");
        }
    }

    #[test]
    fn a_field_that_has_not_changed_is_shown_with_what_it_was() {
        let same = of_object(r#"{"n":[{"changed":true}]}"#, r#"{"n":1}"#);
        assert_eq!((&same["found"], &same["previous"]), (&json!(1), &json!(1)));
        assert!(same["detail"].as_str().expect("text").contains("not changed"), "{same}");
        let unnamed = of_object(r#"{"m":[{"changed":true},"x"]}"#, r#"{"m":1}"#);
        assert!(unnamed.get("previous").is_none() && unnamed["found"] == 1, "{unnamed}");
        assert!(unnamed["detail"].as_str().expect("text").contains("does not name"), "{unnamed}");
    }

    #[test]
    fn fields_that_must_come_from_one_array_element() {
        let pattern = r#"{"items":{"qty":[2],"sku":["a"]}}"#;
        let explanation = of_object(pattern, r#"{"items":[{"sku":"a","qty":1},{"sku":"b","qty":2}]}"#);
        assert_eq!(explanation["path"], "data.object.items.sku");
        assert_eq!(explanation["found"], json!(["a", "b"]));
        assert!(explanation["detail"].as_str().expect("text").contains("same element"), "{explanation}");
        let nowhere = of_object(pattern, r#"{"items":[{"sku":"b","qty":2}]}"#);
        assert_eq!((&nowhere["path"], &nowhere["found"]), (&json!("data.object.items.sku"), &json!("b")));
    }

    #[test]
    fn with_or_one_condition_of_each_branch_is_shown_and_the_closest_first() {
        let pattern = r#"{"$or":[{"a":[1],"b":[1]},{"c":[1]},{"d":[1],"e":[1]}]}"#;
        let explanation = of_object(pattern, r#"{"b":2,"c":3,"d":1,"e":4}"#);
        assert_eq!(explanation["path"], "data.object.c");
        let others: Vec<_> = explanation["alternatives"].as_array().expect("a list").iter().collect();
        assert_eq!(
            others.iter().map(|one| &one["pointer"]).collect::<Vec<_>>(),
            ["#/data/object/$or/2/e", "#/data/object/$or/0/a"]
        );
        let beside = of_object(r#"{"x":[1],"$or":[{"a":[1]},{"b":[1]}]}"#, r#"{"x":2,"a":1}"#);
        assert_eq!(beside["path"], "data.object.x");
        assert!(beside.get("alternatives").is_none(), "no branch matches without it: {beside}");
    }

    #[test]
    fn an_explanation_is_bounded() {
        let branches: Vec<_> = (0..40).map(|index| format!(r#"{{"f{index}":["x"]}}"#)).collect();
        let fields: Vec<_> = (0..40).map(|index| format!(r#""f{index}":"{}""#, "é".repeat(3000))).collect();
        let explanation =
            of_object(&format!(r#"{{"$or":[{}]}}"#, branches.join(",")), &format!("{{{}}}", fields.join(",")));
        assert_eq!(explanation["alternatives"].as_array().expect("a list").len(), MISMATCHES_MAX - 1);
        assert!(explanation.to_string().len() < 16 * 1024);
    }
}
