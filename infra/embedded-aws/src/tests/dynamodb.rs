//! `DynamoDB`: the engine's answers and errors reach the SDK's types completely.

use super::open;
use crate::EmbeddedAws;
use aws_sdk_dynamodb::{
    Client,
    types::{
        AttributeDefinition, AttributeValue, BillingMode, ConsumedCapacity, KeySchemaElement, KeyType,
        KeysAndAttributes, PutRequest, ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure,
        ScalarAttributeType, TimeToLiveSpecification, WriteRequest,
    },
};
use std::time::Duration;

pub(super) const TABLE: &str = "Things";

pub(super) fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

pub(super) async fn client_with_table(aws: &EmbeddedAws) -> Client {
    let client = Client::new(&aws.sdk_config());
    let attribute = |name| {
        let built = AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S).build();
        built.expect("complete")
    };
    let key = |name, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().expect("complete");
    client
        .create_table()
        .table_name(TABLE)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute("owner"))
        .attribute_definitions(attribute("id"))
        .key_schema(key("owner", KeyType::Hash))
        .key_schema(key("id", KeyType::Range))
        .send()
        .await
        .expect("the table is created");
    let ttl = TimeToLiveSpecification::builder().enabled(true).attribute_name("expires").build().expect("complete");
    client.update_time_to_live().table_name(TABLE).time_to_live_specification(ttl).send().await.expect("TTL is set");
    client
}

async fn put(client: &Client, id: &str, note: &str) {
    let put = client.put_item().table_name(TABLE).item("owner", text("me")).item("id", text(id));
    put.item("note", text(note)).send().await.expect("the item is put");
}

#[tokio::test(start_paused = true)]
async fn a_failed_condition_returns_the_old_item() {
    let client = client_with_table(&open(None)).await;
    put(&client, "one", "first").await;
    let update = client
        .update_item()
        .table_name(TABLE)
        .key("owner", text("me"))
        .key("id", text("one"))
        .update_expression("SET note = :new")
        .condition_expression("note = :expected")
        .expression_attribute_values(":new", text("second"))
        .expression_attribute_values(":expected", text("other"))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    let error = update.send().await.expect_err("the condition fails").into_service_error();
    let aws_sdk_dynamodb::operation::update_item::UpdateItemError::ConditionalCheckFailedException(failed) = error
    else {
        panic!("another error: {error:?}");
    };
    assert_eq!(failed.item().and_then(|item| item.get("note")), Some(&text("first")));
}

#[tokio::test(start_paused = true)]
async fn batches_queries_and_scans_return_items_and_capacity() {
    let client = client_with_table(&open(None)).await;
    let requests = ["one", "two", "three"].map(|id| {
        let put = PutRequest::builder().item("owner", text("me")).item("id", text(id)).build().expect("complete");
        WriteRequest::builder().put_request(put).build()
    });
    client.batch_write_item().request_items(TABLE, requests.to_vec()).send().await.expect("written");

    let key = |id| [("owner".to_owned(), text("me")), ("id".to_owned(), text(id))].into();
    let keys = KeysAndAttributes::builder().keys(key("one")).keys(key("none")).build().expect("complete");
    let got = client.batch_get_item().request_items(TABLE, keys).send().await.expect("read");
    assert_eq!(got.responses().and_then(|tables| tables.get(TABLE)).map(Vec::len), Some(1));

    let query = client.query().table_name(TABLE).key_condition_expression("#o = :me");
    let query = query.expression_attribute_names("#o", "owner").expression_attribute_values(":me", text("me"));
    let query = query.scan_index_forward(false).limit(2).return_consumed_capacity(ReturnConsumedCapacity::Total);
    let page = query.send().await.expect("queried");
    let ids: Vec<_> = page.items().iter().filter_map(|item| item["id"].as_s().ok()).collect();
    assert_eq!(ids, ["two", "three"]);
    assert!(page.last_evaluated_key().is_some());
    assert_eq!(page.consumed_capacity().and_then(ConsumedCapacity::capacity_units), Some(0.5));

    let scan = client.scan().table_name(TABLE).send().await.expect("scanned");
    assert_eq!(scan.count(), 3);
    let delete = client.delete_item().table_name(TABLE).key("owner", text("me")).key("id", text("one"));
    let used = delete.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await.expect("deleted");
    assert_eq!(used.consumed_capacity().and_then(ConsumedCapacity::capacity_units), Some(1.0));
    let get = client.get_item().table_name(TABLE).key("owner", text("me")).key("id", text("one"));
    assert!(get.send().await.expect("read").item().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_missing_table_is_a_resource_not_found_exception() {
    let client = Client::new(&open(None).sdk_config());
    let error = client.describe_table().table_name("Nowhere").send().await.expect_err("no table");
    assert!(error.into_service_error().is_resource_not_found_exception());
}

#[tokio::test(start_paused = true)]
async fn a_sweep_deletes_the_items_that_have_expired_by_the_clock() {
    let aws = open(None);
    let client = client_with_table(&aws).await;
    let expires = super::start().plus(Duration::from_mins(10)).unix_seconds();
    let put = client.put_item().table_name(TABLE).item("owner", text("me")).item("id", text("one"));
    put.item("expires", AttributeValue::N(expires.to_string())).send().await.expect("put");
    assert_eq!(aws.sweep_expired_items().await.expect("swept"), 0);
    tokio::time::advance(Duration::from_mins(11)).await;
    assert_eq!(aws.sweep_expired_items().await.expect("swept"), 1);
}

#[tokio::test(start_paused = true)]
async fn items_survive_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    put(&client_with_table(&open(Some(folder.path()))).await, "one", "kept").await;
    let client = Client::new(&open(Some(folder.path())).sdk_config());
    let get = client.get_item().table_name(TABLE).key("owner", text("me")).key("id", text("one"));
    let item = get.send().await.expect("read").item.expect("kept");
    assert_eq!(item["note"], text("kept"));
}
