//! The operator's own event types. The built-in ones are not stored.

use super::{StoreError, from_item, keys, names, text, to_item};
use crate::{
    app::App,
    event_type::{CatalogueEntry, EventType, Sample, UnknownTypes, built_in, find_built_in, is_built_in},
    time::Timestamp,
};
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Custom types that there may be: the catalogue is one page, and a partition that one query or two read.
pub const CUSTOM_MAX: usize = 1000;
/// How long a process goes by having found a custom type. All of them are in one partition, which would otherwise bound the
/// publishing of a whole deployment.
const FOUND_KEPT: Duration = Duration::from_secs(30);

/// The custom types that this process has found lately, each with the time until which it goes by that. One that was not
/// found is asked for each time, so that a new one works at once. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct FoundTypes(Arc<Mutex<Found>>);

#[derive(Debug, Default)]
struct Found {
    until: HashMap<EventType, Timestamp>,
    /// Counts deletions by this process: what was read before one may be what it deleted.
    deletions: u64,
}

impl FoundTypes {
    fn lock(&self) -> MutexGuard<'_, Found> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has(&self, name: &EventType, now: Timestamp) -> bool {
        self.lock().until.get(name).is_some_and(|until| now < *until)
    }

    fn keep(&self, name: &EventType, now: Timestamp, deletions: u64) {
        let mut found = self.lock();
        if found.deletions == deletions {
            if found.until.len() >= CUSTOM_MAX {
                found.until.clear();
            }
            found.until.insert(name.clone(), now.plus(FOUND_KEPT));
        }
    }

    fn forget(&self, name: &EventType) {
        let mut found = self.lock();
        found.deletions += 1;
        found.until.remove(name);
    }
}

#[derive(Serialize, Deserialize)]
struct EventTypeItem {
    #[serde(rename = "id")]
    name: EventType,
    description: String,
    object: String,
    previous_data: Option<String>,
}

impl TryFrom<EventTypeItem> for CatalogueEntry {
    type Error = StoreError;
    fn try_from(item: EventTypeItem) -> Result<Self, StoreError> {
        let raw = |json: String| {
            RawValue::from_string(json).map_err(|error| StoreError::DynamoDb(format!("a sample is not JSON: {error}")))
        };
        let sample = Sample { object: raw(item.object)?, previous_data: item.previous_data.map(raw).transpose()? };
        Ok(Self { name: item.name, description: item.description, sample })
    }
}

/// Stores a custom event type, over the one of the same name.
pub async fn put(app: &App, entry: &CatalogueEntry) -> Result<(), StoreError> {
    let mut item = to_item(&EventTypeItem {
        name: entry.name.clone(),
        description: entry.description.clone(),
        object: entry.sample.object.get().to_owned(),
        previous_data: entry.sample.previous_data.as_ref().map(|raw| raw.get().to_owned()),
    })?;
    item.extend(keys::event_type(entry.name.as_str()));
    app.dynamodb.put_item().table_name(&app.config.webhooks_table).set_item(Some(item)).send().await?;
    Ok(())
}

/// Deletes a custom event type; false where there is none.
pub async fn delete(app: &App, name: &EventType) -> Result<bool, StoreError> {
    let call = app.dynamodb.delete_item().table_name(&app.config.webhooks_table);
    let call = call.return_values(aws_sdk_dynamodb::types::ReturnValue::AllOld);
    let deleted = call.set_key(Some(keys::event_type(name.as_str()))).send().await;
    // Whatever the answer: the type may be deleted.
    app.found_types.forget(name);
    let deleted = deleted?;
    Ok(deleted.attributes.is_some_and(|item| !item.is_empty()))
}

/// The entry of that name, built in or custom.
pub async fn find(app: &App, name: &EventType) -> Result<Option<CatalogueEntry>, StoreError> {
    if let Some(entry) = find_built_in(name) {
        return Ok(Some(entry));
    }
    let call = app.dynamodb.get_item().table_name(&app.config.webhooks_table).consistent_read(true);
    let found = call.set_key(Some(keys::event_type(name.as_str()))).send().await?;
    found.item.map(|item| from_item::<EventTypeItem>(item)?.try_into()).transpose()
}

/// Whether the catalogue has that name. For a custom one this process may go by what it found up to half a minute ago.
pub async fn is_known(app: &App, name: &EventType) -> Result<bool, StoreError> {
    if is_built_in(name) || app.found_types.has(name, app.clock.now()) {
        return Ok(true);
    }
    let deletions = app.found_types.lock().deletions;
    let asked_at = app.clock.now();
    let call = app.dynamodb.get_item().table_name(&app.config.webhooks_table).consistent_read(true);
    let call = call.projection_expression("#id").set_expression_attribute_names(Some(names(&[keys::ID])));
    let is_found = call.set_key(Some(keys::event_type(name.as_str()))).send().await?.item.is_some();
    if is_found {
        app.found_types.keep(name, asked_at, deletions);
    }
    Ok(is_found)
}

/// Those of `types` that are unknown.
pub async fn unknown(app: &App, types: BTreeSet<EventType>) -> Result<UnknownTypes, StoreError> {
    let known = try_join_all(types.iter().map(|name| is_known(app, name))).await?;
    let unknown: BTreeSet<_> =
        types.into_iter().zip(known).filter(|(_, is_known)| !is_known).map(|(name, _)| name).collect();
    if unknown.is_empty() {
        return Ok(UnknownTypes::default());
    }
    Ok(UnknownTypes::new(unknown, &catalogue(app).await?))
}

/// The catalogue: the built-in entries, then the custom ones by name.
pub async fn catalogue(app: &App) -> Result<Vec<CatalogueEntry>, StoreError> {
    let mut entries: Vec<_> = built_in().collect();
    let mut start = None;
    loop {
        let call = app.dynamodb.query().table_name(&app.config.webhooks_table).consistent_read(true);
        let call = call.key_condition_expression("#account = :account");
        let call = call.set_expression_attribute_names(Some(names(&[keys::ACCOUNT])));
        let call = call.expression_attribute_values(":account", text(keys::EVENT_TYPES));
        let found = call.set_exclusive_start_key(start).send().await?;
        for item in found.items.unwrap_or_default() {
            entries.push(from_item::<EventTypeItem>(item)?.try_into()?);
        }
        start = found.last_evaluated_key;
        if start.is_none() || entries.len() > CUSTOM_MAX {
            return Ok(entries);
        }
    }
}
