//! Lists over shards: one sorted list out of the partitions that one account's events, or one webhook's deliveries, are
//! spread over. A cursor is the id of the last item looked at, so new items never shift a page, and a forged cursor can only
//! name a position in the caller's own partitions.
//!
//! A page reads little more than it shows: each shard is asked for its share, and again only where it runs out. A page
//! whose filter leaves most items out ends early, with a cursor that goes on, once its read units are used up.

use super::{Item, StoreError, keys, names, number, text, webhooks::Order};
use crate::{app::App, id::EventId};
use aws_sdk_dynamodb::types::ReturnConsumedCapacity;
use futures::future::try_join_all;
use std::{cmp::Ordering, collections::VecDeque};

/// Read units after which a page ends: 2 MB read consistently. One partition serves 3,000 a second, so a few such answers a
/// second leave room for the publishing and the sending beside them.
const UNITS_MAX: f64 = 500.0;
/// Times that the shards are asked for one page.
const ROUNDS_MAX: usize = 16;
/// Items that each shard is asked for before anything is known of their size: eight shards of the largest items stay near
/// [`UNITS_MAX`].
const FIRST_CHUNK: usize = 2;
/// Items that each shard is asked for beyond its share, since ids are not spread evenly.
const SPARE: usize = 2;
/// Most items that a shard is asked for at once. DynamoDB ends a query at 1 MB by itself.
const CHUNK_MAX: usize = 1000;

/// One of the tables that a list merges.
#[derive(Clone, Debug)]
pub struct Source<'a> {
    /// The table.
    pub table: &'a str,
    /// The partitions of the list.
    pub partitions: Vec<String>,
    /// The first and the last id wanted.
    pub window: (Option<EventId>, Option<EventId>),
    /// The attributes wanted, the id among them; all of them where none is named. This saves memory, not read units.
    pub attributes: &'a [&'a str],
    /// Whether the newest writes must show. An inconsistent read costs half.
    pub consistent: bool,
}

/// What a list reads.
#[derive(Debug)]
pub struct Listing<'a> {
    /// What is merged, by id.
    pub sources: Vec<Source<'a>>,
    /// Which way it goes.
    pub order: Order,
    /// Ids at or before this one (in `order`) were seen.
    pub after: Option<EventId>,
    /// Items wanted.
    pub limit: usize,
    /// The most that the items of a page may weigh together; a page has at least one, however heavy.
    pub weight_max: usize,
}

/// What the sources have under one id: an item of each, in their order.
#[derive(Debug)]
pub struct Row {
    /// The id.
    pub id: EventId,
    /// The items.
    pub items: Vec<Option<Item>>,
}

impl Row {
    /// Takes the item of the only, or the first, source.
    pub fn first(&mut self) -> Option<Item> {
        self.items.first_mut().and_then(Option::take)
    }
}

/// A page of a list.
#[derive(Debug)]
pub struct Page<T> {
    /// What was kept, in order.
    pub items: Vec<T>,
    /// Where to go on, where there may be more.
    pub next: Option<EventId>,
}

