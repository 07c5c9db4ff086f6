//! Idempotency keys. The first use of a key fixes the time and the ids of its events. Every further use, even a concurrent one
//! or one after a crash, therefore ends with the same events and the same answer. The first use of a rotation's key fixes the
//! seed of its secret and, when it is done, its answer.

use crate::{
    Store,
    item::{StoreError, from_item, names, number, to_item},
    keys,
};
use aws_sdk_dynamodb::{
    operation::put_item::{PutItemError, builders::PutItemFluentBuilder},
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use domain::{account::AccountId, digest, findings::Findings, id::EventId, time::Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The most characters of a key.
pub const KEY_MAX: usize = 255;

/// How long a key is kept.
pub const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// What the first use of a key fixed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstUse {
    /// The SHA-256 of the request's parts, in hex: it distinguishes the request from others.
    pub fingerprint: String,
    /// When the request arrived: the time in its events' ids.
    pub made_at: Timestamp,
    /// What its events' ids are derived from, together with their indices.
    pub seed: String,
    /// Why the request, or some events of its batch, were refused, and with which warnings the others were published.
    #[serde(flatten)]
    pub findings: Findings,
    /// Whether the request's events are published, or its rotation is carried out.
    pub done: bool,
    /// The answer of a rotation, without the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// When the key may be used again, in seconds since the Unix epoch.
    expires_at: i64,
}

impl FirstUse {
    /// Returns the id of the request's event at `index`.
    pub fn event_id(&self, index: usize) -> EventId {
        EventId::derived(self.made_at, format!("{} {index}", self.seed).as_bytes())
    }
}

/// Returns the digest of the parts, in hex.
fn sha256(parts: &[&[u8]]) -> String {
    hex::encode(digest::of_parts(parts))
}

/// Begins the use of `key` for a request. `parts` (its route and its body) distinguish the request from others, and
/// `findings` are what its answer says about its events. Returns the key's first use, which may be this one, or `None` if the
/// first use was for another request.
pub async fn begin(
    store: &Store,
    account: &AccountId,
    key: &str,
    parts: &[&[u8]],
    findings: &Findings,
) -> Result<Option<FirstUse>, StoreError> {
    let now = store.clock.now();
    let first = FirstUse {
        fingerprint: sha256(parts),
        made_at: now,
        seed: hex::encode(store.random.bytes::<16>()),
        findings: findings.clone(),
        done: false,
        answer: None,
        expires_at: now.plus(KEPT).unix_seconds(),
    };
    let call = put(store, account, key, &first)?;
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

/// Whether `key` is in use for the request with these `parts`.
pub async fn is_used(store: &Store, account: &AccountId, key: &str, parts: &[&[u8]]) -> Result<bool, StoreError> {
    let call = store.dynamodb.get_item().table_name(&store.settings.events).consistent_read(true);
    let call = call.set_key(Some(keys::idempotency(account, &sha256(&[key.as_bytes()]))));
    let Some(item) = call.send().await?.item else { return Ok(false) };
    let earlier: FirstUse = from_item(item)?;
    Ok(earlier.fingerprint == sha256(parts) && earlier.expires_at > store.clock.now().unix_seconds())
}

/// Records that the events of the key's first use are published.
pub async fn finish(store: &Store, account: &AccountId, key: &str, first: &FirstUse) -> Result<(), StoreError> {
    put(store, account, key, &FirstUse { done: true, ..first.clone() })?.send().await?;
    Ok(())
}

/// Records that the key's first use is done, with its answer. Returns the recorded answer, which is that of a concurrent use if
/// it was recorded first.
pub async fn finish_with(
    store: &Store,
    account: &AccountId,
    key: &str,
    first: &FirstUse,
    answer: String,
) -> Result<String, StoreError> {
    let done = FirstUse { done: true, answer: Some(answer.clone()), ..first.clone() };
    let call = put(store, account, key, &done)?.condition_expression("attribute_not_exists(#id) OR #done = :no");
    let call = call.set_expression_attribute_names(Some(names(&[keys::ID, "done"])));
    let call = call.expression_attribute_values(":no", AttributeValue::Bool(false));
    let call = call.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    match call.send().await {
        Ok(_) => Ok(answer),
        Err(error) => match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(refused)) => {
                let earlier: FirstUse = from_item(refused.item.clone().unwrap_or_default())?;
                Ok(earlier.answer.unwrap_or(answer))
            }
            _ => Err(error.into()),
        },
    }
}

/// Prepares the write of a key.
fn put(store: &Store, account: &AccountId, key: &str, first: &FirstUse) -> Result<PutItemFluentBuilder, StoreError> {
    let mut item = to_item(first)?;
    item.extend(keys::idempotency(account, &sha256(&[key.as_bytes()])));
    Ok(store.dynamodb.put_item().table_name(&store.settings.events).set_item(Some(item)))
}
