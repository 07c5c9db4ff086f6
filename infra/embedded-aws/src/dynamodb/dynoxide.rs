//! The engine `dynoxide`, which answers every operation. This module only calls the engine's function for an operation, and turns
//! the engine's errors into replies. The engine itself evaluates expressions.
//!
//! Transactions are left out: Hookline does not use them, and the engine's functions do not recognise a repeated request.

use crate::{
    folder::says_damaged,
    wire::{Fault, Reply},
};
use domain::time::Clock;
use dynoxide::{
    DynoxideError,
    actions::{self, vector_lifecycle::VectorIndexLifecycle},
    storage::Storage,
    storage_backend,
};
use futures::FutureExt;
use serde::{Serialize, de::DeserializeOwned};

/// Answers one operation.
///
/// # Errors
/// The operation failed. The caller must undo what it wrote.
pub(super) fn call(storage: &Storage, operation: &str, body: &[u8]) -> Result<Reply, Fault> {
    let run = || match operation {
        "CreateTable" => with(body, |request| actions::create_table::execute(storage, request)),
        "DescribeTable" => with(body, |request| async {
            actions::describe_table::execute(storage, request, &VectorIndexLifecycle::new()).await
        }),
        "ListTables" => with(body, |request| actions::list_tables::execute(storage, request)),
        "UpdateTimeToLive" => with(body, |request| actions::update_time_to_live::execute(storage, request)),
        "DescribeTimeToLive" => with(body, |request| actions::describe_time_to_live::execute(storage, request)),
        "PutItem" => with(body, |request| actions::put_item::execute(storage, request)),
        "GetItem" => with(body, |request| actions::get_item::execute(storage, request)),
        "UpdateItem" => with(body, |request| actions::update_item::execute(storage, request)),
        "DeleteItem" => with(body, |request| actions::delete_item::execute(storage, request)),
        "Query" => with(body, |request| actions::query::execute(storage, request)),
        "Scan" => with(body, |request| actions::scan::execute(storage, request)),
        "BatchGetItem" => with(body, |request| actions::batch_get_item::execute(storage, request)),
        "BatchWriteItem" => with(body, |request| actions::batch_write_item::execute(storage, request)),
        other => Err(DynoxideError::UnsupportedCapability(other.to_owned())),
    };
    run()
        .map(Reply::ok)
        .map_err(|error| Fault::whole(error.status_code(), error.to_json()).of_damage(is_damage(&error)))
}

/// Parses the request, runs the engine's function and serializes the answer.
fn with<Request: DeserializeOwned, Answer: Serialize, Running: Future<Output = dynoxide::Result<Answer>>>(
    body: &[u8],
    run: impl FnOnce(Request) -> Running,
) -> dynoxide::Result<String> {
    let request =
        serde_json::from_slice(body).map_err(|error| DynoxideError::SerializationException(error.to_string()))?;
    let answer = run(request).now_or_never().expect("the engine on SQLite never waits")?;
    serde_json::to_string(&answer).map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}

pub(super) fn fault(error: DynoxideError) -> Fault {
    Fault::internal(&error.to_string()).of_damage(is_damage(&error))
}

/// Whether the file is damaged. The engine passes on some of SQLite's errors as text.
fn is_damage(error: &DynoxideError) -> bool {
    match error {
        DynoxideError::SqliteError(error) => says_damaged(error),
        DynoxideError::InternalServerError(text) => text.contains("database disk image is malformed"),
        _ => false,
    }
}

/// Makes a [`Clock`] the engine's clock.
pub(crate) struct EngineClock(pub(crate) Clock);

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
