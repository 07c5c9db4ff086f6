//! The capacity that calls consume, as AWS's guide says ("DynamoDB read and write operations"). The product's log lines and the
//! saved query of costs rest on it.

use super::{
    dynamodb::{TABLE, client_with_table, text},
    open,
};
use aws_sdk_dynamodb::{
    Client,
    types::{AttributeValue, KeysAndAttributes},
};
use domain::cost::Usage;
use std::collections::HashMap;
use store::capacity::metered;

/// A client whose calls are counted.
async fn client() -> Client {
    let aws = open(None);
    client_with_table(&aws).await;
    aws.clients().dynamodb
}

/// An item of exactly `bytes` bytes.
fn item(id: &str, bytes: usize) -> HashMap<String, AttributeValue> {
    let names_and_key = "owner".len() + "me".len() + "id".len() + id.len() + "note".len();
    let note = text(&"x".repeat(bytes - names_and_key));
    [("owner".to_owned(), text("me")), ("id".to_owned(), text(id)), ("note".to_owned(), note)].into()
}

fn key(id: &str) -> HashMap<String, AttributeValue> {
    [("owner".to_owned(), text("me")), ("id".to_owned(), text(id))].into()
}

async fn put(client: &Client, id: &str, bytes: usize) -> u64 {
    let put = client.put_item().table_name(TABLE).set_item(Some(item(id, bytes)));
    let (written, usage) = metered(put.send()).await;
    written.expect("put");
    write_units(usage)
}

/// Returns the write units, in thousandths.
fn write_units(usage: Usage) -> u64 {
    assert_eq!(usage.read_milliunits, 0);
    usage.write_milliunits
}

/// Returns the read units, in thousandths.
fn read_units(usage: Usage) -> u64 {
    assert_eq!(usage.write_milliunits, 0);
    usage.read_milliunits
}

#[tokio::test(start_paused = true)]
async fn a_write_costs_a_unit_for_each_kilobyte_of_the_larger_item() {
    let client = client().await;
    let written = [put(&client, "a", 1024).await, put(&client, "a", 1025).await, put(&client, "a", 3072).await];
    assert_eq!(written, [1_000, 2_000, 3_000]);
    assert_eq!(put(&client, "a", 100).await, 3_000, "the item before was larger");
    let update = client.update_item().table_name(TABLE).set_key(Some(key("a")));
    let update = update.update_expression("SET note = :note").expression_attribute_values(":note", text("short"));
    let (updated, usage) = metered(update.send()).await;
    assert!(updated.is_ok() && write_units(usage) == 1_000);
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_condition_fails_costs_as_much() {
    let client = client().await;
    put(&client, "a", 2000).await;
    for (bytes, units) in [(100, 2_000), (2500, 3_000)] {
        let put = client.put_item().table_name(TABLE).set_item(Some(item("a", bytes)));
        let put = put.condition_expression("attribute_not_exists(id)");
        let put = put.return_values_on_condition_check_failure("ALL_OLD".into());
        let (refused, usage) = metered(put.send()).await;
        assert!(refused.is_err());
        assert_eq!(write_units(usage), units, "{bytes} bytes");
    }
    let update = client.update_item().table_name(TABLE).set_key(Some(key("none")));
    let update = update.update_expression("SET x = :x").condition_expression("attribute_exists(id)");
    let (refused, usage) = metered(update.expression_attribute_values(":x", text("y")).send()).await;
    assert!(refused.is_err());
    assert_eq!(write_units(usage), 1_000);
}

#[tokio::test(start_paused = true)]
async fn a_read_costs_a_unit_for_each_four_kilobytes_or_half_of_it() {
    let client = client().await;
    put(&client, "a", 4096).await;
    put(&client, "b", 4097).await;
    for (id, units) in [("a", 1_000), ("b", 2_000), ("none", 1_000)] {
        for (consistent, units) in [(true, units), (false, units / 2)] {
            let get = client.get_item().table_name(TABLE).set_key(Some(key(id))).consistent_read(consistent);
            let (got, usage) = metered(get.send()).await;
            assert!(got.is_ok() && read_units(usage) == units, "{id}: {usage:?}");
        }
    }
    let keys = KeysAndAttributes::builder().keys(key("a")).keys(key("b")).keys(key("none")).consistent_read(true);
    let get = client.batch_get_item().request_items(TABLE, keys.build().expect("keys"));
    let (got, usage) = metered(get.send()).await;
    assert!(got.is_ok() && read_units(usage) == 4_000, "each item is rounded up: {usage:?}");
}

#[tokio::test(start_paused = true)]
async fn a_query_costs_the_sum_of_what_it_reads_rounded_up_once() {
    let client = client().await;
    for id in ["a", "b", "c"] {
        put(&client, id, 2000).await;
    }
    let query = client.query().table_name(TABLE).consistent_read(true).key_condition_expression("#o = :me");
    let query = query.expression_attribute_names("#o", "owner").expression_attribute_values(":me", text("me"));
    let (found, usage) = metered(query.send()).await;
    assert!(found.is_ok() && read_units(usage) == 2_000, "6,000 bytes: {usage:?}");
}
