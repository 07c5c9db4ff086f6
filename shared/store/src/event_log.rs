//! The log of an account's events as polls read it: the shards of its events, and the markers of late ones as one more lane.

use crate::{
    Store, events,
    item::StoreError,
    keys::{self, SHARDS},
    shards::{self, Listing, Source},
};
use domain::{
    account::AccountId,
    event::Event,
    id::EventId,
    page::Order,
    polling::{LANES, Read, Row},
};

/// The lane of the markers.
const MARKERS: usize = SHARDS as usize;
const _: () = assert!(LANES == MARKERS + 1);

/// What a poll may return.
#[derive(Clone, Debug)]
pub enum Entry {
    /// An event.
    Event(Event),
    /// A late event, found by its marker.
    Late {
        /// The event's id.
        event: EventId,
        /// The bytes of its payload.
        bytes: usize,
    },
}

/// A part of the log.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// The id after which it begins.
    pub after: EventId,
    /// Its last id.
    pub last: EventId,
    /// How many of its rows count at most. Reading ends after them.
    pub wanted: usize,
    /// How many rows of a lane are likely to be known to the poll.
    pub known: usize,
}

/// Reads a part of the log, oldest first. A late event has no entry under its own id, because its marker leads to it. `judge` removes
/// the entry of an event that is not wanted, and returns whether the row counts. The part ends after as many rows that count as are
/// wanted, or when its read units are used up.
pub async fn read_part(
    store: &Store,
    account: &AccountId,
    part: Part,
    judge: impl Fn(&mut Row<Entry>) -> bool,
) -> Result<Read<Entry>, StoreError> {
    let source = |partitions| Source {
        table: &store.settings.events,
        partitions,
        window: (None, Some(part.last)),
        attributes: &[],
        consistent: true,
    };
    let listing = Listing {
        sources: vec![source(keys::event_partitions(account)), source(vec![keys::late_events(account)])],
        order: Order::Oldest,
        after: Some(part.after),
        limit: part.wanted,
        weight_max: usize::MAX,
        left_out: part.known,
    };
    let mut rows = Vec::new();
    let keep = |row: shards::Row| {
        let Some(mut row) = read_row(account, row)? else { return Ok(None) };
        let counts = judge(&mut row);
        rows.push(row);
        Ok(counts.then_some(()))
    };
    let page = shards::list(store, listing, keep, |()| 0).await?;
    Ok(Read { rows, to: page.next })
}

fn read_row(account: &AccountId, row: shards::Row) -> Result<Option<Row<Entry>>, StoreError> {
    let id = row.id;
    let mut items = row.items.into_iter();
    let (event, marker) = (items.next().flatten(), items.next().flatten());
    let (lane, entry) = match (event, marker) {
        (Some(item), _) if events::is_late(&item) => (keys::shard(id) as usize, None),
        (Some(item), _) => (keys::shard(id) as usize, Some(Entry::Event(events::read(account, item)?))),
        (None, Some(marker)) => {
            let (event, bytes) = events::late(&marker)?;
            (MARKERS, Some(Entry::Late { event, bytes }))
        }
        (None, None) => return Ok(None),
    };
    Ok(Some(Row { id, lane, entry }))
}
