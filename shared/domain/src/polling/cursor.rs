//! The cursor of a poll. Its client keeps it, so it is hostile until parsed. A forged one can only make its owner skip or repeat
//! events of its own account.

use super::slots::{Counts, SLOTS_MAX, Slot};
use crate::{id::EventId, time::Timestamp};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::{fmt, str::FromStr};

/// The most characters of a cursor's text.
pub const CURSOR_CHARS_MAX: usize = 2048;
/// The first byte of a cursor's text. Another form gets another one.
const FORM: u8 = 1;
/// The bytes of an id.
const ID_BYTES: usize = 16;

/// The text is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be the next_cursor of an earlier poll")]
pub struct InvalidCursor;

/// What a client has read of the events of its account. The text is base64url, at most [`CURSOR_CHARS_MAX`] characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Every event up to this id was read, and none will appear there. The next poll reads after it.
    pub(super) after: EventId,
    /// Every event up to this id was read that was there. If it differs from `after`, that one is the beginning of a slot.
    pub(super) head: EventId,
    /// The events between the two that were read.
    pub(super) counts: Counts,
}

impl Cursor {
    /// Returns the cursor of a client that reads the events that were made at `moment` or later.
    pub fn at(moment: Timestamp) -> Self {
        let after = EventId::first_at(moment);
        Self { after, head: after, counts: Counts::default() }
    }

    /// Returns the id after which a poll reads.
    pub fn after(&self) -> EventId {
        self.after
    }

    /// Whether `id` was looked at before. It is returned again only if its cell has more events now.
    pub fn has_looked_at(&self, id: EventId) -> bool {
        id <= self.head
    }

    /// Returns how many events a poll reads again, in the lane that has most of them.
    pub fn read_again_in_a_lane(&self) -> usize {
        self.counts.lane_max()
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![FORM];
        bytes.extend(self.after.to_bytes());
        if self.head != self.after {
            bytes.extend(self.head.to_bytes());
            // A zero stands before a gap; no count is zero.
            for (gap, count) in self.counts.gaps(Slot::of(self.after)) {
                if gap > 0 {
                    bytes.push(0);
                    write_varint(&mut bytes, gap);
                }
                write_varint(&mut bytes, count);
            }
        }
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        if text.len() > CURSOR_CHARS_MAX {
            return Err(InvalidCursor);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidCursor)?;
        read(&bytes).ok_or(InvalidCursor)
    }
}

fn read(bytes: &[u8]) -> Option<Cursor> {
    let bytes = bytes.strip_prefix(&[FORM])?;
    let (after, bytes) = read_id(bytes)?;
    if bytes.is_empty() {
        return Some(Cursor { after, head: after, counts: Counts::default() });
    }
    let (head, mut bytes) = read_id(bytes)?;
    let (first, last) = (Slot::of(after), Slot::of(head));
    if head <= after || last.0 - first.0 >= SLOTS_MAX {
        return None;
    }
    let mut gaps = Vec::new();
    while !bytes.is_empty() {
        let mut gap = 0;
        if let Some(rest) = bytes.strip_prefix(&[0]) {
            (gap, bytes) = read_varint(rest)?;
        }
        let count;
        (count, bytes) = read_varint(bytes)?;
        gaps.push((gap, count));
    }
    let counts = Counts::from_gaps(first, &gaps)?;
    Some(Cursor { after, head, counts })
}

fn read_id(bytes: &[u8]) -> Option<(EventId, &[u8])> {
    let (id, rest) = bytes.split_first_chunk::<ID_BYTES>()?;
    Some((EventId::from_bytes(*id), rest))
}

/// Writes seven bits a byte, the lowest first. The highest bit of a byte says that another one follows.
fn write_varint(bytes: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

fn read_varint(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut number = 0_u32;
    for (index, byte) in bytes.iter().take(4).enumerate() {
        number |= u32::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((number, &bytes[index + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{super::LANES, *};
    use proptest::prelude::*;

    fn cursor(cells: &[(i64, usize, u32)]) -> Cursor {
        let first = Slot(4_000_000);
        let mut counts = Counts::default();
        for (slot, lane, count) in cells {
            counts.add(Slot(first.0 + slot), *lane, *count);
        }
        Cursor { after: first.first(), head: Slot(first.0 + SLOTS_MAX - 1).first(), counts }
    }

    #[test]
    fn the_largest_cursor_fits() {
        let cells: Vec<_> = (0..SLOTS_MAX).flat_map(|slot| (0..LANES).map(move |lane| (slot, lane, 16_383))).collect();
        let every_other: Vec<_> = cells.iter().copied().step_by(2).collect();
        for cells in [cells, every_other] {
            let text = cursor(&cells).to_string();
            assert!(text.len() <= CURSOR_CHARS_MAX, "{}", text.len());
            assert_eq!(text.parse(), Ok(cursor(&cells)));
        }
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        let some = cursor(&[(0, 1, 1)]);
        let backwards = Cursor { after: some.head, head: some.after, counts: Counts::default() };
        let far = Cursor { head: Slot(Slot::of(some.after).0 + SLOTS_MAX).first(), ..some.clone() };
        let beyond = cursor(&[(SLOTS_MAX, 0, 1)]);
        for wrong in [backwards, far, beyond].map(|cursor| cursor.to_string()) {
            assert_eq!(wrong.parse::<Cursor>(), Err(InvalidCursor), "{wrong}");
        }
        for wrong in ["", "AQ", "evt_01JMC9ZV2K4W7T5N8Q3R6X1Y0B", &"A".repeat(2049), &format!("{some}A")] {
            assert_eq!(wrong.parse::<Cursor>(), Err(InvalidCursor), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_cursor_reads_back_from_its_text(
            cells in prop::collection::btree_map((0..SLOTS_MAX, 0..LANES), 1..300_u32, 0..60)
        ) {
            let cells: Vec<_> = cells.into_iter().map(|((slot, lane), count)| (slot, lane, count)).collect();
            let cursor = cursor(&cells);
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }

        #[test]
        fn no_text_makes_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..80), form: bool) {
            let bytes = if form { [vec![FORM], bytes].concat() } else { bytes };
            if let Ok(cursor) = URL_SAFE_NO_PAD.encode(bytes).parse::<Cursor>() {
                prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
            }
        }
    }
}
