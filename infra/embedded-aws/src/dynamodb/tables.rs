//! Tables, as the engine stores them: the keys of a table, and its rows.

use super::{
    Mine, NotMine,
    items::{Attributes, Members, Value, text_of},
    require,
};
use dynoxide::{
    AttributeValue, TableMetadata,
    storage::{Storage, compute_hash_prefix},
    storage_backend::sql_builders::escape_table_name,
    types::{AttributeDefinition, KeySchemaElement, KeyType, ScalarAttributeType},
};
use rusqlite::{Connection, OptionalExtension, Row};
use std::{collections::HashMap, sync::Arc};

/// The most bytes of a partition key.
const PARTITION_BYTES_MAX: usize = 2048;
/// The most bytes of a sort key.
const SORT_BYTES_MAX: usize = 1024;

/// The tables that requests have named so far, except those that the fast path leaves to the engine.
#[derive(Debug, Default)]
pub(super) struct Tables(HashMap<String, Arc<Table>>);

impl Tables {
    /// Forgets all tables.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    /// Returns the table `name`.
    pub(super) fn get(&mut self, storage: &Storage, name: &str) -> Mine<Arc<Table>> {
        if let Some(table) = self.0.get(name) {
            return Ok(Arc::clone(table));
        }
        let table = Arc::new(Table::of(&storage.get_table_metadata(name)?.ok_or(NotMine)?)?);
        self.0.insert(name.to_owned(), Arc::clone(&table));
        Ok(table)
    }
}

/// A table with a partition key and a sort key that are strings, and without indexes and streams.
#[derive(Debug)]
pub(super) struct Table {
    /// Its name.
    pub(super) name: String,
    /// The name of the partition key.
    pub(super) partition: String,
    /// The name of the sort key.
    pub(super) sort: String,
    select: String,
    select_forward: String,
    select_backward: String,
    insert: String,
    update: String,
    delete: String,
}

/// The key of an item. Its texts are as the engine stores them, with the type in front.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// The text of the partition key.
    pub(super) partition: String,
    /// The text of the sort key.
    pub(super) sort: String,
}

/// An item that is stored.
#[derive(Debug)]
pub(super) struct Stored {
    row: i64,
    /// The item, as JSON.
    pub(super) json: String,
    /// Its size as `DynamoDB` bills it.
    pub(super) size: usize,
}

/// The items of a query.
#[derive(Debug)]
pub(super) struct Range {
    /// The text of the partition key.
    pub(super) partition: String,
    /// The first text of the sort key.
    pub(super) from: String,
    /// The text of the sort key before which the items end.
    pub(super) to: String,
    /// Whether they are read in ascending order.
    pub(super) is_forward: bool,
}

impl Table {
    fn of(table: &TableMetadata) -> Mine<Self> {
        let is_none = |indexes: &Option<String>| {
            indexes.as_deref().is_none_or(|indexes| matches!(indexes.trim(), "" | "[]" | "null"))
        };
        require(is_none(&table.gsi_definitions) && is_none(&table.lsi_definitions))?;
        require(is_none(&table.vector_index_definitions) && !table.stream_enabled && table.table_status == "ACTIVE")?;
        let keys: Vec<KeySchemaElement> = serde_json::from_str(&table.key_schema)?;
        let types: Vec<AttributeDefinition> = serde_json::from_str(&table.attribute_definitions)?;
        let is_text = |name: &str| {
            types.iter().any(|of| of.attribute_name == name && of.attribute_type == ScalarAttributeType::S)
        };
        let (partition, sort) = match keys.as_slice() {
            [one, two] if one.key_type == KeyType::HASH && two.key_type == KeyType::RANGE => {
                (one.attribute_name.clone(), two.attribute_name.clone())
            }
            _ => return Err(NotMine),
        };
        require(is_text(&partition) && is_text(&sort))?;
        let name = table.table_name.clone();
        let rows = format!("\"{}\"", escape_table_name(&name));
        let range = format!("SELECT sk, item_json, item_size FROM {rows} WHERE pk = ?1 AND sk >= ?2 AND sk < ?3");
        Ok(Self {
            select: format!("SELECT rowid, item_json, item_size FROM {rows} WHERE pk = ?1 AND sk = ?2"),
            select_forward: format!("{range} ORDER BY sk ASC LIMIT ?4"),
            select_backward: format!("{range} ORDER BY sk DESC LIMIT ?4"),
            insert: format!(
                "INSERT INTO {rows} (pk, sk, item_json, item_size, hash_prefix) VALUES (?1, ?2, ?3, ?4, ?5)"
            ),
            update: format!("UPDATE {rows} SET item_json = ?2, item_size = ?3 WHERE rowid = ?1"),
            delete: format!("DELETE FROM {rows} WHERE rowid = ?1"),
            name,
            partition,
            sort,
        })
    }

