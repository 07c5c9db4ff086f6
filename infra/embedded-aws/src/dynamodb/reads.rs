//! The fast path of `GetItem`, `BatchGetItem` and `Query`.

use super::{
    FastPath, Mine, NotMine,
    answers::{Answer, consumed_json},
    expressions::{Condition, KeyCondition, Scope, SortCondition},
    items::{Attributes, append, append_text},
    requests::{BatchGetItem, Consumed, GetItem, Query, Select},
    require,
    tables::{Key, Range, Table, typed, untyped},
};
use crate::wire::Reply;
use dynoxide::{storage::Storage, types::read_capacity_units_with_consistency};
use rusqlite::Connection;

/// The most keys of a `BatchGetItem`.
const KEYS_MAX: usize = 100;
/// The most bytes of the items of a `BatchGetItem`.
const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The most bytes of items that a query reads.
const QUERY_BYTES_MAX: usize = 1024 * 1024;
/// The most bytes of a value that a query's keys are compared with.
const BOUND_BYTES_MAX: usize = 1000;

impl FastPath {
    /// Answers `GetItem`.
    pub(super) fn get(&mut self, storage: &Storage, request: &GetItem<'_>) -> Mine<Reply> {
        let table = self.tables.get(storage, request.table_name)?;
        let key = table.key_of(&request.key)?;
        let projection = self.expressions.projections.get_if(request.projection_expression)?;
        let used = [projection.as_deref().map(|projection| &projection.placeholders)];
        let scope = Scope::new(request.expression_attribute_names.as_ref(), None, &used)?;
        let names = projection.map(|projection| projection.tree.names(&scope)).transpose()?;

        let stored = table.find(storage.conn(), &key)?;
        let mut answer = Answer::new();
        if let Some(stored) = &stored {
            append_item(answer.member("Item"), &stored.json, names.as_deref())?;
        }
        let size = stored.map_or(0, |stored| stored.size);
        let units = read_capacity_units_with_consistency(size, request.consistent_read);
        Ok(answer.with_consumed(request.return_consumed_capacity, &table.name, units).end())
    }

    /// Answers `BatchGetItem`.
    pub(super) fn batch_get(&mut self, storage: &Storage, request: &BatchGetItem<'_>) -> Mine<Reply> {
        let keys: usize = request.request_items.0.iter().map(|(_, wanted)| wanted.keys.len()).sum();
        require((1..=KEYS_MAX).contains(&keys))?;
        let (mut answer, mut size, mut consumed) = (Answer::new(), 0, Vec::new());
        let json = answer.member("Responses");
        json.push('{');
        for (at, (name, wanted)) in request.request_items.0.iter().enumerate() {
            let table = self.tables.get(storage, name)?;
            let keys = wanted.keys.iter().map(|key| table.key_of(key)).collect::<Mine<Vec<_>>>()?;
            let is_twice = |(at, key)| keys[..at].contains(key);
            require(!keys.is_empty() && !keys.iter().enumerate().any(is_twice))?;
            json.push_str(if at > 0 { "," } else { "" });
            append_text(json, name);
            json.push_str(":[");
            let (mut units, start) = (0.0, json.len());
            for key in &keys {
                let stored = table.find(storage.conn(), key)?;
                if let Some(stored) = &stored {
                    size += stored.size;
                    json.push_str(if json.len() > start { "," } else { "" });
                    json.push_str(&stored.json);
                }
                let size = stored.map_or(0, |stored| stored.size);
                units += read_capacity_units_with_consistency(size, wanted.consistent_read);
            }
            json.push(']');
            consumed.push(consumed_json(&table.name, units));
        }
        json.push('}');
        require(size <= BATCH_BYTES_MAX)?;
        let consumed =
            (request.return_consumed_capacity == Consumed::Total).then(|| format!("[{}]", consumed.join(",")));
        Ok(answer.with("UnprocessedKeys", Some("{}")).with("ConsumedCapacity", consumed.as_deref()).end())
    }

    /// Answers `Query`.
    pub(super) fn query(&mut self, storage: &Storage, request: &Query<'_>) -> Mine<Reply> {
        let table = self.tables.get(storage, request.table_name)?;
        let condition = self.expressions.keys.get(request.key_condition_expression)?;
        let filter = self.expressions.conditions.get_if(request.filter_expression)?;
        let projection = self.expressions.projections.get_if(request.projection_expression)?;
        let used = [
            Some(&condition.placeholders),
            filter.as_deref().map(|filter| &filter.placeholders),
            projection.as_deref().map(|projection| &projection.placeholders),
        ];
        let (names, values) = (&request.expression_attribute_names, &request.expression_attribute_values);
        let scope = Scope::new(Some(names), Some(values), &used)?;
        let limit = request.limit.map(usize::try_from).transpose()?;
        require(limit != Some(0) && !(projection.is_some() && request.select.is_some()))?;

        let range = range(&table, &condition.tree, &scope)?;
        let range = Range { is_forward: request.scan_index_forward.unwrap_or(true), ..range };
        let range = match &request.exclusive_start_key {
            Some(start) => after(range, table.key_of(start)?)?,
            None => range,
        };
        let wanted = Wanted {
            filter: filter.as_deref().map(|filter| &filter.tree),
            names: projection.map(|projection| projection.tree.names(&scope)).transpose()?,
            are_counted: request.select == Some(Select::Count),
            scope,
        };
        require(!wanted.is_about(&table.partition) && !wanted.is_about(&table.sort))?;
        let found = wanted.read(storage.conn(), &table, &range, limit)?;

        let items = (!wanted.are_counted).then(|| format!("[{}]", found.items));
        let last = found.last.map(|sort| key_json(&table, &range.partition, &sort));
        let answer = Answer::new()
            .with("Items", items.as_deref())
            .with("Count", Some(&found.count.to_string()))
            .with("ScannedCount", Some(&found.scanned.to_string()))
            .with("LastEvaluatedKey", last.as_deref());
        let units = read_capacity_units_with_consistency(found.size, request.consistent_read);
        Ok(answer.with_consumed(request.return_consumed_capacity, &table.name, units).end())
    }
}

