//! How much work a schema can cause, from its form alone.
//!
//! A schema of a few lines can demand more work than anybody has: thirty definitions of which each applies the next one twice
//! judge a value 2³⁰ times. A validator does that work. So the number of times that a value may be judged is computed, for every
//! depth at which it may be, before the schema is accepted.

use super::subschemas::{Subschema, Subschemas};
use crate::input::{DEPTH_MAX, Faults};

/// The most steps that judging one value may take: subschemas that are applied to it, and values of `enum` and the like that it
/// is compared with.
const STEPS_MAX: u64 = 2_000;
/// The most subschemas that may be under way at once, each applied by the one before. A validator calls itself for each.
const NESTING_MAX: u64 = 256;

/// Returns the most steps that judging one value takes, wherever in the event's object it is.
pub(super) fn steps(subschemas: &Subschemas) -> Result<u64, Faults> {
    let all = &subschemas.all;
    let order = order(all).ok_or("applies itself to the same value without end")?;
    let (mut steps, mut nesting) = (vec![0_u64; all.len()], vec![0_u64; all.len()]);
    let (mut steps_most, mut nesting_most) = (0, 0);
    for depth in 0..=DEPTH_MAX {
        let (below, nesting_below) = (std::mem::take(&mut steps), std::mem::take(&mut nesting));
        (steps, nesting) = (vec![0; all.len()], vec![0; all.len()]);
        for index in &order {
            let subschema = &all[*index];
            let own = if depth == 0 { subschema.own_steps } else { on_parts(subschema, &below) };
            let same: u64 = subschema.same.iter().fold(0, |sum, part| sum.saturating_add(steps[*part]));
            let same = if subschema.judges_twice { same.saturating_mul(2) } else { same };
            steps[*index] = own.saturating_add(same);
            let parts = subschema.one_of.iter().chain(&subschema.each).map(|part| nesting_below[*part]);
            nesting[*index] = 1 + parts.chain(subschema.same.iter().map(|part| nesting[*part])).max().unwrap_or(0);
        }
        steps_most = steps_most.max(steps[0]);
        nesting_most = nesting_most.max(nesting[0]);
    }
    if steps_most > STEPS_MAX {
        return Err(format!("is too complex: judging one value could take more than {STEPS_MAX} steps").into());
    }
    if nesting_most > NESTING_MAX {
        return Err(format!("is too deep: more than {NESTING_MAX} schemas could be applied within each other").into());
    }
    Ok(steps_most)
}

/// Returns how often a subschema's parts judge a value that is one level deeper than at `below`.
fn on_parts(subschema: &Subschema, below: &[u64]) -> u64 {
    let one = subschema.one_of.iter().map(|part| below[*part]).max().unwrap_or(0);
    subschema.each.iter().fold(one, |sum, part| sum.saturating_add(below[*part]))
}

/// Returns the indices of all subschemas, each after those that it applies to the same value, or `None` if one applies itself.
fn order(all: &[Subschema]) -> Option<Vec<usize>> {
    let mut waits_for: Vec<usize> = all.iter().map(|subschema| subschema.same.len()).collect();
    let mut applied_by = vec![vec![]; all.len()];
    for (index, subschema) in all.iter().enumerate() {
        subschema.same.iter().for_each(|part| applied_by[*part].push(index));
    }
    let mut order: Vec<usize> = (0..all.len()).filter(|index| waits_for[*index] == 0).collect();
    let mut next = 0;
    while let Some(done) = order.get(next).copied() {
        next += 1;
        for index in &applied_by[done] {
            waits_for[*index] -= 1;
            if waits_for[*index] == 0 {
                order.push(*index);
            }
        }
    }
    (order.len() == all.len()).then_some(order)
}
