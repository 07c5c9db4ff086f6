//! When the file of a folder is checked: not after a stop, before anything is written if it was changed since, and in the
//! background after a process that was killed.

use super::{clock, open};
use crate::EmbeddedAws;
use aws_sdk_dynamodb::{
    Client,
    types::{AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType},
};
use std::{fs, os::unix::fs::MetadataExt, path::Path};

const FILE: &str = "aws.sqlite3";

/// Makes a folder with some pages of data, and closes it.
async fn used(folder: &Path) {
    let client = Client::new(&open(Some(folder)).sdk_config());
    let key = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash).build().expect("a key");
    let attribute = AttributeDefinition::builder()
        .attribute_name("id")
        .attribute_type(ScalarAttributeType::S)
        .build()
        .expect("text");
    let table = client.create_table().table_name("table").billing_mode(BillingMode::PayPerRequest);
    table.key_schema(key).attribute_definitions(attribute).send().await.expect("made");
    for number in 0..20 {
        let put = client.put_item().table_name("table").item("id", AttributeValue::S(number.to_string()));
        put.item("data", AttributeValue::S("x".repeat(4000))).send().await.expect("put");
    }
}

#[tokio::test]
async fn the_space_of_expired_items_is_given_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let length = || folder.path().join(FILE).metadata().expect("a file").len();
    used(folder.path()).await;
    let empty = length();
    let aws = open(Some(folder.path()));
    let client = Client::new(&aws.sdk_config());
    let expiry = aws_sdk_dynamodb::types::TimeToLiveSpecification::builder().attribute_name("expires_at").enabled(true);
    let expiry = expiry.build().expect("a setting");
    client.update_time_to_live().table_name("table").time_to_live_specification(expiry).send().await.expect("set");
    for number in 100..600 {
        let put = client.put_item().table_name("table").item("id", AttributeValue::S(number.to_string()));
        let put = put.item("data", AttributeValue::S("x".repeat(4000)));
        put.item("expires_at", AttributeValue::N("1".to_owned())).send().await.expect("put");
    }
    drop(client);
    assert_eq!(aws.sweep_expired_items().await.expect("swept"), 500);
    drop(aws);
    assert!(length() < empty + 100_000, "{} bytes of {empty}", length());
}

/// Overwrites a page in the middle of the file.
fn tear(folder: &Path) {
    let path = folder.join(FILE);
    let mut bytes = fs::read(&path).expect("a file");
    let page = bytes.len() / 2 / 4096 * 4096;
    bytes[page..page + 4096].fill(0xa5);
    fs::write(path, bytes).expect("written");
}

/// Makes the folder look as if the file had been like this when its process stopped.
fn pretend_it_was_so(folder: &Path) {
    let file = folder.join(FILE).metadata().expect("a file");
    let state = format!("{} {} {}.{:09}\n", file.len(), file.ino(), file.ctime(), file.ctime_nsec());
    assert_eq!(fs::read_to_string(folder.join("state")).expect("a state").len(), state.len());
    fs::write(folder.join("state"), state).expect("written");
}

/// Makes the folder look as if its process had been killed.
fn forget_the_stop(folder: &Path) {
    fs::remove_file(folder.join("state")).expect("a stop is noted");
}

#[tokio::test(start_paused = true)]
async fn after_a_stop_the_file_is_not_read() {
    let folder = tempfile::tempdir().expect("a folder");
    used(folder.path()).await;
    tear(folder.path());
    pretend_it_was_so(folder.path());
    let aws = open(Some(folder.path()));
    assert!(aws.checked().await.is_ok());
    assert!(!folder.path().join("state").exists(), "while the file is in use, nobody knows that it is sound");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_was_changed_since_is_checked_first() {
    let folder = tempfile::tempdir().expect("a folder");
    used(folder.path()).await;
    tear(folder.path());
    let before = fs::read(folder.path().join(FILE)).expect("a file");
    for _ in 0..2 {
        let refused = EmbeddedAws::open(Some(folder.path()), clock()).expect_err("the file is damaged");
        assert!(format!("{refused:#}").contains("aws.sqlite3 is damaged; it was not changed"), "{refused:#}");
    }
    assert!(fs::read(folder.path().join(FILE)).expect("a file") == before);
}

#[tokio::test]
async fn after_a_kill_the_file_is_checked_in_the_background() {
    let folder = tempfile::tempdir().expect("a folder");
    used(folder.path()).await;
    forget_the_stop(folder.path());
    let aws = open(Some(folder.path()));
    aws.checked().await.expect("sound");
    drop(aws);
    assert!(folder.path().join("state").exists());

    forget_the_stop(folder.path());
    tear(folder.path());
    let aws = open(Some(folder.path()));
    let damaged = aws.checked().await.expect_err("the file is damaged");
    assert!(damaged.to_string().contains("aws.sqlite3 is damaged: "), "{damaged}");
    drop(aws);
    let refused = EmbeddedAws::open(Some(folder.path()), clock()).expect_err("the next start knows it");
    assert!(format!("{refused:#}").contains("it was not changed"), "{refused:#}");
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_keeps_its_times_is_checked_first() {
    let folder = tempfile::tempdir().expect("a folder");
    used(folder.path()).await;
    let (file, copy) = (folder.path().join(FILE), folder.path().join("copy"));
    tear(folder.path());
    fs::copy(&file, &copy).expect("copied");
    fs::rename(&copy, &file).expect("moved");
    EmbeddedAws::open(Some(folder.path()), clock()).expect_err("the file is damaged");
}

#[tokio::test]
async fn what_nobody_has_read_is_not_sound_after_a_start_that_fails() {
    let folder = tempfile::tempdir().expect("a folder");
    used(folder.path()).await;
    forget_the_stop(folder.path());
    // The start needs this page: SQLite's list of tables.
    let path = folder.path().join(FILE);
    let mut bytes = fs::read(&path).expect("a file");
    bytes[100..4096].fill(0xa5);
    fs::write(&path, bytes).expect("written");
    for _ in 0..2 {
        EmbeddedAws::open(Some(folder.path()), clock()).expect_err("the start fails");
        assert!(!folder.path().join("state").exists());
    }
}

#[tokio::test]
async fn damage_that_a_request_meets_is_remembered() {
    let folder = tempfile::tempdir().expect("a folder");
    used(folder.path()).await;
    tear(folder.path());
    pretend_it_was_so(folder.path());
    let aws = open(Some(folder.path()));
    let client = Client::new(&aws.sdk_config());
    client.scan().table_name("table").send().await.expect_err("a page is damaged");
    drop((client, aws));
    let refused = EmbeddedAws::open(Some(folder.path()), clock()).expect_err("the next start reads the file");
    assert!(format!("{refused:#}").contains("it was not changed"), "{refused:#}");
}
