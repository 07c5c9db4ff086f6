//! A slow matcher that follows event-ruler's own words: it flattens the payload into leaves, each with the array elements that it
//! is in, and tries every choice of leaves. The property test compares the real matcher with it. They share no code.

use serde_json::Value;
use std::net::IpAddr;

/// A leaf of a payload: its path, its value, and the index of the element that it is in, for each array around it.
struct Leaf<'v> {
    path: Vec<String>,
    value: &'v Value,
    elements: Elements,
}

/// Array ids with the index of an element.
type Elements = Vec<(usize, usize)>;
/// A field of a pattern with its list.
type Field<'p> = (Vec<String>, &'p Vec<Value>);

/// A flattened payload.
pub(super) struct Payload<'v> {
    value: &'v Value,
    leaves: Vec<Leaf<'v>>,
}

impl<'v> Payload<'v> {
    pub(super) fn new(value: &'v Value) -> Self {
        let mut leaves = vec![];
        flatten(value, &mut (vec![], vec![]), &mut 0, &mut leaves);
        Self { value, leaves }
    }
}

/// A pattern as the combinations of fields that satisfy it. The pattern must be valid.
pub(super) struct Rule<'p>(Vec<Vec<Field<'p>>>);

impl<'p> Rule<'p> {
    pub(super) fn new(pattern: &'p Value) -> Self {
        let mut combinations = combinations(pattern, &[]);
        for fields in &mut combinations {
            fields.sort_by_key(|(path, _)| path.join("."));
        }
        Self(combinations)
    }

    pub(super) fn matches(&self, payload: &Payload) -> bool {
        self.0.iter().any(|fields| search(fields, &vec![], payload))
    }
}

fn flatten<'v>(value: &'v Value, at: &mut (Vec<String>, Elements), arrays: &mut usize, leaves: &mut Vec<Leaf<'v>>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                at.0.push(name.clone());
                flatten(field, at, arrays, leaves);
                at.0.pop();
            }
        }
        Value::Array(elements) => {
            *arrays += 1;
            let array = *arrays;
            for (index, element) in elements.iter().enumerate() {
                let has_place = element.is_object() || element.is_array();
                if has_place {
                    at.1.push((array, index));
                }
                flatten(element, at, arrays, leaves);
                if has_place {
                    at.1.pop();
                }
            }
        }
        scalar => leaves.push(Leaf { path: at.0.clone(), value: scalar, elements: at.1.clone() }),
    }
}

/// Returns every combination of fields that satisfies `pattern`, an object.
fn combinations<'p>(pattern: &'p Value, path: &[String]) -> Vec<Vec<Field<'p>>> {
    let mut all: Vec<Vec<Field>> = vec![vec![]];
    for (name, value) in pattern.as_object().expect("an object") {
        let below = [path, std::slice::from_ref(name)].concat();
        let choices: Vec<Vec<Field>> = match value {
            Value::Array(branches) if name == "$or" => {
                branches.iter().flat_map(|branch| combinations(branch, path)).collect()
            }
            Value::Array(list) => vec![vec![(below, list)]],
            object => combinations(object, &below),
        };
        all = all.iter().flat_map(|one| choices.iter().map(move |choice| [&one[..], choice].concat())).collect();
    }
    all
}

/// Chooses a leaf for each field, one after the other, so that no two are in different elements of one array.
fn search(fields: &[Field], chosen: &Elements, payload: &Payload) -> bool {
    let Some(((path, list), rest)) = fields.split_first() else { return true };
    let has = |operator: &str, value: bool| list.iter().any(|entry| entry.get(operator) == Some(&Value::Bool(value)));
    if has("changed", true) && has_changed(payload.value, path) {
        return search(rest, chosen, payload);
    }
    let is_consistent = |leaf: &Leaf| {
        leaf.elements
            .iter()
            .all(|(array, index)| chosen.iter().all(|(other, chosen)| array != other || index == chosen))
    };
    let mut there = payload.leaves.iter().filter(|leaf| leaf.path == *path && is_consistent(leaf)).peekable();
    if there.peek().is_none() {
        return has("exists", false) && search(rest, chosen, payload);
    }
    there.any(|leaf| {
        let chosen = [&chosen[..], &leaf.elements].concat();
        list.iter().any(|entry| accepts(entry, leaf.value)) && search(rest, &chosen, payload)
    })
}

