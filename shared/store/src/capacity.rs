//! The capacity that calls to DynamoDB consume. [`metered`] runs a future and counts the units of its calls; outside of it,
//! nothing is asked for and nothing is counted.
//!
//! An interceptor of the SDK does it for every call of a [`metered`] future, so that no call can be forgotten: it sets
//! `ReturnConsumedCapacity`, and adds up what the answers say. It counts each answer, those that the SDK's retries get included.
//! What AWS did for a call that it never answered is unknown and not counted.

use crate::Item;
use aws_sdk_dynamodb::{
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        interceptors::{AfterDeserializationInterceptorContextRef, BeforeSerializationInterceptorContextMut},
    },
    error::BoxError,
    operation::{
        batch_get_item::{BatchGetItemInput, BatchGetItemOutput},
        get_item::{GetItemInput, GetItemOutput},
        put_item::{PutItemError, PutItemInput, PutItemOutput},
        query::{QueryInput, QueryOutput},
        update_item::{UpdateItemError, UpdateItemInput, UpdateItemOutput},
    },
    types::{AttributeValue, ConsumedCapacity, ReturnConsumedCapacity},
};
use aws_smithy_runtime_api::client::interceptors::context::{Input, Output};
use aws_smithy_types::config_bag::{Storable, StoreReplace};
use domain::cost::Usage;
use std::cell::Cell;

tokio::task_local! {
    /// What the calls of this future have consumed so far.
    static METER: Cell<Usage>;
}

/// The bytes of one write unit.
const WRITE_UNIT_BYTES: usize = 1024;

/// Runs `calls`. Returns their result, and the capacity that they consumed. Within another `metered`, that one does not count
/// them again. A call on a task that `calls` spawn is not counted.
pub async fn metered<T>(calls: impl Future<Output = T>) -> (T, Usage) {
    // In a box, because a future within others takes the stack several times while it is moved.
    let calls = Box::pin(calls);
    METER.scope(Cell::default(), async { (calls.await, METER.with(Cell::get)) }).await
}

fn is_metered() -> bool {
    METER.try_with(|_| ()).is_ok()
}

/// The interceptor that every client of DynamoDB needs. It knows the operations that `deliver` calls.
#[derive(Debug)]
pub struct Capacity;

/// The size of the item that a call puts, in bytes.
#[derive(Debug)]
struct PutBytes(usize);

impl Storable for PutBytes {
    type Storer = StoreReplace<Self>;
}

impl Intercept for Capacity {
    fn name(&self) -> &'static str {
        "capacity"
    }

    fn modify_before_serialization(
        &self,
        context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if is_metered() {
            if let Some(put) = context.input().downcast_ref::<PutItemInput>() {
                let bytes = put.item().map_or(0, item_bytes);
                config.interceptor_state().store_put(PutBytes(bytes));
            }
            ask(context.input_mut());
        }
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if is_metered() {
            let consumed = match context.output_or_error() {
                Ok(output) => of_output(output),
                Err(error) => {
                    let error = error.as_operation_error();
                    let put_bytes = config.load::<PutBytes>().map_or(0, |bytes| bytes.0);
                    let put = error.and_then(|error| error.downcast_ref());
                    let update = error.and_then(|error| error.downcast_ref());
                    put.and_then(|error| of_refused_put(error, put_bytes))
                        .or_else(|| update.and_then(of_refused_update))
                        .unwrap_or_default()
                }
            };
            let _ = METER.try_with(|meter| meter.set(meter.get() + consumed));
        }
        Ok(())
    }
}

/// Sets `ReturnConsumedCapacity`.
fn ask(input: &mut Input) {
    let total = Some(ReturnConsumedCapacity::Total);
    if let Some(get) = input.downcast_mut::<GetItemInput>() {
        get.return_consumed_capacity = total;
    } else if let Some(get) = input.downcast_mut::<BatchGetItemInput>() {
        get.return_consumed_capacity = total;
    } else if let Some(query) = input.downcast_mut::<QueryInput>() {
        query.return_consumed_capacity = total;
    } else if let Some(put) = input.downcast_mut::<PutItemInput>() {
        put.return_consumed_capacity = total;
    } else if let Some(update) = input.downcast_mut::<UpdateItemInput>() {
        update.return_consumed_capacity = total;
    }
}

/// Returns the capacity that an answer names.
fn of_output(output: &Output) -> Usage {
    if let Some(got) = output.downcast_ref::<GetItemOutput>() {
        read(got.consumed_capacity())
    } else if let Some(got) = output.downcast_ref::<BatchGetItemOutput>() {
        read(got.consumed_capacity())
    } else if let Some(found) = output.downcast_ref::<QueryOutput>() {
        read(found.consumed_capacity())
    } else if let Some(put) = output.downcast_ref::<PutItemOutput>() {
        written(put.consumed_capacity())
    } else if let Some(updated) = output.downcast_ref::<UpdateItemOutput>() {
        written(updated.consumed_capacity())
    } else {
        Usage::NONE
    }
}

