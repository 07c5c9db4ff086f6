//! Lists over shards: one sorted list out of the partitions that one account's events, or one webhook's deliveries, are
//! spread over. A cursor is the id of the last item looked at, so new items never shift a page, and a forged cursor can only
//! name a place in the caller's own partitions.

use super::{Item, StoreError, keys, names, number, text, webhooks::Order};
use crate::{app::App, id::EventId};
use futures::future::try_join_all;

/// Pages of the shards read for one answer, where a filter leaves most items out. An answer may then be short; its cursor
/// goes on.
const ROUNDS_MAX: usize = 10;

/// What a list reads.
#[derive(Debug)]
pub struct Listing<'a> {
    /// The table.
    pub table: &'a str,
    /// The partitions of the list.
    pub partitions: Vec<String>,
    /// Which way it goes.
    pub order: Order,
    /// Ids at or before this one (in `order`) were seen.
    pub after: Option<EventId>,
    /// The first and the last id wanted.
    pub window: (Option<EventId>, Option<EventId>),
    /// Items wanted.
    pub limit: usize,
}

/// A page of a list.
#[derive(Debug)]
pub struct Page<T> {
    /// What was kept, in order.
    pub items: Vec<T>,
    /// Where to go on, where there may be more.
    pub next: Option<EventId>,
}

/// Reads a page, keeping what `keep` makes something of. Expired items that DynamoDB has not deleted yet are left out.
pub async fn list<T>(
    app: &App,
    listing: Listing<'_>,
    keep: impl Fn(Item) -> Result<Option<T>, StoreError>,
) -> Result<Page<T>, StoreError> {
    let mut page = Page { items: Vec::new(), next: listing.after };
    for _ in 0..ROUNDS_MAX {
        let (items, end) = read_round(app, &listing, page.next).await?;
        for (id, item) in items {
            if page.items.len() == listing.limit {
                return Ok(page);
            }
            page.next = Some(id);
            page.items.extend(keep(item)?);
        }
        match end {
            None => {
                page.next = None;
                return Ok(page);
            }
            Some(end) => page.next = Some(end),
        }
    }
    Ok(page)
}

/// One query of each shard, merged up to the id that every shard has been read to; that id, where there may be more.
async fn read_round(
    app: &App,
    listing: &Listing<'_>,
    after: Option<EventId>,
) -> Result<(Vec<(EventId, Item)>, Option<EventId>), StoreError> {
    let shards = listing.partitions.iter().map(|partition| read_shard(app, listing, partition, after));
    let shards = try_join_all(shards).await?;
    let is_before = |left: EventId, right: EventId| match listing.order {
        Order::Oldest => left < right,
        Order::Newest => left > right,
    };
    let ends = shards.iter().filter_map(|(_, end)| *end);
    let end = ends.reduce(|first, end| if is_before(end, first) { end } else { first });
    let mut items: Vec<_> = shards.into_iter().flat_map(|(items, _)| items).collect();
    items.retain(|(id, _)| end.is_none_or(|end| !is_before(end, *id)));
    items.sort_by_key(|(id, _)| *id);
    if listing.order == Order::Newest {
        items.reverse();
    }
    Ok((items, end))
}

/// Items of one shard, and the last id read where there may be more.
async fn read_shard(
    app: &App,
    listing: &Listing<'_>,
    partition: &str,
    after: Option<EventId>,
) -> Result<(Vec<(EventId, Item)>, Option<EventId>), StoreError> {
    let bound = |id: Option<EventId>, otherwise: &str| id.map_or_else(|| otherwise.to_owned(), |id| id.to_string());
    let (first, last) = listing.window;
    let start = after.map(|after| keys::at(partition, after));
    let now_s = app.clock.now().unix_seconds();
    let call = app.dynamodb.query().table_name(listing.table).consistent_read(true);
    let call = call.key_condition_expression("#partition = :partition AND #id BETWEEN :from AND :to");
    let call = call.filter_expression("attribute_not_exists(#expires_at) OR #expires_at > :now");
    let call = call.set_expression_attribute_names(Some(names(&[keys::PARTITION, keys::ID, keys::EXPIRES_AT])));
    let call = call
        .expression_attribute_values(":partition", text(partition))
        .expression_attribute_values(":now", number(now_s));
    let call = call.expression_attribute_values(":from", text(bound(first, EventId::PREFIX)));
    let call = call.expression_attribute_values(":to", text(bound(last, "evt_~"))).set_exclusive_start_key(start);
    let call = call.limit(i32::try_from(listing.limit + 1).unwrap_or(i32::MAX));
    let found = call.scan_index_forward(listing.order == Order::Oldest).send().await?;
    let end = found.last_evaluated_key.as_ref().and_then(id_of);
    let items = found.items.unwrap_or_default().into_iter().filter_map(|item| Some((id_of(&item)?, item)));
    Ok((items.collect(), end))
}

/// The event's id in an item's key.
pub fn id_of(key: &Item) -> Option<EventId> {
    key.get(keys::ID)?.as_s().ok()?.parse().ok()
}
