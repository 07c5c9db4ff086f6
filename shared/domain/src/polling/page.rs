//! One poll: which of the events that were read are returned, and where the next poll goes on.

use super::{
    SETTLED_AFTER,
    cursor::Cursor,
    slots::{Counts, Slot},
};
use crate::{id::EventId, time::Timestamp};

/// An event, or the marker of a late one, that a poll has read.
#[derive(Clone, Debug)]
pub struct Row<T> {
    /// The id under which it was read: the event's, or the marker's.
    pub id: EventId,
    /// Its lane, below [`LANES`](super::LANES).
    pub lane: usize,
    /// What is returned for it, or `None` if the webhook does not receive the event.
    pub entry: Option<T>,
}

/// What a poll has read after [`Cursor::after`].
#[derive(Clone, Debug)]
pub struct Read<T> {
    /// The rows, oldest first, without a gap.
    pub rows: Vec<Row<T>>,
    /// The id up to which the rows were read, or `None` if they were read to the end.
    pub to: Option<EventId>,
}

/// How much a poll returns at most. One entry is always allowed, however much it weighs.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The most entries.
    pub entries: usize,
    /// The most that the entries weigh together.
    pub weight: usize,
}

/// What a poll returns.
#[derive(Clone, Debug)]
pub struct Polled<T> {
    /// The entries, oldest first.
    pub entries: Vec<T>,
    /// The cursor of the next poll.
    pub cursor: Cursor,
    /// Whether the next poll may return more at once.
    pub has_more: bool,
}

impl Cursor {
    /// Returns what a poll returns that began at `now` and then read `read`. `weigh` returns the weight of an entry.
    pub fn advance<T>(&self, read: Read<T>, now: Timestamp, bounds: Bounds, weigh: impl Fn(&T) -> usize) -> Polled<T> {
        let settled = Slot::at(now.minus(SETTLED_AFTER));
        // The read may have ended before all that was looked at was read again. The counts of its last slot then say nothing.
        let partial = read.to.filter(|to| *to < self.head).map(Slot::of);
        // A slot that cannot be read whole is returned again, once no event appears in it any more. Until then, it waits.
        let is_returned_again = partial.is_some_and(|slot| slot == Slot::of(self.after) && slot < settled);
        let waiting = partial.filter(|_| !is_returned_again);
        let mut present = Counts::default();
        for row in read.rows.iter().filter(|row| row.id <= self.head) {
            present.add(Slot::of(row.id), row.lane, 1);
        }
        let (mut entries, mut weight) = (Vec::new(), 0);
        let (mut counts, mut last, mut is_full) = (Counts::default(), self.after, false);
        for row in read.rows {
            let slot = Slot::of(row.id);
            if waiting.is_some_and(|waiting| slot >= waiting) {
                break;
            }
            let is_unchanged = || present.of(slot, row.lane) == self.counts.of(slot, row.lane);
            let is_known = row.id <= self.head && !is_returned_again && is_unchanged();
            if let Some(entry) = row.entry.filter(|_| !is_known) {
                weight += weigh(&entry);
                is_full = entries.len() >= bounds.entries || !entries.is_empty() && weight > bounds.weight;
                if is_full {
                    break;
                }
                entries.push(entry);
            }
            counts.add(slot, row.lane, 1);
            last = row.id;
        }
        let (head, read_to) = match (read.to, waiting) {
            _ if is_full => (last, Some(last)),
            (Some(_), Some(waiting)) => {
                counts.keep_from(&self.counts, waiting);
                (self.head, Some(waiting.first()))
            }
            (Some(to), None) => (to, Some(to)),
            (None, _) => (self.head.max(last), None),
        };
        let cursor = self.moved(settled, read_to, head, counts);
        let has_more = is_full || read.to.is_some() && (!entries.is_empty() || cursor != *self);
        Polled { entries, cursor, has_more }
    }

