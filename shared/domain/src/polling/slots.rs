//! Slots and cells. A slot is a quarter of a second of ids. Each lane of a slot is a cell: the events of one shard, or the
//! markers of late events.

use super::SETTLED_AFTER;
use crate::{
    id::EventId,
    time::{CLOCK_SKEW, Timestamp},
};
use std::collections::BTreeMap;

/// The lanes: the eight shards of an account's events, and the markers of its late events.
pub const LANES: usize = 9;
/// The milliseconds of a slot.
pub const SLOT_MS: i64 = 250;
/// The most slots that a cursor counts: those of ids that are not settled, and of those that a clock ahead has made.
#[allow(clippy::cast_possible_truncation, reason = "some twenty seconds")]
pub(super) const SLOTS_MAX: i64 = (SETTLED_AFTER.as_millis() + CLOCK_SKEW.as_millis()) as i64 / SLOT_MS + 2;

/// A slot, by its number since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot(pub(super) i64);

impl Slot {
    pub(super) fn at(moment: Timestamp) -> Self {
        Self(moment.unix_ms() / SLOT_MS)
    }

    pub(super) fn of(id: EventId) -> Self {
        Self::at(id.made_at())
    }

    /// Returns the smallest id of the slot.
    pub(super) fn first(self) -> EventId {
        EventId::first_at(Timestamp::from_unix_ms(self.0 * SLOT_MS))
    }
}

/// How many events were read in each cell. A cell that is not there has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts(BTreeMap<(Slot, usize), u32>);

impl Counts {
    pub(super) fn of(&self, slot: Slot, lane: usize) -> u32 {
        self.0.get(&(slot, lane)).copied().unwrap_or_default()
    }

    pub(super) fn add(&mut self, slot: Slot, lane: usize, count: u32) {
        if count > 0 {
            *self.0.entry((slot, lane)).or_default() += count;
        }
    }

    /// Removes the cells of the slots before `first`.
    pub(super) fn forget_before(&mut self, first: Slot) {
        self.0 = self.0.split_off(&(first, 0));
    }

    /// Adds the cells of `other` from the slot `first` on.
    pub(super) fn keep_from(&mut self, other: &Self, first: Slot) {
        self.0.extend(other.0.range((first, 0)..).map(|(cell, count)| (*cell, *count)));
    }

    /// Returns the most events of one lane.
    pub(super) fn lane_max(&self) -> usize {
        let mut lanes = [0_usize; LANES];
        for ((_, lane), count) in &self.0 {
            lanes[*lane] += *count as usize;
        }
        lanes.into_iter().max().unwrap_or_default()
    }

    /// Returns the cells as gaps of cells without events, and counts: `(gap, count)`, from the first cell of `first` on.
    pub(super) fn gaps(&self, first: Slot) -> impl Iterator<Item = (u32, u32)> {
        let mut next = 0;
        self.0.iter().map(move |((slot, lane), count)| {
            let index = u32::try_from(slot.0 - first.0).unwrap_or_default() * LANES as u32 + *lane as u32;
            let gap = index - next;
            next = index + 1;
            (gap, *count)
        })
    }

    /// Reads what [`Counts::gaps`] returns. Returns `None` if it has more cells than [`SLOTS_MAX`] slots have, or an empty one.
    pub(super) fn from_gaps(first: Slot, gaps: &[(u32, u32)]) -> Option<Self> {
        let (mut counts, mut next) = (Self::default(), 0_u32);
        for (gap, count) in gaps {
            let index = next.checked_add(*gap)?;
            let (slot, lane) = (i64::from(index) / LANES as i64, index as usize % LANES);
            if slot >= SLOTS_MAX || *count == 0 {
                return None;
            }
            counts.add(Slot(first.0.checked_add(slot)?), lane, *count);
            next = index + 1;
        }
        Some(counts)
    }
}
