//! Reads a pattern: fields with lists of values, nested as the payload is, and `$or`.

use super::{COMBINATIONS_MAX, LEAVES_MAX, alternatives::Alternatives, combinations, operators, program::Pattern};
use crate::input::{Faults, members, pointer};
use serde_json::value::RawValue;
use std::collections::HashSet;

/// The name of the list of alternatives.
const OR: &str = "$or";
/// The fields of a payload that a filter may name.
const TOP: &[&str] = &["type", "data", "previous_data"];

/// A field with a list of values.
#[derive(Debug)]
pub(super) struct Leaf {
    /// The names that lead to the field.
    pub(super) path: Vec<String>,
    /// Where it is in the pattern.
    pub(super) pointer: String,
    /// The list as the user wrote it.
    pub(super) text: Box<str>,
    /// What it accepts.
    pub(super) alternatives: Alternatives,
}

/// Conditions that must hold together. Nested objects are part of the group they are in.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// Leaves, as indexes.
    pub(super) leaves: Vec<usize>,
    /// For each `$or`, its branches. One of them must hold.
    pub(super) ors: Vec<Vec<Group>>,
}

/// Reads a pattern from its JSON text.
pub(super) fn read(text: &str) -> Result<Pattern, Faults> {
    let raw: &RawValue = serde_json::from_str(text).map_err(|_| Faults::from("must be a JSON object"))?;
    let mut reader = Reader::default();
    let mut group = Group::default();
    reader.object(raw, &Place::default(), &mut group);
    let Reader { leaves, mut faults } = reader;
    if leaves.len() > LEAVES_MAX {
        faults.extend("", format!("must have at most {LEAVES_MAX} fields with a list of values").into());
    }
    for (leaf, detail) in combinations::conflicts(&group, &leaves) {
        faults.extend(&leaves[leaf].pointer, detail.into());
    }
    if combinations::count(&group) > COMBINATIONS_MAX {
        faults.extend("", format!("must not make more than {COMBINATIONS_MAX} combinations with `{OR}`").into());
    }
    if faults.is_empty() { Ok(Pattern::new(&combinations::expand(&group), leaves)) } else { Err(faults) }
}

/// Where the reader is.
#[derive(Clone, Debug, Default)]
struct Place {
    path: Vec<String>,
    pointer: String,
    is_in_or: bool,
}

impl Place {
    fn field(&self, name: &str) -> Self {
        let mut place = self.clone();
        place.path.push(name.to_owned());
        place.pointer.push_str(&pointer(name));
        place
    }

    fn branch(&self, index: usize) -> Self {
        Self { pointer: format!("{}/{OR}/{index}", self.pointer), is_in_or: true, path: self.path.clone() }
    }

    /// Returns why the last name of the path cannot be there.
    fn fault(&self) -> Option<&'static str> {
        match self.path.as_slice() {
            [top] if !TOP.contains(&top.as_str()) => Some("must be `type`, `data` or `previous_data`"),
            [data, below] if data == "data" && below != "object" => Some("must be `object`, the only field of `data`"),
            [.., name] if self.is_in_or && operators::RESERVED_IN_OR.contains(&name.as_str()) => {
                Some("is a reserved name, which cannot be a field inside `$or`")
            }
            _ => None,
        }
    }
}

#[derive(Default)]
struct Reader {
    leaves: Vec<Leaf>,
    faults: Faults,
}

impl Reader {
    fn fault(&mut self, pointer: &str, faults: impl Into<Faults>) {
        self.faults.extend(pointer, faults.into());
    }

    /// Reads the fields of an object into `group`.
    fn object(&mut self, raw: &RawValue, place: &Place, group: &mut Group) {
        let members = match members(raw) {
            Ok(members) if members.is_empty() => return self.fault(&place.pointer, "must have at least one field"),
            Ok(members) => members,
            Err(faults) => return self.fault(&place.pointer, faults),
        };
        let mut seen = HashSet::new();
        for (name, value) in &members {
            if !seen.insert(name) {
                self.fault(&place.field(name).pointer, "is given twice");
            } else if name == OR {
                self.or(value, place, group);
            } else {
                self.field(value, &place.field(name), group);
            }
        }
    }

    fn field(&mut self, raw: &RawValue, place: &Place, group: &mut Group) {
        if let Some(fault) = place.fault() {
            return self.fault(&place.pointer, fault);
        }
        match raw.get().as_bytes().first() {
            Some(b'{') => self.object(raw, place, group),
            Some(b'[') => self.leaf(raw, place, group),
            _ => self.fault(&place.pointer, "must be a list of the values that match, or an object"),
        }
    }

    fn leaf(&mut self, raw: &RawValue, place: &Place, group: &mut Group) {
        match crate::input::array(raw, usize::MAX, |raw| operators::entry(raw, &place.path)) {
            Ok(entries) => {
                group.leaves.push(self.leaves.len());
                let (path, pointer) = (place.path.clone(), place.pointer.clone());
                self.leaves.push(Leaf {
                    path,
                    pointer,
                    text: raw.get().into(),
                    alternatives: Alternatives::new(entries),
                });
            }
            Err(faults) => self.fault(&place.pointer, faults),
        }
    }

    fn or(&mut self, raw: &RawValue, place: &Place, group: &mut Group) {
        let branches: Vec<&RawValue> = serde_json::from_str(raw.get()).unwrap_or_default();
        if branches.len() < 2 {
            return self.fault(&place.field(OR).pointer, "must be an array of at least two objects");
        }
        let read = |(index, raw): (usize, &&RawValue)| {
            let mut branch = Group::default();
            self.object(raw, &place.branch(index), &mut branch);
            branch
        };
        let branches = branches.iter().enumerate().map(read).collect();
        group.ors.push(branches);
    }
}
