//! Idempotency keys: the first use of a key fixes when and under which ids its events are published, so that every further
//! use, concurrent ones and those after a crash included, ends in the same events and the same answer.

use super::{StoreError, from_item, keys, names, number, to_item};
use crate::{
    app::App,
    event_type::UnknownTypes,
    id::{AccountId, EventId},
    time::Timestamp,
};
use aws_sdk_dynamodb::{operation::put_item::PutItemError, types::ReturnValuesOnConditionCheckFailure};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// Most characters of a key.
pub const KEY_MAX: usize = 255;

/// How long a key is kept.
pub const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// What the first use of a key fixed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstUse {
    /// SHA-256 of what tells the request from others, in hex.
    pub fingerprint: String,
    /// When it came: the time in its events' ids.
    pub made_at: Timestamp,
    /// What its events' ids are derived from.
    pub seed: String,
    /// The types for which it was refused, or some events of its batch were.
    #[serde(default, skip_serializing_if = "UnknownTypes::is_empty")]
    pub unknown_types: UnknownTypes,
    /// Whether its events are published.
    pub done: bool,
    /// When the key is free again, in seconds since the Unix epoch.
    expires_at: i64,
}

impl FirstUse {
    /// The id of its `index`th event.
    pub fn event_id(&self, index: usize) -> EventId {
        EventId::derived(self.made_at, format!("{} {index}", self.seed).as_bytes())
    }
}

fn sha256(parts: &[&[u8]]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    hex::encode(digest.finalize())
}

/// Begins the use of `key` for the request that `parts` (its route and its body) tell from others, and which is judged by
/// `unknown_types`. Gives the key's first use, which may be this one; `None` where that was for another request.
pub async fn begin(
    app: &App,
    account: &AccountId,
    key: &str,
    parts: &[&[u8]],
    unknown_types: &UnknownTypes,
) -> Result<Option<FirstUse>, StoreError> {
    let now = app.clock.now();
    let first = FirstUse {
        fingerprint: sha256(parts),
        made_at: now,
        seed: hex::encode(app.random.bytes::<16>()),
        unknown_types: unknown_types.clone(),
        done: false,
        expires_at: now.plus(KEPT).unix_seconds(),
    };
    let mut item = to_item(&first)?;
    item.extend(keys::idempotency(account, &sha256(&[key.as_bytes()])));
    let call = app.dynamodb.put_item().table_name(&app.config.events_table).set_item(Some(item));
    // DynamoDB deletes expired items late, so the condition tests the expiry itself.
    let call = call.condition_expression("attribute_not_exists(#id) OR #expires_at <= :now");
    let call = call.set_expression_attribute_names(Some(names(&[keys::ID, keys::EXPIRES_AT])));
    let call = call.expression_attribute_values(":now", number(now.unix_seconds()));
    let call = call.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    match call.send().await {
        Ok(_) => Ok(Some(first)),
        Err(error) => match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(refused)) => {
                let earlier: FirstUse = from_item(refused.item.clone().unwrap_or_default())?;
                Ok(Some(earlier).filter(|earlier| earlier.fingerprint == first.fingerprint))
            }
            _ => Err(error.into()),
        },
    }
}

/// Whether `key` is in use for the request that `parts` tell from others.
pub async fn is_used(app: &App, account: &AccountId, key: &str, parts: &[&[u8]]) -> Result<bool, StoreError> {
    let call = app.dynamodb.get_item().table_name(&app.config.events_table).consistent_read(true);
    let call = call.set_key(Some(keys::idempotency(account, &sha256(&[key.as_bytes()]))));
    let Some(item) = call.send().await?.item else { return Ok(false) };
    let earlier: FirstUse = from_item(item)?;
    Ok(earlier.fingerprint == sha256(parts) && earlier.expires_at > app.clock.now().unix_seconds())
}

/// Notes that the events of the key's first use are published.
pub async fn finish(app: &App, account: &AccountId, key: &str, first: &FirstUse) -> Result<(), StoreError> {
    let mut item = to_item(&FirstUse { done: true, ..first.clone() })?;
    item.extend(keys::idempotency(account, &sha256(&[key.as_bytes()])));
    app.dynamodb.put_item().table_name(&app.config.events_table).set_item(Some(item)).send().await?;
    Ok(())
}
