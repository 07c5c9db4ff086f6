//! The operator's custom event types. The built-in types are not stored.

use crate::{
    Store,
    item::{StoreError, from_item, names, text, to_item},
    keys,
};
use domain::event_type::{
    CUSTOM_TYPES_MAX, CatalogueEntry, EventType, Sample, UnknownTypes, built_in, find_built_in, is_built_in,
};
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeSet;

/// A custom type as it is stored.
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
            RawValue::from_string(json).map_err(|error| StoreError::Malformed(format!("a sample is not JSON: {error}")))
        };
        let sample = Sample { object: raw(item.object)?, previous_data: item.previous_data.map(raw).transpose()? };
        Ok(Self { name: item.name, description: item.description, sample })
    }
}

/// Stores a custom event type. It replaces the one of the same name.
pub async fn put(store: &Store, entry: &CatalogueEntry) -> Result<(), StoreError> {
    let mut item = to_item(&EventTypeItem {
        name: entry.name.clone(),
        description: entry.description.clone(),
        object: entry.sample.object.get().to_owned(),
        previous_data: entry.sample.previous_data.as_ref().map(|raw| raw.get().to_owned()),
    })?;
    item.extend(keys::event_type(entry.name.as_str()));
    store.dynamodb.put_item().table_name(&store.settings.webhooks).set_item(Some(item)).send().await?;
    Ok(())
}

/// Deletes a custom event type. Returns false if there is none.
pub async fn delete(store: &Store, name: &EventType) -> Result<bool, StoreError> {
    let call = store.dynamodb.delete_item().table_name(&store.settings.webhooks);
    let call = call.return_values(aws_sdk_dynamodb::types::ReturnValue::AllOld);
    let deleted = call.set_key(Some(keys::event_type(name.as_str()))).send().await;
    // Forget the type even if the call failed: it may have been deleted.
    store.found_types.forget(name);
    let deleted = deleted?;
    Ok(deleted.attributes.is_some_and(|item| !item.is_empty()))
}

/// Returns the entry of that name, built in or custom.
pub async fn find(store: &Store, name: &EventType) -> Result<Option<CatalogueEntry>, StoreError> {
    if let Some(entry) = find_built_in(name) {
        return Ok(Some(entry));
    }
    let call = store.dynamodb.get_item().table_name(&store.settings.webhooks).consistent_read(true);
    let found = call.set_key(Some(keys::event_type(name.as_str()))).send().await?;
    found.item.map(|item| from_item::<EventTypeItem>(item)?.try_into()).transpose()
}

/// Whether the catalogue has that name. A custom type that this process has found counts as known for 30 s without another
/// read.
pub async fn is_known(store: &Store, name: &EventType) -> Result<bool, StoreError> {
    if is_built_in(name) || store.found_types.has(name, store.clock.now()) {
        return Ok(true);
    }
    let deletions = store.found_types.deletions();
    let asked_at = store.clock.now();
    let call = store.dynamodb.get_item().table_name(&store.settings.webhooks).consistent_read(true);
    let call = call.projection_expression("#id").set_expression_attribute_names(Some(names(&[keys::ID])));
    let is_found = call.set_key(Some(keys::event_type(name.as_str()))).send().await?.item.is_some();
    if is_found {
        store.found_types.keep(name, asked_at, deletions);
    }
    Ok(is_found)
}

/// Returns those of `types` that are unknown.
pub async fn unknown(store: &Store, types: BTreeSet<EventType>) -> Result<UnknownTypes, StoreError> {
    let known = try_join_all(types.iter().map(|name| is_known(store, name))).await?;
    let unknown: BTreeSet<_> =
        types.into_iter().zip(known).filter(|(_, is_known)| !is_known).map(|(name, _)| name).collect();
    if unknown.is_empty() {
        return Ok(UnknownTypes::default());
    }
    Ok(UnknownTypes::new(unknown, &catalogue(store).await?))
}

/// Returns the catalogue: the built-in entries, then the custom ones by name.
pub async fn catalogue(store: &Store) -> Result<Vec<CatalogueEntry>, StoreError> {
    let mut entries: Vec<_> = built_in().collect();
    let mut start = None;
    loop {
        let call = store.dynamodb.query().table_name(&store.settings.webhooks).consistent_read(true);
        let call = call.key_condition_expression("#account = :account");
        let call = call.set_expression_attribute_names(Some(names(&[keys::ACCOUNT])));
        let call = call.expression_attribute_values(":account", text(keys::EVENT_TYPES));
        let found = call.set_exclusive_start_key(start).send().await?;
        for item in found.items.unwrap_or_default() {
            entries.push(from_item::<EventTypeItem>(item)?.try_into()?);
        }
        start = found.last_evaluated_key;
        if start.is_none() || entries.len() > CUSTOM_TYPES_MAX {
            return Ok(entries);
        }
    }
}