/// Reads a page, keeping what `keep` makes something of, which weighs what `weigh` says. Expired items that DynamoDB has not
/// deleted yet are left out.
pub async fn list<T>(
    app: &App,
    listing: Listing<'_>,
    keep: impl Fn(Row) -> Result<Option<T>, StoreError>,
    weigh: impl Fn(&T) -> usize,
) -> Result<Page<T>, StoreError> {
    let mut reader = Reader::new(&listing);
    let (mut items, mut weight, mut last) = (Vec::new(), 0, listing.after);
    loop {
        match reader.next() {
            Next::End => return Ok(Page { items, next: None }),
            Next::Unread => {
                if reader.is_spent() {
                    return Ok(Page { items, next: reader.read_to() });
                }
                reader.read_on(app, listing.limit + 1 - items.len(), items.len()).await?;
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

/// What comes next in a merge.
enum Next {
    /// This, and every shard has been read that far.
    Row(Row),
    /// Unknown before shards are read further.
    Unread,
    /// Nothing.
    End,
}

/// A partition that is being read.
struct Shard<'a> {
    source: &'a Source<'a>,
    /// The source's index in the listing.
    index: usize,
    partition: &'a str,
    /// What was read and not used yet.
    rows: VecDeque<(EventId, Item)>,
    /// The last id read, where there may be more behind it.
    read_to: Option<EventId>,
    is_done: bool,
}

impl Shard<'_> {
    fn is_dry(&self) -> bool {
        self.rows.is_empty() && !self.is_done
    }
}

/// Merges the shards of a listing, reading each as far as is needed.
struct Reader<'a> {
    order: Order,
    sources: usize,
    shards: Vec<Shard<'a>>,
    rounds: usize,
    /// Read units used.
    units: f64,
    /// Items read, and rows given out.
    items_read: usize,
    rows_given: usize,
}

impl<'a> Reader<'a> {
    fn new(listing: &'a Listing<'a>) -> Self {
        let shards = listing.sources.iter().enumerate().flat_map(|(index, source)| {
            // A query cannot begin behind its window.
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
            shards: shards.collect(),
            rounds: 0,
            units: 0.0,
            items_read: 0,
            rows_given: 0,
        }
    }

    fn compare(&self, left: EventId, right: EventId) -> Ordering {
        match self.order {
            Order::Oldest => left.cmp(&right),
            Order::Newest => right.cmp(&left),
        }
    }

    /// Whether the page has used what it may. The first round is always made, so that a page never ends where it began.
    fn is_spent(&self) -> bool {
        self.rounds > 0 && (self.units >= UNITS_MAX || self.rounds >= ROUNDS_MAX)
    }

    /// The last id that every shard has been read to.
    fn read_to(&self) -> Option<EventId> {
        let dry = self.shards.iter().filter(|shard| shard.is_dry()).filter_map(|shard| shard.read_to);
        dry.min_by(|left, right| self.compare(*left, *right))
    }

    fn next(&mut self) -> Next {
        let heads = self.shards.iter().filter_map(|shard| shard.rows.front().map(|(id, _)| *id));
        let Some(id) = heads.min_by(|left, right| self.compare(*left, *right)) else {
            return if self.shards.iter().all(|shard| shard.is_done) { Next::End } else { Next::Unread };
        };
        let is_short = |shard: &Shard<'_>| shard.read_to.is_none_or(|to| self.compare(to, id) == Ordering::Less);
        if self.shards.iter().any(|shard| shard.is_dry() && is_short(shard)) {
            return Next::Unread;
        }
        let mut items = vec![None; self.sources];
        for shard in &mut self.shards {
            if let Some((_, item)) = shard.rows.pop_front_if(|(head, _)| *head == id) {
                items[shard.index] = Some(item);
            }
        }
        self.rows_given += 1;
        Next::Row(Row { id, items })
    }

    /// Reads on in every shard that has run out, for `wanted` more rows to keep where `kept` were kept so far.
    async fn read_on(&mut self, app: &App, wanted: usize, kept: usize) -> Result<(), StoreError> {
        let chunk = self.chunk(wanted, kept);
        let dry = self.shards.iter_mut().filter(|shard| shard.is_dry());
        let order = self.order;
        let read = try_join_all(dry.map(async |shard| {
            let (items, read_to, units) = query(app, shard, order, chunk).await?;
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
        self.rounds += 1;
        Ok(())
    }

    /// How many items each shard is asked for: its share of what is wanted, by what the filter has let through so far, and
    /// within the units that are left.
    fn chunk(&self, wanted: usize, kept: usize) -> usize {
        let shards = (self.shards.len() / self.sources).max(1);
        let looked_at = wanted.saturating_mul(self.rows_given.max(1).div_ceil(kept.max(1)));
        let share = (looked_at.div_ceil(shards) + SPARE).min(CHUNK_MAX);
        if self.rounds == 0 {
            return share.min(FIRST_CHUNK);
        }
        // Half of what is left, shared by all shards: what is read and not used at a page's end is read again by the next.
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

/// Items of one shard, the last id read where there may be more, and the read units used.
async fn query(
    app: &App,
    shard: &Shard<'_>,
    order: Order,
    limit: usize,
) -> Result<(Vec<(EventId, Item)>, Option<EventId>, f64), StoreError> {
    let Shard { source, partition, read_to, .. } = shard;
    let bound = |id: Option<EventId>, otherwise: &str| id.map_or_else(|| otherwise.to_owned(), |id| id.to_string());
    let (first, last) = source.window;
    // Nor can it begin before its window: what was read to there is the window's beginning.
    let is_inside = |id: &EventId| first.is_none_or(|first| first <= *id) && last.is_none_or(|last| *id <= last);
    let start = read_to.filter(is_inside).map(|after| keys::at(partition, after));
    let now_s = app.clock.now().unix_seconds();
    let mut attributes = vec![keys::PARTITION, keys::ID, keys::EXPIRES_AT];
    attributes.extend(source.attributes.iter().filter(|name| **name != keys::ID));
    let projection = source.attributes.iter().map(|name| format!("#{name}")).collect::<Vec<_>>().join(", ");
    let call = app.dynamodb.query().table_name(source.table).consistent_read(source.consistent);
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

/// The event's id in an item's key.
pub fn id_of(key: &Item) -> Option<EventId> {
    key.get(keys::ID)?.as_s().ok()?.parse().ok()
}
