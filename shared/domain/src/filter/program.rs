//! A pattern, compiled: one tree of fields for all combinations.
//!
//! A set of combinations is a [`Combinations`], a set of paths a [`Paths`]. The paths are numbered in the order in which
//! event-ruler judges them, which is that of their dotted names.

use super::{COMBINATIONS_MAX, LEAVES_MAX, pattern::Leaf};
use std::collections::BTreeSet;

/// A set of combinations, as bits.
pub(super) type Combinations = u128;
/// A set of paths that have a leaf, as bits.
pub(super) type Paths = u64;

const _: () = assert!(COMBINATIONS_MAX <= Combinations::BITS as usize && LEAVES_MAX <= Paths::BITS as usize);

/// A filter that is ready to be matched against events.
#[derive(Debug)]
pub struct Pattern {
    pub(super) leaves: Vec<Leaf>,
    pub(super) program: Program,
}

/// Combinations of leaves, ready to be matched.
#[derive(Debug)]
pub(super) struct Program {
    /// The tree of fields, root first. A node stands before its children.
    pub(super) nodes: Vec<Node>,
    /// All combinations.
    pub(super) all: Combinations,
    /// Where no leaf has changed.
    unchanged: Judgement,
}

/// A field, and the leaves at its path.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// The fields below it, sorted by name.
    pub(super) children: Vec<(String, usize)>,
    /// The leaves at this path, each with the combinations that have it.
    pub(super) leaves: Vec<(usize, Combinations)>,
    /// The path as a set, which is empty if there are no leaves.
    pub(super) path: Paths,
}

/// What holds for a whole match, whatever the values are. It depends only on the leaves that `changed` has satisfied.
#[derive(Clone, Debug)]
pub(super) struct Judgement {
    /// The leaves that `changed` has satisfied, as bits. They ask nothing of their field any more.
    pub(super) changed: u64,
    /// For each node, the combinations that accept the field to have no leaf.
    pub(super) absent: Vec<Absent>,
    /// For each path, the combinations that have a leaf there.
    pub(super) with_path: Vec<Combinations>,
}

/// The combinations that accept a field to be missing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Absent {
    /// Those that accept no leaf at the field itself.
    pub(super) here: Combinations,
    /// Those that accept no leaf at any field below it.
    pub(super) below: Combinations,
}

impl Pattern {
    /// Compiles combinations of leaves.
    pub(super) fn new(combinations: &[Vec<usize>], leaves: Vec<Leaf>) -> Self {
        let program = Program::new(combinations, &leaves);
        Self { leaves, program }
    }
}

/// Returns where the path of a leaf stands in the order in which event-ruler judges paths.
pub(super) fn key(leaf: &Leaf) -> (String, &[String]) {
    (leaf.path.join("."), &leaf.path)
}

impl Program {
    /// Compiles combinations of some of `leaves`.
    pub(super) fn new(combinations: &[Vec<usize>], leaves: &[Leaf]) -> Self {
        let paths: BTreeSet<_> = leaves.iter().map(key).collect();
        let mut nodes = vec![Node::default()];
        for (index, leaf) in leaves.iter().enumerate() {
            let node = leaf.path.iter().fold(0, |node, name| child(&mut nodes, node, name));
            let having = combinations.iter().enumerate().filter(|(_, combination)| combination.contains(&index));
            let having = having.fold(0, |set, (combination, _)| set | 1 << combination);
            nodes[node].leaves.push((index, having));
            nodes[node].path = 1 << paths.range(..key(leaf)).count();
        }
        let all = (0..combinations.len()).fold(0, |set, combination| set | 1 << combination);
        let unchanged = judgement(&nodes, leaves, 0);
        Self { nodes, all, unchanged }
    }

    /// Returns what holds for a match in which `changed` has satisfied some of `leaves`, which the program was made of.
    pub(super) fn judgement(&self, leaves: &[Leaf], changed: u64) -> Judgement {
        if changed == 0 { self.unchanged.clone() } else { judgement(&self.nodes, leaves, changed) }
    }

    /// Returns the leaves of each combination, in the order in which event-ruler judges them.
    pub(super) fn combinations(&self, leaves: &[Leaf]) -> Vec<Vec<usize>> {
        let has = |combination: usize, having: Combinations| having & (1 << combination) != 0;
        let all_leaves = || self.nodes.iter().flat_map(|node| &node.leaves);
        let of = |combination: usize| {
            let mut found: Vec<usize> =
                all_leaves().filter(|(_, having)| has(combination, *having)).map(|(leaf, _)| *leaf).collect();
            found.sort_by_cached_key(|leaf| key(&leaves[*leaf]));
            found
        };
        (0..self.all.count_ones() as usize).map(of).collect()
    }
}

/// Returns the child of a node, and makes it if it is new.
fn child(nodes: &mut Vec<Node>, node: usize, name: &str) -> usize {
    let found = nodes[node].children.binary_search_by(|(child, _)| child.as_str().cmp(name));
    match found {
        Ok(index) => nodes[node].children[index].1,
        Err(index) => {
            let new = nodes.len();
            nodes.push(Node::default());
            nodes[node].children.insert(index, (name.to_owned(), new));
            new
        }
    }
}

fn judgement(nodes: &[Node], leaves: &[Leaf], changed: u64) -> Judgement {
    let is_asked = |leaf: usize| changed & (1 << leaf) == 0;
    let mut absent = vec![Absent { here: Combinations::MAX, below: Combinations::MAX }; nodes.len()];
    let mut with_path = vec![0; Paths::BITS as usize];
    // A node stands before its children, so that in reverse order the children are ready.
    for (index, node) in nodes.iter().enumerate().rev() {
        for (leaf, having) in node.leaves.iter().filter(|(leaf, _)| is_asked(*leaf)) {
            with_path[node.path.trailing_zeros() as usize] |= having;
            if !leaves[*leaf].alternatives.absent {
                absent[index].here &= !having;
            }
        }
        absent[index].below = node.children.iter().fold(Combinations::MAX, |all, (_, child)| {
            let Absent { here, below } = absent[*child];
            all & here & below
        });
    }
    Judgement { changed, absent, with_path }
}