    /// Returns the key of an item.
    pub(super) fn key_in(&self, item: &Attributes<'_>) -> Mine<Key> {
        let text = |name: &str| text_of(item.get(name).ok_or(NotMine)?);
        key(&text(&self.partition)?, &text(&self.sort)?)
    }

    /// Returns the key that consists of these attributes alone.
    pub(super) fn key_of(&self, attributes: &Members<'_, Value<'_>>) -> Mine<Key> {
        require(attributes.0.len() == 2)?;
        let text = |name: &str| match attributes.get(name) {
            Some(Value::S(text)) => Ok(text.0.as_ref()),
            _ => Err(NotMine),
        };
        key(text(&self.partition)?, text(&self.sort)?)
    }

    /// Reads the item at `key`.
    pub(super) fn find(&self, connection: &Connection, key: &Key) -> Mine<Option<Stored>> {
        let read = |row: &Row<'_>| Ok(Stored { row: row.get(0)?, json: row.get(1)?, size: row.get(2)? });
        Ok(connection.prepare_cached(&self.select)?.query_row([&key.partition, &key.sort], read).optional()?)
    }

    /// Reads the items of a range, at most `limit` of them. Calls `each` with the text of the sort key, the item as JSON and its size,
    /// until it returns false.
    pub(super) fn read(
        &self,
        connection: &Connection,
        range: &Range,
        limit: Option<usize>,
        mut each: impl FnMut(&str, &str, usize) -> Mine<bool>,
    ) -> Mine<()> {
        let select = if range.is_forward { &self.select_forward } else { &self.select_backward };
        let mut select = connection.prepare_cached(select)?;
        let limit = limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
        let mut rows = select.query((&range.partition, &range.from, &range.to, limit))?;
        while let Some(row) = rows.next()? {
            if !each(row.get_ref(0)?.as_str()?, row.get_ref(1)?.as_str()?, row.get(2)?)? {
                break;
            }
        }
        Ok(())
    }

    /// Stores an item in place of `stored`.
    pub(super) fn write(
        &self,
        connection: &Connection,
        key: &Key,
        stored: Option<&Stored>,
        (json, size): (&str, usize),
    ) -> Mine<()> {
        let size = i64::try_from(size)?;
        match stored {
            Some(stored) => connection.prepare_cached(&self.update)?.execute((stored.row, json, size))?,
            None => {
                let partition = AttributeValue::S(untyped(&key.partition).to_owned());
                let hash = compute_hash_prefix(&partition);
                connection.prepare_cached(&self.insert)?.execute((&key.partition, &key.sort, json, size, hash))?
            }
        };
        Ok(())
    }

    /// Deletes an item.
    pub(super) fn delete(&self, connection: &Connection, stored: &Stored) -> Mine<()> {
        connection.prepare_cached(&self.delete)?.execute([stored.row])?;
        Ok(())
    }
}

/// Returns the key with these values.
fn key(partition: &str, sort: &str) -> Mine<Key> {
    require((1..=PARTITION_BYTES_MAX).contains(&partition.len()) && (1..=SORT_BYTES_MAX).contains(&sort.len()))?;
    Ok(Key { partition: typed(partition), sort: typed(sort) })
}

/// Returns a key's text as the engine stores it.
pub(super) fn typed(text: &str) -> String {
    format!("S:{text}")
}

/// Returns the value of a key's text.
pub(super) fn untyped(text: &str) -> &str {
    text.strip_prefix("S:").unwrap_or(text)
}
