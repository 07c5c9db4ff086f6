//! The tables. One place makes keys ([`keys`]), one module an item type, one function an access pattern; a condition that
//! fails becomes a named outcome and never an error.

pub mod deliveries;
pub mod event_cache;
pub mod event_types;
pub mod events;
pub mod idempotency;
pub mod keys;
pub mod pace;
mod quota;
pub mod sharded;
pub mod tokens;
pub mod webhooks;

use crate::app::{self, App};
use aws_sdk_dynamodb::{
    error::{ProvideErrorMetadata, SdkError},
    operation::put_item::PutItemError,
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{collections::HashMap, error::Error};

/// An item as the SDK has it.
pub type Item = HashMap<String, AttributeValue>;

/// A table did not do what was asked; nothing is known of whether the call took effect.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// DynamoDB refused, or did not answer.
    #[error("DynamoDB: {0}")]
    DynamoDb(String),
    /// DynamoDB has no room for the request now; it did nothing.
    #[error("DynamoDB is throttled: {0}")]
    Throttled(String),
    /// An item is not what this version writes.
    #[error("an item cannot be read: {0}")]
    Item(#[from] serde_dynamo::Error),
    /// Another writer was faster each time.
    #[error("{0} is being changed too often")]
    Contended(String),
}

impl<E, R> From<SdkError<E, R>> for StoreError
where
    E: Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    fn from(error: SdkError<E, R>) -> Self {
        let causes = app::causes(&error);
        if app::is_throttling(error.code()) { Self::Throttled(causes) } else { Self::DynamoDb(causes) }
    }
}

/// What a conditional write came to.
#[derive(Debug)]
enum Written {
    /// The item is in the table.
    Yes,
    /// Another write was first: what stands there now.
    No(Option<Item>),
}

/// Writes `item`, version `version`, over the version before it, or as the first where it is 0.
///
/// The SDK may repeat a write whose answer was lost, and find its own work there: that is a write, not a refusal.
async fn put_version(app: &App, table: &str, mut item: Item, version: u64) -> Result<Written, StoreError> {
    item.insert("version".to_owned(), number(version));
    let call = app.dynamodb.put_item().table_name(table).set_item(Some(item.clone()));
    let call = call.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    let call = match version.checked_sub(1) {
        None => {
            call.condition_expression("attribute_not_exists(#id)").set_expression_attribute_names(Some(names(&["id"])))
        }
        Some(before) => call
            .condition_expression("#version = :before")
            .set_expression_attribute_names(Some(names(&["version"])))
            .expression_attribute_values(":before", number(before)),
    };
    match call.send().await {
        Ok(_) => Ok(Written::Yes),
        Err(error) => match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(refused)) => {
                let present = refused.item.clone();
                Ok(if present.as_ref() == Some(&item) { Written::Yes } else { Written::No(present) })
            }
            _ => Err(error.into()),
        },
    }
}

/// The version that an item was written as.
fn version_of(item: &Item) -> u64 {
    item.get("version").and_then(|version| version.as_n().ok()?.parse().ok()).unwrap_or(0)
}

/// The first `limit` of `rows`, of which one more was asked for, and the id of the last of them where there is a further
/// page. `unread` says that the table had more than it answered.
fn cut<T, I>(mut rows: Vec<T>, limit: usize, unread: bool, id: impl Fn(&T) -> I) -> (Vec<T>, Option<I>) {
    let more = unread || rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(id);
    (rows, next)
}

/// `#name` for each attribute's `name`: no name of ours can then be a reserved word.
fn names(names: &[&str]) -> HashMap<String, String> {
    names.iter().map(|name| (format!("#{name}"), (*name).to_owned())).collect()
}

fn text(value: impl ToString) -> AttributeValue {
    AttributeValue::S(value.to_string())
}

fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn to_item(value: &impl Serialize) -> Result<Item, StoreError> {
    Ok(serde_dynamo::to_item(value)?)
}

fn from_item<T: DeserializeOwned>(item: Item) -> Result<T, StoreError> {
    Ok(serde_dynamo::from_item(item)?)
}