fn accepts(entry: &Value, value: &Value) -> bool {
    let text = value.as_str();
    let Value::Object(operator) = entry else { return is_equal(entry, value) };
    let (name, argument) = operator.iter().next().expect("an operator");
    match (name.as_str(), argument) {
        ("changed", _) => false,
        ("exists", exists) => *exists == Value::Bool(true),
        ("numeric", Value::Array(comparisons)) => value.as_f64().is_some_and(|value| {
            comparisons.chunks(2).all(|pair| {
                let bound = pair[1].as_f64().expect("a number");
                match pair[0].as_str().expect("a comparison") {
                    "=" => value.total_cmp(&bound).is_eq(),
                    "<" => value < bound,
                    "<=" => value <= bound,
                    ">" => value > bound,
                    _ => value >= bound,
                }
            })
        }),
        ("cidr", Value::String(network)) => {
            let network: ipnet::IpNet = network.parse().expect("a network");
            text.and_then(|text| text.parse().ok()).is_some_and(|ip: IpAddr| network.contains(&ip))
        }
        ("anything-but", Value::Object(inner)) => {
            let (name, argument) = inner.iter().next().expect("an operator");
            !many(argument).iter().any(|argument| text.is_some_and(|text| compare(name, argument, text)))
        }
        ("anything-but", excluded) => !many(excluded).iter().any(|excluded| is_equal(excluded, value)),
        (name, argument) => text.is_some_and(|text| compare(name, argument, text)),
    }
}

fn many(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_else(|| vec![value.clone()])
}

fn is_equal(one: &Value, other: &Value) -> bool {
    match (
        one.as_str().and_then(|one| one.parse::<IpAddr>().ok()),
        other.as_str().and_then(|other| other.parse::<IpAddr>().ok()),
    ) {
        (Some(one), Some(other)) => one == other,
        _ => one == other || one.as_f64().is_some_and(|one| other.as_f64() == Some(one)),
    }
}

fn compare(operator: &str, argument: &Value, text: &str) -> bool {
    if let Some(argument) = argument.get("equals-ignore-case") {
        let argument = argument.as_str().expect("a text").to_lowercase();
        return compare(operator, &Value::String(argument), &text.to_lowercase());
    }
    let argument = argument.as_str().expect("a text");
    match operator {
        "prefix" => text.starts_with(argument),
        "suffix" => text.ends_with(argument),
        "equals-ignore-case" => text.to_lowercase() == argument.to_lowercase(),
        "wildcard" => wildcard(argument, text),
        other => panic!("no operator: {other}"),
    }
}

fn wildcard(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text_chars) = (pattern.chars(), text.chars());
    match pattern.next() {
        None => text.is_empty(),
        Some('*') => {
            text.char_indices().map(|(at, _)| at).chain([text.len()]).any(|at| wildcard(pattern.as_str(), &text[at..]))
        }
        Some('\\') => text_chars.next() == pattern.next() && wildcard(pattern.as_str(), text_chars.as_str()),
        Some(char) => text_chars.next() == Some(char) && wildcard(pattern.as_str(), text_chars.as_str()),
    }
}

fn has_changed(payload: &Value, path: &[String]) -> bool {
    fn collect(value: &Value, path: &[String]) -> Vec<Value> {
        match (path.split_first(), value) {
            (None, value) => vec![value.clone()],
            (_, Value::Array(elements)) => elements.iter().flat_map(|element| collect(element, path)).collect(),
            (Some((name, rest)), value) => value.get(name).map(|field| collect(field, rest)).unwrap_or_default(),
        }
    }
    let (now, before) =
        (collect(&payload["data"]["object"], &path[2..]), collect(&payload["previous_data"], &path[2..]));
    !before.is_empty() && now.iter().map(normal).ne(before.iter().map(normal))
}

/// Returns a value whose numbers are all doubles.
fn normal(value: &Value) -> Value {
    match value {
        Value::Number(number) => Value::from(number.as_f64()),
        Value::Array(elements) => elements.iter().map(normal).collect(),
        Value::Object(fields) => fields.iter().map(|(name, field)| (name.clone(), normal(field))).collect(),
        other => other.clone(),
    }
}
