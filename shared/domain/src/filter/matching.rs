//! Matches a pattern against a document.
//!
//! Arrays are transparent, as in event-ruler: a pattern's field may lead through them. All leaves of a combination that lie within
//! one array must then come from the same element of it. As arrays are nested like the document, and a pattern's fields like its
//! objects, each value can be judged alone, from the judgements of its parts:
//!
//! - An object satisfies a combination if each of the pattern's fields does.
//! - An array satisfies it if one element does. But the first of the combination's fields, in the order of their dotted names,
//!   that has a leaf anywhere in the array must have one in that element. So `exists: false` looks at the whole array until a
//!   field before it has chosen an element, and at that element from then on, exactly as event-ruler does.

use super::{
    alternatives::Scalar,
    changed::has_changed,
    document::{Document, Value},
    pattern::Leaf,
    program::{Combinations, Judgement, Paths, Pattern, Program},
};
use std::borrow::Cow;

/// What was found in a value, for the pattern's fields at its path and below.
#[derive(Clone, Copy, Debug)]
struct Found {
    /// The combinations whose leaves, so far as they are here, all match.
    satisfied: Combinations,
    /// The paths that have a leaf here.
    present: Paths,
}

impl Pattern {
    /// Whether an event matches.
    pub fn matches(&self, document: &Document) -> bool {
        self.program.walk(&self.leaves, document).0 != 0
    }

    /// How many steps the match takes.
    #[cfg(test)]
    pub(super) fn steps(&self, document: &Document) -> u64 {
        self.program.walk(&self.leaves, document).1
    }
}

impl Program {
    /// Returns the combinations that match. `leaves` are those that the program was made of.
    pub(super) fn matching(&self, leaves: &[Leaf], document: &Document) -> Combinations {
        self.walk(leaves, document).0
    }

    fn walk(&self, leaves: &[Leaf], document: &Document) -> (Combinations, u64) {
        let can_change = leaves.iter().enumerate().filter(|(_, leaf)| leaf.alternatives.changed);
        let changed = can_change
            .filter(|(_, leaf)| has_changed(document, &leaf.path))
            .fold(0, |set, (index, _)| set | 1 << index);
        let mut walk = Walk { program: self, leaves, judgement: self.judgement(leaves, changed), steps: 0 };
        let found = walk.value(0, &document.root);
        (found.satisfied & self.all, walk.steps)
    }
}

struct Walk<'p> {
    program: &'p Program,
    leaves: &'p [Leaf],
    judgement: Judgement,
    steps: u64,
}

impl Walk<'_> {
    /// Judges a value at the path of `node`.
    fn value(&mut self, node: usize, value: &Value) -> Found {
        self.steps += 1;
        match value {
            Value::Object(fields) => self.object(node, fields),
            Value::Array(elements) => self.array(node, elements),
            scalar => self.scalar(node, &Scalar::new(scalar)),
        }
    }

    fn scalar(&mut self, node: usize, scalar: &Scalar) -> Found {
        let mut found = Found { satisfied: self.judgement.absent[node].below, present: 0 };
        let node = &self.program.nodes[node];
        for (leaf, having) in &node.leaves {
            if self.judgement.changed & (1 << leaf) != 0 {
                continue;
            }
            found.present = node.path;
            let alternatives = &self.leaves[*leaf].alternatives;
            #[cfg(test)]
            {
                self.steps += alternatives.steps(scalar.value);
            }
            if !alternatives.accept(scalar) {
                found.satisfied &= !having;
            }
        }
        found
    }

    fn object(&mut self, node: usize, fields: &[(Cow<str>, Value)]) -> Found {
        let children = &self.program.nodes[node].children;
        let mut found = Found { satisfied: self.judgement.absent[node].here, present: 0 };
        if fields.is_empty() {
            found.satisfied &= self.judgement.absent[node].below;
            return found;
        }
        for (name, child) in children {
            self.steps += 1;
            match fields.binary_search_by(|(field, _)| (**field).cmp(name)) {
                Ok(index) => {
                    let inside = self.value(*child, &fields[index].1);
                    found.satisfied &= inside.satisfied;
                    found.present |= inside.present;
                }
                Err(_) => {
                    let absent = self.judgement.absent[*child];
                    found.satisfied &= absent.here & absent.below;
                }
            }
        }
        found
    }

    fn array(&mut self, node: usize, elements: &[Value]) -> Found {
        let inside: Vec<Found> = elements.iter().map(|element| self.value(node, element)).collect();
        let present = inside.iter().fold(0, |all, found| all | found.present);
        let absent = self.judgement.absent[node];
        if present == 0 {
            return Found { satisfied: absent.here & absent.below, present };
        }
        // For each path: the combinations of which it is the first path with a leaf in the array.
        let mut first = [0; Paths::BITS as usize];
        let mut chosen = 0;
        for path in bits(present) {
            first[path] = self.judgement.with_path[path] & !chosen;
            chosen |= first[path];
        }
        let mut satisfied = absent.here & absent.below & !chosen;
        for found in inside {
            for path in bits(found.present) {
                self.steps += 1;
                satisfied |= found.satisfied & first[path];
            }
        }
        Found { satisfied, present }
    }
}

/// Returns the positions of the bits of a set.
fn bits(mut set: Paths) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lowest = set.trailing_zeros();
        set &= set.wrapping_sub(1);
        (lowest < Paths::BITS).then_some(lowest as usize)
    })
}
