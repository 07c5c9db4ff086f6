//! Requests as they were made, for `infra/checks/service-models` to judge by AWS's published models: one line of JSON for each
//! shape of a request, in the file that `HOOKLINE_RECORD` names.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::{LazyLock, Mutex, PoisonError};

use serde_json::{Value, json};

use crate::call::{Call, Service};

/// Characters of a text that are recorded: more than the models limit any member of ours to.
const TEXT_MAX: usize = 4_096;
/// Texts up to this length make a shape of their own by their length: names and ids, which the models limit.
const NAME_MAX: usize = 160;

struct Recorder {
    file: File,
    seen: HashSet<String>,
}

static RECORDER: LazyLock<Option<Mutex<Recorder>>> = LazyLock::new(|| {
    let path = std::env::var_os("HOOKLINE_RECORD").filter(|path| !path.is_empty())?;
    let file = OpenOptions::new().create(true).append(true).open(path).expect("HOOKLINE_RECORD can be written");
    Some(Mutex::new(Recorder { file, seen: HashSet::new() }))
});

/// Records a call whose shape is new, if calls are recorded.
pub fn record(call: &Call) {
    let Some(recorder) = RECORDER.as_ref() else { return };
    let service = match call.service {
        Service::DynamoDb => "dynamodb",
        Service::Sqs => "sqs",
        Service::Scheduler => "scheduler",
    };
    let mut parameters = call.body.clone();
    if call.service == Service::Scheduler {
        // The name is in the path.
        if parameters.is_null() {
            parameters = json!({});
        }
        parameters["Name"] = json!(call.subject);
    }
    let recorder = &mut *recorder.lock().unwrap_or_else(PoisonError::into_inner);
    if recorder.seen.insert(format!("{service} {} {}", call.operation, shape_of(&parameters))) {
        let line = json!({"service": service, "operation": call.api_operation(), "parameters": cut(parameters)});
        // At once: other processes append to the same file.
        recorder.file.write_all(format!("{line}\n").as_bytes()).expect("HOOKLINE_RECORD can be written");
    }
}

/// A value with its texts reduced to their lengths.
fn shape_of(value: &Value) -> Value {
    match value {
        Value::String(text) => json!(text.chars().count().min(NAME_MAX)),
        Value::Array(items) => items.iter().map(shape_of).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), shape_of(value))).collect(),
        Value::Number(_) => json!("number"),
        other => other.clone(),
    }
}

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
    fn requests_that_differ_in_what_they_name_have_one_shape() {
        let shape = |id: &str, count: i64| shape_of(&json!({"Key": {"id": {"S": id}}, "Limit": count}));
        assert_eq!(shape("evt_1", 3), shape("evt_2", 4));
        assert_ne!(shape("evt_1", 3), shape("evt_10", 3));
        assert_eq!(cut(json!(["x".repeat(TEXT_MAX + 1)])), json!(["x".repeat(TEXT_MAX)]));
    }
}