fn read<'a>(consumed: impl IntoIterator<Item = &'a ConsumedCapacity>) -> Usage {
    Usage { read_milliunits: milliunits(consumed), ..Usage::NONE }
}

fn written<'a>(consumed: impl IntoIterator<Item = &'a ConsumedCapacity>) -> Usage {
    Usage { write_milliunits: milliunits(consumed), ..Usage::NONE }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "AWS's units are small multiples of a half")]
fn milliunits<'a>(consumed: impl IntoIterator<Item = &'a ConsumedCapacity>) -> u64 {
    let units: f64 = consumed.into_iter().filter_map(ConsumedCapacity::capacity_units).sum();
    (units * 1000.0).round() as u64
}

/// Returns the capacity of a put whose condition failed. AWS bills it as a write of the larger of the two items, although the
/// error does not name the units.
fn of_refused_put(error: &PutItemError, put_bytes: usize) -> Option<Usage> {
    let PutItemError::ConditionalCheckFailedException(refused) = error else { return None };
    Some(refused_write(put_bytes.max(refused.item().map_or(0, item_bytes))))
}

/// Returns the capacity of an update whose condition failed: that of the present item. The item that it would have become is
/// unknown; Hookline updates counters only, which are far below one unit.
fn of_refused_update(error: &UpdateItemError) -> Option<Usage> {
    let UpdateItemError::ConditionalCheckFailedException(refused) = error else { return None };
    Some(refused_write(refused.item().map_or(0, item_bytes)))
}

fn refused_write(bytes: usize) -> Usage {
    Usage { write_milliunits: bytes.div_ceil(WRITE_UNIT_BYTES).max(1) as u64 * 1000, ..Usage::NONE }
}

/// Returns the size of an item as DynamoDB bills it ("DynamoDB item sizes and formats" in AWS's guide).
fn item_bytes(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + value_bytes(value)).sum()
}

fn value_bytes(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(number) => number_bytes(number),
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::Ss(texts) => texts.iter().map(String::len).sum(),
        AttributeValue::Ns(numbers) => numbers.iter().map(|number| number_bytes(number)).sum(),
        AttributeValue::Bs(all) => all.iter().map(|bytes| bytes.as_ref().len()).sum(),
        AttributeValue::L(list) => 3 + list.iter().map(|value| 1 + value_bytes(value)).sum::<usize>(),
        AttributeValue::M(map) => 3 + map.len() + item_bytes(map),
        // A boolean or null.
        _ => 1,
    }
}

/// Returns the size of an integer: one byte for every two significant digits, one more, and one more if it is negative.
fn number_bytes(number: &str) -> usize {
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    let significant = digits.trim_matches('0').len();
    significant.div_ceil(2) + 1 + usize::from(number.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_has_the_size_that_dynamodb_bills() {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let number = |number: &str| AttributeValue::N(number.to_owned());
        for (value, bytes) in [
            (text("größe"), 7),
            (number("0"), 1),
            (number("7"), 2),
            (number("1764000000000"), 3),
            (number("1234567"), 5),
            (number("-42"), 3),
            (AttributeValue::B(vec![0; 9].into()), 9),
            (AttributeValue::Bool(true), 1),
            (AttributeValue::Null(true), 1),
            (AttributeValue::Ss(vec!["a".to_owned(), "bc".to_owned()]), 3),
            (AttributeValue::L(vec![text("ab"), AttributeValue::Bool(true)]), 3 + 2 + 3),
            (AttributeValue::M([("key".to_owned(), text("ab"))].into()), 3 + 1 + 5),
        ] {
            assert_eq!(item_bytes(&[("name".to_owned(), value.clone())].into()), 4 + bytes, "{value:?}");
        }
    }

    #[test]
    fn a_refused_write_costs_at_least_one_unit() {
        let units = |bytes| refused_write(bytes).write_milliunits / 1000;
        assert_eq!([units(0), units(1), units(1024), units(1025)], [1, 1, 1, 2]);
    }

    #[tokio::test]
    async fn calls_are_counted_by_the_innermost_meter() {
        let consume = |read_milliunits| {
            METER.with(|meter| meter.set(meter.get() + Usage { read_milliunits, ..Usage::NONE }));
        };
        assert!(!is_metered());
        let (inner, outer) = metered(async {
            consume(500);
            let ((), inner) = metered(async { consume(1000) }).await;
            consume(500);
            inner
        })
        .await;
        assert_eq!((inner.read_milliunits, outer.read_milliunits), (1000, 1000));
    }
}
