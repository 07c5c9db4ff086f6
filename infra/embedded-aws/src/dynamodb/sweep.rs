//! The deletion of items whose time to live is over.

use super::dynoxide::fault;
use crate::wire::Fault;
use dynoxide::storage::{ScanParams, Storage};
use serde_json::Value;

/// The most items whose time to live is checked at a time. Requests wait for that long.
const SWEEP_PAGE: usize = 50;

/// The progress of a sweep through all tables.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sweep {
    tables_done: usize,
    after: Option<(String, String)>,
    /// Items deleted so far.
    pub(crate) deleted: usize,
    /// Whether every table has been swept.
    pub(crate) done: bool,
}

impl Sweep {
    /// Checks the next page of items, and deletes those whose time to live is over.
    pub(crate) fn page(mut self, storage: &Storage, now_s: i64) -> Result<Self, Fault> {
        let tables = storage.list_ttl_enabled_tables().map_err(fault)?;
        let Some(table) = tables.get(self.tables_done) else { return Ok(Self { done: true, ..self }) };
        let name = &table.table_name;
        let after = self.after.as_ref();
        let page = ScanParams {
            limit: Some(SWEEP_PAGE),
            exclusive_start_pk: after.map(|(partition, _)| partition.as_str()),
            exclusive_start_sk: after.map(|(_, sort)| sort.as_str()),
            ..ScanParams::default()
        };
        let items = storage.scan_items(name, &page).map_err(fault)?;
        let attribute = table.ttl_attribute.as_deref().unwrap_or_default();
        for (partition, sort, item) in &items {
            if expires_at(item, attribute).is_some_and(|expires_at| expires_at <= now_s) {
                storage.delete_item(name, partition, sort).map_err(fault)?;
                self.deleted += 1;
            }
        }
        let full = items.len() == SWEEP_PAGE;
        self.after = items.into_iter().next_back().filter(|_| full).map(|(partition, sort, _)| (partition, sort));
        self.tables_done += usize::from(!full);
        Ok(self)
    }
}

/// Returns when an item expires, in seconds since the Unix epoch.
fn expires_at(item: &str, attribute: &str) -> Option<i64> {
    let item: Value = serde_json::from_str(item).ok()?;
    item.get(attribute)?.get("N")?.as_str()?.parse().ok()
}
