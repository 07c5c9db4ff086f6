//! `DynamoDB`: the `dynoxide` engine behind the JSON protocol. This module only finds the engine's function for an
//! operation and puts its errors on the wire; what an expression means is the engine's business.

use super::wire::Reply;
use anyhow::Context;
use dynoxide::{Database, DynoxideError, storage_backend};
use hookline::time::Clock;
use serde::{Serialize, de::DeserializeOwned};
use std::{path::Path, sync::Arc};

/// The file of the tables.
pub(super) const FILE: &str = "dynamodb.sqlite3";

/// The tables.
pub(super) struct DynamoDb(Database);

impl DynamoDb {
    /// Opens the file in the folder `data`, or a database in memory that tells the time by `clock`.
    pub(super) fn open(data: Option<&Path>, clock: &Clock) -> anyhow::Result<Self> {
        let database = match data {
            None => Database::memory_with_clock(Arc::new(EngineClock(clock.clone()))),
            Some(folder) => {
                let path = folder.join(FILE);
                Database::new(path.to_str().context("the data folder's path must be UTF-8")?)
            }
        };
        Ok(Self(database.with_context(|| format!("cannot open {FILE}"))?))
    }

    /// Answers one operation.
    pub(super) fn call(&self, operation: &str, body: &[u8]) -> Reply {
        match self.run(operation, body) {
            Ok(body) => Reply::ok(body),
            Err(error) => Reply { status: error.status_code(), headers: Vec::new(), body: error.to_json() },
        }
    }

    /// Deletes what has expired; tells how many items.
    pub(super) fn sweep_expired_items(&self) -> anyhow::Result<usize> {
        self.0.sweep_ttl().context("cannot delete expired items")
    }

    fn run(&self, operation: &str, body: &[u8]) -> dynoxide::Result<String> {
        let db = &self.0;
        match operation {
            "CreateTable" => with(body, |request| db.create_table(request)),
            "DescribeTable" => with(body, |request| db.describe_table(request)),
            "DeleteTable" => with(body, |request| db.delete_table(request)),
            "ListTables" => with(body, |request| db.list_tables(request)),
            "UpdateTimeToLive" => with(body, |request| db.update_time_to_live(request)),
            "DescribeTimeToLive" => with(body, |request| db.describe_time_to_live(request)),
            "PutItem" => with(body, |request| db.put_item(request)),
            "GetItem" => with(body, |request| db.get_item(request)),
            "UpdateItem" => with(body, |request| db.update_item(request)),
            "DeleteItem" => with(body, |request| db.delete_item(request)),
            "Query" => with(body, |request| db.query(request)),
            "Scan" => with(body, |request| db.scan(request)),
            "BatchGetItem" => with(body, |request| db.batch_get_item(request)),
            "BatchWriteItem" => with(body, |request| db.batch_write_item(request)),
            "TransactGetItems" => with(body, |request| db.transact_get_items(request)),
            "TransactWriteItems" => with(body, |request| db.transact_write_items(request)),
            other => Err(DynoxideError::UnsupportedCapability(other.to_owned())),
        }
    }
}

/// Reads the request, runs the engine's function, writes the answer.
fn with<Request: DeserializeOwned, Answer: Serialize>(
    body: &[u8],
    run: impl FnOnce(Request) -> dynoxide::Result<Answer>,
) -> dynoxide::Result<String> {
    let request =
        serde_json::from_slice(body).map_err(|error| DynoxideError::SerializationException(error.to_string()))?;
    serde_json::to_string(&run(request)?).map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}

/// The given clock, as the engine wants it told.
struct EngineClock(Clock);

impl storage_backend::Clock for EngineClock {
    fn now_unix_secs(&self) -> u64 {
        u64::try_from(self.0.now().unix_seconds()).unwrap_or_default()
    }

    fn now_unix_secs_f64(&self) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "milliseconds until the year 9999 are exact in an f64")]
        let ms = self.0.now().unix_ms() as f64;
        ms / 1000.0
    }
}
