//! Records requests, for `tests/checks/service-models` to check against AWS's published models:
//! one line of JSON for each shape of a request, in the file that `HOOKLINE_RECORD` names.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::{LazyLock, Mutex, PoisonError};

use serde_json::{Value, json};

use crate::call::{Call, Service};

/// The most recorded characters of a text: more than the models allow in any member that Hookline
/// sends.
const TEXT_MAX: usize = 4_096;
/// Up to this length, texts of different lengths are different shapes, because the models limit
/// names and ids.
const NAME_MAX: usize = 160;

struct Recorder {
    file: File,
    /// The shapes that were recorded.
    seen: HashSet<String>,
}

static RECORDER: LazyLock<Option<Mutex<Recorder>>> = LazyLock::new(|| {
    let path = std::env::var_os("HOOKLINE_RECORD").filter(|path| !path.is_empty())?;
    let file =
        OpenOptions::new().create(true).append(true).open(path).expect("HOOKLINE_RECORD should name a writable file");
    Some(Mutex::new(Recorder { file, seen: HashSet::new() }))
});

/// Records a call if its shape is new and `HOOKLINE_RECORD` is set.
pub fn record(call: &Call) {
    let Some(recorder) = RECORDER.as_ref() else { return };
    let service = match call.service {
        Service::DynamoDb => "dynamodb",
        Service::Sqs => "sqs",
        Service::Scheduler => "scheduler",
    };
    let mut parameters = call.body.clone();
    if call.service == Service::Scheduler {
        // A schedule's name is in the path.
        if parameters.is_null() {
            parameters = json!({});
        }
        parameters["Name"] = json!(call.subject);
    }
    let recorder = &mut *recorder.lock().unwrap_or_else(PoisonError::into_inner);
    if recorder.seen.insert(format!("{service} {} {}", call.operation, shape_of(&parameters))) {
        let line = json!({"service": service, "operation": call.api_operation(), "parameters": cut(parameters)});
        // One write for the whole line, because other processes append to the same file.
        recorder.file.write_all(format!("{line}\n").as_bytes()).expect("HOOKLINE_RECORD should name a writable file");
    }
}

/// Returns a value with its texts reduced to their lengths.
fn shape_of(value: &Value) -> Value {
    match value {
        Value::String(text) => json!(text.chars().count().min(NAME_MAX)),
        Value::Array(items) => items.iter().map(shape_of).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), shape_of(value))).collect(),
        Value::Number(_) => json!("number"),
        other => other.clone(),
    }
}

/// Returns a value with long texts cut to [`TEXT_MAX`].
fn cut(value: Value) -> Value {
    match value {
        Value::String(text) if text.len() > TEXT_MAX => Value::String(text.chars().take(TEXT_MAX).collect()),
        Value::Array(items) => items.into_iter().map(cut).collect(),
        Value::Object(members) => members.into_iter().map(|(name, value)| (name, cut(value))).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_differ_only_in_names_of_the_same_length_have_one_shape() {
        let shape = |id: &str, count: i64| shape_of(&json!({"Key": {"id": {"S": id}}, "Limit": count}));
        assert_eq!(shape("evt_1", 3), shape("evt_2", 4));
        assert_ne!(shape("evt_1", 3), shape("evt_10", 3));
        assert_eq!(cut(json!(["x".repeat(TEXT_MAX + 1)])), json!(["x".repeat(TEXT_MAX)]));
    }
}
