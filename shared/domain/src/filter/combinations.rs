//! The combinations of leaves that `$or` makes. A pattern matches if all leaves of one combination match together.

use super::pattern::{Group, Leaf};

/// Returns the leaves that cannot stand where they are, with the reason: a combination has their field already.
pub(super) fn conflicts(group: &Group, leaves: &[Leaf]) -> Vec<(usize, &'static str)> {
    let mut found = vec![];
    collect(group, leaves, &mut found);
    found.sort_unstable();
    found.dedup_by_key(|(leaf, _)| *leaf);
    found
}

/// Returns all leaves of a group, and adds the conflicts between its parts to `found`.
fn collect(group: &Group, leaves: &[Leaf], found: &mut Vec<(usize, &'static str)>) -> Vec<usize> {
    let mut all = group.leaves.clone();
    for branches in &group.ors {
        let inside: Vec<usize> = branches.iter().flat_map(|branch| collect(branch, leaves, found)).collect();
        let conflict = |leaf: usize| all.iter().find_map(|other| conflict(&leaves[leaf].path, &leaves[*other].path));
        found.extend(inside.iter().filter_map(|leaf| Some((*leaf, conflict(*leaf)?))));
        all.extend(inside);
    }
    all
}

/// Returns why two fields cannot be conditions together.
fn conflict(one: &[String], other: &[String]) -> Option<&'static str> {
    if one == other {
        Some("is given twice: inside `$or`, and beside it")
    } else if one.starts_with(other) || other.starts_with(one) {
        Some("has a list of values and fields: inside `$or`, and beside it")
    } else {
        None
    }
}

/// Returns how many combinations a group makes.
pub(super) fn count(group: &Group) -> usize {
    let sums = group.ors.iter().map(|branches| branches.iter().map(count).fold(0, usize::saturating_add));
    sums.fold(1, usize::saturating_mul)
}

/// Returns the combinations of a group. The caller has checked their [`count`].
pub(super) fn expand(group: &Group) -> Vec<Vec<usize>> {
    let mut combinations = vec![group.leaves.clone()];
    for branches in &group.ors {
        let inside: Vec<Vec<usize>> = branches.iter().flat_map(expand).collect();
        let with = |outside: &Vec<usize>| {
            let outside = outside.clone();
            inside.iter().map(move |inside| [outside.as_slice(), inside].concat()).collect::<Vec<_>>()
        };
        combinations = combinations.iter().flat_map(with).collect();
    }
    combinations
}
