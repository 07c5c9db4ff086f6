//! Items: reading and writing them, and how a call to DynamoDB can fail.

use crate::{
    Store,
    aws::{causes, is_throttling},
};
use aws_sdk_dynamodb::{
    error::{ProvideErrorMetadata, SdkError},
    operation::put_item::PutItemError,
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{collections::HashMap, error::Error, str::FromStr};

/// An item, in the SDK's form.
pub type Item = HashMap<String, AttributeValue>;

/// A call to a table failed. Unless a variant says otherwise, it may have taken effect.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// DynamoDB refused the call, or did not answer.
    #[error("DynamoDB: {0}")]
    DynamoDb(String),
    /// DynamoDB takes no more requests now. The call had no effect.
    #[error("DynamoDB is throttled: {0}")]
    Throttled(String),
    /// An item does not have a form that this version knows.
    #[error("an item cannot be read: {0}")]
    Item(#[from] serde_dynamo::Error),
    /// An item lacks what this version writes.
    #[error("a malformed item: {0}")]
    Malformed(String),
    /// Another worker wrote first at each try.
    #[error("{0} is being changed too often")]
    Contended(String),
}

impl<E, R> From<SdkError<E, R>> for StoreError
where
    E: Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    fn from(error: SdkError<E, R>) -> Self {
        let causes = causes(&error);
        if is_throttling(error.code()) { Self::Throttled(causes) } else { Self::DynamoDb(causes) }
    }
}

/// The result of a conditional write.
#[derive(Debug)]
pub(crate) enum Written {
    /// The item was written.
    Yes,
    /// Another worker wrote first. This is the present item, if there is one.
    No(Option<Item>),
}

/// Writes `item` as version `version`, if the stored item is the version before it. Version 0 is written if no item is stored.
///
/// The SDK may repeat a write whose answer was lost, and then find its own item in the table. That counts as written.
pub(crate) async fn put_version(
    store: &Store,
    table: &str,
    mut item: Item,
    version: u64,
) -> Result<Written, StoreError> {
    item.insert("version".to_owned(), number(version));
    let call = store.dynamodb.put_item().table_name(table).set_item(Some(item.clone()));
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

/// Returns the version of an item.
pub(crate) fn version_of(item: &Item) -> u64 {
    number_of(item, "version").unwrap_or(0)
}

/// Returns the number in the attribute `name`, or `None` if the item has no such number.
pub(crate) fn number_of<T: FromStr>(item: &Item, name: &str) -> Option<T> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

/// Returns the placeholder `#name` of each attribute name. With placeholders, a name may be one of DynamoDB's reserved words.
pub(crate) fn names(names: &[&str]) -> HashMap<String, String> {
    names.iter().map(|name| (format!("#{name}"), (*name).to_owned())).collect()
}

pub(crate) fn text(value: impl ToString) -> AttributeValue {
    AttributeValue::S(value.to_string())
}

pub(crate) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(crate) fn to_item(value: &impl Serialize) -> Result<Item, StoreError> {
    Ok(serde_dynamo::to_item(value)?)
}

pub(crate) fn from_item<T: DeserializeOwned>(item: Item) -> Result<T, StoreError> {
    Ok(serde_dynamo::from_item(item)?)
}
