//! The requests that the fast path knows. Any other parameter makes a request the engine's.

use super::items::{Attributes, Members, Value};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The placeholders of names, with what they stand for.
pub(super) type Names<'a> = Members<'a, &'a str>;

/// The key of an item.
pub(super) type KeyAttributes<'a> = Members<'a, Value<'a>>;

/// What a write returns besides its success.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) enum Returned {
    /// Nothing.
    #[default]
    #[serde(rename = "NONE")]
    None,
    /// The item as it was before.
    #[serde(rename = "ALL_OLD")]
    AllOld,
    /// The new values of the attributes that were updated.
    #[serde(rename = "UPDATED_NEW")]
    UpdatedNew,
}

/// Whether an answer says what the request has consumed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) enum Consumed {
    /// It does not.
    #[default]
    #[serde(rename = "NONE")]
    None,
    /// It says the total.
    #[serde(rename = "TOTAL")]
    Total,
}

/// What a query returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum Select {
    /// The number of items.
    #[serde(rename = "COUNT")]
    Count,
}

/// `PutItem`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct PutItem<'a> {
    pub(super) table_name: &'a str,
    #[serde(borrow)]
    pub(super) item: &'a RawValue,
    #[serde(default)]
    pub(super) condition_expression: Option<&'a str>,
    #[serde(default, borrow)]
    pub(super) expression_attribute_names: Option<Names<'a>>,
    #[serde(default, borrow)]
    pub(super) expression_attribute_values: Option<Attributes<'a>>,
    #[serde(default)]
    pub(super) return_values: Returned,
    #[serde(default)]
    pub(super) return_values_on_condition_check_failure: Returned,
    #[serde(default)]
    pub(super) return_consumed_capacity: Consumed,
}

/// `UpdateItem`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct UpdateItem<'a> {
    pub(super) table_name: &'a str,
    #[serde(borrow)]
    pub(super) key: &'a RawValue,
    pub(super) update_expression: &'a str,
    #[serde(default)]
    pub(super) condition_expression: Option<&'a str>,
    #[serde(default, borrow)]
    pub(super) expression_attribute_names: Option<Names<'a>>,
    #[serde(default, borrow)]
    pub(super) expression_attribute_values: Option<Attributes<'a>>,
    #[serde(default)]
    pub(super) return_values: Returned,
    #[serde(default)]
    pub(super) return_values_on_condition_check_failure: Returned,
    #[serde(default)]
    pub(super) return_consumed_capacity: Consumed,
}

/// `DeleteItem`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct DeleteItem<'a> {
    pub(super) table_name: &'a str,
    #[serde(borrow)]
    pub(super) key: KeyAttributes<'a>,
    #[serde(default)]
    pub(super) return_values: Returned,
    #[serde(default)]
    pub(super) return_consumed_capacity: Consumed,
}

/// `GetItem`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct GetItem<'a> {
    pub(super) table_name: &'a str,
    #[serde(borrow)]
    pub(super) key: KeyAttributes<'a>,
    #[serde(default)]
    pub(super) consistent_read: bool,
    #[serde(default)]
    pub(super) projection_expression: Option<&'a str>,
    #[serde(default, borrow)]
    pub(super) expression_attribute_names: Option<Names<'a>>,
    #[serde(default)]
    pub(super) return_consumed_capacity: Consumed,
}

/// `BatchGetItem`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct BatchGetItem<'a> {
    #[serde(borrow)]
    pub(super) request_items: Members<'a, Keys<'a>>,
    #[serde(default)]
    pub(super) return_consumed_capacity: Consumed,
}

/// The keys of a `BatchGetItem` in one table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Keys<'a> {
    #[serde(borrow)]
    pub(super) keys: Vec<KeyAttributes<'a>>,
    #[serde(default)]
    pub(super) consistent_read: bool,
}

/// `Query`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Query<'a> {
    pub(super) table_name: &'a str,
    pub(super) key_condition_expression: &'a str,
    #[serde(default)]
    pub(super) filter_expression: Option<&'a str>,
    #[serde(default)]
    pub(super) projection_expression: Option<&'a str>,
    #[serde(borrow)]
    pub(super) expression_attribute_names: Names<'a>,
    #[serde(borrow)]
    pub(super) expression_attribute_values: Attributes<'a>,
    #[serde(default)]
    pub(super) scan_index_forward: Option<bool>,
    #[serde(default)]
    pub(super) limit: Option<i32>,
    #[serde(default, borrow)]
    pub(super) exclusive_start_key: Option<KeyAttributes<'a>>,
    #[serde(default)]
    pub(super) consistent_read: bool,
    #[serde(default)]
    pub(super) select: Option<Select>,
    #[serde(default)]
    pub(super) return_consumed_capacity: Consumed,
}
