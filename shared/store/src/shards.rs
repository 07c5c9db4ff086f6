//! Lists over shards: merges the partitions that one account's events, or one webhook's deliveries, are spread over into one
//! sorted list. A cursor is the id of the last row that was looked at. New items therefore never shift a page, and a forged
//! cursor only names a position in the caller's own partitions.
//!
//! A page reads little more than it shows: each shard is read for its share of the page, and again only if it runs out. If the
//! filter leaves most items out, the page ends early when its read units are used up, with a cursor for the rest.

use crate::{
    Store,
    item::{Item, StoreError, names, number, text},
    keys,
};
use aws_sdk_dynamodb::types::ReturnConsumedCapacity;
use domain::{
    id::EventId,
    page::{Order, Page},
};
use futures::future::try_join_all;
use std::{cmp::Ordering, collections::VecDeque};

/// The read units after which a page ends: 2 MB read consistently. One partition serves 3,000 a second, so a few such pages a
/// second leave room for publishing and for deliveries.
pub(crate) const UNITS_MAX: f64 = 500.0;
/// The most passes over the shards for one page.
const PASSES_MAX: usize = 32;
/// The items that the first pass reads from each shard, while their size is unknown. Eight shards of the largest items stay
/// near [`UNITS_MAX`].
const FIRST_CHUNK: usize = 2;
/// The items that are read from each shard beyond its share, because ids are not spread evenly.
const SPARE: usize = 2;
/// The most items that are read from a shard at once. DynamoDB itself ends a query at 1 MB.
const CHUNK_MAX: usize = 1000;

/// Partitions of one table that a list reads.
#[derive(Clone, Debug)]
pub struct Source<'a> {
    /// The table.
    pub table: &'a str,
    /// The partitions.
    pub partitions: Vec<String>,
    /// The first and the last id of the list.
    pub window: (Option<EventId>, Option<EventId>),
    /// The attributes to read, the id among them, or empty to read all. This saves memory, not read units.
    pub attributes: &'a [&'a str],
    /// Whether to read consistently, so that the newest writes show. An inconsistent read costs half.
    pub consistent: bool,
}

/// What a page of a list reads.
#[derive(Debug)]
pub struct Listing<'a> {
    /// The sources, which are merged by id.
    pub sources: Vec<Source<'a>>,
    /// The order of the list.
    pub order: Order,
    /// The cursor: the page begins after this id, in `order`.
    pub after: Option<EventId>,
    /// The most entries of the page.
    pub limit: usize,
    /// The most that the entries of the page may weigh together. One entry is always allowed, however heavy it is.
    pub weight_max: usize,
    /// How many items at the beginning of a shard are likely to be left out. The first pass reads as many more.
    pub left_out: usize,
}

/// The items of one id: one from each source, in the order of the sources.
#[derive(Debug)]
pub struct Row {
    /// The id.
    pub id: EventId,
    /// The items.
    pub items: Vec<Option<Item>>,
}

impl Row {
    /// Takes the item of the first source.
    pub fn first(&mut self) -> Option<Item> {
        self.items.first_mut().and_then(Option::take)
    }
}

/// Reads a page. `keep` converts a row to an entry or leaves it out, and `weigh` returns an entry's weight. Expired items that
/// DynamoDB has not deleted yet are left out.
pub async fn list<T>(
    store: &Store,
    listing: Listing<'_>,
    mut keep: impl FnMut(Row) -> Result<Option<T>, StoreError>,
    weigh: impl Fn(&T) -> usize,
) -> Result<Page<T, EventId>, StoreError> {
    let mut reader = Reader::new(&listing);
    let (mut items, mut weight, mut last) = (Vec::new(), 0, listing.after);
    loop {
        match reader.next() {
            Next::End => return Ok(Page { items, next: None }),
            Next::Unread => {
                if reader.must_end() {
                    return Ok(Page { items, next: reader.read_to() });
                }
                reader.read_on(store, listing.limit + 1 - items.len(), items.len()).await?;
            }
            Next::Row(row) => {
                if items.len() == listing.limit {
                    return Ok(Page { items, next: last });
                }
                let id = row.id;
                if let Some(item) = keep(row)? {
                    weight += weigh(&item);
                    if weight > listing.weight_max && !items.is_empty() {
                        return Ok(Page { items, next: last });
                    }
                    items.push(item);
                }
                last = Some(id);
            }
        }
    }
}

