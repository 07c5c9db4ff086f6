//! Our own operator `changed`: a field below `data.object` differs from what `previous_data` says it was.

use super::document::{Document, Value};

/// Whether the field at `path` changed. `path` begins with `data.object`; `previous_data` has the shape of that object.
///
/// A field that `previous_data` does not name did not change. One that it names, and that the object no longer has, did. Values
/// are compared as JSON: numbers by value, objects whatever the order of their fields, arrays with theirs. If the path leads
/// through arrays, the values below all their elements are compared in order.
pub(super) fn has_changed(document: &Document, path: &[String]) -> bool {
    let (now, before) = (values(document, path), previous_values(document, path));
    !before.is_empty() && now != before
}

/// Returns the values of the payload at `path`. A path may lead through arrays, and then has the values below all elements.
pub(super) fn values<'d, 'a>(document: &'d Document<'a>, path: &[String]) -> Vec<&'d Value<'a>> {
    let mut found = vec![];
    collect(&document.root, path, &mut found);
    found
}

/// Returns the values that `previous_data` has for the field at `path`, which begins with `data.object`.
pub(super) fn previous_values<'d, 'a>(document: &'d Document<'a>, path: &[String]) -> Vec<&'d Value<'a>> {
    let mut found = vec![];
    if let Some(before) = document.root.get("previous_data") {
        collect(before, &path[2..], &mut found);
    }
    found
}

/// Collects the values at `path` below `value`.
fn collect<'v, 'a>(value: &'v Value<'a>, path: &[String], found: &mut Vec<&'v Value<'a>>) {
    let Some((name, rest)) = path.split_first() else { return found.push(value) };
    match value {
        Value::Array(elements) => elements.iter().for_each(|element| collect(element, path, found)),
        value => {
            if let Some(field) = value.get(name) {
                collect(field, rest, found);
            }
        }
    }
}
