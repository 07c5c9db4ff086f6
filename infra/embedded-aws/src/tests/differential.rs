//! The fast path of `DynamoDB` against the engine: random requests to two embedded AWSs, one of which leaves every request to the
//! engine. Both must answer the same, and store the same rows.
//!
//! `REQUESTS` sets the number of requests and `SEED` the first of them.

use super::{
    differential_requests::{Request, Requests, TABLES},
    open,
};
use crate::{EmbeddedAws, dynamodb, wire::Reply};
use serde_json::Value;
use std::{collections::BTreeMap, env, str::FromStr};

/// How many requests are made, if the environment does not say.
const REQUESTS: u64 = 3000;
/// How many requests are made between two comparisons of all rows.
const ROWS_EVERY: u64 = 500;
/// The part of the requests in a form of the store, in percent, that the fast path must answer. The others compare what no item of
/// the store has, such as a version that is a list.
const SHARE_MIN: u64 = 80;

#[tokio::test(start_paused = true)]
async fn the_fast_path_answers_as_the_engine_does() {
    let setting = |name: &str, otherwise| env::var(name).ok().map_or(otherwise, |text| parse(&text));
    let (count, seed) = (setting("REQUESTS", REQUESTS), setting("SEED", 1));
    let (fast, engine) = (open(None), open(None));
    switch_off(&engine);
    for aws in [&fast, &engine] {
        create_tables(aws);
    }
    let mut requests = Requests::of(seed);
    let (mut made, mut answered_of): (u64, BTreeMap<&str, [u64; 2]>) = (0, BTreeMap::new());
    for at in 0..count {
        let request = requests.next();
        let before = answered(&fast);
        let one = call(&fast, &request);
        let is_fast = answered(&fast) > before;
        let other = call(&engine, &request);
        assert_eq!(comparable(&one), comparable(&other), "request {at} of seed {seed}: {request:?}");
        made += u64::from(is_fast);
        if let Some(form) = request.form.filter(|_| is_answer(&other)) {
            let [asked, by_fast_path] = answered_of.entry(form).or_default();
            *asked += 1;
            *by_fast_path += u64::from(is_fast);
        }
        if at % ROWS_EVERY == ROWS_EVERY - 1 {
            compare_rows(&fast, &engine);
        }
    }
    compare_rows(&fast, &engine);
    println!("{count} requests compared; the fast path answered {made} of them:");
    for (form, [asked, by_fast_path]) in &answered_of {
        println!("{by_fast_path:6} of {asked:6} {form}");
    }
    assert_eq!(answered(&engine), 0);
    for (form, [asked, by_fast_path]) in answered_of {
        assert!(by_fast_path * 100 >= asked * SHARE_MIN, "{form}: {by_fast_path} of {asked}");
    }
}

fn parse<T: FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("not a number: {text}"))
}

/// Leaves every request to the engine.
pub(super) fn switch_off(aws: &EmbeddedAws) {
    let off = aws.0.engine.now(|state| {
        state.dynamodb().1.is_off = true;
        Ok(())
    });
    off.expect("switched off");
}

/// Returns how many requests about items were left to the engine.
pub(super) fn left_to_engine(aws: &EmbeddedAws) -> usize {
    aws.0.engine.now(|state| Ok(state.dynamodb().1.left)).expect("counted")
}

/// Returns how many requests the fast path has answered.
fn answered(aws: &EmbeddedAws) -> usize {
    aws.0.engine.now(|state| Ok(state.dynamodb().1.answered)).expect("counted")
}

/// Creates the tables. The last one has an index.
fn create_tables(aws: &EmbeddedAws) {
    for (name, index) in TABLES {
        create_table(aws, name, "owner", index);
    }
}

/// Creates a table with the keys `partition` and `id`, or `id` and `owner`.
pub(super) fn create_table(aws: &EmbeddedAws, name: &str, partition: &str, index: &str) {
    let created = call(aws, &table(name, partition, index));
    assert_eq!(created.status, 200, "{}", created.body);
}

/// Returns the request that creates a table.
pub(super) fn table(name: &str, partition: &str, index: &str) -> Request {
    let sort = if partition == "id" { "owner" } else { "id" };
    let body = format!(
        r#"{{"TableName":"{name}","BillingMode":"PAY_PER_REQUEST"{index},"AttributeDefinitions":[
            {{"AttributeName":"{partition}","AttributeType":"S"}},{{"AttributeName":"{sort}","AttributeType":"S"}}],
            "KeySchema":[{{"AttributeName":"{partition}","KeyType":"HASH"}},{{"AttributeName":"{sort}","KeyType":"RANGE"}}]}}"#
    );
    Request { operation: "CreateTable", body, form: None }
}

/// Makes a request.
pub(super) fn call(aws: &EmbeddedAws, request: &Request) -> Reply {
    let Request { operation, body, .. } = request;
    let answer =
        aws.0.engine.now(|state| Ok(dynamodb::call(state, operation, body.as_bytes()).unwrap_or_else(Reply::from)));
    answer.expect("committed")
}

/// Whether a request succeeded, or its condition failed. The fast path leaves the other errors to the engine.
fn is_answer(reply: &Reply) -> bool {
    reply.status == 200 || reply.body.contains("ConditionalCheckFailedException")
}

/// Returns what must be equal in two answers. The engine names one of several errors, and orders tables, at random.
pub(super) fn comparable(reply: &Reply) -> (u16, Value) {
    let mut body: Value = serde_json::from_str(&reply.body).expect("JSON");
    if !is_answer(reply) {
        return (reply.status, body["__type"].take());
    }
    if let Some(Value::Array(tables)) = body.get_mut("ConsumedCapacity") {
        tables.sort_by_key(Value::to_string);
    }
    (reply.status, body)
}

/// Requires that both have the same rows.
fn compare_rows(one: &EmbeddedAws, other: &EmbeddedAws) {
    for (table, _) in TABLES {
        let (one, other) = (rows(one, table), rows(other, table));
        assert_eq!(one.len(), other.len(), "{table}");
        for (one, other) in one.iter().zip(&other) {
            assert_eq!(one, other, "{table}");
        }
    }
}

pub(super) type StoredRow = (String, String, Value, i64, Option<f64>, String);

/// Returns the rows of a table.
pub(super) fn rows(aws: &EmbeddedAws, table: &str) -> Vec<StoredRow> {
    let select =
        format!("SELECT pk, sk, item_json, item_size, cached_at, hash_prefix FROM \"{table}\" ORDER BY pk, sk");
    let rows = aws.0.engine.now(|state| {
        let mut select = state.storage.conn().prepare(&select)?;
        let rows = select.query_map([], |row| {
            let json: String = row.get(2)?;
            let item = serde_json::from_str(&json).expect("JSON");
            Ok((row.get(0)?, row.get(1)?, item, row.get(3)?, row.get(4)?, row.get(5)?))
        })?;
        Ok(rows.collect::<Result<Vec<_>, _>>()?)
    });
    rows.expect("read")
}
