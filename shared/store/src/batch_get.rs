//! `BatchGetItem`, repeated for the keys that DynamoDB leaves unprocessed.

use crate::{
    Store,
    aws::back_off,
    item::{Item, StoreError},
};
use aws_sdk_dynamodb::types::KeysAndAttributes;
use std::collections::HashMap;

/// The most tries of one `BatchGetItem` that DynamoDB answers in part. The growing waits in between are about three seconds in
/// all.
const TRIES: u32 = 7;
/// The most keys of one `BatchGetItem`.
pub(crate) const KEYS_MAX: usize = 100;

/// Reads at most [`KEYS_MAX`] items from some tables, consistently. Returns each item with its table's name.
pub(crate) async fn batch_get<'a>(
    store: &Store,
    wanted: impl IntoIterator<Item = (&'a String, Vec<Item>)>,
) -> Result<Vec<(String, Item)>, StoreError> {
    let wanted = wanted.into_iter().map(|(table, keys)| {
        let keys = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build();
        keys.map(|keys| (table.clone(), keys)).map_err(|error| StoreError::DynamoDb(error.to_string()))
    });
    let mut wanted = wanted.collect::<Result<HashMap<_, _>, _>>()?;
    let mut found = Vec::new();
    for tries in 0..TRIES {
        if wanted.is_empty() {
            return Ok(found);
        }
        back_off(&store.random, tries).await;
        let answer = store.dynamodb.batch_get_item().set_request_items(Some(wanted)).send().await?;
        for (table, items) in answer.responses.unwrap_or_default() {
            found.extend(items.into_iter().map(|item| (table.clone(), item)));
        }
        wanted = answer.unprocessed_keys.unwrap_or_default();
    }
    if wanted.is_empty() {
        Ok(found)
    } else {
        Err(StoreError::Throttled("a batch was answered only in part at every try".to_owned()))
    }
}
