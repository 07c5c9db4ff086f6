//! The operator's custom event types. The built-in types are not stored.

pub use crate::found_types::Known;
use crate::{
    Store,
    item::{StoreError, from_item, names, text, to_item},
    keys,
};
use domain::{
    event_type::{
        CUSTOM_TYPES_MAX, CatalogueEntry, EventType, Sample, UnknownTypes, built_in, find_built_in, is_built_in,
    },
    schema::{Judge, Schema, Validation, Version},
};
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// A custom type as it is stored.
#[derive(Serialize, Deserialize)]
struct EventTypeItem {
    #[serde(rename = "id")]
    name: EventType,
    description: String,
    object: String,
    previous_data: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<Version>,
    #[serde(flatten)]
    judging: Judging,
}

/// The attributes of a stored type that say how its events are judged. Earlier items have none.
#[derive(Default, Serialize, Deserialize)]
struct Judging {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    schema: Option<String>,
    #[serde(default)]
    validation: Validation,
}

impl Judging {
    fn schema(&mut self) -> Result<Option<Schema>, StoreError> {
        let stored = self.schema.take().map(Schema::stored).transpose();
        stored.map_err(|error| StoreError::Malformed(format!("a schema is not JSON: {error}")))
    }
}

impl TryFrom<EventTypeItem> for CatalogueEntry {
    type Error = StoreError;
    fn try_from(mut item: EventTypeItem) -> Result<Self, StoreError> {
        let raw = |json: String| {
            RawValue::from_string(json).map_err(|error| StoreError::Malformed(format!("a sample is not JSON: {error}")))
        };
        let sample = Sample { object: raw(item.object)?, previous_data: item.previous_data.map(raw).transpose()? };
        let schema = item.judging.schema()?;
        let (version, validation) = (item.version, item.judging.validation);
        Ok(Self { name: item.name, description: item.description, sample, schema, version, validation })
    }
}

/// What the catalogue says about the types of a request.
#[derive(Clone, Debug, Default)]
pub struct Types {
    /// Those that it lacks.
    pub unknown: UnknownTypes,
    /// Those whose events are judged.
    pub judges: BTreeMap<EventType, Arc<Judge>>,
}

/// Stores a custom event type. It replaces the one of the same name.
pub async fn put(store: &Store, entry: &CatalogueEntry) -> Result<(), StoreError> {
    let mut item = to_item(&EventTypeItem {
        name: entry.name.clone(),
        description: entry.description.clone(),
        object: entry.sample.object.get().to_owned(),
        previous_data: entry.sample.previous_data.as_ref().map(|raw| raw.get().to_owned()),
        version: entry.version.clone(),
        judging: Judging {
            schema: entry.schema.as_ref().map(|schema| schema.as_str().to_owned()),
            validation: entry.validation,
        },
    })?;
    item.extend(keys::event_type(entry.name.as_str()));
    let put = store.dynamodb.put_item().table_name(&store.settings.webhooks).set_item(Some(item)).send().await;
    // Forget the earlier version even if the call failed: it may have been replaced.
    store.found_types.forget(&entry.name);
    put?;
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

/// Returns the type of that name, or `None` if the catalogue has none. A custom type that this process has found counts as known
/// for 30 s without another read. Whether its events are judged comes with the same read.
pub async fn known(store: &Store, name: &EventType) -> Result<Option<Known>, StoreError> {
    if is_built_in(name) {
        return Ok(Some(Known::default()));
    }
    if let Some(known) = store.found_types.get(name, store.clock.now()) {
        return Ok(Some(known));
    }
    let changes = store.found_types.changes();
    let asked_at = store.clock.now();
    let call = store.dynamodb.get_item().table_name(&store.settings.webhooks).consistent_read(true);
    let call = call.projection_expression("#id, #schema, #validation");
    let call = call.set_expression_attribute_names(Some(names(&[keys::ID, "schema", "validation"])));
    let Some(item) = call.set_key(Some(keys::event_type(name.as_str()))).send().await?.item else { return Ok(None) };
    let mut judging: Judging = from_item(item)?;
    let schema = judging.schema()?;
    let judge = schema.and_then(|schema| Judge::new(judging.validation, schema)).map(Arc::new);
    Ok(Some(store.found_types.keep(name, Known { judge }, asked_at, changes)))
}

/// Looks up the types of a request.
pub async fn look_up(store: &Store, types: BTreeSet<EventType>) -> Result<Types, StoreError> {
    let found = try_join_all(types.iter().map(|name| known(store, name))).await?;
    let (mut unknown, mut judges) = (BTreeSet::new(), BTreeMap::new());
    for (name, known) in types.into_iter().zip(found) {
        match known {
            None => drop(unknown.insert(name)),
            Some(Known { judge: Some(judge) }) => drop(judges.insert(name, judge)),
            Some(Known { judge: None }) => {}
        }
    }
    let unknown =
        if unknown.is_empty() { UnknownTypes::default() } else { UnknownTypes::new(unknown, &catalogue(store).await?) };
    Ok(Types { unknown, judges })
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