    /// Returns the cursor after a read up to `read_to`, or to the end, that looked at everything up to `head`.
    fn moved(&self, settled: Slot, read_to: Option<EventId>, head: EventId, mut counts: Counts) -> Self {
        let settled = settled.first();
        let after = read_to.map_or(settled, |to| to.min(settled)).max(self.after);
        if head <= after {
            return Self { after, head: after, counts: Counts::default() };
        }
        counts.forget_before(Slot::of(after));
        Self { after, head, counts }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{LANES, LATE_AFTER},
        *,
    };
    use crate::time::CLOCK_SKEW;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const START_MS: i64 = 1_739_874_600_000;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(START_MS + ms)
    }

    /// An event in the log.
    #[derive(Clone, Copy, Debug)]
    struct Stored {
        id: EventId,
        lane: usize,
        /// When it can be read, on the reader's clock.
        visible: Timestamp,
        is_wanted: bool,
    }

    impl Stored {
        fn new(number: u32, id_ms: i64, visible_ms: i64) -> Self {
            let id = EventId::derived(at(id_ms), &number.to_be_bytes());
            Self { id, lane: number as usize % (LANES - 1), visible: at(visible_ms), is_wanted: true }
        }
    }

    /// Reads the log as a poll that begins at `now` does, at most `rows_max` rows.
    fn read(log: &[Stored], cursor: &Cursor, now: Timestamp, rows_max: usize) -> Read<EventId> {
        let bound = EventId::first_at(now.plus(CLOCK_SKEW));
        let mut found: Vec<_> =
            log.iter().filter(|event| event.visible <= now && event.id > cursor.after && event.id < bound).collect();
        found.sort_by_key(|event| event.id);
        let is_cut = found.len() > rows_max;
        found.truncate(rows_max);
        let to = found.last().filter(|_| is_cut).map(|event| event.id);
        let row = |event: &&Stored| Row { id: event.id, lane: event.lane, entry: event.is_wanted.then_some(event.id) };
        Read { rows: found.iter().map(row).collect(), to }
    }

    /// Polls at each of `moments`, and then until everything is settled and read. Returns how often each event came.
    fn poll(log: &[Stored], moments: &[i64], limit: usize, rows_max: usize) -> BTreeMap<EventId, u32> {
        let mut cursor = Cursor::at(at(-60_000));
        let mut seen = BTreeMap::new();
        let end = moments.iter().max().copied().unwrap_or_default().max(60_000);
        let moments = moments.iter().copied().chain((1..200).map(|step| end + step * 1000));
        for moment in moments {
            for _ in 0..200 {
                let read = read(log, &cursor, at(moment), rows_max);
                let polled = cursor.advance(read, at(moment), Bounds { entries: limit, weight: 1_000 }, |_| 1);
                assert!(polled.entries.len() <= limit);
                for id in polled.entries {
                    *seen.entry(id).or_default() += 1;
                }
                // Each poll goes by the cursor's text.
                cursor = polled.cursor.to_string().parse().expect("a cursor");
                assert_eq!(cursor, polled.cursor);
                if !polled.has_more {
                    break;
                }
            }
        }
        seen
    }

    #[test]
    fn events_come_once_and_at_once() {
        let log: Vec<_> = (0..40).map(|n| Stored::new(n, i64::from(n) * 50, i64::from(n) * 50)).collect();
        let seen = poll(&log, &[0, 500, 1_000, 2_000], 20, 1_000);
        assert!(seen.len() == 40 && seen.values().all(|times| *times == 1), "{seen:?}");
        let first = Cursor::at(at(0)).advance(
            read(&log, &Cursor::at(at(0)), at(999), 1_000),
            at(999),
            Bounds { entries: 100, weight: 100 },
            |_| 1,
        );
        assert_eq!((first.entries.len(), first.has_more), (20, false));
    }

    #[test]
    fn an_event_that_appears_among_read_ones_comes_with_its_cell() {
        let log = [Stored::new(0, 0, 0), Stored::new(8, 10, 3_000), Stored::new(16, 20, 20), Stored::new(1, 30, 30)];
        let seen = poll(&log, &[1_000, 2_000, 3_000, 4_000], 20, 1_000);
        let times: Vec<_> = log.iter().map(|event| seen[&event.id]).collect();
        assert_eq!(times, [2, 1, 2, 1], "the other lane is not repeated");
    }

    #[test]
    fn the_cursor_of_a_quiet_account_is_small() {
        let log: Vec<_> = (0..100).map(|n| Stored::new(n, i64::from(n), i64::from(n))).collect();
        let cursor = Cursor::at(at(0));
        let bounds = Bounds { entries: 100, weight: 100 };
        let polled = cursor.advance(read(&log, &cursor, at(100), 1_000), at(100), bounds, |_| 1).cursor;
        let later = polled.advance(read(&log, &polled, at(20_000), 1_000), at(20_000), bounds, |_| 1).cursor;
        assert!(later.counts == Counts::default() && later.to_string().len() < 30, "{later}");
    }

    #[test]
    fn what_is_too_heavy_to_be_read_again_waits_until_it_is_settled() {
        let log: Vec<_> = (0..30).map(|n| Stored::new(n, 5, 5)).collect();
        let bounds = Bounds { entries: 100, weight: 100 };
        let cursor = Cursor::at(at(0));
        let polled = cursor.advance(read(&log, &cursor, at(100), 1_000), at(100), bounds, |_| 1);
        let later = polled.cursor.advance(read(&log, &polled.cursor, at(1_000), 10), at(1_000), bounds, |_| 1);
        assert_eq!((later.entries.len(), later.has_more), (0, false));
        let settled = later.cursor.advance(read(&log, &later.cursor, at(30_000), 10), at(30_000), bounds, |_| 1);
        assert_eq!((settled.entries.len(), settled.has_more), (10, true));
    }

    /// An event whose worker's clock differs by up to the skew, and that is stored at most [`LATE_AFTER`] later.
    fn stored() -> impl Strategy<Value = Stored> {
        let skew = i64::try_from(CLOCK_SKEW.as_millis()).expect("some seconds");
        let late = i64::try_from(LATE_AFTER.as_millis()).expect("some seconds");
        (any::<u32>(), 0..10_000_i64, -skew..skew, prop_oneof![3 => 0..20_i64, 1 => 0..late], prop::bool::weighted(0.8))
            .prop_map(|(number, made_ms, behind_ms, stored_after_ms, is_wanted)| Stored {
                is_wanted,
                ..Stored::new(number, made_ms - behind_ms, made_ms + stored_after_ms)
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn no_event_is_skipped(
            log in prop::collection::vec(stored(), 0..60),
            gaps in prop::collection::vec(0..3_000_i64, 0..30),
            limit in 1..30_usize,
            rows_max in prop_oneof![1..20_usize, Just(1_000)],
        ) {
            let moments: Vec<_> = gaps.iter().scan(0, |now, gap| { *now += gap; Some(*now) }).collect();
            let seen = poll(&log, &moments, limit, rows_max);
            for event in &log {
                prop_assert_eq!(event.is_wanted, seen.contains_key(&event.id), "{:?}", event);
            }
        }
    }
}