/// The next step of a merge.
enum Next {
    /// This row is next: every shard has been read that far.
    Row(Row),
    /// The next row is unknown until shards are read further.
    Unread,
    /// There are no more rows.
    End,
}

/// A partition while it is read.
struct Shard<'a> {
    source: &'a Source<'a>,
    /// The source's index in the listing.
    index: usize,
    partition: &'a str,
    /// The items that were read and not used yet.
    rows: VecDeque<(EventId, Item)>,
    /// The last id that was read, if there may be more after it. Before the first read: where to begin.
    read_to: Option<EventId>,
    /// Whether the partition has been read to its end.
    is_done: bool,
}

impl Shard<'_> {
    /// Whether the shard must be read further before the merge can go on.
    fn has_run_out(&self) -> bool {
        self.rows.is_empty() && !self.is_done
    }
}

/// Merges the shards of a listing. It reads each as far as necessary.
struct Reader<'a> {
    order: Order,
    sources: usize,
    left_out: usize,
    shards: Vec<Shard<'a>>,
    passes: usize,
    /// The read units used so far.
    units: f64,
    items_read: usize,
    rows_returned: usize,
}

impl<'a> Reader<'a> {
    fn new(listing: &'a Listing<'a>) -> Self {
        let shards = listing.sources.iter().enumerate().flat_map(|(index, source)| {
            // If the cursor is at or after the window's end, there is nothing to read.
            let is_done = listing.after.is_some_and(|after| match listing.order {
                Order::Oldest => source.window.1.is_some_and(|last| after >= last),
                Order::Newest => source.window.0.is_some_and(|first| after <= first),
            });
            source.partitions.iter().map(move |partition| Shard {
                source,
                index,
                partition,
                rows: VecDeque::new(),
                read_to: listing.after,
                is_done,
            })
        });
        Self {
            order: listing.order,
            sources: listing.sources.len(),
            left_out: listing.left_out,
            shards: shards.collect(),
            passes: 0,
            units: 0.0,
            items_read: 0,
            rows_returned: 0,
        }
    }

    /// Compares two ids in the order of the list.
    fn compare(&self, left: EventId, right: EventId) -> Ordering {
        match self.order {
            Order::Oldest => left.cmp(&right),
            Order::Newest => right.cmp(&left),
        }
    }

    /// Whether the page must end, because its read units or its passes are used up. The first pass is always made, so that a
    /// page never ends where it began.
    fn must_end(&self) -> bool {
        self.passes > 0 && (self.units >= UNITS_MAX || self.passes >= PASSES_MAX)
    }

    /// Returns the last id up to which every shard has been read: the cursor of a page that ends early.
    fn read_to(&self) -> Option<EventId> {
        let run_out = self.shards.iter().filter(|shard| shard.has_run_out()).filter_map(|shard| shard.read_to);
        run_out.min_by(|left, right| self.compare(*left, *right))
    }

    /// Returns the next row, if the shards have been read far enough to know it.
    fn next(&mut self) -> Next {
        let heads = self.shards.iter().filter_map(|shard| shard.rows.front().map(|(id, _)| *id));
        let Some(id) = heads.min_by(|left, right| self.compare(*left, *right)) else {
            return if self.shards.iter().all(|shard| shard.is_done) { Next::End } else { Next::Unread };
        };
        let is_behind = |shard: &Shard<'_>| shard.read_to.is_none_or(|to| self.compare(to, id) == Ordering::Less);
        if self.shards.iter().any(|shard| shard.has_run_out() && is_behind(shard)) {
            return Next::Unread;
        }
        let mut items = vec![None; self.sources];
        for shard in &mut self.shards {
            if let Some((_, item)) = shard.rows.pop_front_if(|(head, _)| *head == id) {
                items[shard.index] = Some(item);
            }
        }
        self.rows_returned += 1;
        Next::Row(Row { id, items })
    }

    /// Reads further in every shard that has run out. The page has `kept` entries so far and needs `wanted` more. If the filter
    /// leaves rows out, many more are needed: shards that are about to run out are then read too, or the passes would be used up
    /// by one shard after another.
    async fn read_on(&mut self, store: &Store, wanted: usize, kept: usize) -> Result<(), StoreError> {
        let chunk = self.chunk(wanted, kept);
        let few = if self.rows_returned > kept { chunk / 2 } else { 0 };
        let running_out = self.shards.iter_mut().filter(|shard| shard.rows.len() <= few && !shard.is_done);
        let order = self.order;
        let read = try_join_all(running_out.map(async |shard| {
            let (items, read_to, units) = query(store, shard, order, chunk).await?;
            let count = items.len();
            shard.rows.extend(items);
            shard.is_done = read_to.is_none();
            shard.read_to = read_to;
            Ok::<_, StoreError>((count, units))
        }));
        for (count, units) in read.await? {
            self.items_read += count;
            self.units += units;
        }
        self.passes += 1;
        Ok(())
    }