/// Appends an item, or those of its attributes that have one of the `names`.
fn append_item(json: &mut String, item: &str, names: Option<&[&str]>) -> Mine<()> {
    let Some(names) = names else {
        json.push_str(item);
        return Ok(());
    };
    let item: Attributes<'_> = serde_json::from_str(item)?;
    append(json, names.iter().filter_map(|name| Some((*name, item.get(name)?.get()))));
    Ok(())
}

/// Returns the items that the condition of a query selects, in ascending order.
fn range(table: &Table, condition: &KeyCondition, scope: &Scope<'_>) -> Mine<Range> {
    let text = |value: &str| {
        let text = scope.text(value)?;
        require(text.len() <= BOUND_BYTES_MAX)?;
        Mine::Ok(typed(text))
    };
    let (name, value) = &condition.partition;
    require(scope.name(name)? == table.partition)?;
    let partition = text(value)?;
    let (from, to) = match &condition.sort {
        None => (typed(""), end_of(&typed(""))?),
        Some((name, sort)) => {
            require(scope.name(name)? == table.sort)?;
            match sort {
                SortCondition::BeginsWith(prefix) => {
                    let prefix = text(prefix)?;
                    let to = end_of(&prefix)?;
                    (prefix, to)
                }
                SortCondition::Between(first, last) => {
                    let (first, last) = (text(first)?, text(last)?);
                    require(first <= last)?;
                    (first, next_after(&last))
                }
            }
        }
    };
    Ok(Range { partition, from, to, is_forward: true })
}

/// Returns the items of a range that are read after `start`.
fn after(range: Range, start: Key) -> Mine<Range> {
    require(start.partition == range.partition && (&range.from..&range.to).contains(&&start.sort))?;
    Ok(if range.is_forward {
        Range { from: next_after(&start.sort), ..range }
    } else {
        Range { to: start.sort, ..range }
    })
}

/// Returns the least text that is greater than `text`.
fn next_after(text: &str) -> String {
    format!("{text}\0")
}

/// Returns the least text that is greater than every text with this prefix.
fn end_of(prefix: &str) -> Mine<String> {
    let last = prefix.chars().next_back().ok_or(NotMine)?;
    // There are no characters between these two.
    let next = if last == '\u{d7ff}' { Some('\u{e000}') } else { char::from_u32(u32::from(last) + 1) };
    let mut end = prefix[..prefix.len() - last.len_utf8()].to_owned();
    end.push(next.ok_or(NotMine)?);
    Ok(end)
}

/// Returns a key as JSON.
fn key_json(table: &Table, partition: &str, sort: &str) -> String {
    let mut json = String::new();
    for (start, name, text) in [("{", &table.partition, partition), (",", &table.sort, sort)] {
        json.push_str(start);
        append_text(&mut json, name);
        json.push_str(":{\"S\":");
        append_text(&mut json, untyped(text));
        json.push('}');
    }
    json.push('}');
    json
}

/// What a query wants of the items of its range.
struct Wanted<'a> {
    filter: Option<&'a Condition>,
    /// The names of the attributes that are returned, if not all.
    names: Option<Vec<&'a str>>,
    /// Whether the items are only counted.
    are_counted: bool,
    scope: Scope<'a>,
}

/// What a query has found.
#[derive(Default)]
struct Found {
    /// The items as JSON, with commas in between.
    items: String,
    /// How many items passed the filter.
    count: usize,
    /// How many items were read.
    scanned: usize,
    /// The size of the items that were read.
    size: usize,
    /// The text of the sort key of the last item that was read, if there may be more.
    last: Option<String>,
}

impl Wanted<'_> {
    /// Whether the filter is about an attribute.
    fn is_about(&self, name: &str) -> bool {
        self.filter.is_some_and(|filter| filter.is_about(&self.scope, name))
    }

    fn read(&self, connection: &Connection, table: &Table, range: &Range, limit: Option<usize>) -> Mine<Found> {
        let (mut found, mut last, mut is_cut) = (Found::default(), String::new(), false);
        table.read(connection, range, limit, |sort, json, size| {
            found.scanned += 1;
            is_cut = found.scanned > 1 && found.size + size > QUERY_BYTES_MAX;
            if is_cut {
                return Ok(false);
            }
            found.size += size;
            last.clear();
            last.push_str(sort);
            if let Some(filter) = self.filter
                && !filter.holds(&self.scope, &serde_json::from_str(json)?)?
            {
                return Ok(true);
            }
            found.count += 1;
            if !self.are_counted {
                found.items.push_str(if found.count > 1 { "," } else { "" });
                append_item(&mut found.items, json, self.names.as_deref())?;
            }
            Ok(true)
        })?;
        let has_more = is_cut || limit.is_some_and(|limit| found.scanned >= limit);
        found.last = Some(last).filter(|_| has_more);
        Ok(found)
    }
}
