//! The operator's own event types. The built-in ones are not stored.

use super::{StoreError, from_item, keys, names, text, to_item};
use crate::{
    app::App,
    event_type::{CatalogueEntry, EventType, Sample, UnknownTypes, built_in, find_built_in},
};
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeSet;

/// Custom types that may be listed: the catalogue is one page.
pub const CUSTOM_MAX: usize = 1000;

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
    let deleted = call.set_key(Some(keys::event_type(name.as_str()))).send().await?;
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

/// Those of `types` that are unknown.
pub async fn unknown(app: &App, types: BTreeSet<EventType>) -> Result<UnknownTypes, StoreError> {
    let found = try_join_all(types.iter().map(|name| find(app, name))).await?;
    let unknown: BTreeSet<_> =
        types.into_iter().zip(found).filter(|(_, found)| found.is_none()).map(|(name, _)| name).collect();
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