    /// Returns how many items to read from each shard: its share of the rows that the page needs, given how many the filter has
    /// kept so far, and limited by the read units that are left.
    fn chunk(&self, wanted: usize, kept: usize) -> usize {
        let shards = (self.shards.len() / self.sources).max(1);
        let looked_at = wanted.saturating_mul(self.rows_returned.max(1).div_ceil(kept.max(1)));
        let share = (looked_at.div_ceil(shards) + SPARE).min(CHUNK_MAX);
        if self.passes == 0 {
            return (share.min(FIRST_CHUNK) + self.left_out).min(CHUNK_MAX);
        }
        // All shards share half of the units that are left. The next page reads again what this page reads and does not use.
        #[allow(clippy::cast_precision_loss, reason = "counts of at most some thousands")]
        let affordable = {
            let units_each = (UNITS_MAX - self.units) / 2.0 / self.shards.len() as f64;
            units_each * self.items_read as f64 / self.units.max(f64::MIN_POSITIVE)
        };
        #[allow(clippy::cast_precision_loss, reason = "a small number")]
        let affordable = affordable.clamp(1.0, CHUNK_MAX as f64) as usize;
        share.min(affordable)
    }
}

/// Reads items of one shard. Returns them with the last id that was read, if there may be more, and the read units used.
async fn query(
    store: &Store,
    shard: &Shard<'_>,
    order: Order,
    limit: usize,
) -> Result<(Vec<(EventId, Item)>, Option<EventId>, f64), StoreError> {
    let Shard { source, partition, read_to, .. } = shard;
    let bound = |id: Option<EventId>, otherwise: &str| id.map_or_else(|| otherwise.to_owned(), |id| id.to_string());
    let (first, last) = source.window;
    // DynamoDB refuses a start key outside the window. A cursor before the window means that the window has not been read yet.
    let is_inside = |id: &EventId| first.is_none_or(|first| first <= *id) && last.is_none_or(|last| *id <= last);
    let start = read_to.filter(is_inside).map(|after| keys::at(partition, after));
    let now_s = store.clock.now().unix_seconds();
    let mut attributes = vec![keys::PARTITION, keys::ID, keys::EXPIRES_AT];
    attributes.extend(source.attributes.iter().filter(|name| **name != keys::ID));
    let projection = source.attributes.iter().map(|name| format!("#{name}")).collect::<Vec<_>>().join(", ");
    let call = store.dynamodb.query().table_name(source.table).consistent_read(source.consistent);
    let call = call
        .key_condition_expression("#partition = :partition AND #id BETWEEN :from AND :to")
        .filter_expression("attribute_not_exists(#expires_at) OR #expires_at > :now")
        .set_projection_expression(Some(projection).filter(|projection| !projection.is_empty()))
        .set_expression_attribute_names(Some(names(&attributes)))
        .expression_attribute_values(":partition", text(partition))
        .expression_attribute_values(":now", number(now_s))
        .expression_attribute_values(":from", text(bound(first, EventId::PREFIX)))
        .expression_attribute_values(":to", text(bound(last, "evt_~")))
        .set_exclusive_start_key(start)
        .limit(i32::try_from(limit).unwrap_or(i32::MAX))
        .return_consumed_capacity(ReturnConsumedCapacity::Total)
        .scan_index_forward(order == Order::Oldest);
    let found = call.send().await?;
    let end = found.last_evaluated_key.as_ref().and_then(id_of);
    let units = found.consumed_capacity.and_then(|consumed| consumed.capacity_units).unwrap_or_default();
    let items = found.items.unwrap_or_default().into_iter().filter_map(|item| Some((id_of(&item)?, item)));
    Ok((items.collect(), end, units))
}

/// Returns the event's id in an item's key.
pub fn id_of(key: &Item) -> Option<EventId> {
    key.get(keys::ID)?.as_s().ok()?.parse().ok()
}
